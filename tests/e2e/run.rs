//! One run: packagers, a proxy, players before it, a control window without a fault, then faults.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::content::frames::Clocks;
use crate::content::{self, frames};
use crate::expect::Splice;
use crate::laws::Witness;
use crate::packagers::SEGMENT_SECONDS;
use crate::player::browser::Browser;
use crate::player::shown::wrong_captions;
use crate::player::{Order, Player, seat, wait_for_playback};
use crate::process::{now_ms, wait_until};
use crate::proxy::{Proxy, Told, Upstream, Which};
use crate::report::{CONTROL_MS_MAX, Report, Row, folder};
use crate::stage::Stage;
use crate::watch::Watch;

/// How long players are watched before and after a fault. A player that runs on its buffer alone
/// stalls after three target durations at the latest: the window holds that and a recovery.
pub const WINDOW: Duration = Duration::from_secs(30);

/// The stall that is nobody's fault, over the control and the splice's own gap.
pub const ALLOWED_MS: u64 = 500;

/// Who watches what.
pub struct Seats<'a> {
    /// The players, each with the URL that it is given.
    pub players: Vec<(&'a str, String)>,
    /// The URL that the judges watch.
    pub watched: String,
    /// Called when a player was told to begin: returns when the next one may.
    pub seated: &'a dyn Fn(&str),
}

impl<'a> Seats<'a> {
    /// All at one URL, at once.
    pub fn at(url: &str, players: &[&'a str]) -> Self {
        let players = players.iter().map(|name| (*name, url.to_owned())).collect();
        Self { players, watched: url.to_owned(), seated: &|_| {} }
    }
}

/// Players before a proxy before a stage.
pub struct Run {
    pub name: String,
    /// What kind of stream it is.
    pub feature: String,
    pub witness: Witness,
    pub players: Vec<Box<dyn Player>>,
    watch: Option<Watch>,
    /// While the proxy itself was away, or no packager lived.
    forgiven: Vec<(u64, u64)>,
    /// See [`Run::long_segments_may_come`].
    long_segments: bool,
    /// See [`Run::lane_is_opened_anew`].
    holes: usize,
    _browser: Option<Browser>,
    /// Begin and end of the control window.
    control: Option<(u64, u64)>,
    /// Who stalls for longer in it proves nothing.
    control_ms_max: u64,
    rows: Vec<Row>,
    /// The splices that the proxy told of.
    told: Vec<Told>,
    /// See [`Run::expect`].
    expected: Option<Splice>,
    /// What players were asked and cannot do.
    cannot: Vec<(String, Order)>,
    captions: bool,
    switched_ms: Option<u64>,
    /// See [`Run::judge_content`].
    content: bool,
    pub proxy: Proxy,
    /// Last, so that its folder outlives all that writes there.
    pub stage: Stage,
}

impl Run {
    /// Starts the proxy and `names` of players, and waits until all play.
    pub fn begin(name: &str, stage: Stage, upstreams: &[Upstream], names: &[&str]) -> Self {
        Self::begin_with(name, stage, upstreams, names, &[])
    }

    /// The same, where all players are asked for something as soon as they play. (Shaka shows no
    /// captions of live streams that are asked for later.)
    pub fn begin_with(
        name: &str,
        stage: Stage,
        upstreams: &[Upstream],
        names: &[&str],
        orders: &[Order],
    ) -> Self {
        let proxy = Proxy::start(Which::chosen(), stage.folder(), upstreams);
        let seats = Seats::at(&proxy.url(), names);
        Self::begin_before(name, stage, proxy, &seats, orders)
    }

    /// The same before a proxy that runs.
    pub fn begin_before(
        name: &str,
        stage: Stage,
        proxy: Proxy,
        seats: &Seats<'_>,
        orders: &[Order],
    ) -> Self {
        let folder = stage.folder().to_owned();
        let (browser, players) = seat(&seats.players, &folder, seats.seated);
        let witness = Witness::of(&seats.watched, &folder);
        let mut run = Self {
            name: name.to_owned(),
            feature: "one media playlist, MPEG-TS".to_owned(),
            witness,
            players,
            watch: None,
            forgiven: Vec::new(),
            long_segments: false,
            holes: 0,
            _browser: browser,
            control: None,
            control_ms_max: CONTROL_MS_MAX,
            rows: Vec::new(),
            told: Vec::new(),
            expected: None,
            cannot: Vec::new(),
            captions: false,
            switched_ms: None,
            content: false,
            proxy,
            stage,
        };
        if !orders.is_empty() {
            wait_until("all players begin", Duration::from_secs(60), || {
                run.players.iter().all(|p| p.timeline().began_ms().is_some())
            });
        }
        orders.iter().for_each(|o| run.order(*o));
        wait_for_playback(&run.players, Duration::from_secs(60));
        let is_segue = run.proxy.which == Which::Segue;
        run.watch = is_segue.then(|| Watch::of(&seats.watched, &folder));
        run
    }

