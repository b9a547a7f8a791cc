//! A media playlist as a watch keeps it: what the rules compare, as text, and nothing that a
//! player could not use.

use std::sync::Arc;
use std::time::Duration;

/// A media playlist as it was shown once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// EXT-X-TARGETDURATION.
    pub target: Duration,
    /// EXT-X-MEDIA-SEQUENCE; 0 if absent (RFC 8216, 4.3.3.2).
    pub first_msn: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE; 0 if absent (RFC 8216, 4.3.3.3).
    pub discontinuity_sequence: u64,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// EXT-X-PLAYLIST-TYPE.
    pub kind: Option<Kind>,
    /// EXT-X-I-FRAMES-ONLY: each entry is one frame, a byte range of a segment, and lasts until the
    /// next (RFC 8216, 4.3.3.6).
    pub iframes_only: bool,
    /// The EXT-X-DATERANGE lines in order, verbatim.
    pub dateranges: Vec<String>,
    /// The first EXT-X-MAP whose AES-128 key names no IV.
    pub map_without_iv: Option<String>,
    /// The segments in order.
    pub segments: Vec<Listed>,
}

/// EXT-X-PLAYLIST-TYPE (RFC 8216, 4.3.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Event,
    /// Never changes.
    Vod,
}

impl Shown {
    /// The newest MSN; none in an empty list.
    #[must_use]
    pub fn last_msn(&self) -> Option<u64> {
        self.segments.last().map(|s| s.msn)
    }
    /// All the content it lists.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|s| s.duration).sum()
    }
    /// The segments from `msn` on.
    #[must_use]
    pub fn from(&self, msn: u64) -> &[Listed] {
        let before = self.segments.partition_point(|s| s.msn < msn);
        self.segments.get(before..).unwrap_or_default()
    }
    /// A segment says at which date it begins.
    #[must_use]
    pub fn dated(&self) -> bool {
        self.segments.iter().any(|s| s.date.is_some())
    }
}

/// One segment as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub msn: u64,
    /// Its URI, verbatim.
    pub uri: String,
    /// EXTINF.
    pub duration: Duration,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Its discontinuity number (RFC 8216, 4.3.3.3).
    pub discontinuity_number: u64,
    /// EXT-X-GAP.
    pub gap: bool,
    /// EXT-X-BYTERANGE: length and offset.
    pub range: Option<(u64, u64)>,
    /// The EXT-X-MAP line in force. Shared by the segments that have it: a window may list
    /// thousands.
    pub map: Option<Arc<str>>,
    /// The EXT-X-KEY lines in force, shared likewise.
    pub keys: Arc<[String]>,
    /// EXT-X-PROGRAM-DATE-TIME, verbatim. Some servers write it at the head of the window only,
    /// so it is compared where both sides have it.
    pub date: Option<String>,
    /// The date it begins with, told or counted on from one before it.
    pub moment: Option<Moment>,
    /// What EXTINF may have been rounded by.
    pub blur_ms: u64,
    /// The other tag lines of the segment, in order.
    pub lines: Vec<String>,
    /// It stands first, so that unknown tags among its lines may be the whole playlist's.
    pub head: bool,
}

/// A point on the wall clock, as EXT-X-PROGRAM-DATE-TIME and EXTINF give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix milliseconds.
    pub ms: u64,
    /// What rounded EXTINFs since the date that was told may have added up to.
    pub blur_ms: u64,
}

impl Moment {
    /// The moment after a segment of `duration`, which may be off by `blur_ms`.
    pub(super) fn after(self, duration: Duration, blur_ms: u64) -> Self {
        let ms = self.ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        Self { ms, blur_ms: self.blur_ms.saturating_add(blur_ms) }
    }
    /// How much later than `other` it is, milliseconds, beyond what rounding explains.
    pub(super) fn since(self, other: Self) -> i64 {
        let apart = self.ms.cast_signed().saturating_sub(other.ms.cast_signed());
        let blur = self.blur_ms.saturating_add(other.blur_ms).cast_signed();
        apart.signum() * apart.saturating_abs().saturating_sub(blur).max(0)
    }
}

impl Listed {
    /// The lines that say the same wherever the segment stands in the list.
    pub(super) fn comparable(&self, head: bool) -> Vec<&str> {
        let own = |l: &&str| l.starts_with("#EXTINF");
        self.lines.iter().map(String::as_str).filter(|l| !head || own(l)).collect()
    }
    /// Where it ends on the wall clock.
    pub(super) fn end(&self) -> Option<Moment> {
        self.moment.map(|m| m.after(self.duration, self.blur_ms))
    }
    /// Its bytes are whole blocks of AES: all of it is encrypted, and padded (RFC 8216, 4.3.2.4).
    pub(super) fn is_aes_128(&self) -> bool {
        self.keys.iter().any(|k| super::read::is_identity_aes_128(k))
    }
}
