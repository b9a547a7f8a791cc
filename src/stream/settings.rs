//! What can be set about streams, per pool, checked already.

use std::time::Duration;

use crate::model::playlist::Limits;
use crate::model::url_base::UrlBase;

/// How the streams of a pool are carried.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Siblings whose playlists are refreshed beside the lane's packager.
    pub standbys: usize,
    /// The most lanes that new viewers of a stream are spread over in a zone, each on another packager. Where
    /// not set one for each packager that is healthy there, [`LANES`] at the most.
    pub lanes_per_stream: Option<usize>,
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
    /// Streams watched at once; none: as many as the proxy may.
    pub streams_max: Option<usize>,
    /// Lanes held at once; none: as many as the proxy may.
    pub lanes_max: Option<usize>,
    /// Bytes of segments held; none: as many as the store does.
    pub segment_bytes_max: Option<u64>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            standbys: 1,
            lanes_per_stream: None,
            target_duration: None,
            window: None,
            hold: Duration::from_secs(300),
            end_after: Duration::from_secs(60),
            idle_after: Duration::from_secs(60),
            overlap: false,
            url_base: None,
            playlist: Limits::default(),
            streams_max: None,
            lanes_max: None,
            segment_bytes_max: None,
        }
    }
}

/// Lanes of a stream in a zone where nothing is configured: two, so that the death of a packager is met by
/// half of the viewers. More would keep every packager of a large pool busy with every stream.
pub const LANES: usize = 2;

impl PoolSettings {
    /// The most lanes that new viewers of a stream are spread over, with so many healthy packagers.
    #[must_use]
    pub fn lanes_among(&self, healthy: usize) -> usize {
        self.lanes_per_stream.unwrap_or(LANES).min(healthy).max(1)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_a_stream() {
        for (configured, healthy, want) in [
            (None, 0, 1),
            (None, 1, 1),
            (None, 2, 2),
            (None, 20, 2),
            (Some(1), 20, 1),
            (Some(3), 20, 3),
            (Some(3), 2, 2),
        ] {
            let settings = PoolSettings { lanes_per_stream: configured, ..PoolSettings::default() };
            assert_eq!(settings.lanes_among(healthy), want, "{configured:?} of {healthy}");
        }
    }
}
