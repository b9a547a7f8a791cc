//! One run: packagers, a proxy, players before it, a control window without a fault, then faults.

use std::path::Path;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::clip::{Clip, Recipe};
use crate::laws::Witness;
use crate::packagers::{Packager, Relay, SEGMENT_SECONDS};
use crate::player::browser::Browser;
use crate::player::gstreamer::GStreamer;
use crate::player::mpv::Mpv;
use crate::player::{Player, wait_for_playback};
use crate::process::now_ms;
use crate::proxy::{Proxy, Upstream, Which};
use crate::report::{Report, Row};

/// How long players are watched before and after a fault. A player that runs on its buffer alone
/// stalls after three target durations at the latest: the window holds that and a recovery.
pub const WINDOW: Duration = Duration::from_secs(30);

/// The stall that is nobody's fault, over the control and the splice's own gap.
const ALLOWED_MS: u64 = 500;

/// Packagers on air, and a folder for everything that a run writes.
pub struct Stage {
    pub packagers: Vec<Packager>,
    relay: Option<Relay>,
    folder: TempDir,
}

impl Stage {
    /// Two nginx-rtmp packagers behind one relay; `b` gets its feed `later` segments after `a`.
    pub fn nginx_rtmp(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::encode(folder.path(), "clip", Recipe::default());
        let packagers: Vec<_> =
            ["a", "b"].iter().map(|id| Packager::nginx_rtmp(id, folder.path())).collect();
        let relay = Some(Relay::start(folder.path(), &clip, &packagers));
        // From here on a failure prints the logs.
        let stage = Self { packagers, relay, folder };
        stage.packagers[0].restore_feed();
        stage.packagers[0].wait_for_segments(later);
        stage.packagers[1].restore_feed();
        stage.packagers.iter().for_each(|p| p.wait_for_segments(3));
        stage
    }

    /// Packagers made by `make`, which is given the folder to work in.
    pub fn of(make: impl FnOnce(&Path) -> Vec<Packager>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packagers = make(folder.path());
        let stage = Self { packagers, relay: None, folder };
        stage.packagers.iter().for_each(|p| p.wait_for_segments(3));
        stage
    }

    /// Where the run writes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The packager of that id.
    pub fn packager(&mut self, id: &str) -> &mut Packager {
        self.packagers.iter_mut().find(|p| p.id == id).expect("a packager of that id")
    }

    /// Tells the proxy the packagers' own addresses.
    pub fn direct(&self) -> Vec<Upstream> {
        self.packagers.iter().map(Upstream::direct).collect()
    }

    /// Tells the proxy the fault proxies' addresses.
    pub fn faulty(&self) -> Vec<Upstream> {
        self.packagers.iter().map(Upstream::faulty).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.relay = None;
        if thread::panicking() {
            print_logs(self.folder.path());
            self.folder.disable_cleanup(true);
        }
    }
}

