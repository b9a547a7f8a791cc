//! The store at the start, and how it fares: viewers are served also where it cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use crate::ops::Metrics;
use crate::store::{StoreError, StoreObserver};

/// Counts what the store does.
pub struct Counted(pub Arc<Metrics>);

impl StoreObserver for Counted {
    fn asked(&self, operation: &'static str, took: Duration, failed: bool) {
        self.0.store.asked(operation, took, failed);
    }
    fn up(&self, up: bool) {
        self.0.store.up(up);
    }
    fn missed(&self) {
        self.0.store.missed();
    }
}

/// What the store says at the start; none where it cannot be reached: then `without` is told. What it holds
/// and cannot be read ends the start.
pub fn if_reached<T>(
    answer: Result<T, StoreError>,
    without: &str,
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ StoreError::Unreachable(_)) => {
            tracing::warn!(%error, "{without}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
