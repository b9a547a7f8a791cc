//! The product's own judge, `segue watch`, beside every run.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Process, Signal, now_ms};

/// A running `segue watch URL --json`.
pub struct Watch {
    process: Process,
    lines: Arc<Mutex<Vec<(u64, Value)>>>,
    reading: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch `url`.
    pub fn of(url: &str, folder: &Path) -> Self {
        Self::of_all(&[url.to_owned()], folder)
    }

    /// Begins to watch all of `urls`, each for itself and against the others.
    pub fn of_all(urls: &[String], folder: &Path) -> Self {
        let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
        segue.arg("watch").args(urls).arg("--json");
        let mut process = Process::spawn_piped("watch", segue, folder);
        let output = process.child.stdout.take().unwrap();
        let lines = Arc::<Mutex<Vec<(u64, Value)>>>::default();
        let kept = Arc::clone(&lines);
        let reading = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push((now_ms(), value));
            }
        });
        Self { process, lines, reading: Some(reading) }
    }

    /// Ends it: its breaches outside of the times `forgiven`, and its last line, the summary.
    pub fn verdict(self, forgiven: &[(u64, u64)]) -> (Vec<Value>, Option<Value>) {
        let within = |t: u64| forgiven.iter().any(|(from, to)| (*from..=*to).contains(&t));
        self.verdict_without(|t, _| within(t))
    }

    /// The same without those that `forgiven` holds for, by Unix milliseconds and the breach.
    pub fn verdict_without(
        mut self,
        forgiven: impl Fn(u64, &Value) -> bool,
    ) -> (Vec<Value>, Option<Value>) {
        let was_running = self.process.is_running();
        self.process.signal(Signal::Term);
        let status = self.process.wait_end(Duration::from_secs(10));
        let _ = self.reading.take().map(JoinHandle::join);
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        let summary = lines.last().map(|(_, v)| v.clone()).filter(|v| v["event"] == "summary");
        let mut breaches: Vec<Value> = lines
            .into_iter()
            .filter(|(t, v)| v["event"] == "breach" && !forgiven(*t, v))
            .map(|(_, v)| v)
            .collect();
        if !was_running || summary.is_none() {
            breaches.push(Value::String(format!("watch ended early, with {status}")));
        }
        (breaches, summary)
    }
}
