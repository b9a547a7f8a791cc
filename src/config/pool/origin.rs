//! Limits of what is asked of each packager.

use std::time::Duration;

use super::super::section::Section;
use super::super::values::ByteSize;

/// Limits of what is asked of each packager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginLimits {
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// Requests outstanding at one packager.
    pub requests: usize,
    /// Requests waiting for one of those places.
    pub waiting: usize,
    /// The longest playlist taken, decompressed.
    pub playlist_bytes: ByteSize,
    /// The longest segment taken.
    pub segment_bytes: ByteSize,
}

impl OriginLimits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            connect_timeout: Duration::from_millis(section.number(
                "connect_timeout_ms",
                1000,
                10..=60_000,
            )),
            requests: section.count("requests", 32, 1..=10_000),
            waiting: section.count("waiting", 1024, 1..=1_000_000),
            playlist_bytes: section.size(
                "playlist_bytes",
                ByteSize::mib(4),
                ByteSize::kib(4)..=ByteSize::mib(256),
            ),
            segment_bytes: section.size(
                "segment_bytes",
                ByteSize::mib(64),
                ByteSize::kib(64)..=ByteSize::gib(4),
            ),
        }
    }
}
