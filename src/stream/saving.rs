//! A lane's log and the store's copy of it: each step is appended there first, and what the store
//! missed while it could not be reached, or has lost, is written back. Where others went on meanwhile the two
//! are brought together (`model/lane/merging`).

use std::time::Duration;

use super::carry::Carried;
use super::worker::Worker;
use crate::model::lane::{Header, Log, Step, Then, There};
use crate::model::names::{LaneId, OutputMsn, UnixMs};
use crate::store::{Appended, StoreError};

/// Round trips to the store in one turn, when it is given back what it missed.
const SAVES: usize = 24;
/// Without the store a lane goes on once it has failed for so long.
const ALONE_AFTER: Duration = Duration::from_millis(500);
/// A store that failed is tried again after this.
const RETRY: Duration = Duration::from_millis(250);

/// And after this, doubled so often, where it reads and does not write.
const REFUSED_MAX: u32 = 4;
/// Such a store is offered so many steps at first.
const TRIED: usize = 16;

/// Steps before the first that the store misses that are read to see whether they still stand there.
const LOOKED_BACK: u64 = 8;

/// What is known of the store's copy of a log.
enum Copy {
    /// Its tail, and the number that it takes next.
    Ends(Option<OutputMsn>, OutputMsn),
    /// Nothing: its newest steps have to be read.
    Unknown,
    /// Nothing: all of it has to be read.
    Unread,
    /// It is gone.
    Gone,
    /// It is long past, and this is its tail.
    Past(Option<OutputMsn>),
}

impl Worker {
    /// Appends to the store, then to the log. A loser takes over the steps of the winner. False: it is to be tried
    /// again in a moment.
    pub(super) async fn append(&mut self, id: &LaneId, steps: Vec<Step>) -> bool {
        let (alone, asked) = (self.is_alone(id), self.deps.clock.now());
        let Some(lane) = self.lanes.get_mut(id) else { return true };
        let opens_deep = steps.len() > 1;
        let closed = lane.apart.is_closed();
        let outcome = if alone || closed {
            Err(StoreError::Unreachable("earlier steps are not saved yet".into()))
        } else {
            let tail = lane.log.tail();
            let sent = lane.apart.outward(tail, &steps);
            self.deps.store.append(id, tail.map(|t| t.msn), &sent).await.map(|done| (done, sent))
        };
        if outcome.is_ok() {
            self.store_failing = None;
        }
        let mut decided = true;
        match outcome {
            Ok((Appended::Done, sent)) => {
                let sent = lane.apart.is_apart().then(|| sent.into_owned());
                for step in steps {
                    self.take_step(id, step, true);
                }
                if let Some((sent, lane)) = sent.zip(self.lanes.get_mut(id)) {
                    lane.apart.given(&lane.log, &sent);
                }
            }
            Ok((Appended::Lost(there), _)) => {
                if there.first().is_some_and(|first| lane.apart.strays(&lane.log, first)) {
                    self.read_again(id).await;
                } else {
                    self.take_over(id, there).await;
                }
            }
            Err(error) if !alone && !closed => {
                lane.doubted = true;
                if !self.mended(id, &error).await {
                    decided = self.has_failed_for_long(asked);
                    if decided {
                        self.go_on_alone(id, steps, Some(&error));
                    }
                }
            }
            Err(_) => self.go_on_alone(id, steps, None),
        }
        if opens_deep && decided {
            self.note_backlog(id);
        }
        decided
    }

    /// It answers, and has lost what it had: where that is mended the step is decided again, on what became of it.
    async fn mended(&mut self, id: &LaneId, error: &StoreError) -> bool {
        match error {
            StoreError::Hole { .. } => self.read_again(id).await,
            StoreError::NoLane(_) => self.bring_together(id, Copy::Gone).await,
            _ => false,
        }
    }

    /// Viewers are served on without the store; but one call that was lost is no reason to: others, who know nothing
    /// of the step, would list another one.
    fn has_failed_for_long(&mut self, asked: UnixMs) -> bool {
        let now = self.deps.clock.now();
        let before = self.store_failing;
        let since = *self.store_failing.get_or_insert(asked);
        before.is_some() && now.since(since) >= ALONE_AFTER
    }

