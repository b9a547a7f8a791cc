//! How much of the store one pool may take. Who held bytes first pays for them, until nobody keeps
//! them any longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A pool's part of the store.
#[derive(Debug)]
pub struct Allowance {
    held: AtomicU64,
    max: AtomicU64,
}

impl Default for Allowance {
    /// Without a limit.
    fn default() -> Self {
        Self { held: AtomicU64::new(0), max: AtomicU64::new(u64::MAX) }
    }
}

impl Allowance {
    /// From now on it is so many bytes; none: no limit. What is held stays.
    pub fn limit(&self, bytes: Option<u64>) {
        self.max.store(bytes.unwrap_or(u64::MAX), Relaxed);
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Less than nine tenths of it are held.
    #[must_use]
    pub fn admits_stream(&self) -> bool {
        let max = self.max.load(Relaxed);
        self.held() < max - max / 10
    }

    /// Room for so many bytes. None: there is no such room.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let max = self.max.load(Relaxed);
        let add = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= max);
        let taken = self.held.fetch_update(Relaxed, Relaxed, add);
        taken.ok().map(|_| Taken { of: Arc::clone(self), bytes })
    }

    /// The same for what is held already, whatever the limit is.
    pub(super) fn take_anyway(self: &Arc<Self>, bytes: u64) -> Taken {
        self.held.fetch_add(bytes, Relaxed);
        Taken { of: Arc::clone(self), bytes }
    }
}

/// Bytes that a pool pays for; given back when dropped.
#[derive(Debug)]
pub struct Taken {
    of: Arc<Allowance>,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let pool = Arc::new(Allowance::default());
        pool.limit(Some(100));
        let first = pool.take(80).unwrap();
        assert!(pool.admits_stream());
        let second = pool.take(20).unwrap();
        assert!(pool.take(1).is_none() && !pool.admits_stream());
        assert!(pool.take(u64::MAX).is_none());
        drop(first);
        assert_eq!(pool.held(), 20);
        // It was made smaller than what is held: nothing is lost by that.
        pool.limit(Some(10));
        assert!(pool.take(1).is_none());
        let found = pool.take_anyway(1000);
        drop((second, found));
        assert_eq!(pool.held(), 0);
        pool.limit(None);
        assert!(pool.take(u64::MAX).is_some());
    }
}
