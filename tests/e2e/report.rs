//! What a run found: one row per fault and player, a table on the terminal and a file in
//! `target/e2e/`.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::content::Verdict;
use crate::content::frames::Frames;
use crate::laws::Breach;

/// Players that stall without a fault prove nothing about one. A busy machine may cost this much.
pub const CONTROL_MS_MAX: u64 = 1500;

/// One player under one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub proxy: String,
    pub fault: String,
    pub player: String,
    /// Stall after the fault, milliseconds.
    pub stall_ms: u64,
    /// Stall in the window of the same length before the first fault.
    pub control_ms: u64,
    /// Splices that the proxy made in the window.
    pub splices: usize,
    /// Content that the proxy says it could not align, lost or shown twice, milliseconds.
    pub gap_ms: u64,
    /// Stall that is allowed over the control.
    pub allowed_ms: u64,
    /// Where it was at the end of the window, seconds on its own clock.
    pub position: Option<f64>,
    pub fatal: Vec<String>,
    /// What was shown and should not have been.
    pub wrong: Vec<String>,
    /// What the run asked of players and this one cannot do.
    pub cannot: Vec<String>,
    pub passed: bool,
}

/// All of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub scenario: String,
    /// What kind of stream it was made with.
    pub feature: String,
    pub rows: Vec<Row>,
    pub breaches: Vec<Breach>,
    /// The breaches that `segue watch` reported.
    pub watch_breaches: Vec<Value>,
    pub watch_summary: Option<Value>,
    /// What a viewer of one lane received, where that was looked at.
    pub content: Option<Verdict>,
    /// The same by the frame, where splices are held to something.
    pub frames: Option<Frames>,
    /// `/status.json` at the end.
    pub status: Option<Value>,
}

/// `target/e2e`.
pub fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Report {
    /// Prints the table, also where the test runner captures output, and writes the file.
    pub fn publish(&self) {
        let mut text = format!("\n{}\n", self.scenario);
        text.push_str(&format!(
            "  {:<30} {:<10} {:>8} {:>10} {:>7} {:>7} {:>10}  verdict\n",
            "fault", "player", "stall ms", "control ms", "splices", "gap ms", "allowed ms"
        ));
        for row in &self.rows {
            let verdict = match (row.passed, row.fatal.first()) {
                (true, _) => "ok".to_owned(),
                (false, Some(fatal)) => format!("FATAL {fatal}"),
                (false, None) if !row.wrong.is_empty() => format!("WRONG {}", row.wrong[0]),
                (false, None) if row.control_ms > CONTROL_MS_MAX => "STALLED BEFORE".to_owned(),
                (false, None) => "STALLED".to_owned(),
            };
            text.push_str(&format!(
                "  {:<30} {:<10} {:>8} {:>10} {:>7} {:>7} {:>10}  {verdict}\n",
                row.fault,
                row.player,
                row.stall_ms,
                row.control_ms,
                row.splices,
                row.gap_ms,
                row.allowed_ms
            ));
        }
        text.push_str(&format!("  breaches of the laws: {}\n", self.breaches.len()));
        for breach in self.breaches.iter().take(12) {
            text.push_str(&format!("    {} law {}: {}\n", breach.t, breach.law, breach.what));
        }
        text.push_str(&format!("  breaches by segue watch: {}\n", self.watch_breaches.len()));
        for breach in self.watch_breaches.iter().take(12) {
            text.push_str(&format!("    {breach}\n"));
        }
        if let Some(content) = &self.content {
            text.push_str(&content.text());
        }
        if let Some(frames) = &self.frames {
            text.push_str(&frames.text());
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
        let file = folder().join(format!("{}.json", self.scenario));
        std::fs::write(file, serde_json::to_vec_pretty(self).unwrap()).unwrap();
    }

    /// Panics unless all rows passed and no law was broken.
    pub fn assert_passed(&self) {
        let failed: Vec<&Row> = self.rows.iter().filter(|r| !r.passed).collect();
        assert!(failed.is_empty(), "{}: {failed:#?}", self.scenario);
        assert!(self.breaches.is_empty(), "{}: {:#?}", self.scenario, self.breaches);
        let found = self.content.iter().flat_map(|c| &c.findings);
        assert_eq!(found.count(), 0, "{}: {:#?}", self.scenario, self.content);
        let found = self.frames.iter().flat_map(|f| &f.findings);
        assert_eq!(found.count(), 0, "{}: {:#?}", self.scenario, self.frames);
        let reported = &self.watch_breaches;
        assert!(reported.is_empty(), "{}: segue watch: {reported:#?}", self.scenario);
    }
}
