//! The border between steps of two runs: why it is there, how its place was found, and what it costs.

use serde::{Deserialize, Serialize};

use crate::model::align::Method;
use crate::model::names::PackagerId;

/// The border between steps of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Splice {
    /// The packager that was left (the same one where it restarted).
    pub from: PackagerId,
    /// Why.
    pub reason: SpliceReason,
    /// How the place was found.
    pub method: SpliceMethod,
    /// Content lost (positive) or repeated (negative), milliseconds, as far as the method knows.
    pub gap_ms: i64,
}

/// Why a lane left a run. The names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpliceReason {
    /// The packager refuses, times out or answers errors.
    Failed,
    /// Its playlist stands still while a sibling moves.
    Stalled,
    /// A segment that it lists cannot be had whole.
    SegmentLost,
    /// It restarted: same names, another run.
    Restarted,
    /// It says that the stream is gone or ended while a sibling lives.
    Ended,
    /// Its health check says so.
    Unhealthy,
    /// An operator takes it out.
    Drained,
    /// The lane was resumed after nobody had watched it, or its log was lost.
    Resumed,
}

impl SpliceReason {
    /// The name in logs, metrics and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::SegmentLost => "segment_lost",
            Self::Restarted => "restarted",
            Self::Ended => "ended",
            Self::Unhealthy => "unhealthy",
            Self::Drained => "drained",
            Self::Resumed => "resumed",
        }
    }
}

/// Where in the segments of the packager that was come to a splice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplicePlace {
    /// Within one, at a keyframe.
    Keyframe,
    /// Where one begins.
    Border,
    /// The same, for what is encrypted cannot be looked into or cut.
    EncryptedBorder,
}

impl SplicePlace {
    /// In logs and `/status.json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyframe => "keyframe",
            Self::Border => "border",
            Self::EncryptedBorder => "border, since it is encrypted",
        }
    }
}

/// How the place of a splice was found: the ladder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpliceMethod {
    /// The same coded pictures are in both runs: the splice is at the frame.
    Keyframe,
    /// They were, a while ago.
    Pts,
    /// EXT-X-PROGRAM-DATE-TIME on both sides, with which arrival agreed.
    ProgramDateTime,
    /// When each side's segments were first seen.
    Arrival,
    /// Nothing aligned in time: the sibling's newest.
    Newest,
}

impl From<Method> for SpliceMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Keyframe => Self::Keyframe,
            Method::Pts => Self::Pts,
            Method::ProgramDateTime => Self::ProgramDateTime,
            Method::Arrival => Self::Arrival,
        }
    }
}

impl SpliceMethod {
    /// The name in logs, metrics and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyframe => "keyframe",
            Self::Pts => "pts",
            Self::ProgramDateTime => "program_date_time",
            Self::Arrival => "arrival",
            Self::Newest => "newest",
        }
    }
}
