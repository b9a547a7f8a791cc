//! What one tenant's viewers may take of this proxy, and what they take now. Each pool has its own
//! counters, which a reload keeps, so that one at its limit harms no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::errors::Failure;
use super::settings::PoolSettings;
use crate::model::paths::AllowedPaths;
use crate::model::turns::{Line, Meter, piece_bytes};
use crate::stream::Refusal;

/// One pool's limits and use.
#[derive(Debug)]
pub struct Tenant {
    /// Entry paths that may be asked for.
    pub paths: AllowedPaths,
    waiting_max: usize,
    bytes_per_second: Option<u64>,
    use_now: Arc<Use>,
}

#[derive(Debug)]
struct Use {
    waiting: AtomicUsize,
    /// Of those that wait: for a name that was not heard of here.
    unheard: AtomicUsize,
    sent: Mutex<(Line, Meter)>,
    /// Moments of the line count from here.
    began: Instant,
}

/// What a pool's viewers take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantUse {
    /// Requests that wait for a packager or a first playlist.
    pub waiting_requests: usize,
    /// Bits per second sent, over the last five seconds.
    pub bandwidth_bps: u64,
}

impl Tenant {
    /// The limits of `settings`; what is in use is that of `before`.
    pub fn new(settings: &PoolSettings, before: Option<&Self>) -> Self {
        let fresh = || {
            let [waiting, unheard] = [const { AtomicUsize::new(0) }; 2];
            Arc::new(Use { waiting, unheard, sent: Mutex::default(), began: Instant::now() })
        };
        Self {
            paths: settings.paths.clone(),
            waiting_max: settings.waiting_max.unwrap_or(usize::MAX),
            bytes_per_second: settings.bandwidth_bps.map(|bits| (bits / 8).max(1)),
            use_now: before.map_or_else(fresh, |before| Arc::clone(&before.use_now)),
        }
    }

    /// Counts a request that may wait for this pool's packagers.
    pub fn wait(&self) -> Result<Counted<'_>, Failure> {
        let full = Failure::Refused(Refusal::Limit("pools.limits.waiting_requests"));
        Counted::below(&self.use_now.waiting, self.waiting_max).ok_or(full)
    }

    /// Counts one of them that waits for a name: half of those that may wait. None: there are as many.
    pub fn unheard(&self) -> Option<Counted<'_>> {
        Counted::below(&self.use_now.unheard, self.waiting_max / 2)
    }

    /// A segment would wait too long for its turn.
    pub fn is_full(&self) -> bool {
        let now = self.use_now.began.elapsed();
        self.bytes_per_second.is_some() && self.use_now.sent.lock().0.is_full(now)
    }

    /// How much of a body is sent at once, bytes, where `most` could be.
    pub fn piece(&self, most: usize) -> usize {
        let piece = self.bytes_per_second.map(piece_bytes);
        piece.map_or(most, |piece| most.min(usize::try_from(piece).unwrap_or(most)))
    }

    /// How long these bytes wait for their turn.
    pub fn turn(&self, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let now = self.use_now.began.elapsed();
        self.use_now.sent.lock().0.take(bytes as u64, rate, now)
    }

    /// These bytes are sent at once and count against the limit.
    pub fn pass(&self, bytes: usize) {
        if let Some(rate) = self.bytes_per_second {
            let now = self.use_now.began.elapsed();
            self.use_now.sent.lock().0.pass(bytes as u64, rate, now);
        }
    }

    /// These bytes were sent.
    pub fn sent(&self, bytes: usize) {
        let now = self.use_now.began.elapsed();
        self.use_now.sent.lock().1.add(bytes as u64, now);
    }

    /// What is taken now.
    pub fn now(&self) -> TenantUse {
        let now = self.use_now.began.elapsed();
        TenantUse {
            waiting_requests: self.use_now.waiting.load(Ordering::Acquire),
            bandwidth_bps: self.use_now.sent.lock().1.bytes_per_second(now).saturating_mul(8),
        }
    }
}

/// One more of what is counted, until dropped.
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// None: there are `max` already.
    pub fn below(counter: &'a AtomicUsize, max: usize) -> Option<Self> {
        let before = counter.fetch_add(1, Ordering::AcqRel);
        let counted = Self(counter);
        (before < max).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_keeps_what_is_in_use() {
        let settings = |waiting_max, mbps: Option<u64>| PoolSettings {
            waiting_max: Some(waiting_max),
            bandwidth_bps: mbps.map(|mbps| mbps * 1_000_000),
            ..PoolSettings::default()
        };
        let before = Tenant::new(&settings(2, None), None);
        let waits = before.wait().unwrap();
        let after = Tenant::new(&settings(1, Some(8)), Some(&before));
        assert_eq!(after.now().waiting_requests, 1);
        let Err(refused) = after.wait() else { panic!("one over the limit") };
        assert_eq!(refused.limit(), Some("pools.limits.waiting_requests"));
        assert_eq!(after.now().waiting_requests, 1, "who is refused does not wait");
        drop(waits);
        assert!(after.wait().is_ok());
        assert_eq!((before.piece(512), after.piece(1 << 20)), (512, 16 << 10));
        assert_eq!(before.turn(1 << 30), Duration::ZERO, "without a limit nobody waits");
        assert!(!after.is_full());
        for _ in 0..2 {
            after.turn(6_000_000);
        }
        assert!(after.is_full() && !before.is_full());
    }
}
