//! A witness beside the players: polls every media playlist of a URL twice a second and holds the
//! laws of ARCHITECTURE.md that can be seen from outside. All that is listed it also fetches, and
//! keeps. Written apart from the product's own `watch`, so that one judge does not repeat the other's
//! mistakes.

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

mod list;
mod recording;
mod watched;

pub use list::{List, Map, Segment, attribute};
pub use recording::{Kind, Listed, Recording, Rendition, Resource, Stretch};
use watched::Watched;

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
    watching: Option<JoinHandle<Vec<Watched>>>,
}

struct Shared {
    breaches: Mutex<Vec<Breach>>,
    ended: AtomicBool,
    /// The proxy itself is down for the moment: refused connections are no breach.
    proxy_away: AtomicBool,
    /// A proxy behind a balancer has just died: what it was sending is cut short.
    cuts: AtomicBool,
    /// No packager makes progress: law 6 does not hold.
    all_down: AtomicBool,
    /// So many segments the edges of the proxies behind the URL may be apart (law 2).
    apart: u64,
}

impl Shared {
    fn forgives_cuts(&self) -> bool {
        self.proxy_away.load(Ordering::SeqCst) || self.cuts.load(Ordering::SeqCst)
    }

    fn breach(&self, law: u8, what: String) {
        let mut breaches = self.breaches.lock().unwrap();
        // One defect repeats at every poll.
        if !breaches.iter().any(|b| b.what == what) && breaches.len() < 1000 {
            breaches.push(Breach { t: now_ms(), law, what });
        }
    }
}

impl Witness {
    /// Begins to watch. Playlists seen are kept in `folder/playlists`, and what they list in
    /// `folder/listed`.
    pub fn of(url: &str, folder: &Path) -> Self {
        Self::through(url, folder, 0)
    }

    /// The same where each request may be answered by another proxy, whose edge is up to `apart` segments
    /// behind.
    pub fn through(url: &str, folder: &Path, apart: u64) -> Self {
        let listed = folder.join("listed");
        let folder = folder.join("playlists");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&listed).unwrap();
        let shared = Arc::new(Shared {
            breaches: Mutex::default(),
            ended: AtomicBool::new(false),
            proxy_away: AtomicBool::new(false),
            cuts: AtomicBool::new(false),
            all_down: AtomicBool::new(false),
            apart,
        });
        let (inner, entry, keep) = (Arc::clone(&shared), url.to_owned(), folder.clone());
        let watching = thread::spawn(move || watch(&entry, &inner, &keep, &listed));
        Self { shared, folder, watching: Some(watching) }
    }

    /// While true, a refused connection is forgiven.
    pub fn proxy_away(&self, away: bool) {
        self.shared.proxy_away.store(away, Ordering::SeqCst);
    }

    /// While true, an answer that does not come whole is forgiven. One of another status is not.
    pub fn cuts_may_come(&self, may: bool) {
        self.shared.cuts.store(may, Ordering::SeqCst);
    }

    /// While true, a playlist may stand still.
    pub fn all_down(&self, down: bool) {
        self.shared.all_down.store(down, Ordering::SeqCst);
    }

    /// Ends the watch and returns all breaches, those of hls-parser and m3u8-rs included, and all
    /// that was listed.
    pub fn verdict(mut self) -> (Vec<Breach>, Recording) {
        let watched = self.end();
        for finding in lint(&self.folder) {
            self.shared.breach(8, finding);
        }
        let recording =
            Recording { renditions: watched.into_iter().map(|w| w.rendition).collect() };
        (self.shared.breaches.lock().unwrap().clone(), recording)
    }

    fn end(&mut self) -> Vec<Watched> {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.watching.take().and_then(|w| w.join().ok()).unwrap_or_default()
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

fn watch(entry: &str, shared: &Shared, keep: &Path, listed: &Path) -> Vec<Watched> {
    let mut lists = Vec::new();
    while lists.is_empty() && !shared.ended.load(Ordering::SeqCst) {
        lists = media_playlists(entry, shared, keep, listed);
        thread::sleep(Duration::from_millis(300));
    }
    while !shared.ended.load(Ordering::SeqCst) {
        for (i, list) in lists.iter_mut().enumerate() {
            list.refresh(i, shared, keep);
        }
        same_splices(&lists, shared);
        thread::sleep(Duration::from_millis(500));
    }
    lists
}

fn media_playlists(entry: &str, shared: &Shared, keep: &Path, listed: &Path) -> Vec<Watched> {
    let text = match http::get(entry, Duration::from_secs(8)) {
        Ok(answer) if answer.status == 200 => answer.text(),
        other => {
            shared.breach(0, format!("the entry playlist: {:?}", other.map(|a| a.status)));
            return Vec::new();
        }
    };
    if text.contains("#EXTINF") {
        return vec![Watched::begin(Kind::Variant, entry.to_owned(), listed)];
    }
    std::fs::write(keep.join("entry.m3u8"), &text).unwrap();
    if let Err(e) = m3u8_rs::parse_master_playlist_res(text.as_bytes()) {
        shared.breach(8, format!("m3u8-rs: {e:?}"));
    }
    let mut found: Vec<Watched> = Vec::new();
    for (kind, uri) in text.lines().filter_map(listed_in_entry) {
        let url = http::resolve(entry, uri);
        if !found.iter().any(|f| f.rendition.url == url) {
            found.push(Watched::begin(kind, url, listed));
        }
    }
    found
}

/// The media playlist that a line of a multivariant playlist names.
fn listed_in_entry(line: &str) -> Option<(Kind, &str)> {
    let uri = attribute(line, "URI");
    if line.starts_with("#EXT-X-I-FRAME-STREAM-INF:") {
        return Some((Kind::Frames, uri?));
    }
    if line.starts_with("#EXT-X-MEDIA:") {
        let kind = match attribute(line, "TYPE")? {
            "SUBTITLES" => Kind::Captions,
            "AUDIO" => Kind::Sound,
            _ => Kind::Variant,
        };
        return Some((kind, uri?));
    }
    (!line.starts_with('#') && !line.is_empty()).then_some((Kind::Variant, line))
}

/// Law 7: the same MSN has the same discontinuity number in each rendition, also where the borders
/// between its segments are others.
fn same_splices(lists: &[Watched], shared: &Shared) {
    let Some((first, others)) = lists.split_first() else { return };
    for other in others {
        for (msn, listed) in &other.rendition.segments {
            let Some(base) = first.rendition.segments.get(msn) else { continue };
            if base.discontinuity != listed.discontinuity {
                let numbers = (base.discontinuity, listed.discontinuity);
                let kind = other.rendition.kind;
                shared
                    .breach(7, format!("MSN {msn}: discontinuity number {numbers:?} in {kind:?}"));
            }
        }
    }
}
