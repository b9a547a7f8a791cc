//! Bytes between zones: they cost money.

use prometheus::IntCounterVec;

use crate::ops::make::Make;

/// What came from packagers, by the zones that it crossed.
pub(super) struct ZoneBytes(IntCounterVec);

impl ZoneBytes {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        let received = make.counters(
            "zone_received_bytes_total",
            "Bytes of playlists and segments that came from packagers of one zone to a proxy of another, or the same.",
            &["from", "to"],
        )?;
        Ok(Self(received))
    }

    pub(super) fn received(&self, from: &str, to: &str, bytes: u64) {
        self.0.with_label_values(&[from, to]).inc_by(bytes);
    }
}
