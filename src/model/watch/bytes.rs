//! What segments, keys and init segments are made of: the same bytes behind one name for ever, and
//! as long as their encryption makes them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::read::{attribute, is_identity_aes_128, key_format};
use super::shown::Shown;
use super::{Finding, Place, Rule};
use crate::model::names::ContentHash;

/// URIs whose bytes are remembered for each playlist, at the most.
const HASHES_MAX: usize = 10_000;
/// Keys and init segments of one playlist that are watched at once, the newest first: with a key
/// for each segment, a window of hours needs thousands.
const RESOURCES_MAX: usize = 100;
/// A key and an init segment are fetched again after so long, so many of them at once.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
const AGAIN_MAX: usize = 4;
/// A block of AES, and a key of AES-128.
const AES_BYTES: u64 = 16;

/// Bytes, as far as a watch remembers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Their hash.
    pub hash: ContentHash,
    /// Their number.
    pub length: u64,
}

/// A segment to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its number.
    pub msn: u64,
    /// Its URI as listed.
    pub uri: String,
    /// EXT-X-BYTERANGE: length and offset.
    pub range: Option<(u64, u64)>,
}

/// A key or an init segment to fetch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Which of them.
    pub kind: ResourceKind,
    /// Its URI as listed.
    pub uri: String,
    /// EXT-X-MAP's BYTERANGE: length and offset.
    pub range: Option<(u64, u64)>,
}

/// What a [`Resource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Of AES-128: 16 bytes.
    Aes128Key,
    /// Of another method.
    Key,
    /// EXT-X-MAP.
    Init,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ResourceKind::Init => "init segment",
            _ => "key",
        };
        write!(f, "{what} {}", self.uri)
    }
}

type Name = (String, Option<(u64, u64)>);

/// The bytes that one playlist led to.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    by_name: BTreeMap<Name, Fetched>,
    /// The names as they came, so that the oldest are forgotten first.
    order: VecDeque<Name>,
    by_msn: BTreeMap<u64, Fetched>,
    /// What the list needs now, and when it was asked for.
    needed: BTreeMap<Resource, Option<Duration>>,
}

impl Bytes {
    /// The numbers begin again: they name other segments now.
    pub fn restarted(&mut self) {
        self.by_msn.clear();
    }

    /// Takes note of the keys and init segments of all that is listed and can be fetched.
    pub fn needs(&mut self, shown: &Shown) {
        let mut needed = BTreeMap::new();
        let (mut map, mut keys) = (None, None);
        for listed in shown.segments.iter().rev().filter(|s| !s.gap) {
            if needed.len() >= RESOURCES_MAX {
                break;
            }
            // Neighbours share theirs, so that a long window costs no more than its changes.
            if listed.map.as_ref().map(Arc::as_ptr) != map {
                map = listed.map.as_ref().map(Arc::as_ptr);
                needed.extend(listed.map.as_deref().and_then(init).map(|r| (r, None)));
            }
            if keys != Some(Arc::as_ptr(&listed.keys)) {
                keys = Some(Arc::as_ptr(&listed.keys));
                needed.extend(listed.keys.iter().filter_map(|k| key(k)).map(|r| (r, None)));
            }
        }
        for (resource, asked) in &mut needed {
            *asked = self.needed.get(resource).copied().flatten();
        }
        self.needed = needed;
    }

    pub fn is_needed(&self, resource: &Resource) -> bool {
        self.needed.contains_key(resource)
    }

    /// What was never asked for, or not for long.
    pub fn due(&mut self, now: Duration) -> Vec<Resource> {
        let mut due = Vec::new();
        let mut again = 0;
        for (resource, asked) in &mut self.needed {
            if let Some(before) = asked {
                if again >= AGAIN_MAX || now.saturating_sub(*before) < AGAIN_AFTER {
                    continue;
                }
                again += 1;
            }
            *asked = Some(now);
            due.push(resource.clone());
        }
        due
    }

