//! A lane's header: what is frozen when the lane opens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::names::{LaneId, OutputMsn, StreamKey, UnixMs};
use crate::model::rendition::Rendition;

/// The format version written with every header and step. Old ones print the same for ever.
pub const FORMAT: u16 = 1;

/// What the segments of a lane are wrapped in. One lane has one container, since
/// EXT-X-MAP cannot be unset (RFC 8216, 4.3.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MPEG-TS, packed audio, WebVTT: nothing to initialise.
    Plain,
    /// Fragmented MP4: EXT-X-MAP stands before the segments.
    FragmentedMp4,
}

/// What is frozen when a lane opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] at the time of writing.
    pub format: u16,
    /// The lane.
    pub lane: LaneId,
    /// The stream it carries.
    pub stream: StreamKey,
    /// Its renditions; a step's entries stand in this order. Never empty.
    /// The first is the one that the others are aligned by.
    pub renditions: Vec<Rendition>,
    /// The multivariant playlist, cut where the token belongs: printed as
    /// `pieces.join(token)`.
    pub multivariant: Vec<String>,
    /// EXT-X-TARGETDURATION, seconds (RFC 8216, 4.3.3.1). Fixed for the lane's life.
    pub target_duration: u32,
    /// EXT-X-VERSION (RFC 8216, 7).
    pub version: u16,
    /// Shared by all packagers the lane may splice to.
    pub container: Container,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// How much content a playlist lists at the least.
    pub window: Duration,
    /// The first MSN: counted from the time of the opening, faster than a lane gains steps, so
    /// that numbers rise even if a log is lost and the lane must be opened again.
    pub first_msn: OutputMsn,
    /// The discontinuity number before the first step: 0 for a new lane, the Unix
    /// second for one opened again.
    pub first_discontinuity: u64,
    /// When it was opened.
    pub opened_at: UnixMs,
}

impl Header {
    /// EXT-X-TARGETDURATION as time.
    #[must_use]
    pub fn target(&self) -> Duration {
        Duration::from_secs(u64::from(self.target_duration))
    }
    /// A log that was lost was opened again under the same lane id.
    #[must_use]
    pub fn reopened(&self) -> bool {
        self.first_discontinuity > 0
    }
}
