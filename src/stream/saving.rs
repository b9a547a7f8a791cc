//! A lane's log and the store's copy of it: each step is appended there first, and what the store
//! missed while it could not be reached, or has lost, is written back.

use std::time::Duration;

use super::worker::Worker;
use crate::model::lane::{Header, Log, Step};
use crate::model::names::LaneId;
use crate::store::{Appended, StoreError};

/// Another process's steps are looked for this often at the most, whoever asks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A store that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

impl Worker {
    /// Appends to the store, then to the log. A loser takes over the steps of the winner.
    pub(super) async fn append(&mut self, id: &LaneId, steps: Vec<Step>) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let expected = lane.log.tail().map(|t| t.msn);
        let opens_deep = steps.len() > 1;
        let outcome = if lane.unsaved > 0 {
            Err(StoreError::Unreachable("earlier steps are not saved yet".into()))
        } else {
            self.deps.store.append(id, expected, &steps).await
        };
        match outcome {
            Ok(Appended::Done) => {
                for step in steps {
                    self.take_step(id, step, true);
                }
            }
            Ok(Appended::Lost(steps)) => self.take_over(id, steps).await,
            // Viewers are served on; the store gets what it missed once it answers.
            Err(error) => {
                if lane.unsaved == 0 {
                    tracing::warn!(lane = %id, %error, "the store does not take steps; going on without it");
                    self.deps.observer.store_failed();
                }
                lane.unsaved += steps.len();
                self.store_retry_at = self.deps.clock.now().plus(RETRY);
                for step in steps {
                    self.take_step(id, step, true);
                }
            }
        }
        if opens_deep {
            self.note_backlog(id);
        }
    }

    /// Another process went on with this lane. Where its steps do not follow (it was opened anew
    /// there, above its old numbers), its log is taken in place of the one here.
    async fn take_over(&mut self, id: &LaneId, steps: Vec<Step>) {
        let Some(lane) = self.lanes.get(id) else { return };
        let follows =
            lane.log.tail().is_none() || steps.first().map(|s| s.msn) == Some(lane.log.next_msn());
        if follows {
            for step in steps {
                self.find_bytes(id, &step).await;
                self.take_step(id, step, false);
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

    /// Takes over what another process appended since: during an upgrade two of them answer on the
    /// same sockets, and what one listed the other is asked for.
    pub(super) async fn take_newer(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id).filter(|l| l.unsaved == 0) else { return };
        if now.since(lane.looked_at) < LOOK_AGAIN {
            return;
        }
        lane.looked_at = now;
        let tail = lane.log.tail().map(|t| t.msn);
        let Ok(Some(stored)) = self.deps.store.load(id).await else { return };
        let newer: Vec<Step> = stored.steps.into_iter().filter(|s| Some(s.msn) > tail).collect();
        if !newer.is_empty() {
            self.take_over(id, newer).await;
            self.list(id, true).await;
        }
    }

    /// The bytes of another process's step are in the directory that both have.
    async fn find_bytes(&self, id: &LaneId, step: &Step) {
        let Some(lane) = self.lanes.get(id) else { return };
        let header = lane.log.header();
        let keep = self.deps.clock.now().plus(header.window + header.target() * 10);
        for held in step.held() {
            self.deps.segments.find(held, keep).await;
        }
    }

    /// Gives the store the steps that it missed, and all that are kept if it has lost the lane.
    /// Where another process has gone on meanwhile its steps stand there, and those printed here
    /// stand here.
    pub(super) async fn save(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        if now < self.store_retry_at {
            return;
        }
        let Some(lane) = self.lanes.get_mut(id) else { return };
        // Each attempt saves a step, or goes back by one that the store has lost.
        let attempts = lane.log.steps().len() * 2 + 2;
        for _ in 0..attempts {
            let kept = lane.log.steps().len();
            let Some(at) = kept.checked_sub(lane.unsaved.min(kept)).filter(|at| *at < kept) else {
                lane.unsaved = 0;
                return;
            };
            let Some(step) = lane.log.steps().nth(at).cloned() else { return };
            let expected = at.checked_sub(1).and_then(|a| lane.log.steps().nth(a)).map(|s| s.msn);
            match self.deps.store.append(id, expected, &[step]).await {
                Ok(_) => lane.unsaved -= 1,
                Err(StoreError::Hole { .. }) if at > 0 => lane.unsaved += 1,
                Err(StoreError::NoLane(_)) => {
                    tracing::warn!(lane = %id, "the store has lost the lane: it is written back");
                    if self.deps.store.create(&shortened(&lane.log)).await.is_err() {
                        return;
                    }
                    lane.unsaved = kept;
                }
                Err(_) => {
                    self.store_retry_at = now.plus(RETRY);
                    return;
                }
            }
        }
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
