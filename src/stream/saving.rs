//! A lane's log and the store's copy of it: each step is appended there first, and what the store
//! missed while it could not be reached, or has lost, is written back.

use std::time::Duration;

use super::worker::Worker;
use crate::model::lane::{Header, Log, Step};
use crate::model::names::LaneId;
use crate::store::{Appended, StoreError};

/// Round trips to the store in one turn, when it is given back what it missed.
const SAVES: usize = 24;
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

    /// Gives the store the steps that it missed, and all that are kept if it has lost the lane.
    /// Where another process has gone on meanwhile its steps stand there, and those printed here
    /// stand here.
    pub(super) async fn save(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        if now < self.store_retry_at {
            return;
        }
        let Some(lane) = self.lanes.get_mut(id) else { return };
        for _ in 0..SAVES {
            let kept = lane.log.steps().len();
            let Some(at) = kept.checked_sub(lane.unsaved.min(kept)).filter(|at| *at < kept) else {
                lane.unsaved = 0;
                return;
            };
            let steps: Vec<Step> = lane.log.steps().skip(at).cloned().collect();
            let expected = at.checked_sub(1).and_then(|a| lane.log.steps().nth(a)).map(|s| s.msn);
            match self.deps.store.append(id, expected, &steps).await {
                // An answer that was lost may have left a part of them there.
                Ok(Appended::Lost(there)) if !there.is_empty() && steps.starts_with(&there) => {
                    lane.unsaved = steps.len() - there.len();
                }
                Ok(_) => lane.unsaved = 0,
                // It has lost steps: so many more are given back.
                Err(StoreError::Hole { .. }) if at > 0 => {
                    lane.unsaved = (lane.unsaved * 2).max(lane.unsaved + 8).min(kept);
                }
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
