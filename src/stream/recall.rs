//! Bytes that are listed and not held: the depth of a long window, and recordings. Asked of the
//! packager that listed them, and where it cannot give them of a sibling that has the same
//! content. Best effort: a packager keeps as much as it likes.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::fetching::{looks_right, outcome};
use super::siblings::{Alike, Found, Sibling};
use super::source::Source;
use super::worker::{Event, Worker};
use super::{Deps, inside};
use crate::model::lane::{Cut, Header, Held, Part, Resource, Source as At, Step, Track, What};
use crate::model::names::{ContentHash, LaneId, OutputMsn, PackagerId, ProxyId, UnixMs};
use crate::model::playlist::{Extent, Limits};

/// Segments that are fetched at once for one stream; who asks for more is told to come again.
const PENDING_MAX: usize = 64;
/// One packager's time to answer: two have to fit into what players wait.
pub(super) const DEADLINE: Duration = Duration::from_secs(4);
/// Proxies have it in memory, or not at all.
const PROXY_DEADLINE: Duration = Duration::from_secs(2);
/// What was fetched is held so long for those who ask next.
const KEPT: Duration = Duration::from_secs(120);

/// Of what was listed when a lane opened so many segments are fetched at a time, so that it takes
/// nothing from what plays.
const BACKLOG_AT_ONCE: usize = 2;
/// Proofs that are remembered; without them they are asked for again.
const SAME_FILES_MAX: usize = 1024;
/// And for how long: a file may be replaced under its name at any moment.
const PROVEN_FOR: Duration = Duration::from_secs(2);

/// What comes back: the bytes and what they are known by; none where nobody has them.
pub type Recalled = Option<(Held, Bytes)>;
/// Who has just proven to have the file that a lane lists, and who may have another by now.
pub type Learnt = Vec<(PackagerId, bool)>;

/// A segment of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    /// Whose.
    pub lane: LaneId,
    /// Of which rendition (place in the header).
    pub rendition: usize,
    /// Its number there.
    pub msn: OutputMsn,
}

/// All that is needed to get one segment again.
pub(super) struct Recall {
    /// Where the log says that it came from.
    from: PackagerId,
    what: What,
    /// What it must be, where it was held once.
    expected: Option<Held>,
    /// Whether its packager still names the same by it.
    run: Run,
    /// The init segment that viewers play it with.
    map: Option<Held>,
    /// How the entry is made of it, and what it must be then.
    tail: Option<(Cut, Held)>,
    siblings: Vec<Sibling>,
    /// The entry's bytes, and the proxies that hold them.
    held: Option<(Held, Vec<ProxyId>)>,
}

/// Whether the run that listed a segment is still the packager's: after a restart the same names
/// mean other bytes.
enum Run {
    GoesOn,
    /// It does if this still is what it was.
    If(Resource, Held),
    /// Nobody can tell any more.
    Unknown,
}

impl Worker {
    /// Somebody asks for a segment that is listed and not held.
    pub(super) fn take_recall(&mut self, spot: Spot, answer: oneshot::Sender<Recalled>) {
        if let Some(waiting) = self.recalls.get_mut(&spot) {
            waiting.push(answer);
            return;
        }
        let Some(recall) = self.recall(&spot).filter(|_| self.recalls.len() < PENDING_MAX) else {
            let _ = answer.send(None);
            return;
        };
        self.recalls.insert(spot.clone(), vec![answer]);
        let (deps, out, limits) = (self.deps.clone(), self.outbox.clone(), self.settings.playlist);
        tokio::spawn(async move {
            let (recalled, learnt) = recall.get(&deps, &limits).await;
            let _ = out.send(Event::Recalled(spot, recalled, learnt)).await;
        });
    }

    pub(super) fn take_recalled(&mut self, spot: &Spot, recalled: &Recalled, learnt: Learnt) {
        if self.same_files.len() >= SAME_FILES_MAX {
            self.same_files.clear();
        }
        let until = self.deps.clock.now().plus(PROVEN_FOR);
        for (id, has_it) in learnt {
            let file = (spot.lane.clone(), spot.rendition, id);
            if has_it {
                self.same_files.insert(file, until);
            } else {
                self.same_files.remove(&file);
            }
        }
        if let Some((held, _)) = recalled
            && let Some(lane) = self.lanes.get(&spot.lane)
        {
            lane.shared.recalled(spot.rendition, spot.msn, *held);
        }
        for answer in self.recalls.remove(spot).unwrap_or_default() {
            let _ = answer.send(recalled.clone());
        }
    }

