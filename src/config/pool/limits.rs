//! What one tenant may take, so that it harms no other.

use super::super::section::Section;

/// Limits of a pool, on top of those of the whole proxy. None: no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolLimits {
    /// Viewers at one time; newcomers beyond are refused.
    pub viewers: Option<u64>,
    /// Streams watched at one time.
    pub streams: Option<usize>,
    /// Bits per second that its viewers are sent.
    pub bandwidth_bps: Option<u64>,
}

impl PoolLimits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let count = |key| section.number_if_set(key, 1..=1_000_000_000);
        Self {
            viewers: count("viewers"),
            streams: count("streams").and_then(|n| usize::try_from(n).ok()),
            bandwidth_bps: section
                .number_if_set("bandwidth_mbps", 1..=10_000_000)
                .map(|mbps| mbps * 1_000_000),
        }
    }
}
