//! Steps and entries: what a lane's log is made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::names::{ContentHash, OutputMsn, PackagerId, PackagerMsn, UnixMs};

/// One output media sequence number of a lane, with one entry per rendition of the header.
/// Never changed once appended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// [`super::header::FORMAT`] at the time of writing.
    pub format: u16,
    /// Its number.
    pub msn: OutputMsn,
    /// Whose segments these are. The lane's packager is its tail's packager.
    pub packager: PackagerId,
    /// EXT-X-DISCONTINUITY stands before this segment (RFC 8216, 4.3.2.3).
    pub discontinuity: bool,
    /// The discontinuity number of this segment: all DISCONTINUITY tags up to and with this
    /// step, on top of the header's (RFC 8216, 6.2.1).
    pub discontinuity_number: u64,
    /// Why and how the lane came to another run here; none inside a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splice: Option<Splice>,
    /// One per rendition, in the header's order. Empty in the step that ends the lane.
    pub entries: Vec<Entry>,
    /// When it was appended; in the steps a lane opens with, when the packager had made it.
    pub listed_at: UnixMs,
    /// When, by arrival, the packager had made all of this content: the lane's content clock,
    /// by which another packager's segments are aligned.
    pub content_end: UnixMs,
    /// EXT-X-PROGRAM-DATE-TIME of the content's end, where the packager writes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_end: Option<UnixMs>,
    /// EXT-X-ENDLIST: the stream is over, this step carries no segment.
    #[serde(default, skip_serializing_if = "is_false")]
    pub end: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(b: &bool) -> bool {
    !*b
}

impl Step {
    /// The length of its content: that of the first rendition.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.entries.first().map_or(Duration::ZERO, |e| e.duration)
    }
}

/// One rendition's part of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where the bytes come from.
    pub source: Source,
    /// EXTINF as time.
    pub duration: Duration,
    /// The tag lines that stand before the URI, EXTINF among them, as the packager wrote them.
    /// DISCONTINUITY, MAP, KEY and BYTERANGE are not among them: the printer writes those.
    pub lines: Vec<String>,
    /// The ending of the segment's name, such as `ts`: players look at it.
    pub extension: String,
    /// The bytes, once held. None: nobody asked for this rendition when the step was
    /// appended, and its playlist begins later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The init segment in force (EXT-X-MAP, RFC 8216, 4.3.2.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Init>,
}

/// Bytes that the segment store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// Their hash, which is their name.
    pub hash: ContentHash,
    /// Their number.
    pub length: u64,
}

/// An init segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Init {
    /// The bytes.
    pub held: Held,
    /// The ending of its name, such as `mp4`.
    pub extension: String,
}

/// A segment as its packager names it. What a packager's list must still show, or must have
/// shown, to be the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its number there.
    pub msn: PackagerMsn,
    /// Absolute path and query on the packager.
    pub path: String,
    /// The part of the resource, if not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ByteRange>,
}

/// A part of a resource (EXT-X-BYTERANGE, RFC 8216, 4.3.2.2), in bytes, the offset written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

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

/// How the place of a splice was found: the ladder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpliceMethod {
    /// EXT-X-PROGRAM-DATE-TIME on both sides, with which arrival agreed.
    ProgramDateTime,
    /// When each side's segments were first seen.
    Arrival,
    /// Nothing aligned in time: the sibling's newest.
    Newest,
}

impl SpliceMethod {
    /// The name in logs, metrics and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProgramDateTime => "program_date_time",
            Self::Arrival => "arrival",
            Self::Newest => "newest",
        }
    }
}
