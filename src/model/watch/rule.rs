//! The rules, by the names that `--json` prints, and where each stands.

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
    /// The same MSN names another segment, or is listed with other lines, at another URL.
    Split,
    /// The edges of two URLs are half a target duration or more apart.
    EdgesApart,
    /// A key of AES-128 is not 16 bytes.
    KeyLength,
    /// A segment under AES-128 is no whole number of cipher blocks.
    CipherLength,
    /// EXT-X-MAP under an AES-128 key that names no IV.
    MapWithoutIv,
    /// EXT-X-PROGRAM-DATE-TIME does not go on by EXTINF where nothing is discontinuous.
    DateNotContinuous,
    /// EXT-X-PROGRAM-DATE-TIME jumps over a discontinuity by more than content can.
    DateJumps,
    /// One rendition has dates, and another has none.
    DatesDiffer,
    /// EXT-X-DATERANGE: the same ID with another value of an attribute.
    DaterangeClash,
    /// EXT-X-DATERANGE in a playlist without EXT-X-PROGRAM-DATE-TIME.
    DaterangeWithoutDate,
    /// A segment was removed from an EVENT playlist.
    EventRemoved,
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
            Self::Split => ("split", "law 1"),
            Self::EdgesApart => ("edges_apart", "law 2"),
            Self::KeyLength => ("key_length", "RFC 8216 4.3.2.4"),
            Self::CipherLength => ("cipher_length", "RFC 8216 4.3.2.4"),
            Self::MapWithoutIv => ("map_without_iv", "RFC 8216 4.3.2.5"),
            Self::DateNotContinuous => ("date_not_continuous", "RFC 8216 4.3.2.6"),
            Self::DateJumps => ("date_jumps", "RFC 8216 4.3.2.6"),
            Self::DatesDiffer => ("dates_differ", "RFC 8216bis 6.2.4"),
            Self::DaterangeClash => ("daterange_clash", "RFC 8216 4.3.2.7"),
            Self::DaterangeWithoutDate => ("daterange_without_date", "RFC 8216 4.3.2.7"),
            Self::EventRemoved => ("event_removed", "RFC 8216 4.3.3.5"),
            Self::MsnTooLarge => ("msn_too_large", "RFC 8216 4.2"),
            Self::Unparsable => ("unparsable", "RFC 8216 4.1"),
        }
    }
}
