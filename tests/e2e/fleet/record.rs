//! What a run before a fleet found: what failed when, the splices, how long players stood still, who came
//! meanwhile, and what broke a law.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::crowd::{Arrival, Failure};
use crate::laws::Breach;
use crate::proxy::Told;
use crate::report;

/// One fault and what came of it until the next.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Unix milliseconds: when it was done, and when the next could be.
    pub t: u64,
    pub ended: u64,
    pub what: String,
    /// Until it was healed, where that was part of it.
    pub healed_ms: u64,
    pub splices: Vec<Told>,
    /// How long each player stood still, milliseconds.
    pub stalls: BTreeMap<String, u64>,
    pub fatal: Vec<String>,
}

impl Done {
    /// For the terminal.
    pub fn line(&self) -> String {
        let stalls: Vec<String> = self.stalls.iter().map(|(p, ms)| format!("{p} {ms}")).collect();
        let splices: Vec<String> = self
            .splices
            .iter()
            .map(|s| format!("{}->{} {} {} {:+} ms", s.from, s.to, s.reason, s.method, s.gap_ms))
            .collect();
        let fatal = if self.fatal.is_empty() { "" } else { "  FATAL" };
        format!(
            "{:<34} stalls, ms: {}; splices: {}{fatal}",
            self.what,
            stalls.join(", "),
            if splices.is_empty() { "none".to_owned() } else { splices.join("; ") }
        )
    }
}

/// All of a run.
#[derive(Debug, Serialize)]
pub struct Record {
    pub name: String,
    /// What its faults were drawn from.
    pub seed: Option<u64>,
    pub begun: u64,
    pub faults: Vec<Done>,
    /// The viewers that came, one a second.
    pub arrivals: Vec<Arrival>,
    /// Requests of scripted viewers that failed twice.
    pub failures: Vec<Failure>,
    pub breaches: Vec<Breach>,
    pub watch_breaches: Vec<Value>,
    pub watch_summary: Option<Value>,
    /// `/status.json` of each proxy at the end.
    pub status: Vec<Option<Value>>,
}

impl Record {
    /// The viewers that came in the window of a fault.
    fn came_in(&self, done: &Done) -> impl Iterator<Item = &Arrival> {
        let window = done.t..done.ended;
        self.arrivals.iter().filter(move |a| window.contains(&a.t))
    }

    /// Prints it and writes it to `target/e2e/FOLDER`.
    pub fn publish(&self, folder: &str, metrics: &[String]) {
        let folder = report::folder().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = |ending: &str| folder.join(format!("{}{ending}", self.name));
        std::fs::write(file(".json"), serde_json::to_vec_pretty(self).unwrap()).unwrap();
        for (i, text) in metrics.iter().enumerate() {
            std::fs::write(file(&format!("-p{}.metrics", i + 1)), text).unwrap();
        }
        let text = self.text();
        std::fs::write(file(".txt"), &text).unwrap();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Keeps the logs of the proxies and of what stands around them beside it.
    pub fn keep_logs(&self, folder: &str, stage: &Path) {
        let to = report::folder().join(folder).join(format!("{}-logs", self.name));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(stage).unwrap().flatten() {
            let name = file.file_name();
            let text = name.to_string_lossy();
            let ours = ["segue-", "haproxy", "redis"].iter().any(|begin| text.starts_with(begin));
            if ours && text.ends_with(".log") {
                std::fs::copy(file.path(), to.join(&name)).unwrap();
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("\n{}", self.name);
        text.push_str(&self.seed.map(|s| format!(", seed {s}")).unwrap_or_default());
        text.push('\n');
        for done in &self.faults {
            let first: Vec<u64> = self.came_in(done).map(|a| a.first_playlist_ms).collect();
            let (count, slowest) = (first.len(), first.iter().max().copied().unwrap_or(0));
            let seconds = (done.t - self.begun) / 1000;
            text.push_str(&format!(
                "  {seconds:>4} s  {}; {count} came, first playlist after {slowest} ms at the most\n",
                done.line()
            ));
        }
        let failed = self.arrivals.iter().filter(|a| a.error.is_some());
        for arrival in failed.take(12) {
            text.push_str(&format!("  NOT LET IN at {}: {:?}\n", arrival.t, arrival.error));
        }
        for failure in self.failures.iter().take(12) {
            text.push_str(&format!("  FAILED at {}: {}\n", failure.t, failure.what));
        }
        text.push_str(&format!("  breaches of the laws: {}\n", self.breaches.len()));
        for breach in self.breaches.iter().take(12) {
            text.push_str(&format!("    {} law {}: {}\n", breach.t, breach.law, breach.what));
        }
        text.push_str(&format!("  breaches by segue watch: {}\n", self.watch_breaches.len()));
        for breach in self.watch_breaches.iter().take(12) {
            text.push_str(&format!("    {breach}\n"));
        }
        text
    }

    /// Panics unless nobody stood still for longer than `stall_ms` in any window, every viewer was let in,
    /// and no law was broken.
    pub fn assert_unnoticed(&self, stall_ms: u64) {
        self.assert_lawful();
        for done in &self.faults {
            let stalled = done.stalls.values().any(|ms| *ms > stall_ms);
            assert!(!stalled && done.fatal.is_empty(), "{}: {}", self.name, done.line());
        }
    }

    /// The same without a word on players.
    pub fn assert_lawful(&self) {
        assert!(self.breaches.is_empty(), "{}: {:#?}", self.name, self.breaches);
        assert!(self.watch_breaches.is_empty(), "{}: {:#?}", self.name, self.watch_breaches);
        let not_let_in: Vec<_> = self.arrivals.iter().filter(|a| a.error.is_some()).collect();
        assert!(not_let_in.is_empty(), "{}: {not_let_in:#?}", self.name);
        assert!(self.failures.is_empty(), "{}: {:#?}", self.name, self.failures);
    }
}