    pub(super) fn recall(&self, spot: &Spot) -> Option<Recall> {
        let lane = self.lanes.get(&spot.lane)?;
        let header = lane.log.header();
        let (step, at) = lane.log.find(spot.rendition, spot.msn)?;
        let entry = step.entries(spot.rendition).get(at)?;
        if !entry.listed() || entry.gap {
            return None;
        }
        let resource = Resource { path: entry.source.path.clone(), range: entry.source.range };
        let aes = |part: &str| part.contains("METHOD=AES-128");
        let encrypted = entry.keys.iter().any(|k| aes(&k.before) || aes(&k.after));
        let what = What::Segment { msn: entry.source.msn, at: resource, encrypted };
        let expected = entry.whole().or_else(|| lane.shared.known(spot.rendition, spot.msn));
        let tail = entry.cut.clone().zip(entry.held);
        // Ciphertext of another packager's key is of no use.
        let clear = entry.keys.is_empty() || header.extent == Extent::Whole;
        // And no other's has a tail of the same bytes.
        let clear = clear && tail.is_none();
        let others = self.sources.values().filter(|s| clear && s.id != step.packager);
        let siblings = others.filter_map(|s| self.sibling(s, header, step, spot.rendition, at));
        let siblings = siblings.collect();
        let run = if expected.is_some() { Run::GoesOn } else { self.run_of(header, step, spot) };
        let map = entry.map.as_ref().map(|m| m.held);
        let held = entry.held.map(|held| (held, step.holders.clone()));
        Some(Recall { from: step.packager.clone(), what, expected, run, map, tail, siblings, held })
    }

    fn sibling(
        &self,
        source: &Source,
        header: &Header,
        step: &Step,
        r: usize,
        at: usize,
    ) -> Option<Sibling> {
        let found = source.matched(header).get(r).copied().flatten()?;
        let path = source.path(found, &self.key.path_and_query())?;
        let entries = step.entries(r);
        let entry = entries.get(at)?;
        let by = if header.extent == Extent::Whole {
            let proven = self.has_same_file(&header.lane, r, &source.id);
            let mut steps = self.lanes.get(&header.lane)?.log.steps();
            let proof = steps.find_map(|st| st.entries(r).iter().find(|e| e.held.is_some()));
            let proof = proof.and_then(|e| Some((e.source.msn, e.held?))).filter(|_| !proven);
            // Nothing that could prove it.
            if proof.is_none() && !proven {
                return None;
            }
            Alike::Number(entry.source.msn, entry.duration, proof)
        } else {
            let track = &source.shown.get(&found)?.track;
            let newest = track.segments().len().checked_sub(1)?;
            let after: Duration = entries.iter().skip(at + 1).map(|e| e.duration).sum();
            Alike::Moment {
                ended: self.ended(header, step)?.minus(after),
                length: entry.duration,
                anchor: (track.newest()?.msn(), track.ends_at(newest)?),
            }
        };
        let (id, hosts) = (source.id.clone(), self.deps.hosts_of(&source.id));
        let (entry, variables) = (self.key.path.clone(), source.variables());
        Some(Sibling { id, hosts, path, entry, variables, by })
    }
}

impl Worker {
    /// What a lane opened with and lists within the depth that is held is fetched bit by bit, the
    /// newest first: it leaves the list last.
    pub(super) fn fetch_backlog(&mut self, id: &LaneId) {
        while self.recalls.len() < BACKLOG_AT_ONCE {
            let Some(spot) = self.lanes.get_mut(id).and_then(|l| l.backlog.pop()) else { return };
            let (nobody, _) = oneshot::channel();
            self.take_recall(spot, nobody);
        }
    }

