//! A lane's header: what is frozen when the lane opens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Held;
use crate::model::names::{LaneId, OutputMsn, StreamKey, UnixMs};
use crate::model::playlist::Extent;
use crate::model::rendition::Rendition;

/// The format version written with every header and step. Old ones print the same for ever.
pub const FORMAT: u16 = 2;

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
    /// The zone whose viewers it opened for; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
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
    /// Whether the lane's playlists slide, only grow, or are whole from the beginning.
    #[serde(default)]
    pub extent: Extent,
    /// EXT-X-PROGRAM-DATE-TIME stands at every segment, whichever packager it is of. Where it does
    /// not, dates and date ranges of all packagers are left out (RFC 8216bis, 6.2.1): logs of
    /// the first format carry them as they come.
    #[serde(default = "yes")]
    pub dates: bool,
    /// The EXT-X-START line (RFC 8216, 4.3.5.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// What the multivariant playlist names and is of no rendition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<SessionResource>,
    /// How much content a playlist lists at the least.
    pub window: Duration,
    /// How much of it, from the tail back, is held. What lies deeper is fetched when it is asked
    /// for.
    #[serde(default = "all")]
    pub depth_held: Duration,
    /// The first MSN: counted from the time of the opening, faster than a lane gains steps, so
    /// that numbers rise even if a log is lost and the lane must be opened again.
    pub first_msn: OutputMsn,
    /// The discontinuity number before the first step: 0 for a new lane; for one opened again
    /// one that rises with time, so that it is above what the lost log had, and is small.
    pub first_discontinuity: u64,
    /// When it was opened.
    pub opened_at: UnixMs,
}

const fn yes() -> bool {
    true
}

const fn all() -> Duration {
    Duration::MAX
}

/// What EXT-X-SESSION-DATA, EXT-X-SESSION-KEY or EXT-X-CONTENT-STEERING names on the packager:
/// held as it was when the lane opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResource {
    /// Its file name in our URLs, such as `data-0.json` or `key-s0`.
    pub name: String,
    /// Its bytes.
    pub held: Held,
}

impl Header {
    /// EXT-X-TARGETDURATION as time.
    #[must_use]
    pub fn target(&self) -> Duration {
        Duration::from_secs(u64::from(self.target_duration))
    }
    /// How long bytes are kept at the least from when they are listed: for what of the window is held, and what
    /// players may ask for after that.
    #[must_use]
    pub fn kept_for(&self) -> Duration {
        self.window.min(self.depth_held).saturating_add(self.target() * 10)
    }
    /// More is listed than is held.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.depth_held < self.window || self.extent != Extent::Sliding
    }
    /// A log that was lost was opened again under the same lane id.
    #[must_use]
    pub fn reopened(&self) -> bool {
        self.first_discontinuity > 0
    }
}
