//! The clock that lanes are told the time by: Unix milliseconds that never run backwards, in step
//! with tokio's time, so that a test with paused time moves both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::names::UnixMs;

/// Unix time as read once, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: UnixMs,
    since: Instant,
}

impl Clock {
    /// Reads the system's time now: the only place where streams meet it.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn system() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(UnixMs(u64::try_from(unix.as_millis()).unwrap_or_default()))
    }
    /// It is `base` now.
    #[must_use]
    pub fn starting_at(base: UnixMs) -> Self {
        Self { base, since: Instant::now() }
    }
    /// Now.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.base.plus(self.since.elapsed())
    }
    /// The instant of `at`; now, if it has passed.
    #[must_use]
    pub fn instant(&self, at: UnixMs) -> Instant {
        self.since + Duration::from_millis(at.0.saturating_sub(self.base.0))
    }
}