    pub fn resource(&mut self, wanted: &Resource, fetched: Fetched) -> Vec<Finding> {
        let mut found = Vec::new();
        if wanted.kind == ResourceKind::Aes128Key && fetched.length != AES_BYTES {
            let length = fetched.length;
            let sentence = format!("{wanted} has {length} bytes, and one of AES-128 has 16");
            found.push(Finding::new(Rule::KeyLength, None, AES_BYTES, length, sentence));
        }
        let name = (wanted.uri.clone(), wanted.range);
        found.extend(self.remember(name, fetched, None, &wanted.to_string()));
        found
    }

    pub fn segment(&mut self, wanted: &Wanted, fetched: Fetched, encrypted: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        let name = (wanted.uri.clone(), wanted.range);
        let known = self.by_name.contains_key(&name);
        let length = fetched.length;
        if encrypted && !known && (length == 0 || !length.is_multiple_of(AES_BYTES)) {
            let sentence = format!(
                "segment {} is encrypted with AES-128 and has {length} bytes, no whole number of \
                 blocks of 16",
                wanted.msn
            );
            let (rule, msn) = (Rule::CipherLength, Some(wanted.msn));
            found.push(Finding::new(rule, msn, "a multiple of 16", length, sentence));
        }
        found.extend(self.remember(name, fetched, Some(wanted.msn), &segment(wanted)));
        self.by_msn.insert(wanted.msn, fetched);
        while self.by_msn.len() > HASHES_MAX {
            self.by_msn.pop_first();
        }
        found
    }

    /// The same number at another URL: `self` is what `elsewhere` led to.
    pub fn elsewhere(
        &self,
        elsewhere: &Place,
        wanted: &Wanted,
        fetched: Fetched,
    ) -> Option<Finding> {
        let was = *self.by_msn.get(&wanted.msn)?;
        let whence = format!("than in {elsewhere}");
        (was != fetched).then(|| other(Some(wanted.msn), &segment(wanted), &whence, was, fetched))
    }

    fn remember(
        &mut self,
        name: Name,
        fetched: Fetched,
        msn: Option<u64>,
        what: &str,
    ) -> Option<Finding> {
        let was = self.by_name.insert(name.clone(), fetched);
        if was.is_none() {
            self.order.push_back(name);
            if self.order.len() > HASHES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_name.remove(&oldest);
            }
        }
        let was = was.filter(|was| *was != fetched)?;
        Some(other(msn, what, "than the last time", was, fetched))
    }
}

fn segment(wanted: &Wanted) -> String {
    format!("segment {} ({})", wanted.msn, wanted.uri)
}

fn other(msn: Option<u64>, what: &str, whence: &str, was: Fetched, is: Fetched) -> Finding {
    let side = |f: Fetched| format!("{} bytes {:?}", f.length, f.hash);
    let sentence = format!("{what} has other bytes {whence}");
    Finding::new(Rule::OtherBytes, msn, side(was), side(is), sentence)
}

/// A key that can be asked for: others are fetched in ways of their own, and need a licence.
fn key(line: &str) -> Option<Resource> {
    let uri = attribute(line, "URI").filter(|uri| is_http(uri))?;
    if key_format(line) != "identity" {
        return None;
    }
    let kind = if is_identity_aes_128(line) { ResourceKind::Aes128Key } else { ResourceKind::Key };
    Some(Resource { kind, uri: uri.to_owned(), range: None })
}

fn init(line: &str) -> Option<Resource> {
    let uri = attribute(line, "URI").filter(|uri| is_http(uri))?.to_owned();
    let range = attribute(line, "BYTERANGE").and_then(|range| {
        let (length, offset) = range.split_once('@').unwrap_or((range, "0"));
        Some((length.parse().ok()?, offset.parse().ok()?))
    });
    Some(Resource { kind: ResourceKind::Init, uri, range })
}

/// Relative, or of http or https: no `data:`, no `skd:`.
fn is_http(uri: &str) -> bool {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|s| !s.contains(['/', '?', '#']));
    scheme.is_none_or(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
}
