//! Fetching bytes: one request per segment, however many lanes and viewers wait for it. On disk
//! before anybody hears of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Outcome;
use super::inside::{Got, Look, look};
use super::worker::{Event, Worker};
use crate::model::lane::{Resource, Want, What};
use crate::model::media::{Content, Damage, Keyframe, begins_as_ts};
use crate::model::names::{ContentHash, PackagerId};
use crate::origin::{OriginError, PlaylistAnswer};
use crate::segments::SegmentsError;

/// A fetch of bytes for a track.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub packager: PackagerId,
    /// Place of the rendition on the packager.
    pub found: usize,
    pub run: u32,
    pub what: What,
}

/// Why bytes are not held.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    #[error("is not media")]
    NotMedia,
    #[error("{0}")]
    Damaged(#[from] Damage),
    #[error("what it is made of is not held any more")]
    NotHeld,
}

/// What was full or busy is tried again after this.
const AGAIN: Duration = Duration::from_millis(500);

impl FetchError {
    /// When to try again what is ours to mend. A pool at its limit costs others no more of the line
    /// than one that goes on.
    fn again_after(&self, target: Duration) -> Option<Duration> {
        match self {
            Self::Segments(SegmentsError::Allowance) => Some(target.max(AGAIN)),
            Self::Segments(_) | Self::Origin(OriginError::Busy) => Some(AGAIN),
            _ => None,
        }
    }
}

impl Worker {
    pub(super) fn take_bytes(&mut self, fetch: &Fetch, result: Result<Got, FetchError>) {
        let runs = self.fetching.remove(fetch).unwrap_or_default();
        let got = match result {
            Ok(got) => Some(got),
            // Ours to mend, and none of the packager's fault: it is asked again.
            Err(error @ (FetchError::Segments(_) | FetchError::Origin(OriginError::Busy))) => {
                tracing::warn!(stream = %self.key, packager = %fetch.packager, %error, "cannot be held now");
                return;
            }
            Err(error) => {
                let what = &fetch.what.resource().path;
                tracing::info!(stream = %self.key, packager = %fetch.packager, segment = what, %error, "cannot be had");
                None
            }
        };
        let mut held = got.as_ref().map(|got| got.held);
        let Some(source) = self.sources.get_mut(&fetch.packager) else { return };
        match &fetch.what {
            What::Segment { msn, .. } => {
                let Some(shown) = source.shown.get_mut(&fetch.found) else { return };
                if let Some(content) = got.and_then(|got| got.content) {
                    if shown.track.is_unlike(*msn, &content) {
                        let (id, what) = (&fetch.packager, &fetch.what.resource().path);
                        tracing::info!(stream = %self.key, packager = %id, segment = what, "has other streams than the one before it");
                        held = None;
                    }
                    shown.track.looked(fetch.run, *msn, content);
                }
                shown.track.fetched(fetch.run, *msn, held);
            }
            What::Glimpse { .. } => {}
            What::Tail { cutting, .. } => {
                if let Some(shown) = source.shown.get_mut(&fetch.found) {
                    shown.track.made_tail(fetch.run, *cutting, held);
                }
            }
            // Renditions mostly share their keys: one answer does for all.
            What::Asset { at, .. } => {
                for (found, run) in runs.into_iter().filter(|(f, _)| *f != fetch.found) {
                    if let Some(shown) = source.shown.get_mut(&found).filter(|_| held.is_some()) {
                        shown.track.fetched_asset(run, at, held);
                    }
                }
                if let Some(shown) = source.shown.get_mut(&fetch.found) {
                    shown.track.fetched_asset(fetch.run, at, held);
                }
            }
        }
    }

    /// Keyframes in the first part of a standby's segment.
    pub(super) fn take_glimpse(&mut self, fetch: &Fetch, keyframes: Vec<Keyframe>) {
        self.fetching.remove(fetch);
        let source = self.sources.get_mut(&fetch.packager);
        let shown = source.and_then(|source| source.shown.get_mut(&fetch.found));
        if let (Some(shown), What::Glimpse { msn, .. }) = (shown, &fetch.what) {
            shown.track.glimpsed(fetch.run, *msn, keyframes);
        }
    }

    /// Starts the fetches that `wants` names and that are not under way: one request per segment,
    /// however many lanes and viewers wait for it.
    pub(super) fn fetch(
        &mut self,
        wants: &[Want],
        matched: &BTreeMap<PackagerId, Vec<Option<usize>>>,
        target: Duration,
    ) {
        // What segments are looked into with.
        let mut first: Vec<Want> = Vec::new();
        for want in wants {
            let Some(found) = matched.get(&want.packager).and_then(|m| *m.get(want.rendition)?)
            else {
                continue;
            };
            let fetch = Fetch {
                packager: want.packager.clone(),
                found,
                run: want.run,
                what: want.what.clone(),
            };
            let same = |f: &Fetch| f.packager == fetch.packager && f.what == fetch.what;
            let shared = matches!(fetch.what, What::Asset { .. }) && self.fetching.keys().any(same);
            if shared || self.fetching.contains_key(&fetch) {
                continue;
            }
            let shown = self.sources.get(&fetch.packager).into_iter().flat_map(|s| &s.shown);
            let runs = shown.map(|(found, s)| (*found, s.track.run())).collect();
            let Some(source) = self.sources.get(&fetch.packager) else { continue };
            let look = match look(source, &fetch) {
                Look::After(init) => {
                    let what = What::Asset { at: init, key_of_16: false };
                    first.push(Want { what, ..want.clone() });
                    continue;
                }
                look => look,
            };
            self.fetching.insert(fetch.clone(), runs);
            let (deps, out) = (self.deps.clone(), self.outbox.clone());
            let keep = self.settings.window.unwrap_or(self.settings.hold) * 2 + target * 10;
            tokio::spawn(async move {
                if matches!(fetch.what, What::Glimpse { .. }) {
                    let keyframes = deps.glimpse(&fetch, target).await;
                    let _ = out.send(Event::Glimpsed(fetch, keyframes)).await;
                    return;
                }
                let result = deps.bytes(&fetch, look, target, keep).await;
                if let Some(wait) = result.as_ref().err().and_then(|e| e.again_after(target)) {
                    tokio::time::sleep(wait).await;
                }
                let _ = out.send(Event::Fetched(fetch, result)).await;
            });
        }
        if !first.is_empty() {
            self.fetch(&first, matched, target);
        }
    }

