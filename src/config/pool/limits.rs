//! What one tenant may take, so that it harms no other.

use super::super::section::Section;
use super::super::values::ByteSize;

/// Limits of a pool, on top of those of the whole proxy. None: no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolLimits {
    /// Viewers at one time; newcomers beyond are refused.
    pub viewers: Option<u64>,
    /// Streams watched at one time.
    pub streams: Option<usize>,
    /// Lanes that its streams are carried on.
    pub lanes: Option<usize>,
    /// Bits per second that its viewers are sent.
    pub bandwidth_bps: Option<u64>,
    /// Requests that wait for its packagers at one time.
    pub waiting_requests: Option<usize>,
    /// Bytes of segments held for it.
    pub segment_bytes: Option<ByteSize>,
}

impl PoolLimits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let number = |key| section.number_if_set(key, 1..=1_000_000_000);
        let count = |key| number(key).and_then(|n| usize::try_from(n).ok());
        let whole = ByteSize(1)..=ByteSize::gib(1 << 20);
        let segment_bytes = section.size("segment_bytes", ByteSize::gib(1 << 20), whole);
        Self {
            viewers: number("viewers"),
            streams: count("streams"),
            lanes: count("lanes"),
            bandwidth_bps: section
                .number_if_set("bandwidth_mbps", 1..=10_000_000)
                .map(|mbps| mbps * 1_000_000),
            waiting_requests: count("waiting_requests"),
            segment_bytes: section.has("segment_bytes").then_some(segment_bytes),
        }
    }

    /// Nothing is limited.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}
