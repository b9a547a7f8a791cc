//! Media playlists as packagers write them, without losing a line (design.md, law 8).
//!
//! `parse` reads one; `Segment::lines` are what goes on to viewers as it was written.
//! m3u8-rs reads multivariant playlists and judges our output in tests: it keeps one key and
//! one date range a segment, so it cannot carry media playlists.

use std::time::Duration;

use crate::model::lane::ByteRange;
use crate::model::names::PackagerMsn;

mod parse;




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
    pub map: Option<Map>,
    /// The EXT-X-KEY in force has a METHOD other than NONE (RFC 8216, 4.3.2.4).
    pub encrypted: bool,
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
}
