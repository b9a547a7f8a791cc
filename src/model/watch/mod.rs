//! What a player sees of a live stream over time, judged against RFC 8216 and ARCHITECTURE.md's laws.
//!
//! `read` reads a playlist tolerantly; `observer` takes every answer and returns the breaches in
//! it; `track` judges one playlist against its own past, `across` against the others. Pure: time
//! comes in as a value, so that a table of playlists tests each rule.

use std::fmt;
use std::time::Duration;

mod across;
pub mod multivariant;
mod observer;
mod read;
#[cfg(test)]
mod tests;
mod track;

pub use observer::{Answer, Fetched, Observer, Polled, Seen, Summary, Wanted};
pub use read::{Listed, Shown, Unreadable, read};

/// One playlist under watch: which of the URLs given, and which rendition of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the URL on the command line, from 0.
    pub url: usize,
    /// The rendition: `v0`, `a0`, or empty for a lone media playlist.
    pub rendition: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url + 1;
        match self.rendition.as_str() {
            "" => write!(f, "{url}"),
            rendition => write!(f, "{url}/{rendition}"),
        }
    }
}

/// A rule that was broken. Names are stable: they are what `--json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The first MSN fell.
    FirstMsnFell,
    /// The last MSN fell.
    LastMsnFell,
    /// Segments were never listed, or left before a player could see them.
    Hole,
    /// Another URI at the same MSN.
    OtherUri,
    /// Other lines at the same MSN.
    OtherLines,
    /// Other bytes behind the same URI or MSN.
    OtherBytes,
    /// EXT-X-DISCONTINUITY was added to or taken from a segment already listed.
    DiscontinuityChanged,
    /// EXT-X-DISCONTINUITY-SEQUENCE does not count what left the window.
    DiscontinuitySequence,
    /// EXT-X-TARGETDURATION changed.
    TargetDurationChanged,
    /// EXT-X-TARGETDURATION differs between renditions or URLs.
    TargetDurationDiffers,
    /// EXTINF, rounded, is over the target duration.
    SegmentTooLong,
    /// No new segment for more than 1.5 target durations.
    EdgeStale,
    /// A removal left less than 3 target durations.
    Shrunk,
    /// A known playlist or a listed segment was not answered with 200.
    NotOk,
    /// A body was shorter than its Content-Length.
    CutShort,
    /// Renditions of one stream disagree on what an MSN is.
    RenditionsDisagree,
    /// EXT-X-MAP changed without EXT-X-DISCONTINUITY.
    MapWithoutDiscontinuity,
    /// Something changed after EXT-X-ENDLIST.
    EndedThenMore,
    /// The edges of two URLs are half a target duration or more apart.
    EdgesApart,
    /// Numbers that players cannot hold.
    MsnTooLarge,
    /// Not a media playlist.
    Unparsable,
}

impl Rule {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }
    /// Where it stands: RFC 8216's section, or the law of ARCHITECTURE.md where the RFC has none.
    #[must_use]
    pub const fn basis(self) -> &'static str {
        self.row().1
    }
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::FirstMsnFell => ("first_msn_fell", "RFC 8216 6.2.2"),
            Self::LastMsnFell => ("last_msn_fell", "RFC 8216 6.2.1"),
            Self::Hole => ("hole", "RFC 8216 6.2.2"),
            Self::OtherUri => ("other_uri", "RFC 8216 6.2.1"),
            Self::OtherLines => ("other_lines", "RFC 8216 6.2.1"),
            Self::OtherBytes => ("other_bytes", "law 1"),
            Self::DiscontinuityChanged => ("discontinuity_changed", "RFC 8216 6.2.1"),
            Self::DiscontinuitySequence => ("discontinuity_sequence", "RFC 8216 6.2.2"),
            Self::TargetDurationChanged => ("target_duration_changed", "RFC 8216 6.2.1"),
            Self::TargetDurationDiffers => ("target_duration_differs", "RFC 8216 6.2.4"),
            Self::SegmentTooLong => ("segment_too_long", "RFC 8216 4.3.3.1"),
            Self::EdgeStale => ("edge_stale", "RFC 8216 6.2.1"),
            Self::Shrunk => ("shrunk", "RFC 8216 6.2.2"),
            Self::NotOk => ("not_ok", "RFC 8216 6.2.2"),
            Self::CutShort => ("cut_short", "law 5"),
            Self::RenditionsDisagree => ("renditions_disagree", "law 7"),
            Self::MapWithoutDiscontinuity => ("map_without_discontinuity", "RFC 8216 4.3.2.3"),
            Self::EndedThenMore => ("ended_then_more", "RFC 8216 4.3.3.4"),
            Self::EdgesApart => ("edges_apart", "law 2"),
            Self::MsnTooLarge => ("msn_too_large", "RFC 8216 4.2"),
            Self::Unparsable => ("unparsable", "RFC 8216 4.1"),
        }
    }
}

/// One breach, with both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What was broken.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// When, since the watch began.
    pub at: Duration,
    /// The segment it is about.
    pub msn: Option<u64>,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// The same in one sentence.
    pub sentence: String,
}

/// What the rules have to tell; `observer` adds where and when.
#[derive(Debug)]
struct Finding {
    rule: Rule,
    msn: Option<u64>,
    expected: String,
    found: String,
    sentence: String,
}

impl Finding {
    #[allow(clippy::needless_pass_by_value)] // texts and numbers alike, as they come
    fn new(
        rule: Rule,
        msn: Option<u64>,
        expected: impl ToString,
        found: impl ToString,
        sentence: String,
    ) -> Self {
        Self { rule, msn, expected: expected.to_string(), found: found.to_string(), sentence }
    }
}

/// Seconds with a tenth, as sentences show them.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
