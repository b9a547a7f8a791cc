//! What can be set about streams, per pool, checked already.

use std::time::Duration;

use crate::model::playlist::Limits;
use crate::model::url_base::UrlBase;

/// How the streams of a pool are carried.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Siblings whose playlists are refreshed beside the lane's packager.
    pub standbys: usize,
    /// The least EXT-X-TARGETDURATION, seconds.
    pub target_duration: Option<u32>,
    /// How much content a playlist lists at the least; the packager's own list where not set.
    /// Never under three target durations (RFC 8216, 6.2.2).
    pub window: Option<Duration>,
    /// How much of a window that is as long as the packager's list is held.
    pub hold: Duration,
    /// A stream that every packager calls gone or ended for this long is over.
    pub end_after: Duration,
    /// A stream that nobody asks for is no longer watched.
    pub idle_after: Duration,
    /// At a splice that fits no keyframe content is repeated instead of lost.
    pub overlap: bool,
    /// Makes the URIs of multivariant playlists absolute.
    pub url_base: Option<UrlBase>,
    /// What a packager's playlist may measure.
    pub playlist: Limits,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            standbys: 1,
            target_duration: None,
            window: None,
            hold: Duration::from_secs(300),
            end_after: Duration::from_secs(60),
            idle_after: Duration::from_secs(60),
            overlap: false,
            url_base: None,
            playlist: Limits::default(),
        }
    }
}

impl PoolSettings {
    /// A packager's list of that much content is listed whole, and not all of it is held.
    #[must_use]
    pub fn is_long(&self, list: Duration) -> bool {
        self.window.is_none() && list > self.hold
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Streams watched at once.
    pub streams: usize,
    /// Lanes held at once.
    pub lanes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { streams: 2000, lanes: 10_000 }
    }
}