    /// Starts the fetches that prove whether runs go on.
    pub(super) fn prove(&mut self) {
        for source in self.sources.values_mut() {
            for (&at, shown) in &mut source.shown {
                let proof = shown.track.proof().filter(|_| !shown.proving);
                let Some((doubt, resource)) = proof.map(|(n, r)| (n, r.clone())) else { continue };
                shown.proving = true;
                let target = Duration::from_secs(u64::from(shown.track.target_duration().max(1)));
                let (deps, id, out) = (self.deps.clone(), source.id.clone(), self.outbox.clone());
                tokio::spawn(async move {
                    let hash = deps.hash_of(&id, &resource, target / 2).await;
                    let _ = out.send(Event::Proved(id, at, doubt, hash)).await;
                });
            }
        }
    }
}

/// An error page is not a segment, and no key has 15 bytes.
pub(super) fn looks_right(what: &What, bytes: &[u8]) -> bool {
    const BLOCK: usize = 16;
    match what {
        What::Asset { key_of_16: true, .. } => bytes.len() == BLOCK,
        // AES in blocks, padded (RFC 8216, 4.3.2.4); nothing else can be told of it.
        What::Segment { encrypted: true, .. } => {
            !bytes.is_empty() && bytes.len().is_multiple_of(BLOCK)
        }
        What::Segment { at, .. }
        | What::Asset { at, .. }
        | What::Glimpse { at, .. }
        | What::Tail { at, .. } => looks_like_media(at, bytes),
    }
}

fn looks_like_media(resource: &Resource, bytes: &[u8]) -> bool {
    let name = resource.path.split('?').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let whole = resource.range.is_none();
    let first = bytes.first().copied();
    match first {
        None => false,
        _ if whole && ending.eq_ignore_ascii_case("ts") => begins_as_ts(bytes),
        _ if whole && ending.to_ascii_lowercase().ends_with("vtt") => {
            bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).starts_with(b"WEBVTT")
        }
        Some(c) => c != b'<',
    }
}

impl super::Deps {
    pub(super) async fn playlist(
        &self,
        id: &PackagerId,
        path: &str,
        deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        let started = self.clock.now();
        let result = self.origin.playlist(id, path, deadline).await;
        let outcome = outcome(&result);
        self.observer.refreshed(id, outcome, self.clock.now().since(started));
        result
    }

    /// Fetches and holds. On disk when this returns.
    pub(super) async fn bytes(
        &self,
        fetch: &Fetch,
        look: Look,
        deadline: Duration,
        keep: Duration,
    ) -> Result<Got, FetchError> {
        if matches!(fetch.what, What::Tail { .. }) {
            return Ok(self.tail(&fetch.what, self.clock.now().plus(keep)).await?.into());
        }
        let r = fetch.what.resource();
        let result = self.origin.segment(&fetch.packager, &r.path, r.range, deadline).await;
        let n = result.as_ref().map_or(0, Bytes::len);
        let came = outcome(&result);
        let looked = match result {
            Ok(bytes) => self.looked(&fetch.what, look, bytes).await,
            Err(error) => Err(error.into()),
        };
        let outcome = if looked.is_err() && came == Outcome::Ok { Outcome::Damaged } else { came };
        self.observer.fetched(&fetch.packager, outcome, n);
        let (bytes, content) = looked?;
        let held = self.segments.put(bytes, self.clock.now().plus(keep)).await?;
        Ok(Got { held, content })
    }

    /// The bytes, if they are what they should be, and what is in them.
    async fn looked(
        &self,
        what: &What,
        look: Look,
        bytes: Bytes,
    ) -> Result<(Bytes, Option<Arc<Content>>), FetchError> {
        if !looks_right(what, &bytes) {
            return Err(FetchError::NotMedia);
        }
        let content = self.inside(look, &bytes).await?;
        Ok((bytes, content))
    }

    pub(super) async fn hash_of(
        &self,
        id: &PackagerId,
        r: &Resource,
        deadline: Duration,
    ) -> Option<ContentHash> {
        let result = self.origin.segment(id, &r.path, r.range, deadline).await;
        self.observer.fetched(id, outcome(&result), result.as_ref().map_or(0, Bytes::len));
        result.ok().map(|b| ContentHash::of(&b))
    }
}

pub(super) fn outcome<T>(result: &Result<T, OriginError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(e) if e.is_gone() => Outcome::Gone,
        Err(_) => Outcome::Failed,
    }
}
