//! A witness beside the players: polls every media playlist of a URL twice a second and holds the
//! laws of ARCHITECTURE.md that can be seen from outside. Written apart from the product's own `watch`,
//! so that one judge does not repeat the other's mistakes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::player::browser::SCRIPTS;
use crate::process::now_ms;

/// A law that was seen broken.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Breach {
    /// Unix milliseconds.
    pub t: u64,
    /// The law of ARCHITECTURE.md; 0 where an answer was no answer at all.
    pub law: u8,
    pub what: String,
}

/// Watches one URL until it is ended.
pub struct Witness {
    shared: Arc<Shared>,
    folder: PathBuf,
    watching: Option<JoinHandle<()>>,
}

struct Shared {
    breaches: Mutex<Vec<Breach>>,
    ended: AtomicBool,
    /// The proxy itself is down for the moment: refused connections are no breach.
    proxy_away: AtomicBool,
    /// No packager makes progress: law 6 does not hold.
    all_down: AtomicBool,
}

impl Shared {
    fn breach(&self, law: u8, what: String) {
        let mut breaches = self.breaches.lock().unwrap();
        // One defect repeats at every poll.
        if !breaches.iter().any(|b| b.what == what) && breaches.len() < 1000 {
            breaches.push(Breach { t: now_ms(), law, what });
        }
    }
}

impl Witness {
    /// Begins to watch. Playlists seen are kept in `folder/playlists`.
    pub fn of(url: &str, folder: &Path) -> Self {
        let folder = folder.join("playlists");
        std::fs::create_dir_all(&folder).unwrap();
        let shared = Arc::new(Shared {
            breaches: Mutex::default(),
            ended: AtomicBool::new(false),
            proxy_away: AtomicBool::new(false),
            all_down: AtomicBool::new(false),
        });
        let (inner, entry, keep) = (Arc::clone(&shared), url.to_owned(), folder.clone());
        let watching = thread::spawn(move || watch(&entry, &inner, &keep));
        Self { shared, folder, watching: Some(watching) }
    }

    /// While true, a refused connection is forgiven.
    pub fn proxy_away(&self, away: bool) {
        self.shared.proxy_away.store(away, Ordering::SeqCst);
    }

    /// While true, a playlist may stand still.
    pub fn all_down(&self, down: bool) {
        self.shared.all_down.store(down, Ordering::SeqCst);
    }

