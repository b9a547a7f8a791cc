//! Letting each lane go on: the decision, the append, the list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use super::worker::Worker;
use crate::model::lane::{Action, Candidate, Decision, Log, Situation, SpliceReason, Step, Track, next};
use crate::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use crate::store::{Appended, StoreError};

/// How many decisions are kept for whoever asks why a lane does what it does.
const DECISIONS: usize = 16;
/// Appends in one turn at the most, so that one lane's catch-up does not hold up the others.
const APPENDS: usize = 64;

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
    /// Per rendition: the first number printed last. Never falls (design.md, law 2).
    pub first: Vec<Option<OutputMsn>>,
    /// Steps that the store has not taken yet, since it does not answer.
    pub unsaved: usize,
    /// When steps left the window: what is kept until their time has come.
    pub left: Vec<(OutputMsn, UnixMs)>,
    /// The last decisions, newest last.
    pub decisions: Vec<(UnixMs, String)>,
}

impl Carried {
    pub(super) fn new(shared: Arc<Lane>, log: Log, opens_on: Option<PackagerId>) -> Self {
        let n = log.header().renditions.len();
        let from = log.first().unwrap_or(log.header().first_msn);
        Self {
            shared,
            opens_on,
            held_from: vec![from; n],
            first: vec![None; n],
            unsaved: 0,
            left: Vec::new(),
            decisions: Vec::new(),
            log,
        }
    }

    pub(super) fn target(&self) -> Duration {
        self.log.header().target()
    }

    fn note(&mut self, now: UnixMs, decision: &str) {
        if self.decisions.last().is_some_and(|(_, last)| last == decision) {
            return;
        }
        self.decisions.push((now, decision.to_owned()));
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
        let mut changed = self.save(id).await;
        let mut wake = self.deps.clock.now().plus(Duration::from_secs(1));
        for _ in 0..APPENDS {
            let Some((decision, matched)) = self.decide(id) else { break };
            let now = self.deps.clock.now();
            wake = decision.wake;
            let Some(lane) = self.lanes.get_mut(id) else { break };
            let target = lane.target();
            match decision.action {
                Action::Append(step) => {
                    changed = true;
                    self.append(id, *step).await;
                }
                Action::Wait => {
                    lane.note(now, decision.why);
                    self.fetch(&decision.wants, &matched, target);
                    break;
                }
            }
        }
        self.list(id, changed).await;
        wake
    }

    fn decide(&self, id: &LaneId) -> Option<(Decision, Matched)> {
        let lane = self.lanes.get(id)?;
        let now = self.deps.clock.now();
        let header = lane.log.header();
        let mut wanted = lane.shared.asked_since(now.minus(self.settings.idle_after));
        if !wanted.contains(&true) {
            wanted[0] = true;
        }
        let matched: Matched =
            self.sources.iter().map(|(p, s)| (p.clone(), s.matched(header))).collect();
        let order = self.order_for(lane);
        let candidates: Vec<Candidate> = order
            .iter()
            .filter_map(|p| {
                let source = self.sources.get(p)?;
                let tracks = matched.get(p)?.iter().map(|m| {
                    m.and_then(|m| Some(&source.shown.get(&m)?.track)).filter(|t| fits(t, header.container))
                });
                Some(Candidate {
                    id: &source.id,
                    barred: self.barred(p),
                    over_since: source.over_since(),
                    tracks: tracks.collect(),
                })
            })
            .collect();
        let situation = Situation {
            now,
            log: &lane.log,
            wanted: &wanted,
            candidates: &candidates,
            end_after: self.settings.end_after,
        };
        let decision = next(&situation);
        drop(candidates);
        Some((decision, matched))
    }

    /// The packagers a lane may use, best first: before it has a tail the one it opens on.
    fn order_for(&self, lane: &Carried) -> Vec<PackagerId> {
        let counts = self.lane_counts();
        let pool = self.deps.pools.get(&self.key.pool);
        let mut order: Vec<PackagerId> = pool
            .map(|p| p.preference(&self.deps.zone, &|id| counts.get(id).copied().unwrap_or(0)))
            .unwrap_or_default()
            .iter()
            .map(|p| p.id.clone())
            .collect();
        if let Some(first) = lane.opens_on.as_ref().filter(|_| lane.log.tail().is_none()) {
            order.sort_by_key(|id| id != first);
        }
        order
    }

