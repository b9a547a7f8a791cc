//! One run before a fleet: players, scripted viewers and both judges through the balancer and at each proxy,
//! while one thing after another fails. What it found goes to the terminal and to `target/e2e`.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Fleet;
use super::record::{Done, Record};
use crate::crowd::Crowd;
use crate::laws::Witness;
use crate::player::browser::Browser;
use crate::player::{Player, seat, wait_for_playback};
use crate::process::now_ms;
use crate::proxy::Told;
use crate::stage::Stage;
use crate::watch::Watch;

/// How long an answer of a proxy that died or froze may still be on its way, milliseconds: the balancer's
/// patience, and a request that began just before.
const CUT_MS: u64 = 3500;
/// Until a proxy that is back has what it missed, milliseconds.
const CATCH_UP_MS: u64 = 6000;

/// Rules of `segue watch` that a proxy breaks by being away, and no other way.
const OF_ABSENCE: [&str; 5] = ["not_ok", "cut_short", "edge_stale", "edges_apart", "hole"];

/// Who is watching.
pub struct FleetRun {
    name: String,
    witness: Witness,
    watch: Watch,
    crowd: Crowd,
    players: Vec<Box<dyn Player>>,
    _browser: Option<Browser>,
    faults: Vec<Done>,
    /// The splices that were told of, by lane and number.
    told: BTreeMap<(String, u64), Told>,
    /// Which proxy was away, and when.
    away: Vec<(usize, u64, u64)>,
    long_segments: bool,
    begun: u64,
    /// What its faults are drawn from.
    pub seed: Option<u64>,
    pub fleet: Fleet,
    /// Last, so that its folder outlives all that writes there.
    pub stage: Stage,
}

impl FleetRun {
    /// Seats `players` and `viewers` scripted ones before the balancer, and waits until all play.
    pub fn begin(name: &str, stage: Stage, fleet: Fleet, players: &[&str], viewers: usize) -> Self {
        let folder = stage.folder().to_owned();
        let entry = fleet.balancer.url();
        let who: Vec<_> = players.iter().map(|name| (*name, entry.clone())).collect();
        let (browser, players) = seat(&who, &folder, &|_| {});
        // Law 2: half a target duration, so one segment.
        let witness = Witness::through(&fleet.media[0], &folder, 1);
        wait_for_playback(&players, Duration::from_secs(60));
        let watch = Watch::of_all(&fleet.media, &folder);
        let crowd = Crowd::at(&entry, viewers);
        Self {
            name: name.to_owned(),
            witness,
            watch,
            crowd,
            players,
            _browser: browser,
            faults: Vec::new(),
            told: BTreeMap::new(),
            away: Vec::new(),
            long_segments: false,
            begun: now_ms(),
            seed: None,
            fleet,
            stage,
        }
    }

    /// Lets it run for `window`: what players do then by themselves.
    pub fn nothing(&mut self, window: Duration) {
        self.fault("nothing", window, |_| {});
    }

    /// Does `act`, watches until `window` is over, and notes what came of it.
    pub fn fault(&mut self, what: &str, window: Duration, act: impl FnOnce(&mut Self)) {
        let begun = now_ms();
        let known: Vec<_> = self.told.keys().cloned().collect();
        act(self);
        let healed_ms = now_ms() - begun;
        let ends = begun + window.as_millis() as u64;
        while now_ms() < ends {
            self.hear();
            thread::sleep(
                Duration::from_millis(300).min(Duration::from_millis(ends - now_ms().min(ends))),
            );
        }
        let splices = self.told.iter().filter(|(key, _)| !known.contains(key));
        let splices = splices.filter(|((lane, _), _)| lane == self.fleet.lane());
        let splices: Vec<Told> = splices.map(|(_, told)| told.clone()).collect();
        let ended = now_ms();
        let stalls = self.players.iter();
        let stalls = stalls.map(|p| (p.name().to_owned(), p.stalls_between(begun, ended)));
        let stalls: BTreeMap<String, u64> = stalls.collect();
        let fatal = self.players.iter().flat_map(|p| p.errors()).collect();
        let done =
            Done { t: begun, ended, what: what.to_owned(), healed_ms, splices, stalls, fatal };
        eprintln!("  {:>4} s  {}", (begun - self.begun) / 1000, done.line());
        self.faults.push(done);
    }

