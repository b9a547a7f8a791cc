//! Bringing the bytes of other proxies' steps here: from their packager, or from a proxy that holds them. Where
//! one proxy of the zone fetches for all it is asked first.

use std::time::Duration;

use bytes::Bytes;

use super::recall::{Recall, Spot};
use super::worker::{Event, Worker};
use super::{CopiedFrom, Deps};
use crate::model::lane::{Entry, Held, Resource, Share, Step, What};
use crate::model::names::{ContentHash, LaneId, OutputMsn, ProxyId, UnixMs};

/// Pieces that one stream brings at a time.
const AT_ONCE: usize = 16;
/// Between tries, at first; it doubles.
const AGAIN: Duration = Duration::from_millis(100);

/// One piece of a step: a segment, an init segment or a key.
struct Bring {
    held: Held,
    /// Who has it, the likeliest first.
    holders: Vec<ProxyId>,
    /// How its packager gives it; none where that is not known.
    recall: Option<Recall>,
    /// Proxies are asked before the packager.
    proxies_first: bool,
    /// Of the lane: no try takes longer.
    target: Duration,
    keep: UnixMs,
}

impl Worker {
    /// Starts to bring what is missing of a lane's steps and is not under way.
    pub(super) fn bring_missing(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get(id) else { return };
        // What is fetched as the next step of our own comes by itself, if it comes soon.
        let soon = lane.target() / 4;
        let mut wanted = Vec::new();
        for (msn, coming) in lane.coming.iter().rev() {
            let Some(step) = lane.log.get(*msn) else { continue };
            let fetches = self.fetches_of(step);
            let patient = fetches && now.since(coming.heard) < soon;
            let pieces = coming.missing.iter().filter(|held| !self.bringing.contains(&held.hash));
            wanted.extend(pieces.filter(|_| !patient).map(|held| (*msn, *held, fetches)));
        }
        let room = AT_ONCE.saturating_sub(self.bringing.len());
        for (msn, held, fetches) in wanted.into_iter().take(room) {
            let Some(mut bring) = self.piece(id, msn, held) else { continue };
            // One request per segment reaches a packager.
            bring.recall = bring.recall.filter(|_| !fetches);
            self.bringing.insert(held.hash);
            let (deps, out, lane) = (self.deps.clone(), self.outbox.clone(), id.clone());
            tokio::spawn(async move {
                let from = deps.bring(bring).await;
                let given = from == Some(CopiedFrom::Packager);
                let _ = out.send(Event::Brought(held, given.then_some((lane, msn)))).await;
            });
        }
    }

    /// `given`: by its packager, as a piece of this step. Then its list needs no other proof, and the same is not
    /// fetched again for one.
    pub(super) fn take_brought(&mut self, held: Held, given: Option<(LaneId, OutputMsn)>) {
        self.bringing.remove(&held.hash);
        let Some((id, msn)) = given else { return };
        let Some(step) = self.lanes.get(&id).and_then(|lane| lane.log.get(msn)) else { return };
        let mut entries = step.shares.iter().flat_map(|share| &share.entries);
        let Some(entry) = entries.find(|entry| entry.whole() == Some(held)) else { return };
        let Some(source) = self.sources.get_mut(&step.packager) else { return };
        for shown in source.shown.values_mut() {
            let track = &mut shown.track;
            if track.find(&entry.source).is_some() {
                track.fetched(track.run(), entry.source.msn, Some(held));
            }
        }
    }

    /// A segment of this step is being fetched from its packager already.
    fn fetches_of(&self, step: &Step) -> bool {
        let is_of = |what: &What, entry: &Entry| what.resource().path == entry.source.path;
        let entries = || step.shares.iter().flat_map(|share| &share.entries);
        let mut fetches = self.fetching.keys().filter(|f| f.packager == step.packager);
        fetches.any(|f| entries().any(|entry| is_of(&f.what, entry)))
    }

    fn piece(&self, id: &LaneId, msn: OutputMsn, held: Held) -> Option<Bring> {
        let lane = self.lanes.get(id)?;
        let step = lane.log.get(msn)?;
        let fetcher = self.deps.fleet.fetcher(&self.key);
        let holders = fetcher.iter().chain(&step.holders).cloned().collect();
        let target = lane.target();
        Some(Bring {
            held,
            holders,
            recall: self.recall_of(id, step, held),
            proxies_first: fetcher.is_some(),
            target,
            keep: self.kept_until(lane.log.header()),
        })
    }

    /// How the packager of a step gives a piece of it.
    fn recall_of(&self, id: &LaneId, step: &Step, held: Held) -> Option<Recall> {
        let shares = || step.shares.iter().enumerate();
        let numbered = |(r, share): (usize, &'_ Share)| {
            share.numbered().find(|(_, entry)| entry.held == Some(held)).map(|(msn, _)| (r, msn))
        };
        if let Some((rendition, msn)) = shares().find_map(numbered) {
            return self.recall(&Spot { lane: id.clone(), rendition, msn });
        }
        // Of an init segment the log says what it is; where it is this proxy's own list says.
        let is_map = |entry: &Entry| entry.map.as_ref().is_some_and(|map| map.held == held);
        let entry = shares().flat_map(|(_, share)| &share.entries).find(|entry| is_map(entry))?;
        let source = self.sources.get(&step.packager)?;
        let at: Resource = source.shown.values().find_map(|shown| {
            let at = shown.track.find(&entry.source)?;
            shown.track.segments().get(at)?.listed.map.clone()
        })?;
        Some(Recall::of_asset(step.packager.clone(), at, held))
    }
}

impl Deps {
    /// Tries until it is held, for three target durations at the most. Where it came from; none if it did not.
    async fn bring(&self, bring: Bring) -> Option<CopiedFrom> {
        let until = self.clock.now().plus(bring.target * 3);
        let mut wait = AGAIN;
        if bring.proxies_first {
            // Who is asked first has to bring it first.
            tokio::time::sleep(bring.target / 8).await;
        }
        loop {
            if self.segments.has(bring.held.hash) {
                self.observer.copied_from(CopiedFrom::Held, 0);
                return Some(CopiedFrom::Held);
            }
            if let Some((bytes, from)) = self.piece(&bring).await {
                let length = bytes.len();
                match self.segments.put(bytes, bring.keep).await {
                    Ok(_) => {
                        self.observer.copied_from(from, length);
                        return Some(from);
                    }
                    Err(error) => tracing::warn!(%error, "another proxy's step cannot be held now"),
                }
            }
            if self.clock.now() >= until {
                return None;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(bring.target / 2);
        }
    }

    async fn piece(&self, bring: &Bring) -> Option<(Bytes, CopiedFrom)> {
        let by_proxy = async {
            let bytes = self.fleet.bytes(bring.held, &bring.holders, bring.target).await;
            bytes.map(|bytes| (bytes, CopiedFrom::Proxy))
        };
        let by_packager = async {
            let recall = bring.recall.as_ref()?;
            let bytes = recall.of_packager(self, bring.target / 2).await?;
            Some((bytes, CopiedFrom::Packager))
                .filter(|(b, _)| ContentHash::of(b) == bring.held.hash)
        };
        if bring.proxies_first {
            return match by_proxy.await {
                None => by_packager.await,
                got => got,
            };
        }
        match by_packager.await {
            None => by_proxy.await,
            got => got,
        }
    }
}