fn print_logs(folder: &Path) {
    eprintln!("kept: {}", folder.display());
    let mut logs: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    logs.retain(|p| p.extension().is_some_and(|e| e == "log"));
    logs.sort();
    for log in logs {
        let text = std::fs::read(&log).map(|b| String::from_utf8_lossy(&b).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("--- {} (the last of {} lines)", log.display(), lines.len());
        let from = lines.len().saturating_sub(40);
        lines[from..].iter().for_each(|line| eprintln!("{line}"));
    }
}

/// Players before a proxy before a stage.
pub struct Run {
    pub name: String,
    pub proxy: Proxy,
    pub witness: Witness,
    pub players: Vec<Box<dyn Player>>,
    _browser: Option<Browser>,
    /// Begin and end of the control window.
    control: Option<(u64, u64)>,
    rows: Vec<Row>,
    /// Last, so that its folder outlives all that writes there.
    pub stage: Stage,
}

impl Run {
    /// Starts the proxy and `names` of players, and waits until all play.
    pub fn begin(name: &str, stage: Stage, upstreams: &[Upstream], names: &[&str]) -> Self {
        let folder = stage.folder().to_owned();
        let proxy = Proxy::start(Which::chosen(), &folder, upstreams);
        let url = proxy.url();
        let witness = Witness::of(&url, &folder);
        let in_browser = |n: &&&str| ["hls.js", "shaka", "video.js"].contains(n);
        let browser = names.iter().any(|n| in_browser(&n)).then(|| Browser::start(&folder));
        let mut players: Vec<Box<dyn Player>> = Vec::new();
        for name in names {
            players.push(match *name {
                "mpv" => Box::new(Mpv::new(&folder)),
                "gstreamer" => Box::new(GStreamer::new(&folder)),
                other => browser.as_ref().unwrap().player(other),
            });
        }
        players.iter_mut().for_each(|p| p.start(&url));
        wait_for_playback(&players, Duration::from_secs(60));
        let name = name.to_owned();
        Self { name, stage, proxy, witness, players, _browser: browser, control: None, rows: Vec::new() }
    }

    /// Watches without a fault.
    pub fn control(&mut self) {
        let begun = now_ms();
        thread::sleep(WINDOW);
        self.control = Some((begun, now_ms()));
    }

    /// Does `fault`, watches for one window, and notes what each player did.
    pub fn fault(&mut self, name: &str, fault: impl FnOnce(&mut Self)) {
        self.fault_allowing(name, 0, fault);
    }

    /// The same where `extra_ms` of standing still is the fault's own (no packager left).
    pub fn fault_allowing(&mut self, name: &str, extra_ms: u64, fault: impl FnOnce(&mut Self)) {
        let known = self.proxy.gaps_ms().len();
        let begun = now_ms();
        fault(self);
        let ends = begun + u64::try_from(WINDOW.as_millis()).unwrap() + extra_ms;
        thread::sleep(Duration::from_millis(ends.saturating_sub(now_ms())));
        let gap_ms = self.proxy.gaps_ms().iter().skip(known).sum();
        let ended = now_ms();
        let (from, to) = self.control.expect("a control window before the first fault");
        for player in &self.players {
            let timeline = player.timeline();
            let stall_ms = timeline.stalls_between(begun, ended);
            let control_ms = timeline.stalls_between(from, to);
            let allowed_ms = allowance(gap_ms) + extra_ms;
            let fatal = timeline.fatal();
            let passed = fatal.is_empty() && stall_ms <= control_ms + allowed_ms;
            self.rows.push(Row {
                proxy: format!("{:?}", self.proxy.which),
                fault: name.to_owned(),
                player: player.name().to_owned(),
                stall_ms,
                control_ms,
                gap_ms,
                allowed_ms,
                fatal,
                passed,
            });
        }
    }

    /// Ends the run, prints and writes its report, and panics if anything was not as it should be.
    pub fn finish(mut self) {
        self.players.iter_mut().for_each(|p| p.stop());
        self.keep_timelines();
        let breaches = self.witness.verdict();
        let report = Report { scenario: self.name.clone(), rows: self.rows, breaches, watch: None };
        report.publish();
        if self.proxy.which == Which::Segue {
            report.assert_passed();
        }
    }

    fn keep_timelines(&self) {
        for player in &self.players {
            let records = player.timeline().records;
            let lines: Vec<String> =
                records.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
            let file = format!("{}-{}.jsonl", self.name, player.name());
            std::fs::write(crate::report::folder().join(file), lines.join("\n")).unwrap();
        }
    }
}

/// What a splice may cost: what could not be aligned, at most one segment.
fn allowance(gap_ms: i64) -> u64 {
    let segment_ms = u64::from(SEGMENT_SECONDS) * 1000;
    ALLOWED_MS + u64::try_from(gap_ms).unwrap_or(0).min(segment_ms)
}
