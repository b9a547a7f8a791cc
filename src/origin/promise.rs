//! The sign that a packager may have restarted between two refreshes of a playlist: it had
//! promised to keep the connection, and the connection is gone.
//!
//! The sign is only as good as its causes are few. So each playlist has connections of its own,
//! a promise is taken out by the one request that relies on it, and it lapses before any idle
//! limit, ours or the packager's, could have closed the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long an idle connection is kept.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// How long a promise is relied on: less than [`IDLE`].
const RELIED_ON: Duration = Duration::from_secs(25);
/// Promises held before those that lapsed are thrown out.
const SWEEP_AT: usize = 1024;

/// The promises in force, by the connection group of their playlist.
#[derive(Default)]
pub(super) struct Promises {
    by_group: Mutex<HashMap<u64, Promise>>,
    evictions: Arc<AtomicU64>,
}

struct Promise {
    until: Instant,
    /// The count at the time it was given: an eviction since may have been of its connection.
    evictions: u64,
}

impl Promises {
    /// To be counted up whenever the connection pool throws out a connection for want of room.
    pub(super) fn evictions(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.evictions)
    }

    /// Takes out the promise of `group`: true if a connection should stand in the pool.
    pub(super) fn take(&self, group: u64) -> bool {
        let promise = self.by_group.lock().remove(&group);
        promise.is_some_and(|p| {
            p.until > Instant::now() && p.evictions == self.evictions.load(Ordering::Relaxed)
        })
    }

    /// The packager keeps the connection of `group`, for `timeout` if it said so.
    pub(super) fn give(&self, group: u64, timeout: Option<Duration>) {
        // One second less: the packager's timer began before ours.
        let length =
            timeout.map_or(RELIED_ON, |t| t.saturating_sub(Duration::from_secs(1)).min(RELIED_ON));
        let now = Instant::now();
        let mut promises = self.by_group.lock();
        if promises.len() >= SWEEP_AT {
            promises.retain(|_, p| p.until > now);
        }
        let evictions = self.evictions.load(Ordering::Relaxed);
        promises.insert(group, Promise { until: now + length, evictions });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_promise_is_used_once_and_lapses() {
        let promises = Promises::default();
        assert!(!promises.take(1));
        promises.give(1, None);
        assert!(promises.take(1));
        assert!(!promises.take(1));
        promises.give(1, None);
        tokio::time::advance(RELIED_ON).await;
        assert!(!promises.take(1));
        promises.give(1, Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!promises.take(1));
        promises.give(1, Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_millis(3900)).await;
        assert!(promises.take(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_eviction_voids_promises() {
        let promises = Promises::default();
        promises.give(1, None);
        promises.evictions().fetch_add(1, Ordering::Relaxed);
        assert!(!promises.take(1));
    }
}