    /// Viewers are served on; the store gets what it missed once it answers. `error`: why it does not; none where the
    /// steps were decided in the knowledge of that.
    fn go_on_alone(&mut self, id: &LaneId, steps: Vec<Step>, error: Option<&StoreError>) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        if let Some(error) = error {
            tracing::warn!(lane = %id, %error, "the store does not take steps; going on without it");
            self.deps.observer.store_failed();
            self.store_retry_at = self.deps.clock.now().plus(RETRY);
            // Alone a lane leaves only a packager that fails: that is decided again.
            if lane.log.tail().is_some() && steps.iter().any(|step| step.splice.is_some()) {
                return;
            }
        }
        if !lane.apart.is_closed() {
            lane.unsaved += steps.len();
        }
        for step in steps {
            self.take_step(id, step, true);
        }
    }

    /// The store cannot be asked who goes on how: it does not answer, or has yet to be given what it missed.
    pub(super) fn is_alone(&self, id: &LaneId) -> bool {
        let behind = self.lanes.get(id).is_some_and(|lane| lane.unsaved > 0);
        let now = self.deps.clock.now();
        let failing = self.store_failing.is_some_and(|since| now.since(since) >= ALONE_AFTER);
        behind || (failing && now < self.store_retry_at)
    }

    /// Gives the store what it missed, once it answers. What it had may not be there any more.
    pub(super) async fn save(&mut self, id: &LaneId) {
        let behind = self.lanes.get(id).is_some_and(|lane| lane.unsaved > 0 || lane.doubted);
        if behind && self.deps.clock.now() >= self.store_retry_at {
            self.bring_together(id, Copy::Unknown).await;
        }
    }

    /// The store's copy may not be what it is taken for: it is compared, now or as soon as the store is tried again.
    /// True: the two are one.
    pub(super) async fn read_again(&mut self, id: &LaneId) -> bool {
        let Some(lane) = self.lanes.get_mut(id) else { return false };
        lane.doubted = true;
        self.deps.clock.now() >= self.store_retry_at && self.bring_together(id, Copy::Unknown).await
    }

    /// The log here and the store's become one. Where that takes too long it goes on a while later. True: they are.
    async fn bring_together(&mut self, id: &LaneId, mut copy: Copy) -> bool {
        let (mut failed, mut gave) = (None, false);
        for _ in 0..SAVES {
            let gives = matches!(copy, Copy::Ends(..) | Copy::Gone | Copy::Past(_));
            let result = match copy {
                Copy::Ends(tail, next) => self.give(id, tail, next).await,
                Copy::Unknown => self.compare_newest(id).await,
                Copy::Unread => self.compare(id).await,
                Copy::Gone => self.open_again(id).await,
                Copy::Past(tail) => self.begin_again(id, tail).await,
            };
            match result {
                Ok(Some(known)) => {
                    if gives {
                        (gave, self.refused) = (true, 0);
                    }
                    copy = known;
                }
                Ok(None) => {
                    self.refused = 0;
                    // One that only reads has not said that it takes steps.
                    if gave || gives {
                        self.store_failing = None;
                    }
                    if let Some(lane) = self.lanes.get_mut(id) {
                        lane.doubted = false;
                    }
                    return true;
                }
                Err(error) => {
                    self.refused = if gives { self.refused.saturating_add(1) } else { 0 };
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failed {
            tracing::debug!(lane = %id, %error, "the store is not given what it missed yet");
        }
        // A store that is full is not sent everything again and again.
        let wait = RETRY * (1 << self.refused.min(REFUSED_MAX));
        self.store_retry_at = self.deps.clock.now().plus(wait);
        false
    }

    /// The store is given what follows its tail. None: that is all.
    async fn give(
        &mut self,
        id: &LaneId,
        tail: Option<OutputMsn>,
        next: OutputMsn,
    ) -> Result<Option<Copy>, StoreError> {
        let Some(lane) = self.lanes.get_mut(id) else { return Ok(None) };
        let mut steps = lane.apart.giving(&lane.log, next);
        if self.refused > 0 {
            steps.truncate(TRIED);
        }
        let Some(last) = steps.last().map(|step| step.msn) else {
            lane.unsaved = 0;
            return Ok(None);
        };
        match self.deps.store.append(id, tail, &steps).await {
            Ok(Appended::Done) => {
                lane.apart.given(&lane.log, &steps);
                lane.unsaved = lane.log.from(last.next()).count();
                Ok((lane.unsaved > 0).then_some(Copy::Ends(Some(last), last.next())))
            }
            // Another was quicker, or it has lost steps.
            Ok(Appended::Lost(_)) | Err(StoreError::Hole { .. }) => Ok(Some(Copy::Unknown)),
            Err(StoreError::NoLane(_)) => Ok(Some(Copy::Gone)),
            Err(error) => Err(error),
        }
    }

    /// The store has lost the lane, or never knew it: it begins there with the oldest step kept here.
    async fn open_again(&mut self, id: &LaneId) -> Result<Option<Copy>, StoreError> {
        let Some(lane) = self.lanes.get(id) else { return Ok(None) };
        tracing::warn!(lane = %id, "the store does not know the lane: it is written there");
        self.deps.store.create(&shortened(&lane.log)).await?;
        Ok(Some(Copy::Unread))
    }

    /// What the store has ends so long before the oldest step kept here that nothing can stand for what is between:
    /// the lane begins there with that step. Who has gone on with the old one takes this one over.
    async fn begin_again(
        &mut self,
        id: &LaneId,
        tail: Option<OutputMsn>,
    ) -> Result<Option<Copy>, StoreError> {
        let Some(lane) = self.lanes.get(id) else { return Ok(None) };
        let header = shortened(&lane.log);
        if self.deps.store.begin_again(&header, tail).await? {
            tracing::warn!(lane = %id, from = %header.first_msn, "what the store has of the lane is long past: it begins there anew");
        }
        Ok(Some(Copy::Unread))
    }

    /// All of the store's copy is read.
    async fn compare(&mut self, id: &LaneId) -> Result<Option<Copy>, StoreError> {
        let Some(lane) = self.lanes.get(id) else { return Ok(None) };
        let Some(stored) = self.deps.store.load(id).await? else {
            // Where nothing is to be given it has expired there.
            return Ok((lane.unsaved > 0).then_some(Copy::Gone));
        };
        let there = There { first_msn: stored.header.first_msn, steps: &stored.steps, whole: true };
        Ok(self.merge(id, there).await)
    }

    /// A long window is read only where the newest steps do not tell.
    async fn compare_newest(&mut self, id: &LaneId) -> Result<Option<Copy>, StoreError> {
        let Some(lane) = self.lanes.get(id) else { return Ok(None) };
        let (first_msn, saved) = (lane.log.header().first_msn, lane.next_unsaved());
        let from = OutputMsn(saved.0.saturating_sub(LOOKED_BACK + 1));
        if lane.log.get(from).is_none() {
            return Ok(Some(Copy::Unread));
        }
        let steps = self.deps.store.newer(id, Some(from)).await?;
        Ok(self.merge(id, There { first_msn, steps: &steps, whole: false }).await)
    }

    async fn merge(&mut self, id: &LaneId, there: There<'_>) -> Option<Copy> {
        let lane = self.lanes.get_mut(id)?;
        let printed_to = lane.edge.unwrap_or(OutputMsn(0));
        let merged = lane.apart.merge(&lane.log, printed_to, there);
        if let Some(split) = merged.split {
            let (from, to) = split.into_inner();
            tracing::warn!(lane = %id, %from, %to, "split: the store has other steps than were printed here; these stay until they leave");
            self.deps.observer.split(&self.key, id, from);
        }
        if let Some(keep) = merged.keep {
            lane.cut_back(keep);
        }
        if merged.then == Then::Read {
            return Some(Copy::Unread);
        }
        lane.unsaved = 0;
        match merged.then {
            Then::Done | Then::Read => None,
            Then::Take(steps) => {
                self.take_over(id, steps).await;
                self.advance(id);
                self.list(id, true).await;
                None
            }
            Then::Give { after, next } => {
                lane.unsaved = lane.log.from(next).count();
                Some(Copy::Ends(after, next))
            }
            Then::Anew => {
                self.take_over(id, there.steps.to_vec()).await;
                None
            }
            Then::Ahead => {
                lane.unsaved = lane.log.steps().len();
                self.store_retry_at = self.deps.clock.now().plus(RETRY);
                None
            }
            Then::Begin { after } => {
                lane.unsaved = lane.log.steps().len();
                Some(Copy::Past(after))
            }
            Then::Closed => {
                tracing::warn!(lane = %id, "the lane has ended in the store; it goes on here for those who watch it");
                None
            }
        }
    }
}

impl Carried {
    /// Steps after `keep` were never listed, and are others now.
    fn cut_back(&mut self, keep: OutputMsn) {
        self.log.cut_back(keep);
        self.coming.retain(|msn, _| *msn <= keep);
        self.relations.cut_back(keep);
        self.shared.cut_back(&self.log);
        self.indexed = self.indexed.map(|newest| newest.min(keep));
        // An end may have been.
        self.edge = self.edge.map(|edge| edge.min(keep));
    }

    /// The first number that the store has yet to be given.
    fn next_unsaved(&self) -> OutputMsn {
        let next = self.log.next_msn();
        let kept = self.log.steps().len();
        OutputMsn(next.0.saturating_sub(self.unsaved.min(kept) as u64))
    }
}

/// The header of a lane that begins with the oldest step kept here.
fn shortened(log: &Log) -> Header {
    let mut header = Header::clone(log.header());
    if let Some(oldest) = log.steps().next() {
        header.first_msn = oldest.msn;
        header.first_discontinuity = oldest.discontinuity_number - u64::from(oldest.discontinuity);
    }
    header
}