    /// Notes what of the depth is to be held, when a lane has opened with it.
    pub(super) fn note_backlog(&mut self, id: &LaneId) {
        let idle = self.deps.clock.now().minus(self.settings.idle_after);
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let wanted = lane.wanted(idle);
        let Some(held_first) = lane.log.held_first() else { return };
        let steps = lane.log.from(held_first).flat_map(|s| s.shares.iter().enumerate());
        let shares = steps.filter(|(r, _)| wanted.get(*r) == Some(&true));
        let entries = shares.flat_map(|(r, share)| share.numbered().map(move |n| (r, n)));
        let on_demand = entries.filter(|(_, (_, entry))| entry.on_demand);
        let spot = |(rendition, (msn, _))| Spot { lane: id.clone(), rendition, msn };
        lane.backlog = on_demand.map(spot).collect();
    }

    /// That packager has proven a moment ago to have the file that a lane lists.
    fn has_same_file(&self, lane: &LaneId, rendition: usize, id: &PackagerId) -> bool {
        let until = self.same_files.get(&(lane.clone(), rendition, id.clone()));
        until.is_some_and(|until| self.deps.clock.now() < *until)
    }

    /// Whether the run of a step still is its packager's: the lane is in it, or a segment of it that
    /// was held tells.
    fn run_of(&self, header: &Header, step: &Step, spot: &Spot) -> Run {
        let Some(log) = self.lanes.get(&header.lane).map(|l| &l.log) else { return Run::Unknown };
        let r = spot.rendition;
        let mut later = log.from(step.msn.next());
        let left = later.any(|s| s.splice.is_some());
        let tail = log.steps().rev().find_map(|s| s.entries(r).last());
        let track = self.sources.get(&step.packager).and_then(|s| {
            let found = s.matched(header).get(r).copied().flatten()?;
            Some(&s.shown.get(&found)?.track)
        });
        let stands = |t: &Track| !t.unsure() && tail.is_some_and(|e| t.find(&e.source).is_some());
        // Lists of what is whole are read once: they tell nothing of what is there now.
        let whole = header.extent == Extent::Whole;
        let goes_on = if whole {
            self.has_same_file(&header.lane, r, &step.packager)
        } else {
            track.is_some_and(stands)
        };
        if !left && goes_on {
            return Run::GoesOn;
        }
        let run = log.from(step.msn).skip(1).take_while(|s| s.splice.is_none());
        let before = log.steps().rev().skip_while(|s| s.msn > step.msn);
        let mut inside = true;
        let before = before.take_while(|s| std::mem::replace(&mut inside, s.splice.is_none()));
        let mut entries = run.chain(before).flat_map(|s| s.entries(r));
        let proof = entries.find_map(|e| Some((e, e.held.filter(|_| !e.stands_in)?)));
        let unproven = if whole { Run::GoesOn } else { Run::Unknown };
        proof.map_or(unproven, |(e, held)| {
            let resource = Resource { path: e.source.path.clone(), range: e.source.range };
            Run::If(resource, held)
        })
    }

    /// When the content of a step ended, by what was learnt of its packager's clock afterwards:
    /// when a lane opens it is known to a segment only.
    fn ended(&self, header: &Header, step: &Step) -> Option<UnixMs> {
        let log = &self.lanes.get(&header.lane)?.log;
        let run = log.from(step.msn.next()).take_while(|s| s.splice.is_none() && !s.end);
        let (after, last) = run.fold((Duration::ZERO, step), |(sum, _), s| (sum + s.duration(), s));
        Some(last.content_end.minus(after))
    }
}

impl Recall {
    /// Of an init segment or a key.
    pub(super) const fn of_asset(from: PackagerId, at: Resource, held: Held) -> Self {
        Self {
            from,
            what: What::Asset { at, key_of_16: false },
            expected: Some(held),
            run: Run::GoesOn,
            map: None,
            tail: None,
            siblings: Vec::new(),
            held: None,
        }
    }

    /// What its packager gives, where that is what it was.
    pub(super) async fn of_packager(&self, deps: &Deps, deadline: Duration) -> Option<Bytes> {
        let bytes = self.bytes_of(deps, &self.from, &self.what);
        let bytes = tokio::time::timeout(deadline, bytes).await.ok()??;
        self.cut(deps, bytes).await
    }

