//! Letting each lane go on: the decision, the append, the list.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use super::following::Coming;
use super::recall::Spot;
use super::source::Source;
use super::status::{Decided, PackagerStatus};
use super::worker::Worker;
use crate::model::lane::{
    Action, Apart, Candidate, Decision, Entry, Header, Log, Relations, Situation, Step, Track,
    empty_subtitles, next,
};
use crate::model::names::{ContentHash, LaneId, OutputMsn, PackagerId, UnixMs};
use crate::model::rendition::{Kind, Rendition};
use crate::packagers::{CarriedLane, Packager};
use crate::store::StoredLane;

/// How many decisions are kept for whoever asks why a lane does what it does.
const DECISIONS: usize = 16;
/// Steps kept while the store does not answer, at the most.
const UNSAVED_MAX: usize = 2000;
/// Appends in one turn at the most, so that one lane's catch-up does not hold up the others.
const APPENDS: usize = 64;

/// An append that the store did not answer is tried again after this.
const TRIED_AGAIN: Duration = Duration::from_millis(100);

/// How far back it is looked for what a rendition was last listed as.
const LOOKED_BACK: usize = 64;

/// A lane as its worker carries it on.
pub struct Carried {
    /// What viewers read.
    pub shared: Arc<Lane>,
    /// The log.
    pub log: Log,
    /// The packager it opens on, until there is a tail.
    pub opens_on: Option<PackagerId>,
    /// Per rendition: the first step from which on every one is held here.
    pub held_from: Vec<OutputMsn>,
    /// Per rendition: the first number listed; none where nothing is.
    pub first: Vec<Option<OutputMsn>>,
    /// Per rendition: the first number listed last. Never falls (ARCHITECTURE.md, law 2).
    floor: Vec<OutputMsn>,
    /// Steps that the store has not taken yet, since it does not answer.
    pub unsaved: usize,
    /// The store's copy may not be what it is taken for: it is compared before more is appended.
    pub doubted: bool,
    /// What its log and the store's differ by.
    pub apart: Apart,
    /// Since when something new of its packager is left to another proxy, at this tail.
    pub left_to_others: Option<(OutputMsn, UnixMs)>,
    /// Steps before these have left the lists, and are kept until then.
    pub left: VecDeque<(OutputMsn, UnixMs)>,
    /// Content of the longest list as last printed.
    pub listed: Duration,
    /// Since when this process can carry it on.
    pub since: UnixMs,
    /// When what is listed was last told to be kept.
    pub kept_at: UnixMs,
    /// The newest step that is listed.
    pub edge: Option<OutputMsn>,
    /// It was loaded, and nothing is listed before what is missing up to here was brought, or has had its time:
    /// lists of other proxies are further.
    pub catching_up: Option<OutputMsn>,
    /// The newest step that can be asked for.
    pub indexed: Option<OutputMsn>,
    /// Steps of other proxies whose bytes are on their way.
    pub coming: BTreeMap<OutputMsn, Coming>,
    /// When another proxy's step of the tail's run was last heard of.
    pub elsewhere: Option<UnixMs>,
    /// Per rendition: when it was last known to be wanted at another process. Whatever one process appends
    /// must do for the viewers of all: a step that does not hold it is a hole in their playlists.
    pub wanted_elsewhere: Vec<UnixMs>,
    /// What other proxies were last told to be wanted here, and when.
    pub told: Vec<bool>,
    /// See `told`.
    pub told_at: UnixMs,
    /// When another process's steps were last looked for.
    pub looked_at: UnixMs,
    /// Listed on demand when it opened, and near enough to the edge to be held: still to be
    /// fetched, the newest last.
    pub backlog: Vec<Spot>,
    /// How the runs of packagers relate to its own.
    pub relations: Relations,
    /// Counts it at the packager that it is on.
    pub counted: Option<CarriedLane>,
    /// The last decisions, newest last.
    pub decisions: Vec<Decided>,
}