    /// Ends the watch and returns all breaches, those of hls-parser and m3u8-rs included.
    pub fn verdict(mut self) -> Vec<Breach> {
        self.end();
        for finding in lint(&self.folder) {
            self.shared.breach(8, finding);
        }
        self.shared.breaches.lock().unwrap().clone()
    }

    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads all kept playlists with hls-parser in strict mode.
fn lint(folder: &Path) -> Vec<String> {
    let told = Command::new("node").arg("lint.mjs").arg(folder).current_dir(SCRIPTS).output();
    let told = told.expect("node runs");
    let findings: Vec<Value> = serde_json::from_slice(&told.stdout)
        .unwrap_or_else(|e| panic!("lint.mjs: {e}: {}", String::from_utf8_lossy(&told.stderr)));
    let mut seen: Vec<String> = Vec::new();
    for finding in findings {
        let error = finding["error"].as_str().unwrap_or_default();
        let error = format!("hls-parser: {error}");
        if !seen.contains(&error) {
            seen.push(error);
        }
    }
    seen
}

/// One media playlist and all that was seen of it.
#[derive(Default)]
struct Watched {
    url: String,
    target: Option<u64>,
    first: u64,
    last: u64,
    last_gain_ms: u64,
    /// By MSN: lines and discontinuity number, frozen.
    seen: BTreeMap<u64, (Vec<String>, u64)>,
    /// By MSN: length and hash of the bytes.
    bytes: HashMap<u64, [u8; 32]>,
    text: String,
}

fn watch(entry: &str, shared: &Shared, keep: &Path) {
    let mut lists = Vec::new();
    while lists.is_empty() && !shared.ended.load(Ordering::SeqCst) {
        lists = media_playlists(entry, shared, keep);
        thread::sleep(Duration::from_millis(300));
    }
    while !shared.ended.load(Ordering::SeqCst) {
        for (i, list) in lists.iter_mut().enumerate() {
            list.refresh(i, shared, keep);
        }
        same_splices(&lists, shared);
        thread::sleep(Duration::from_millis(500));
    }
}

fn media_playlists(entry: &str, shared: &Shared, keep: &Path) -> Vec<Watched> {
    let text = match http::get(entry, Duration::from_secs(8)) {
        Ok(answer) if answer.status == 200 => answer.text(),
        other => {
            shared.breach(0, format!("the entry playlist: {:?}", other.map(|a| a.status)));
            return Vec::new();
        }
    };
    let begin = |url: String| Watched { url, ..Watched::default() };
    if text.contains("#EXTINF") {
        return vec![begin(entry.to_owned())];
    }
    std::fs::write(keep.join("entry.m3u8"), &text).unwrap();
    if let Err(e) = m3u8_rs::parse_master_playlist_res(text.as_bytes()) {
        shared.breach(8, format!("m3u8-rs: {e:?}"));
    }
    let mut urls: Vec<String> = Vec::new();
    for line in text.lines() {
        let uri = line.split("URI=\"").nth(1).and_then(|r| r.split('"').next());
        let uri = if line.starts_with("#EXT-X-MEDIA:") { uri } else { Some(line) };
        let Some(uri) = uri.filter(|u| !u.starts_with('#') && !u.is_empty()) else { continue };
        let url = http::resolve(entry, uri);
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls.into_iter().map(begin).collect()
}

/// Law 7: the same MSN has the same discontinuity number in each rendition.
fn same_splices(lists: &[Watched], shared: &Shared) {
    let Some((first, others)) = lists.split_first() else { return };
    for (msn, (_, number)) in others.iter().flat_map(|o| &o.seen) {
        if let Some((_, base)) = first.seen.get(msn)
            && base != number
        {
            shared.breach(7, format!("MSN {msn}: discontinuity number {base} and {number}"));
        }
    }
}

impl Watched {
    fn refresh(&mut self, index: usize, shared: &Shared, keep: &Path) {
        let text = match http::get(&self.url, Duration::from_secs(7)) {
            Ok(answer) if answer.status == 200 => answer.text(),
            Ok(answer) => {
                return shared.breach(5, format!("a known playlist answered {}", answer.status));
            }
            Err(_) if shared.proxy_away.load(Ordering::SeqCst) => return,
            Err(e) => return shared.breach(5, format!("a known playlist did not answer: {e}")),
        };
        if text != self.text {
            let name = format!("{index}-{}.m3u8", now_ms());
            std::fs::write(keep.join(name), &text).unwrap();
            if let Err(e) = m3u8_rs::parse_media_playlist_res(text.as_bytes()) {
                shared.breach(8, format!("m3u8-rs: {e:?}"));
            }
            self.text.clone_from(&text);
            self.compare(&text, shared);
        }
        self.progress(shared);
        self.oldest_still_there(shared);
    }

    fn compare(&mut self, text: &str, shared: &Shared) {
        let list = List::read(text);
        if let Some(target) = self.target.replace(list.target)
            && target != list.target
        {
            shared.breach(4, format!("TARGETDURATION {target}, then {}", list.target));
        }
        let end = list.first + list.segments.len() as u64;
        if list.first < self.first || end < self.last {
            let (was, is) = ((self.first, self.last), (list.first, end));
            shared.breach(2, format!("MSN fell: first and end {was:?}, then {is:?}"));
        }
        if end > self.last {
            (self.last_gain_ms, self.last) = (now_ms(), end);
        }
        self.first = list.first;
        let mut number = list.discontinuity_sequence;
        for (msn, lines) in (list.first..).zip(&list.segments) {
            number += u64::from(lines.iter().any(|l| l == "#EXT-X-DISCONTINUITY"));
            match self.seen.get(&msn) {
                None => {
                    self.seen.insert(msn, (lines.clone(), number));
                    self.fetch(msn, shared);
                }
                Some((old, _)) if old != lines => {
                    shared.breach(1, format!("MSN {msn} was {old:?} and is {lines:?}"));
                }
                Some((_, old)) if *old != number => {
                    shared
                        .breach(3, format!("MSN {msn}: discontinuity number {old}, then {number}"));
                }
                Some(_) => {}
            }
        }
    }

    /// Law 6, with a second for the polling.
    fn progress(&mut self, shared: &Shared) {
        let now = now_ms();
        if shared.all_down.load(Ordering::SeqCst) || shared.proxy_away.load(Ordering::SeqCst) {
            self.last_gain_ms = now;
        }
        let limit = self.target.unwrap_or(10) * 1500 + 1000;
        let still = now.saturating_sub(self.last_gain_ms);
        if still > limit {
            shared.breach(
                6,
                format!("no new segment after MSN {} in 1.5 target durations", self.last),
            );
        }
    }

    /// Law 5 and the bytes of law 1: what is about to leave, and what just left, is still whole.
    fn oldest_still_there(&mut self, shared: &Shared) {
        let (first, last) = (self.first, self.last);
        self.fetch(first, shared);
        let left = first.saturating_sub(1);
        if self.seen.contains_key(&left) && last - first >= 3 {
            self.fetch(left, shared);
        }
    }

    fn fetch(&mut self, msn: u64, shared: &Shared) {
        let Some((lines, _)) = self.seen.get(&msn) else { return };
        let Some(uri) = lines.last() else { return };
        match http::get(&http::resolve(&self.url, uri), Duration::from_secs(8)) {
            Ok(answer) if answer.status == 200 && !answer.body.is_empty() => {
                let hash = *blake3::hash(&answer.body).as_bytes();
                let old = self.bytes.insert(msn, hash);
                if old.is_some_and(|old| old != hash) {
                    shared.breach(1, format!("{uri}: other bytes than before"));
                }
            }
            Ok(answer) => {
                let length = answer.body.len();
                shared.breach(5, format!("{uri} answered {} with {length} bytes", answer.status));
            }
            Err(_) if shared.proxy_away.load(Ordering::SeqCst) => {}
            Err(e) => shared.breach(5, format!("{uri} did not come whole: {e}")),
        }
    }
}

/// A media playlist, as far as the laws need it.
struct List {
    target: u64,
    first: u64,
    discontinuity_sequence: u64,
    /// Per segment its lines, the URI last.
    segments: Vec<Vec<String>>,
}

impl List {
    fn read(text: &str) -> Self {
        let number = |tag: &str| {
            let value = text.lines().find_map(|l| l.strip_prefix(tag));
            value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
        };
        let head = [
            "#EXTM3U",
            "#EXT-X-VERSION",
            "#EXT-X-TARGETDURATION",
            "#EXT-X-MEDIA-SEQUENCE",
            "#EXT-X-DISCONTINUITY-SEQUENCE",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-ALLOW-CACHE",
            // Repeated at the head of the window, so not part of a segment's frozen lines.
            "#EXT-X-MAP",
            "#EXT-X-KEY",
        ];
        let mut segments = Vec::new();
        let mut lines = Vec::new();
        for line in text.lines().filter(|l| !l.is_empty()) {
            if line.starts_with('#') && head.iter().any(|h| line.starts_with(h)) {
                continue;
            }
            lines.push(line.to_owned());
            if !line.starts_with('#') {
                segments.push(std::mem::take(&mut lines));
            }
        }
        Self {
            target: number("#EXT-X-TARGETDURATION:"),
            first: number("#EXT-X-MEDIA-SEQUENCE:"),
            discontinuity_sequence: number("#EXT-X-DISCONTINUITY-SEQUENCE:"),
            segments,
        }
    }
}
