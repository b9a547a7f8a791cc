//! Media playlists as packagers write them, without losing a line (ARCHITECTURE.md, law 8).
//!
//! `parse` reads one; `Segment::lines` are what goes on to viewers as it was written.
//! m3u8-rs reads multivariant playlists and judges our output in tests: it keeps one key and
//! one date range a segment, so it cannot carry media playlists.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::lane::ByteRange;
use crate::model::names::PackagerMsn;

mod assets;
pub(in crate::model) mod attributes;
pub(in crate::model) mod date;
mod keys;
pub(in crate::model) mod lines;
mod parse;
mod variables;

#[cfg(test)]
mod tests;

pub use assets::reached;
pub use parse::{parse, parse_with, shape};
pub use variables::{Context, Variables};

/// How large a playlist may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole body, bytes; as much again for what it unfolds to.
    pub bytes: usize,
    /// One line, bytes.
    pub line_bytes: usize,
    /// Segments.
    pub segments: usize,
    /// Of so many segments, the newest, everything is kept. Those before them are counted, and
    /// what goes on from them is carried over: keys, maps, dates, byte ranges.
    pub kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, line_bytes: 64 << 10, segments: 50_000, kept: usize::MAX }
    }
}

/// The two kinds of playlists (RFC 8216, 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It lists renditions.
    Multivariant,
    /// It lists segments.
    Media,
}

/// Why a playlist cannot be used. `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistError {
    /// The body, or what it unfolds to, is over the limit in bytes.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// A line is over the limit in bytes.
    #[error("line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// Where.
        line: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// More segments than the limit.
    #[error("more than {limit} segments")]
    TooManySegments {
        /// The limit.
        limit: usize,
    },
    /// Not UTF-8 (RFC 8216, 4.1).
    #[error("not UTF-8")]
    NotUtf8,
    /// It does not begin with `#EXTM3U`, or has no tag of either kind of playlist.
    #[error("not an HLS playlist")]
    NotPlaylist,
    /// A multivariant playlist where a media playlist was due.
    #[error("a multivariant playlist, not a media playlist")]
    Multivariant,
    /// No EXT-X-TARGETDURATION (RFC 8216, 4.3.3.1).
    #[error("no EXT-X-TARGETDURATION")]
    NoTargetDuration,
    /// A tag whose value is none, or out of all bounds.
    #[error("line {line}: bad {tag}")]
    BadTag {
        /// Where.
        line: usize,
        /// The tag, without `#`.
        tag: &'static str,
    },
    /// A segment without EXTINF.
    #[error("line {line}: a segment without EXTINF")]
    NoDuration {
        /// Where.
        line: usize,
    },
    /// An EXTINF after which no URI came.
    #[error("line {line}: another EXTINF before a URI")]
    NoUri {
        /// Where.
        line: usize,
    },
    /// An empty URI, or one with control characters.
    #[error("line {line}: bad URI")]
    BadUri {
        /// Where.
        line: usize,
    },
    /// EXT-X-BYTERANGE without offset and nothing to follow, or beyond all bounds.
    #[error("line {line}: EXT-X-BYTERANGE without a predecessor")]
    NoPredecessor {
        /// Where.
        line: usize,
    },
    /// A variable that is not defined here.
    #[error("line {line}: a variable without a value")]
    Variable {
        /// Where.
        line: usize,
    },
    /// A delta update (EXT-X-SKIP), which was not asked for.
    #[error("a delta update that was not asked for")]
    Delta,
}

/// What may become of a playlist (EXT-X-PLAYLIST-TYPE and EXT-X-ENDLIST, RFC 8216, 4.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// A window that slides.
    #[default]
    Sliding,
    /// Segments are added and never removed: EXT-X-PLAYLIST-TYPE EVENT.
    Event,
    /// All of it is there: EXT-X-PLAYLIST-TYPE VOD.
    Whole,
}

/// A media playlist as one packager showed it once.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaPlaylist {
    /// EXT-X-VERSION; 1 if absent (RFC 8216, 4.3.1.2).
    pub version: u16,
    /// EXT-X-TARGETDURATION, seconds (RFC 8216, 4.3.3.1).
    pub target_duration: u32,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// EXT-X-ENDLIST (RFC 8216, 4.3.3.4).
    pub ended: bool,
    /// EXT-X-PLAYLIST-TYPE (RFC 8216, 4.3.3.5).
    pub extent: Extent,
    /// EXT-X-I-FRAMES-ONLY (RFC 8216, 4.3.3.6).
    pub i_frames_only: bool,
    /// The EXT-X-START line (RFC 8216, 4.3.5.2), as the packager wrote it.
    pub start: Option<String>,
    /// How many segments stand before those that are kept.
    pub skipped: u64,
    /// The segments, in order, numbered from EXT-X-MEDIA-SEQUENCE (RFC 8216, 4.3.3.2).
    pub segments: Vec<Segment>,
}

impl MediaPlaylist {
    /// All the content it lists.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|s| s.duration).sum()
    }
}

/// One segment as its packager wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its number on the packager.
    pub msn: PackagerMsn,
    /// Its URI, verbatim; not resolved.
    pub uri: String,
    /// EXTINF as time (RFC 8216, 4.3.2.1); never negative, NaN or over an hour.
    pub duration: Duration,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// EXT-X-GAP: its bytes cannot be had.
    pub gap: bool,
    /// EXT-X-BYTERANGE, with the offset worked out (RFC 8216, 4.3.2.2).
    pub range: Option<ByteRange>,
    /// EXT-X-PROGRAM-DATE-TIME of its first sample, Unix milliseconds, where the packager wrote
    /// one on this segment.
    pub program_date_time: Option<u64>,
    /// The EXT-X-MAP in force (RFC 8216, 4.3.2.5).
    pub map: Option<Arc<Map>>,
    /// The EXT-X-KEYs in force, one for each KEYFORMAT (RFC 8216, 4.3.2.4); none: it is clear.
    pub keys: Arc<[Key]>,
    /// Tag lines that stand before its URI and go on as they are, EXTINF among them; without
    /// DISCONTINUITY, BYTERANGE, MAP, KEY and the low-latency tags.
    pub lines: Vec<String>,
}

/// An EXT-X-MAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Its URI, verbatim.
    pub uri: String,
    /// Its BYTERANGE.
    pub range: Option<ByteRange>,
    /// The EXT-X-KEYs in force where it stands: what the init segment itself is encrypted with.
    pub keys: Arc<[Key]>,
}

/// An EXT-X-KEY with a METHOD other than NONE (RFC 8216, 4.3.2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its URI, verbatim.
    pub uri: String,
    /// Its KEYFORMAT; `identity` if absent.
    pub format: String,
    /// METHOD=AES-128: the whole segment is ciphertext.
    pub whole_segment: bool,
    /// No IV stands there, and the segment's number is taken for one.
    pub numbers_are_ivs: bool,
    /// Its attributes as they were written, up to the URI's value.
    pub before: String,
    /// And from its end on.
    pub after: String,
}
