//! Following other proxies: what one of them appended to a lane is taken over when it is heard of, its bytes are
//! brought here (`bringing`), and then it is listed. So the edge, the newest step that is listed here, may be
//! behind the tail, by half a target duration at the most.

use std::time::Duration;

use tokio::sync::oneshot;

use super::worker::{Event, Worker};
use crate::model::lane::{Action, Decision, Entry, Header, Held, Share, Step, Want};
use crate::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};

/// Other processes' steps are looked for this often at the most when viewers ask for what is not known.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Others' steps are not relied on for so long after the store did not give any.
const DEAF: Duration = Duration::from_secs(2);
/// What viewers want is told to the other proxies this often at the least, and at the least three times while it is
/// believed.
const TELL_WANTED: Duration = Duration::from_secs(10);
/// And at most so often when another proxy tells something: what is told sooner is asked for then.
const ASK_WANTED: Duration = Duration::from_millis(200);

/// What a loaded lane lacks is waited for no longer: viewers wait for their first list.
const CATCH_UP: Duration = Duration::from_secs(2);

/// A step of another proxy whose bytes are on their way.
#[derive(Clone, Debug)]
pub struct Coming {
    /// When it was heard of.
    pub heard: UnixMs,
    /// What is not held yet.
    pub missing: Vec<Held>,
    /// It was listed all the same: its bytes are asked of whoever holds them when somebody wants them.
    pub late: bool,
}

impl Coming {
    /// Something that this entry is played with is missing.
    fn needs(&self, entry: &Entry) -> bool {
        let mut held = entry.held.into_iter().chain(entry.assets());
        held.any(|held| self.missing.contains(&held))
    }
}

impl Worker {
    /// Another process went on with this lane. Where its steps do not follow (it was opened anew
    /// there, above its old numbers), its log is taken in place of the one here.
    pub(super) async fn take_over(&mut self, id: &LaneId, steps: Vec<Step>) {
        let Some(lane) = self.lanes.get(id) else { return };
        let next = lane.log.next_msn();
        // The first of a log that was trimmed comes later than its header's.
        let begins = |first: OutputMsn| lane.log.tail().is_none() && first > next;
        if steps.first().is_some_and(|first| first.msn == next || begins(first.msn)) {
            for step in steps {
                self.hear(id, step).await;
            }
            return;
        }
        tracing::warn!(lane = %id, "another process opened it anew: going on with its log");
        let wanted = lane.wanted(self.deps.clock.now().minus(self.settings.idle_after));
        self.lanes.remove(id);
        self.slot.forget(id);
        if let Some(lane) = self.load(id).await {
            for (r, _) in wanted.iter().enumerate().filter(|(_, w)| **w) {
                lane.shared.ask(r);
            }
        }
    }

