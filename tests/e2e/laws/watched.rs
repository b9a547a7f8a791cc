//! One media playlist, and what the laws say of it from refresh to refresh.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use super::list::{List, attribute};
use super::recording::{Kind, Listed, Rendition, Resource};
use crate::http;
use crate::process::now_ms;

/// A media playlist and all that was seen of it.
pub struct Watched {
    pub rendition: Rendition,
    target: Option<u64>,
    first: u64,
    last: u64,
    last_gain_ms: u64,
    /// The hash of what was behind a URL.
    bytes: HashMap<Resource, blake3::Hash>,
    text: String,
}

impl Watched {
    pub fn begin(kind: Kind, url: String, listed: &Path) -> Self {
        let rendition = Rendition::begin(kind, url, listed);
        let (target, text, bytes) = (None, String::new(), HashMap::new());
        Self { rendition, target, first: 0, last: 0, last_gain_ms: now_ms(), bytes, text }
    }

    pub fn refresh(&mut self, index: usize, shared: &Shared, keep: &Path) {
        let text = match http::get(&self.rendition.url, Duration::from_secs(7)) {
            Ok(answer) if answer.status == 200 => answer.text(),
            Ok(answer) => {
                return shared.breach(5, format!("a known playlist answered {}", answer.status));
            }
            Err(_) if shared.forgives_cuts() => return,
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
        // How much older content a proxy lists depends on when it began with the lane: between proxies heads
        // differ by some segments, and each is held to its own by who watches it alone.
        let head_fell = shared.apart == 0 && list.first < self.first;
        if head_fell || end + shared.apart < self.last {
            let (was, is) = ((self.first, self.last), (list.first, end));
            shared.breach(2, format!("MSN fell: first and end {was:?}, then {is:?}"));
        }
        if end > self.last {
            (self.last_gain_ms, self.last) = (now_ms(), end);
        }
        self.first = list.first.max(self.first);
        let mut discontinuity = list.discontinuity_sequence;
        for (msn, segment) in (list.first..).zip(list.segments) {
            discontinuity += u64::from(segment.has("#EXT-X-DISCONTINUITY"));
            match self.rendition.segments.get(&msn) {
                None => {
                    self.rendition.segments.insert(msn, Listed { segment, discontinuity });
                    self.fetch(msn, shared);
                }
                Some(old) if old.segment != segment => {
                    let was = &old.segment;
                    shared.breach(1, format!("MSN {msn} was {was:?} and is {segment:?}"));
                }
                Some(old) if old.discontinuity != discontinuity => {
                    let numbers = (old.discontinuity, discontinuity);
                    shared.breach(3, format!("MSN {msn}: discontinuity numbers {numbers:?}"));
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
            let (last, kind) = (self.last, self.rendition.kind);
            let what = format!("no new segment after MSN {last} in 1.5 target durations, {kind:?}");
            shared.breach(6, what);
        }
    }

    /// Law 5 and the bytes of law 1: what is about to leave, and what just left, is still whole.
    fn oldest_still_there(&mut self, shared: &Shared) {
        let (first, last) = (self.first, self.last);
        self.fetch(first, shared);
        let left = first.saturating_sub(1);
        if self.rendition.segments.contains_key(&left) && last - first >= 3 {
            self.fetch(left, shared);
        }
    }

    /// A segment and all that a player needs to play it.
    fn fetch(&mut self, msn: u64, shared: &Shared) {
        let Some(listed) = self.rendition.segments.get(&msn) else { return };
        // RFC 8216bis, 4.4.4.7: nobody should ask for it.
        if listed.segment.is_gap() {
            return;
        }
        let segment = &listed.segment;
        let mut needed = vec![(segment.uri.clone(), segment.range)];
        let mut keys = segment.keys.clone();
        if let Some(map) = &segment.map {
            needed.push((map.uri().to_owned(), map.range()));
            keys.extend(map.keys.iter().cloned());
        }
        let uris = keys.iter().filter_map(|k| attribute(k, "URI"));
        // Keys of other schemes are other people's.
        let here = uris.filter(|u| !u.contains(':') || u.starts_with("http://"));
        needed.extend(here.map(|u| (u.to_owned(), None)));
        needed.dedup();
        needed.iter().for_each(|(uri, range)| self.fetch_one(uri, *range, shared));
    }

    fn fetch_one(&mut self, uri: &str, range: Option<(u64, u64)>, shared: &Shared) {
        let resource = Resource { url: http::resolve(&self.rendition.url, uri), range };
        match resource.get(Duration::from_secs(8)) {
            Ok(answer) if answer.status == resource.status() && !answer.body.is_empty() => {
                let hash = blake3::hash(&answer.body);
                match self.bytes.insert(resource.clone(), hash) {
                    None => self.rendition.keep(&resource, &answer.body),
                    Some(old) if old != hash => {
                        shared.breach(1, format!("{uri}: other bytes than before"));
                    }
                    Some(_) => {}
                }
            }
            Ok(answer) => {
                let length = answer.body.len();
                shared.breach(5, format!("{uri} answered {} with {length} bytes", answer.status));
            }
            Err(_) if shared.forgives_cuts() => {}
            Err(e) => shared.breach(5, format!("{uri} did not come whole: {e}")),
        }
    }
}