    /// What another proxy holds of it.
    async fn of_proxy(&self, deps: &Deps) -> Option<Bytes> {
        let (held, holders) = self.held.as_ref().filter(|_| deps.fleet.others() > 0)?;
        deps.fleet.bytes(*held, holders, PROXY_DEADLINE).await
    }

    async fn get(self, deps: &Deps, limits: &Limits) -> (Recalled, Learnt) {
        if let Some(bytes) = self.of_proxy(deps).await {
            return (keep(deps, bytes).await, Learnt::new());
        }
        let goes_on = match &self.run {
            Run::GoesOn => true,
            Run::If(at, held) => {
                deps.hash_of(&self.from, at, DEADLINE / 2).await == Some(held.hash)
            }
            Run::Unknown => false,
        };
        if goes_on
            && let Some(bytes) = self.bytes_of(deps, &self.from, &self.what).await
            && let Some(bytes) = self.cut(deps, bytes).await
        {
            let proven = matches!(self.run, Run::If(..)).then_some((self.from, true));
            return (keep(deps, bytes).await, proven.into_iter().collect());
        }
        // It may have restarted: the next proves anew.
        let mut learnt = vec![(self.from.clone(), false)];
        for sibling in &self.siblings {
            let Some(Found { resource, map }) = sibling.find(deps, limits).await else { continue };
            // It is played with the init segment that is listed (RFC 8216, 4.3.2.5).
            if let Some(init) = self.map {
                let Some(at) = map else { continue };
                if deps.hash_of(&sibling.id, &at, DEADLINE / 2).await != Some(init.hash) {
                    continue;
                }
            }
            let what = match &self.what {
                What::Segment { msn, encrypted, .. } => {
                    What::Segment { msn: *msn, at: resource, encrypted: *encrypted }
                }
                _ => continue,
            };
            if let Some(bytes) = self.bytes_of(deps, &sibling.id, &what).await {
                let proven = matches!(sibling.by, Alike::Number(_, _, Some(_)));
                learnt.extend(proven.then(|| (sibling.id.clone(), true)));
                return (keep(deps, bytes).await, learnt);
            }
        }
        tracing::debug!(packager = %self.from, segment = %self.what.resource().path, "nobody has it any more");
        (None, learnt)
    }

    /// The entry's bytes, made of the whole segment's.
    async fn cut(&self, deps: &Deps, whole: Bytes) -> Option<Bytes> {
        let Some((cut, expected)) = &self.tail else { return Some(whole) };
        let mut parts = vec![whole];
        if let Some(Part { source, held }) = &cut.before {
            let At { path, range, .. } = source;
            let before = deps.origin.segment(&self.from, path, *range, DEADLINE).await.ok()?;
            parts.insert(0, Some(before).filter(|b| ContentHash::of(b) == held.hash)?);
        }
        let init = match self.map {
            Some(init) => Some(deps.segments.get(init).await?),
            None => None,
        };
        let bytes = inside::cut(init.as_ref(), parts, &cut.joint).ok()?;
        (ContentHash::of(&bytes) == expected.hash).then_some(bytes)
    }

    async fn bytes_of(&self, deps: &Deps, id: &PackagerId, what: &What) -> Option<Bytes> {
        let Resource { path, range } = what.resource();
        let result = deps.origin.segment(id, path, *range, DEADLINE).await;
        deps.observer.fetched(id, outcome(&result), result.as_ref().map_or(0, Bytes::len));
        let bytes = result.ok().filter(|bytes| looks_right(what, bytes))?;
        // A name that has been given out means one content for ever (ARCHITECTURE.md, law 1).
        let right = self.expected.is_none_or(|held| held.hash == ContentHash::of(&bytes));
        right.then_some(bytes)
    }
}

/// Bytes that the store has no room for are given out all the same.
async fn keep(deps: &Deps, bytes: Bytes) -> Recalled {
    let held = Held { hash: ContentHash::of(&bytes), length: bytes.len() as u64 };
    // What plays comes first.
    if deps.segments.admits_stream() {
        let _ = deps.segments.put(bytes.clone(), deps.clock.now().plus(KEPT)).await;
    }
    Some((held, bytes))
}