impl Carried {
    pub(super) fn new(
        shared: Arc<Lane>,
        log: Log,
        opens_on: Option<PackagerId>,
        now: UnixMs,
    ) -> Self {
        let n = log.header().renditions.len();
        // A lane that was carried before is late already: three quarters of a target duration are left for its
        // packager to be seen before a sibling is tried.
        let before = if log.tail().is_some() { log.header().target() / 2 } else { Duration::ZERO };
        // What another process has just opened has nothing yet, and its viewers are given all that is played.
        let played =
            |r: usize| log.header().renditions.get(r).is_some_and(|r| r.traits.kind.is_played());
        let held = |r: usize| log.tail().map_or_else(|| played(r), |t| t.carries(r));
        let wanted_elsewhere = (0..n).map(|r| if held(r) { now } else { UnixMs(0) }).collect();
        let from = log.first().unwrap_or(log.header().first_msn);
        Self {
            shared,
            opens_on,
            held_from: vec![from; n],
            first: vec![None; n],
            floor: vec![from; n],
            unsaved: 0,
            doubted: false,
            apart: Apart::default(),
            left_to_others: None,
            left: VecDeque::new(),
            listed: Duration::ZERO,
            since: now.minus(before),
            kept_at: UnixMs(0),
            edge: log.tail().map(|t| t.msn),
            catching_up: None,
            indexed: None,
            coming: BTreeMap::new(),
            elsewhere: None,
            wanted_elsewhere,
            told: vec![false; n],
            told_at: UnixMs(0),
            looked_at: UnixMs(0),
            backlog: Vec::new(),
            relations: Relations::default(),
            counted: None,
            decisions: Vec::new(),
            log,
        }
    }

    /// Per rendition: its bytes are held before a step is appended.
    pub(super) fn wanted(&self, since: UnixMs) -> Vec<bool> {
        let mut wanted = self.shared.asked_since(since);
        for (w, at) in wanted.iter_mut().zip(&self.wanted_elsewhere) {
            *w |= *at >= since.max(UnixMs(1));
        }
        // Something has to move by which subtitles and I-frames are placed.
        let leads = |r: &Rendition| !matches!(r.traits.kind, Kind::Subtitles | Kind::IFrames);
        let renditions = &self.log.header().renditions;
        if !renditions.iter().zip(&wanted).any(|(r, wanted)| *wanted && leads(r))
            && let Some(first) = wanted.first_mut()
        {
            *first = true;
        }
        wanted
    }

    pub(super) fn target(&self) -> Duration {
        self.log.header().target()
    }

    /// Header and log, as a store would hold them.
    pub(super) fn stored(&self) -> StoredLane {
        let header = Header::clone(self.log.header());
        StoredLane { header, steps: self.log.steps().cloned().collect() }
    }

    /// Nothing else was decided last.
    fn decided(&self, decision: &str) -> bool {
        self.decisions.last().is_some_and(|last| last.decision == decision)
    }

    fn note(&mut self, at: UnixMs, decision: String, inputs: Vec<PackagerStatus>) {
        let tail_age = |t: &Step| u64::try_from(at.since(t.listed_at).as_millis()).ok();
        let tail_age_ms = self.log.tail().and_then(tail_age);
        self.decisions.push(Decided { at, decision, tail_age_ms, inputs });
        if self.decisions.len() > DECISIONS {
            self.decisions.remove(0);
        }
    }
}

/// What a lane's packagers are called and which of their renditions are its.
type Matched = BTreeMap<PackagerId, Vec<Option<usize>>>;

impl Worker {
    /// Lets every lane go on as far as it can now. Returns when one has to be looked at again.
    pub(super) async fn carry_lanes(&mut self) -> UnixMs {
        let now = self.deps.clock.now();
        let mut wake = now.plus(Duration::from_secs(1));
        let ids: Vec<LaneId> = self.lanes.keys().cloned().collect();
        for id in ids {
            if self.forget_if_idle(now, &id) {
                continue;
            }
            wake = wake.min(self.carry(&id).await);
        }
        wake
    }

    /// Nobody has asked for this lane for long: it is loaded again when somebody does.
    fn forget_if_idle(&mut self, now: UnixMs, id: &LaneId) -> bool {
        let Some(lane) = self.lanes.get(id) else { return true };
        let idle = now.since(lane.shared.last_asked()) > self.settings.idle_after;
        if idle {
            self.lanes.remove(id);
            self.slot.forget(id);
        }
        idle
    }

    async fn carry(&mut self, id: &LaneId) -> UnixMs {
        self.save(id).await;
        self.share_wanted_if_due(id).await;
        self.look_if_late(id).await;
        let mut wake = self.deps.clock.now().plus(Duration::from_secs(1));
        let matched = self.matched(id);
        for _ in 0..APPENDS {
            self.relate(id, &matched);
            let Some(decision) = self.decide(id, &matched) else { break };
            let now = self.deps.clock.now();
            let Some(lane) = self.lanes.get(id) else { break };
            let target = lane.target();
            let decision = self.leave_to_others(id, decision);
            wake = decision.wake;
            self.fetch(&decision.wants, &matched, target);
            match decision.action {
                Action::Append(steps) => {
                    if !self.append(id, self.held_here(steps)).await {
                        wake = now.plus(TRIED_AGAIN);
                        break;
                    }
                }
                Action::Wait => {
                    self.note(id, now, decision.why.to_owned());
                    break;
                }
            }
        }
        self.bring_missing(id);
        let (due, moved) = self.advance(id);
        self.list(id, moved).await;
        self.fetch_backlog(id);
        due.map_or(wake, |due| wake.min(due))
    }

