//! Hearing of what other processes do to lanes, and telling the worker that carries each.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc;

use super::worker::Event;
use crate::model::names::LaneId;
use crate::store::Change;

/// The workers that carry lanes, by lane.
pub type Carriers = DashMap<LaneId, mpsc::Sender<Event>>;

/// Tells workers until the store is gone. A worker that is too busy to hear looks by itself once its lane is
/// late.
pub async fn hear(mut changes: Receiver<Change>, carriers: Arc<Carriers>) {
    loop {
        match changes.recv().await {
            Ok(Some(changed)) => {
                if let Some(worker) = carriers.get(&changed.lane) {
                    let _ = worker.try_send(Event::Changed(changed.lane, changed.tail));
                }
            }
            Ok(None) | Err(RecvError::Lagged(_)) => {
                // In one order, so that one seed of a simulation is one trace.
                let mut all: Vec<_> =
                    carriers.iter().map(|c| (c.key().clone(), c.value().clone())).collect();
                all.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (lane, worker) in all {
                    let _ = worker.try_send(Event::Changed(lane, None));
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}