    fn barred(&self, id: &PackagerId) -> Option<SpliceReason> {
        let pool = self.deps.pools.get(&self.key.pool)?;
        let packager = pool.packagers().iter().find(|p| p.id == *id).cloned();
        match packager {
            None => Some(SpliceReason::Drained),
            Some(p) if p.health() == crate::packagers::Health::Down => Some(SpliceReason::Unhealthy),
            Some(_) => None,
        }
    }

    /// Appends to the store, then to the log. A loser takes over the steps of the winner.
    async fn append(&mut self, id: &LaneId, step: Step) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let expected = lane.log.tail().map(|t| t.msn);
        let outcome = if lane.unsaved > 0 {
            Err(StoreError::Unreachable("earlier steps are not saved yet".into()))
        } else {
            self.deps.store.append(id, expected, &step).await
        };
        match outcome {
            Ok(Appended::Done) => self.take_step(id, step, true),
            Ok(Appended::Lost(steps)) => {
                for step in steps {
                    self.take_over(id, step).await;
                }
            }
            // Viewers are served on; the store gets what it missed once it answers.
            Err(error) => {
                if lane.unsaved == 0 {
                    tracing::warn!(lane = %id, %error, "the store does not take steps; going on without it");
                    self.deps.observer.store_failed();
                }
                lane.unsaved += 1;
                self.take_step(id, step, true);
            }
        }
    }

    /// Takes over what another process appended since: during an upgrade two of them answer on the
    /// same sockets, and what one listed the other is asked for.
    pub(super) async fn take_newer(&mut self, id: &LaneId) {
        let Some(lane) = self.lanes.get(id).filter(|l| l.unsaved == 0) else { return };
        let tail = lane.log.tail().map(|t| t.msn);
        let Ok(Some(stored)) = self.deps.store.load(id).await else { return };
        for step in stored.steps.into_iter().filter(|s| Some(s.msn) > tail) {
            self.take_over(id, step).await;
        }
        self.list(id, true).await;
    }

    /// A step of another process: its bytes are in the directory that both have.
    async fn take_over(&mut self, id: &LaneId, step: Step) {
        let Some(lane) = self.lanes.get(id) else { return };
        let header = lane.log.header();
        let keep = self.deps.clock.now().plus(header.window + header.target() * 10);
        let entries = step.entries.iter();
        let held = entries.flat_map(|e| e.held.into_iter().chain(e.map.as_ref().map(|m| m.held)));
        for held in held {
            self.deps.segments.find(held, keep).await;
        }
        self.take_step(id, step, false);
    }

    /// Gives the store the steps that it missed. True if another process had gone on meanwhile.
    async fn save(&mut self, id: &LaneId) -> bool {
        let Some(lane) = self.lanes.get_mut(id) else { return false };
        while lane.unsaved > 0 {
            let at = lane.log.steps().len().saturating_sub(lane.unsaved);
            let Some(step) = lane.log.steps().nth(at).cloned() else {
                lane.unsaved = 0;
                break;
            };
            let expected = at.checked_sub(1).and_then(|a| lane.log.steps().nth(a)).map(|s| s.msn);
            match self.deps.store.append(id, expected, &step).await {
                Ok(_) => lane.unsaved -= 1,
                Err(_) => return false,
            }
        }
        false
    }

    fn take_step(&mut self, id: &LaneId, step: Step, own: bool) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let (msn, end) = (step.msn, step.end);
        if own {
            let delay = now.since(step.content_end);
            self.deps.observer.appended(id, msn, delay);
        }
        let limit = lane.target() + Duration::from_millis(500);
        if step.entries.iter().any(|e| e.duration >= limit) {
            self.deps.observer.too_long(&step.packager);
            tracing::warn!(lane = %id, packager = %step.packager, %msn, "a segment is longer than the lane's target duration");
        }
        if let Some(splice) = &step.splice {
            tracing::warn!(
                lane = %id, stream = %self.key, %msn,
                from = %splice.from, to = %step.packager,
                reason = splice.reason.as_str(), method = splice.method.as_str(), gap_ms = splice.gap_ms,
                "splice"
            );
            if own {
                self.deps.observer.spliced(id, &step.packager, msn, splice);
            }
            lane.note(now, &format!(
                "splice {} -> {} at {msn}: {}, gap {} ms by {}",
                splice.from, step.packager, splice.reason.as_str(), splice.gap_ms, splice.method.as_str()
            ));
        }
        for (r, entry) in step.entries.iter().enumerate() {
            let held = entry.held.is_some_and(|h| self.deps.segments.has(h.hash));
            if let Some(from) = lane.held_from.get_mut(r).filter(|_| !held) {
                *from = msn.next();
            }
        }
        if let Err(error) = lane.log.push(step) {
            tracing::error!(lane = %id, %error, "a step that does not follow was refused");
            return;
        }
        if end {
            tracing::warn!(lane = %id, stream = %self.key, %msn, "the stream is over");
            self.deps.observer.lane_ended(id);
        }
    }

    /// Prints what is new, keeps what is listed, drops what has left long ago.
    async fn list(&mut self, id: &LaneId, changed: bool) {
        let now = self.deps.clock.now();
        let idle = now.minus(self.settings.idle_after);
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(window) = lane.log.window_first(now) else { return };
        let asked = lane.shared.asked_since(idle);
        let mut moved = changed;
        for (r, first) in lane.first.iter_mut().enumerate() {
            let from = lane.held_from.get(r).copied().unwrap_or(window).max(window);
            let listable = lane.log.get(from).is_some_and(|s| !s.end);
            let wanted = asked.get(r) == Some(&true) || first.is_some();
            let new = if listable && wanted { Some(first.map_or(from, |f| f.max(from))) } else { *first };
            moved |= new != *first;
            *first = new;
        }
        if !moved {
            return;
        }
        let first = lane.first.clone();
        lane.shared.publish(&lane.log, &first);
        let lowest = first.iter().flatten().min().copied().unwrap_or(window).min(window);
        if lane.left.last().is_none_or(|(m, _)| *m < lowest) {
            lane.left.push((lowest, now));
        }
        self.keep(id, now);
        self.trim(id, now).await;
    }

    /// Keeps the bytes of every step in the log: what is listed, and what left not long ago.
    fn keep(&self, id: &LaneId, now: UnixMs) {
        let Some(lane) = self.lanes.get(id) else { return };
        let until = now.plus(lane.log.header().window + lane.target() * 10);
        let entries = lane.log.steps().flat_map(|s| &s.entries);
        let hashes: Vec<_> = entries
            .flat_map(|e| e.held.into_iter().chain(e.map.as_ref().map(|m| m.held)))
            .map(|h| h.hash)
            .collect();
        self.deps.segments.keep(&hashes, until);
    }

    /// A step may go one target duration and a window after it left the list (design.md, law 5).
    async fn trim(&mut self, id: &LaneId, now: UnixMs) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let listed: Duration = lane
            .first
            .iter()
            .flatten()
            .min()
            .map_or(Duration::ZERO, |f| lane.log.from(*f).map(Step::duration).sum());
        let stays = lane.log.header().window.max(listed) + lane.target() * 2;
        let due = lane.left.partition_point(|(_, at)| now.since(*at) > stays);
        let Some((keep_from, _)) = due.checked_sub(1).and_then(|d| lane.left.get(d)).copied() else {
            return;
        };
        lane.left.drain(..due - 1);
        if lane.log.first().is_some_and(|f| f < keep_from) {
            lane.log.trim(keep_from);
            if let Err(error) = self.deps.store.trim(id, keep_from).await {
                tracing::debug!(lane = %id, %error, "old steps stay in the store");
            }
        }
    }
}

/// A lane carries one container only (RFC 8216, 4.3.2.5: EXT-X-MAP cannot be unset).
fn fits(track: &Track, container: crate::model::lane::Container) -> bool {
    use crate::model::lane::Container;
    let mapped = track.newest().map(|s| s.listed.map.is_some());
    mapped.is_none_or(|m| m == (container == Container::FragmentedMp4))
}
