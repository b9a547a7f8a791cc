//! hls.js, Shaka and video.js in one Chromium, driven by `players/chromium.mjs`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::timeline::{Shared, Timeline};
use super::{Order, Player};
use crate::process::{Process, wait_until};

/// The folder of the node scripts and their packages.
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/players");

/// A running Chromium.
pub struct Browser {
    process: Process,
    shared: Arc<Inner>,
}

struct Inner {
    orders: Mutex<ChildStdin>,
    timelines: Mutex<HashMap<String, Shared>>,
}

impl Inner {
    fn timeline(&self, player: &str) -> Shared {
        self.timelines.lock().unwrap().entry(player.to_owned()).or_default().clone()
    }

    fn order(&self, order: &Value) {
        let mut orders = self.orders.lock().unwrap();
        // A dead browser shows in its players' records.
        let _ = writeln!(orders, "{order}");
    }
}

impl Browser {
    /// Starts Chromium and waits for its page.
    pub fn start(folder: &Path) -> Self {
        let mut node = Command::new("node");
        node.arg("chromium.mjs").current_dir(SCRIPTS);
        let mut process = Process::spawn_piped("chromium", node, folder);
        let orders = Mutex::new(process.child.stdin.take().unwrap());
        let output = process.child.stdout.take().unwrap();
        let shared = Arc::new(Inner { orders, timelines: Mutex::default() });
        let inner = Arc::clone(&shared);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                inner.note(&line);
            }
        });
        let page = shared.timeline("page");
        wait_until("Chromium opens its page", Duration::from_secs(60), || {
            assert!(process.is_running(), "Chromium ended: {}", process.log_text());
            !page.get().records.is_empty()
        });
        Self { process, shared }
    }

    /// It plays in a browser.
    pub fn plays(name: &str) -> bool {
        ["hls.js", "shaka", "video.js"].contains(&name)
    }

    /// One of `hls.js`, `shaka`, `video.js`, in this browser.
    pub fn player(&self, name: &str) -> Box<dyn Player> {
        Box::new(InBrowser { name: name.to_owned(), inner: Arc::clone(&self.shared) })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Node closes the browser and ends itself when its orders end.
        if let Ok(mut orders) = self.shared.orders.lock() {
            let _ = orders.flush();
        }
        self.shared.order(&json!({ "do": "end" }));
        let begun = std::time::Instant::now();
        while self.process.is_running() && begun.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Inner {
    fn note(&self, line: &str) {
        let Ok(record) = serde_json::from_str::<Value>(line) else { return };
        let player = record["player"].as_str().unwrap_or("page");
        let t = record["t"].as_u64().unwrap_or(0);
        if let Some(position) = record["position"].as_f64() {
            self.timeline(player).at(t, position);
        } else if let Some(event) = record["event"].as_str() {
            let detail = record["detail"].as_str().unwrap_or_default();
            self.timeline(player).event(t, event, detail);
        }
    }
}

struct InBrowser {
    name: String,
    inner: Arc<Inner>,
}

impl Player for InBrowser {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, url: &str) {
        self.inner.order(&json!({ "do": "start", "player": self.name, "url": url }));
    }

    fn timeline(&self) -> Timeline {
        self.inner.timeline(&self.name).get()
    }

    fn order(&mut self, order: Order) -> bool {
        let order = match order {
            Order::Captions => "captions",
            Order::Switch => "switch",
        };
        self.inner.order(&json!({ "do": order, "player": self.name }));
        true
    }

    fn stop(&mut self) {
        self.inner.order(&json!({ "do": "stop", "player": self.name }));
    }
}
