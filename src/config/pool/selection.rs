//! Which packagers new viewers go to.

use std::time::Duration;

use super::super::section::Section;

/// How new lanes are spread over packagers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The most lanes that new viewers of a stream are spread over in a zone; none: one for each healthy
    /// packager there, two at the most.
    pub lanes_per_stream: Option<usize>,
    /// From this part of its `capacity` on, in thousandths, a packager counts as full.
    pub spill_permille: u32,
    /// A packager that comes back gets its full share after so long.
    pub slow_start: Duration,
}

impl Selection {
    /// Its keys stand in the pool itself.
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            lanes_per_stream: section
                .number_if_set("lanes_per_stream", 1..=64)
                .and_then(|lanes| usize::try_from(lanes).ok()),
            spill_permille: section.permille("spill_at", 750),
            slow_start: section.seconds("slow_start_seconds", 30, 0..=3600),
        }
    }
}