    /// Takes one step of another process into the log; it is listed once its bytes are held.
    async fn hear(&mut self, id: &LaneId, step: Step) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get(id) else { return };
        let missing = self.missing(&step, self.kept_until(lane.log.header())).await;
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let step = self.skew.by_our_clock(now, lane.apart.inward(&lane.log, step));
        let msn = step.msn;
        if missing.is_empty() {
            if self.deps.fleet.own_id().is_some() {
                self.deps.observer.copied(id, Some(Duration::ZERO));
            }
        } else {
            lane.coming.insert(msn, Coming { heard: now, missing, late: false });
        }
        self.take_step(id, step, false);
    }

    /// What of a step is neither held nor in the directory that two processes may have in common.
    pub(super) async fn missing(&self, step: &Step, keep: UnixMs) -> Vec<Held> {
        let mut missing: Vec<Held> = Vec::new();
        for held in step.held() {
            if !missing.contains(&held) && !self.deps.segments.find(held, keep).await {
                missing.push(held);
            }
        }
        missing
    }

    /// Until when what is listed now is kept at the least.
    pub(super) fn kept_until(&self, header: &Header) -> UnixMs {
        self.deps.clock.now().plus(header.kept_for())
    }

    /// Another proxy changed this lane: `tail` is its tail now, where that was told.
    pub(super) async fn take_change(&mut self, id: &LaneId, tail: Option<OutputMsn>) {
        let Some(lane) = self.lanes.get(id) else { return };
        if tail.is_some() && lane.log.tail().map(|t| t.msn) >= tail {
            return;
        }
        if tail.is_some() {
            self.look_for_newer(id).await;
        } else {
            // Changes were missed: the store may have been away, and have lost what it had.
            self.read_again(id).await;
            self.share_wanted(id, ASK_WANTED).await;
        }
    }

    /// A viewer asks for what another process may have listed: during an upgrade two of them answer on the same
    /// sockets, and of a fleet any may be asked. Where it was looked a moment before he asked he waits for the
    /// next look: what he has seen listed may have come between.
    pub(super) async fn take_newer(
        &mut self,
        id: LaneId,
        asked: UnixMs,
        answer: oneshot::Sender<()>,
    ) {
        let now = self.deps.clock.now();
        let looked = self.lanes.get(&id).map(|lane| lane.looked_at);
        let Some(looked) = looked.filter(|looked| *looked < asked) else {
            let _ = answer.send(());
            return;
        };
        let again = looked.plus(LOOK_AGAIN);
        if now < again {
            let out = self.outbox.clone();
            let at = self.deps.clock.instant(again);
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                let _ = out.send(Event::Newer(id, asked, answer)).await;
            });
            return;
        }
        self.look_for_newer(&id).await;
        let _ = answer.send(());
    }

    /// Changes may be missed: a lane that should have gone on is looked for in the store.
    pub(super) async fn look_if_late(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get(id) else { return };
        let Some(tail) = lane.log.tail().filter(|t| !t.end) else { return };
        let late = now.since(tail.listed_at) > lane.target();
        if late && self.in_fleet() && now.since(lane.looked_at) > lane.target() / 2 {
            self.look_for_newer(id).await;
        }
    }

    async fn look_for_newer(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id).filter(|l| l.unsaved == 0) else { return };
        lane.looked_at = now;
        let tail = lane.log.tail().map(|t| t.msn);
        let Ok(newer) = self.deps.store.newer(id, tail).await else {
            self.deaf_until = now.plus(DEAF);
            return;
        };
        if newer.first().is_some_and(|first| lane.apart.strays(&lane.log, first)) {
            self.read_again(id).await;
        } else if !newer.is_empty() {
            self.take_over(id, newer).await;
            self.advance(id);
            self.list(id, true).await;
        }
    }

    /// Several proxies carry the lanes of this store.
    pub(super) fn in_fleet(&self) -> bool {
        self.deps.fleet.own_id().is_some()
    }

    /// Moves the edge up to the last step that can be listed. Returns when to look again, and whether it moved.
    pub(super) fn advance(&mut self, id: &LaneId) -> (Option<UnixMs>, bool) {
        let now = self.deps.clock.now();
        let others = self.deps.fleet.others() > 0;
        let Some(lane) = self.lanes.get_mut(id) else { return (None, false) };
        let before = lane.edge;
        let (target, segments) = (lane.target(), &self.deps.segments);
        lane.coming.retain(|_, coming| {
            coming.missing.retain(|held| !segments.has(held.hash));
            if coming.missing.is_empty() {
                self.deps.observer.copied(id, Some(now.since(coming.heard)));
            }
            let given_up = coming.late && now.since(coming.heard) > target * 3;
            !(coming.missing.is_empty() || given_up)
        });
        let mut wake = None;
        let first = before.map_or_else(|| lane.log.first(), |edge| Some(edge.next()));
        for step in first.into_iter().flat_map(|first| lane.log.from(first)) {
            if let Some(coming) = lane.coming.get_mut(&step.msn) {
                // Somebody else has to have them by then, or the list would name what nobody can give.
                let loaded = lane.catching_up.is_some_and(|to| step.msn <= to);
                let due = coming.heard.plus(match () {
                    () if loaded => CATCH_UP.min(target / 2),
                    () if others => target / 2,
                    () => target,
                });
                if now < due {
                    wake = Some(due);
                    break;
                }
                let was_late = std::mem::replace(&mut coming.late, true);
                if loaded {
                    // Of what was listed before this process carried the lane nobody else may hold it.
                    let shares = step.shares.iter().zip(&mut lane.held_from);
                    let of = |share: &Share| share.entries.iter().any(|e| coming.needs(e));
                    shares.filter(|(share, _)| of(share)).for_each(|(_, at)| *at = step.msn.next());
                } else if !was_late {
                    self.deps.observer.copied(id, None);
                    tracing::info!(lane = %id, msn = %step.msn, packager = %step.packager, "listed before it is held: served through its holder");
                }
            }
            lane.edge = Some(step.msn);
        }
        lane.catching_up = lane.catching_up.filter(|to| lane.edge.is_none_or(|edge| edge < *to));
        (wake, lane.edge != before)
    }

    /// Tells the other proxies which renditions are wanted here, and hears what is wanted there. `every`: where
    /// nothing has changed here.
    pub(super) async fn share_wanted(&mut self, id: &LaneId, every: Duration) {
        if !self.in_fleet() {
            return;
        }
        let now = self.deps.clock.now();
        let (within, regularly) = (self.settings.idle_after, self.tell_wanted_every());
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let wanted = lane.shared.asked_since(now.minus(within));
        let told = now.since(lane.told_at);
        let new = wanted.iter().zip(&lane.told).any(|(wanted, told)| *wanted && !told);
        if told < every && !(new && told >= LOOK_AGAIN) {
            if every == ASK_WANTED {
                // Not forgotten: it is due a moment later.
                lane.told_at = lane.told_at.min(now.plus(ASK_WANTED).minus(regularly));
            }
            return;
        }
        lane.told_at = now;
        lane.told.clone_from(&wanted);
        let places: Vec<usize> =
            wanted.iter().enumerate().filter(|(_, w)| **w).map(|(r, _)| r).collect();
        let answer = self.deps.store.want(id, &places, now, within).await;
        let Some(lane) = self.lanes.get_mut(id) else { return };
        // While nobody can be asked, what was wanted is.
        let known = |r: &usize| lane.wanted_elsewhere.get(*r).is_some_and(|at| at.0 > 0);
        let all = answer.unwrap_or_else(|_| (0..wanted.len()).filter(known).collect());
        for r in all {
            if let Some(at) = lane.wanted_elsewhere.get_mut(r) {
                *at = now;
            }
        }
    }

    /// The same, when it is due.
    pub(super) async fn share_wanted_if_due(&mut self, id: &LaneId) {
        self.share_wanted(id, self.tell_wanted_every()).await;
    }

    fn tell_wanted_every(&self) -> Duration {
        TELL_WANTED.min(self.settings.idle_after / 3)
    }

    /// Another proxy of the zone fetches this stream for all of them, and steps do come: what is new is left to
    /// others until it is late.
    pub(super) fn leave_to_others(&mut self, id: &LaneId, mut decision: Decision) -> Decision {
        let now = self.deps.clock.now();
        let Some((packager, tail, mut late)) = self.left_to_others(now, id) else {
            return decision;
        };
        let Some(lane) = self.lanes.get_mut(id) else { return decision };
        let appends = match &decision.action {
            Action::Append(steps) if steps.iter().any(|step| step.splice.is_some()) => {
                return decision;
            }
            Action::Append(_) => true,
            Action::Wait => false,
        };
        let theirs = |want: &Want| want.packager == packager && want.what.is_segment();
        if appends || decision.wants.iter().any(theirs) {
            // Who fetches it has seen it by now as well. Nobody tells when it has stopped doing so.
            let known = lane.left_to_others.filter(|(at, _)| *at == tail);
            let (_, since) = *lane.left_to_others.insert(known.unwrap_or((tail, now)));
            late = late.min(since.plus(lane.target() / 3));
        }
        if now >= late {
            return decision;
        }
        decision.action = Action::Wait;
        decision.why = "another proxy of the zone fetches it";
        decision.wants.retain(|want| !want.what.is_segment());
        // What could be appended at once can be then.
        decision.wake = if appends { late } else { decision.wake.min(late) };
        decision
    }

    /// The packager whose segments another fetches, the tail, and when the next step is late.
    fn left_to_others(&self, now: UnixMs, id: &LaneId) -> Option<(PackagerId, OutputMsn, UnixMs)> {
        let lane = self.lanes.get(id)?;
        let tail = lane.log.tail()?;
        // What the fetcher appends is not heard of while the store is away.
        if now < self.deaf_until || self.is_alone(id) {
            return None;
        }
        self.deps.fleet.fetcher(&self.key)?;
        let heard = lane.elsewhere.filter(|heard| now.since(*heard) < lane.target() * 2)?;
        let late = tail.listed_at.max(heard).plus(lane.target() * 23 / 20);
        (now < late).then(|| (tail.packager.clone(), tail.msn, late))
    }

    /// Steps that this proxy is about to append name it as their holder.
    pub(super) fn held_here(&self, mut steps: Vec<Step>) -> Vec<Step> {
        if let Some(own) = self.deps.fleet.own_id() {
            for step in &mut steps {
                step.holders = vec![own.clone()];
            }
        }
        steps
    }
}