    /// Keeps a decision that is another than the last, with what each packager showed.
    pub(super) fn note(&mut self, id: &LaneId, now: UnixMs, decision: String) {
        if self.lanes.get(id).is_none_or(|lane| lane.decided(&decision)) {
            return;
        }
        let inputs = self.packager_status(now);
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.note(now, decision, inputs);
        }
    }

    /// Which renditions of each packager are the lane's.
    fn matched(&self, id: &LaneId) -> Matched {
        let Some(lane) = self.lanes.get(id) else { return Matched::new() };
        let header = lane.log.header();
        self.sources.iter().map(|(p, s)| (p.clone(), s.matched(header))).collect()
    }

    /// Looks at what was appended and fetched since the last time.
    fn relate(&mut self, id: &LaneId, matched: &Matched) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.relations.appended(&lane.log);
        lane.relations.keep(|id| self.sources.contains_key(id));
        for (id, source) in &self.sources {
            let Some(matched) = matched.get(id) else { continue };
            let shown = |at: &Option<usize>| Some(&source.shown.get(at.as_ref()?)?.track);
            let tracks: Vec<Option<&Track>> = matched.iter().map(shown).collect();
            lane.relations.shown(now, id, &tracks);
        }
    }

    fn decide(&self, id: &LaneId, matched: &Matched) -> Option<Decision> {
        let lane = self.lanes.get(id)?;
        let now = self.deps.clock.now();
        let header = lane.log.header();
        let wanted = lane.wanted(now.minus(self.settings.idle_after));
        let order = self.order_for(lane);
        let barred = self.barred(lane, &order);
        let listed: Vec<Option<bool>> = (0..header.renditions.len())
            .map(|r| {
                let steps = lane.log.steps().rev().take(LOOKED_BACK);
                let mut steps = steps.filter_map(|st| st.entries(r).last());
                steps.find(|e| e.held.is_some()).map(|e| e.map.is_some())
            })
            .collect();
        let candidates: Vec<Candidate> = order
            .iter()
            .zip(barred)
            .filter(|(p, _)| !self.is_no_news(now, lane, &p.id))
            .filter_map(|(p, barred)| {
                let source = self.sources.get(&p.id)?;
                let relation = lane.relations.to(&p.id);
                Some(source.candidate(header, matched.get(&p.id)?, &listed, barred, relation))
            })
            .collect();
        let situation = Situation {
            now,
            log: &lane.log,
            wanted: &wanted,
            carried_since: lane.since,
            elsewhere: lane.elsewhere,
            fleet: self.deps.fleet.others() > 0,
            alone: self.is_alone(id),
            candidates: &candidates,
            end_after: self.settings.end_after,
            overlap: self.settings.overlap,
        };
        Some(next(&situation))
    }

    /// The packagers a lane may use, best first: before it has a tail the one it opens on.
    fn order_for(&self, lane: &Carried) -> Vec<Arc<Packager>> {
        let pool = self.deps.pools.get(&self.key.pool);
        let watched = |id: &PackagerId| self.sources.contains_key(id);
        let order = pool.map(|p| p.preference(&lane.log.header().zone, &watched));
        let mut order: Vec<Arc<Packager>> =
            order.unwrap_or_default().into_iter().map(|(p, _)| p).collect();
        if let Some(first) = lane.opens_on.as_ref().filter(|_| lane.log.tail().is_none()) {
            order.sort_by_key(|p| p.id != *first);
        }
        order
    }

    /// Prints what is new, keeps what is listed, drops what has left long ago.
    pub(super) async fn list(&mut self, id: &LaneId, changed: bool) {
        let now = self.deps.clock.now();
        let idle = now.minus(self.settings.idle_after);
        let Some(lane) = self.lanes.get_mut(id) else { return };
        // Where no window is set it is the packager's: one that has just begun to record lists
        // more and more.
        let listed = lane.log.tail().and_then(|t| self.sources.get(&t.packager));
        let listed = listed.filter(|_| self.settings.window.is_none()).map(Source::listed);
        let tail = lane.log.tail().map(|t| t.msn);
        let Some(edge) = lane.edge.filter(|_| lane.catching_up.is_none()) else {
            // Nothing is listed here yet. What another proxy lists of it can be asked of this one all the same.
            if lane.indexed != tail {
                lane.indexed = tail;
                lane.shared.index(&lane.log);
            }
            return;
        };
        let Some(window) = lane.log.window_first(now, listed.unwrap_or_default(), edge) else {
            return;
        };
        let asked = lane.shared.asked_since(idle);
        let mut moved = changed || lane.indexed != tail;
        for (r, first) in lane.first.iter_mut().enumerate() {
            let Some(floor) = lane.floor.get_mut(r) else { continue };
            let held_from = lane.held_from.get(r).copied().unwrap_or(window);
            let from = held_from.max(window).max(*floor);
            let listable = from <= edge && lane.log.get(from).is_some_and(|s| !s.end);
            let wanted = asked.get(r) == Some(&true) || first.is_some();
            let new = (listable && wanted).then_some(from);
            *floor = new.unwrap_or(*floor);
            moved |= new != *first;
            *first = new;
        }
        if !moved {
            // What is listed again once packagers are back is held however long they are away.
            if now.since(lane.kept_at) > lane.target() * 5 {
                self.keep(id, now);
            }
            return;
        }
        lane.indexed = tail;
        let first = lane.first.clone();
        lane.shared.publish(&lane.log, &first, edge);
        let lowest = first.iter().flatten().min().copied().unwrap_or(window).min(window);
        let listed = lane.log.from(lowest).map(Step::duration).sum();
        if lane.left.back().is_none_or(|(m, _)| *m < lowest) {
            // The list may be shorter by the time they go than it was while they stood in it.
            let window = lane.log.header().window.max(lane.listed).max(listed);
            let stays = window.saturating_add(lane.target() * 2);
            lane.left.push_back((lowest, now.plus(stays)));
        }
        lane.listed = listed;
        self.keep(id, now);
        self.trim(id, now).await;
    }

    /// Keeps the bytes of every step in the log but for the depth of a long window: what is
    /// listed, and what left not long ago. Init segments and keys are kept for all of it.
    fn keep(&mut self, id: &LaneId, now: UnixMs) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.kept_at = now;
        let header = lane.log.header();
        let until = now.plus(header.kept_for());
        let held_first = lane.log.held_first().unwrap_or(header.first_msn);
        let mut hashes: Vec<ContentHash> = Vec::new();
        let mut last: Vec<Option<&Entry>> = vec![None; header.renditions.len()];
        for step in lane.log.steps() {
            if step.msn >= held_first {
                hashes.extend(step.held().map(|h| h.hash));
                let shares = step.shares.iter().enumerate();
                let numbered = shares.flat_map(|(r, s)| s.numbered().map(move |n| (r, n)));
                let recalled = numbered.filter(|(_, (_, entry))| entry.on_demand);
                let known = recalled.filter_map(|(r, (msn, _))| lane.shared.known(r, msn));
                hashes.extend(known.map(|h| h.hash));
                continue;
            }
            for (r, entry) in
                step.shares.iter().enumerate().filter_map(|(r, s)| Some((r, s.entries.last()?)))
            {
                // Mostly the same as the one before.
                let same = |l: &Entry| l.map == entry.map && l.keys == entry.keys;
                if !last.get_mut(r).and_then(|l| l.replace(entry)).is_some_and(same) {
                    hashes.extend(entry.assets().map(|h| h.hash));
                }
            }
        }
        hashes.extend(header.resources.iter().map(|r| r.held.hash));
        // What a sibling may be spliced to with: its init segment and keys are fetched once.
        let shown = self.sources.values().flat_map(|s| s.shown.values());
        hashes.extend(shown.flat_map(|s| s.track.held()).map(|h| h.hash));
        hashes.push(empty_subtitles().hash);
        self.deps.segments.keep(&hashes, until);
    }

    /// A step may go one target duration and a window after it left the list (ARCHITECTURE.md, law 5).
    async fn trim(&mut self, id: &LaneId, now: UnixMs) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        // What the store has not taken yet, and the step before it, are all that it can be mended
        // with.
        if lane.unsaved > 0 && lane.log.steps().len() < UNSAVED_MAX {
            return;
        }
        let mut keep_from = None;
        while let Some((from, _)) = lane.left.front().copied().filter(|(_, until)| *until < now) {
            keep_from = Some(from);
            lane.left.pop_front();
        }
        let Some(keep_from) = keep_from else { return };
        if lane.log.first().is_some_and(|f| f < keep_from) {
            lane.log.trim(keep_from);
            if let Err(error) = self.deps.store.trim(id, keep_from).await {
                tracing::debug!(lane = %id, %error, "old steps stay in the store");
            }
        }
    }
}