    /// At the end, all that one lane listed is decoded, and what is lost or repeated is counted: for
    /// packagers that show what is on air.
    pub const fn judge_content(&mut self) {
        self.content = true;
    }

    /// What its splices may cost: each of them is judged by the frame at the end. None: they are told
    /// of, and not judged.
    pub const fn expect(&mut self, splice: Option<Splice>) {
        self.expected = splice;
    }

    /// Asks all players; whether they did it is told with the fault in whose window it was asked.
    pub fn order(&mut self, order: Order) {
        match order {
            Order::Captions => self.captions = true,
            Order::Switch => self.switched_ms = Some(now_ms()),
        }
        for player in &mut self.players {
            if !player.order(order) {
                self.cannot.push((player.name().to_owned(), order));
            }
        }
    }

    fn cannot(&self, player: &str) -> Vec<String> {
        let cannot = self.cannot.iter().filter(|(name, _)| name == player);
        let mut orders: Vec<_> = cannot.map(|(_, o)| format!("{o:?}").to_lowercase()).collect();
        orders.dedup();
        orders
    }

    /// What a player showed in a window and should not have, as far as it can do what was asked.
    fn wrong(&self, player: &dyn Player, (begun, ended): (u64, u64)) -> Vec<String> {
        let can = |order| !self.cannot.contains(&(player.name().to_owned(), order));
        let timeline = player.timeline();
        let mut wrong = Vec::new();
        if self.captions && can(Order::Captions) {
            wrong = wrong_captions(&timeline, begun, ended);
        }
        if let Some(asked) = self.switched_ms.filter(|t| *t >= begun && can(Order::Switch)) {
            let turned = timeline.events("size").any(|r| (asked..ended).contains(&r.t));
            wrong.extend((!turned).then(|| "it did not turn to another rendition".to_owned()));
        }
        wrong
    }

    /// Watches without a fault.
    pub fn control(&mut self) {
        self.control_doing(|_| {});
    }

    /// The same where players turn to another rendition, as they will under each fault: what that costs
    /// them by itself (mpv waits for more than a segment) is not the fault's.
    pub fn control_with_a_switch(&mut self) {
        self.control_ms_max += 2 * u64::from(SEGMENT_SECONDS) * 1000;
        self.control_doing(|run| run.order(Order::Switch));
    }

    fn control_doing(&mut self, what: impl FnOnce(&mut Self)) {
        let begun = now_ms();
        what(self);
        thread::sleep(WINDOW);
        self.control = Some((begun, now_ms()));
    }

    /// Does `fault`, watches for one window, and notes what each player did.
    pub fn fault(&mut self, name: &str, fault: impl FnOnce(&mut Self)) {
        self.fault_allowing(name, 0, fault);
    }

    /// The same where `extra_ms` of standing still is the fault's own (no packager left).
    pub fn fault_allowing(&mut self, name: &str, extra_ms: u64, fault: impl FnOnce(&mut Self)) {
        let known: Vec<_> = self.proxy.splices();
        let begun = now_ms();
        fault(self);
        let ends = begun + u64::try_from(WINDOW.as_millis()).unwrap() + extra_ms;
        // A splice that left the window is no longer told of: look often.
        let mut splices = BTreeMap::new();
        while now_ms() < ends {
            let new = self.proxy.splices().into_iter().filter(|s| !known.contains(s));
            splices.extend(new.map(|told| ((told.lane.clone(), told.msn), told)));
            thread::sleep(Duration::from_millis(500));
        }
        let mut by_lane: BTreeMap<&str, u64> = BTreeMap::new();
        for ((lane, _), told) in &splices {
            *by_lane.entry(lane).or_default() += told.gap_ms.unsigned_abs();
        }
        let gap_ms = by_lane.values().copied().max().unwrap_or(0);
        let count = splices.len();
        self.told.extend(splices.into_values());
        self.note(name, (begun, now_ms()), count, gap_ms, extra_ms);
    }

    fn note(
        &mut self,
        fault: &str,
        (begun, ended): (u64, u64),
        splices: usize,
        gap_ms: u64,
        extra_ms: u64,
    ) {
        let (from, to) = self.control.expect("a control window before the first fault");
        let mut rows = Vec::new();
        for player in &self.players {
            let stall_ms = player.stalls_between(begun, ended);
            let control_ms = player.stalls_between(from, to);
            let allowed_ms = self.allowance(gap_ms) + extra_ms;
            let fatal = player.errors();
            let wrong = self.wrong(player.as_ref(), (begun, ended));
            let in_order = control_ms <= self.control_ms_max && stall_ms <= control_ms + allowed_ms;
            let passed = fatal.is_empty() && wrong.is_empty() && in_order;
            rows.push(Row {
                proxy: format!("{:?}", self.proxy.which),
                fault: fault.to_owned(),
                player: player.name().to_owned(),
                stall_ms,
                control_ms,
                splices,
                gap_ms,
                allowed_ms,
                position: player.position(),
                fatal,
                wrong,
                cannot: self.cannot(player.name()),
                passed,
            });
        }
        self.rows.extend(rows);
    }