    /// Splices leave the window, and with it the status: it is looked at often.
    fn hear(&mut self) {
        for told in self.fleet.splices() {
            self.told.entry((told.lane.clone(), told.msn)).or_insert(told);
        }
    }

    /// All splices so far of the lane that is watched.
    pub fn splices(&self) -> usize {
        self.told.keys().filter(|(lane, _)| lane == self.fleet.lane()).count()
    }

    /// Does `act`, in which that proxy is away: what it was sending is cut, and it is judged again once it
    /// has what it missed.
    pub fn without_proxy(&mut self, proxy: usize, act: impl FnOnce(&mut Self)) {
        let begun = now_ms();
        self.witness.cuts_may_come(true);
        act(self);
        let ended = now_ms();
        thread::sleep(Duration::from_millis((begun + CUT_MS).saturating_sub(ended)));
        self.witness.cuts_may_come(false);
        self.away.push((proxy, begun, ended.max(begun + CUT_MS) + CATCH_UP_MS));
    }

    /// nginx-rtmp joins the feed between keyframes, so the first segment of a new run is longer than any
    /// before, and TARGETDURATION cannot change any more.
    pub fn start_packager(&mut self, id: &str) {
        self.long_segments = true;
        self.stage.packager(id).start();
    }

    /// Every packager lists enough to be spliced to, and all proxies see it move.
    pub fn both_are_well(&self) -> bool {
        self.stage.packagers.iter().all(|p| {
            let listed = p.listed().is_some_and(|(_, uris)| uris.len() >= 3);
            listed && self.fleet.see_moving(&p.id)
        })
    }

    /// The packager that serves; the other one is well.
    pub fn serving(&self) -> String {
        self.fleet.serving().expect("a packager that serves")
    }

    /// Ends the run: its record, printed and written to `target/e2e/FOLDER`.
    pub fn end(mut self, folder: &str) -> Record {
        self.players.iter_mut().for_each(|p| p.stop());
        let (arrivals, failures) = self.crowd.end();
        let long = self.long_segments;
        let away = std::mem::take(&mut self.away);
        let forgiven = |t: u64, breach: &Value| {
            (long && breach["rule"] == "segment_too_long")
                || is_of_another_proxy(breach)
                || is_of_absence(t, breach, &away)
        };
        let (watch_breaches, watch_summary) = self.watch.verdict_without(forgiven);
        let (mut breaches, _) = self.witness.verdict();
        breaches.retain(|b| !(long && b.what.contains("EXTINF duration, when rounded")));
        let record = Record {
            name: self.name,
            seed: self.seed,
            begun: self.begun,
            faults: self.faults,
            arrivals,
            failures,
            breaches,
            watch_breaches,
            watch_summary,
            status: self.fleet.proxies.iter().map(|p| p.status()).collect(),
        };
        let metrics = self.fleet.proxies.iter().map(|p| p.metrics()).collect::<Vec<_>>();
        record.publish(folder, &metrics);
        record.keep_logs(folder, self.stage.folder());
        record
    }
}

/// Through the balancer each answer may come from another proxy, whose edge is less than half a target
/// duration behind: one segment. How much older content it lists depends on when it began with the lane.
fn is_of_another_proxy(breach: &Value) -> bool {
    let number = |key: &str| {
        let text = breach[key].as_str().map_or_else(|| breach[key].to_string(), str::to_owned);
        text.split(' ').next().and_then(|n| n.parse::<u64>().ok())
    };
    let by = number("expected").zip(number("found")).map(|(was, is)| was.saturating_sub(is));
    let may = match breach["rule"].as_str() {
        Some("last_msn_fell") => by.is_some_and(|by| by <= 1),
        Some("first_msn_fell") => true,
        _ => false,
    };
    may && breach["url"] == 1
}

fn is_of_absence(t: u64, breach: &Value, away: &[(usize, u64, u64)]) -> bool {
    let of_absence = OF_ABSENCE.iter().any(|rule| breach["rule"] == *rule);
    let at = |proxy: usize| breach["url"] == proxy + 2;
    // Behind the balancer it is only what was cut.
    let cut = |from: u64| breach["url"] == 1 && breach["rule"] == "cut_short" && t < from + CUT_MS;
    let during = |(proxy, from, to): &(usize, u64, u64)| {
        (*from..=*to).contains(&t) && (at(*proxy) || cut(*from))
    };
    of_absence && away.iter().any(during)
}