    /// What the last fault cost in content, as the proxy told of it: splices and milliseconds.
    pub fn last_cost(&self) -> (usize, u64) {
        self.rows.last().map_or((0, 0), |row| (row.splices, row.gap_ms))
    }

    /// Why the lane was spliced last.
    pub fn last_reason(&self) -> &str {
        self.told.last().map_or("", |told| &told.reason)
    }

    /// How long a player stood still after the last fault, over its control, milliseconds.
    pub fn last_stall_ms(&self, player: &str) -> u64 {
        let row = self.rows.iter().rev().find(|row| row.player == player);
        row.map_or(0, |row| row.stall_ms.saturating_sub(row.control_ms))
    }

    /// nginx-rtmp joins the feed between keyframes, so the first segment of a new run is longer than
    /// any before, and TARGETDURATION cannot change any more: law 4 says to go on.
    pub const fn long_segments_may_come(&mut self) {
        self.long_segments = true;
    }

    /// The proxy that has the lane is gone, and another opens it anew above its old numbers: they have
    /// one hole.
    pub const fn lane_is_opened_anew(&mut self) {
        self.holes += 1;
    }

    /// Starts a packager that was killed.
    pub fn start_packager(&mut self, id: &str) {
        self.long_segments_may_come();
        self.stage.packager(id).start();
    }

    /// The packager that serves the lane; `otherwise` where the proxy does not tell.
    pub fn serving(&self, otherwise: &str) -> String {
        self.proxy.serving().unwrap_or_else(|| otherwise.to_owned())
    }

    /// Does `what` while the proxy is away: refused connections are forgiven, all else is not.
    pub fn while_proxy_is_away(&mut self, what: impl FnOnce(&mut Proxy)) {
        let begun = now_ms();
        self.witness.proxy_away(true);
        what(&mut self.proxy);
        self.witness.proxy_away(false);
        // A request that began just before is told a little later.
        self.forgiven.push((begun, now_ms() + 1500));
    }

    /// Does `what` while no packager lives: playlists may stand still, and for as long as it takes
    /// the packagers to list something new after that.
    pub fn while_all_are_down(&mut self, what: impl FnOnce(&mut Stage)) {
        let begun = now_ms();
        self.witness.all_down(true);
        what(&mut self.stage);
        self.witness.all_down(false);
        self.forgiven.push((begun, now_ms() + 12_000));
    }

    /// Ends the run, prints and writes its report, and panics if anything was not as it should be.
    pub fn finish(mut self) {
        self.players.iter_mut().for_each(|p| p.stop());
        self.keep_timelines();
        let (mut watch_breaches, watch_summary) =
            self.watch.take().map(|w| w.verdict(&self.forgiven)).unwrap_or_default();
        let (mut breaches, recording) = self.witness.verdict();
        let spliced_at = self.told.iter().map(|t| t.msn).collect();
        let content =
            self.content.then(|| content::judge(&recording, &spliced_at, self.stage.folder()));
        let frames = self.expected.map(|expected| {
            let mut frames = frames::judge(&recording, Clocks::Many, self.stage.folder());
            frames.findings = expected.wrong(&self.told, &frames);
            frames
        });
        let mut holes = 0;
        watch_breaches.retain(|b| {
            holes += usize::from(b["rule"] == "hole");
            b["rule"] != "hole" || holes > self.holes
        });
        if self.long_segments {
            watch_breaches.retain(|b| b["rule"] != "segment_too_long");
            breaches.retain(|b| !b.what.contains("EXTINF duration, when rounded"));
        }
        let report = Report {
            scenario: self.name.clone(),
            feature: self.feature,
            rows: self.rows,
            breaches,
            watch_breaches,
            watch_summary,
            content,
            frames,
            status: self.proxy.status(),
        };
        report.publish();
        std::fs::write(folder().join(format!("{}.metrics", self.name)), self.proxy.metrics())
            .unwrap();
        if self.proxy.which == Which::Segue {
            report.assert_passed();
        }
    }

    /// What a splice may cost: what could not be aligned, at most one segment; nothing where each is to
    /// be exact. Content shown twice counts like content lost: mpv waits where time runs backwards.
    fn allowance(&self, gap_ms: u64) -> u64 {
        match self.expected {
            Some(Splice::Exact) => ALLOWED_MS,
            Some(Splice::UpTo { .. }) | None => {
                ALLOWED_MS + gap_ms.min(u64::from(SEGMENT_SECONDS) * 1000)
            }
        }
    }

    fn keep_timelines(&self) {
        for player in &self.players {
            let records = player.timeline().records;
            let lines: Vec<String> =
                records.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
            let file = format!("{}-{}.jsonl", self.name, player.name());
            std::fs::write(folder().join(file), lines.join("\n")).unwrap();
        }
    }
}
