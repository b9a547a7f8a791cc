//! Steps and entries: what a lane's log is made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Splice, SplicePlace};
use crate::model::media::{Content, Joint, PictureHash, Ticks};
use crate::model::names::{ContentHash, OutputMsn, PackagerId, PackagerMsn, ProxyId, UnixMs};

/// One output media sequence number of a lane: a moment, with each rendition's share of it. Never
/// changed once appended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "stored::Stored")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splice: Option<Splice>,
    /// One per rendition, in the header's order. Empty in the step that ends the lane.
    pub shares: Vec<Share>,
    /// When it was appended; in the steps a lane opens with, when the packager had made it.
    pub listed_at: UnixMs,
    /// When, by arrival, the packager had made all of this content: the lane's content clock,
    /// by which another packager's segments are aligned.
    pub content_end: UnixMs,
    /// EXT-X-PROGRAM-DATE-TIME of the content's end as viewers are told it, where the packager
    /// writes one or the lane goes on counting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_end: Option<UnixMs>,
    /// What the dates of its packager are moved by since the splice, milliseconds, so that they
    /// go on where those of the packager before it ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub wall_shift_ms: i64,
    /// EXT-X-ENDLIST: the stream is over, this step carries no segment.
    #[serde(skip_serializing_if = "is_false")]
    pub end: bool,
    /// The proxies that held all of its bytes when it was appended, first the one that appended it. Empty where
    /// there is no fleet, and in logs from before there was one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<ProxyId>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(b: &bool) -> bool {
    !*b
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl Step {
    /// The length of its content: that of the first rendition that has any.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let mut shares = self.shares.iter();
        shares.find(|s| !s.entries.is_empty()).map_or(Duration::ZERO, Share::duration)
    }
    /// What it has of a rendition, by place in the header.
    #[must_use]
    pub fn entries(&self, rendition: usize) -> &[Entry] {
        self.shares.get(rendition).map_or(&[], |s| &s.entries)
    }
    /// All that it has of a rendition can be listed.
    #[must_use]
    pub fn lists(&self, rendition: usize) -> bool {
        self.shares.get(rendition).is_some_and(|s| s.entries.iter().all(Entry::listed))
    }
    /// Viewers of a rendition are given something of it: bytes, or that they are missing.
    #[must_use]
    pub fn carries(&self, rendition: usize) -> bool {
        self.lists(rendition) && !self.entries(rendition).is_empty()
    }
    /// Where in its packager's segments a splice is that it follows.
    #[must_use]
    pub fn place(&self) -> SplicePlace {
        let mut entries = self.shares.iter().filter_map(|share| share.entries.first());
        let by_content = entries.clone().any(|entry| entry.cut.is_some());
        match () {
            () if by_content => SplicePlace::Keyframe,
            () if entries.any(|entry| !entry.keys.is_empty()) => SplicePlace::EncryptedBorder,
            () => SplicePlace::Border,
        }
    }
    /// All bytes that its lists name and that are held: segments, init segments, keys.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        let entries = self.shares.iter().flat_map(|s| &s.entries);
        entries.flat_map(|e| e.held.into_iter().chain(e.assets()))
    }
}

/// One rendition's share of a step: one entry, where its segments share borders with those of the
/// first, or are as many. Else those that begin in it, which may be none (long subtitles) or
/// several (I-frames).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The number of its first entry, or of the one to come where there is none. The step's own
    /// number while the rendition has had one entry for each step.
    pub msn: OutputMsn,
    /// How many DISCONTINUITY tags stand before its first entry, or the one to come: those of steps
    /// before that had none count as well. None: as many as the step has itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<u64>,
    /// In order.
    pub entries: Vec<Entry>,
}

impl Share {
    /// The share that follows `before`: of a step with number `msn`, with a discontinuity or not.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        msn: OutputMsn,
        discontinuity: bool,
        entries: Vec<Entry>,
    ) -> Self {
        let own = u64::from(discontinuity);
        let open = before.filter(|b| b.entries.is_empty());
        let tags =
            open.map(|b| b.tags.unwrap_or(0).saturating_add(own)).filter(|tags| *tags != own);
        // One that is empty itself hands on what it has, its own included.
        let tags = if entries.is_empty() { tags.or(Some(own)).filter(|t| *t > 0) } else { tags };
        Self { msn: before.map_or(msn, Self::next_msn), tags, entries }
    }
    /// The number of the entry after its last.
    #[must_use]
    pub fn next_msn(&self) -> OutputMsn {
        OutputMsn(self.msn.0.saturating_add(self.entries.len() as u64))
    }
    /// Its entries with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (OutputMsn, &Entry)> {
        (self.msn.0..).map(OutputMsn).zip(&self.entries)
    }
    /// The length of its entries.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.entries.iter().map(|e| e.duration).sum()
    }
}

/// A segment of a rendition, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where the bytes come from.
    pub source: Source,
    /// EXTINF as time.
    pub duration: Duration,
    /// The tag lines that stand before the URI, EXTINF among them, as the packager wrote them but
    /// for dates that a splice moved. DISCONTINUITY, MAP, KEY and BYTERANGE are not among them:
    /// the printer writes those.
    pub lines: Vec<String>,
    /// The ending of the segment's name, such as `ts`: players look at it.
    pub extension: String,
    /// The bytes, once held. None: see the two that follow; and where neither holds nobody asked
    /// for this rendition when the step was appended, and its playlist begins later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// EXT-X-GAP (RFC 8216bis, 4.4.4.7): there are no bytes. The tag is among the lines.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gap: bool,
    /// It stands in for what its packager did not have in time: a gap, or subtitles that say
    /// nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stands_in: bool,
    /// Listed without being held: the depth of a long window, fetched when it is asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_demand: bool,
    /// The init segment in force (EXT-X-MAP, RFC 8216, 4.3.2.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Init>,
    /// The keys in force (EXT-X-KEY, RFC 8216, 4.3.2.4); none: it is clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// What was seen in it, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// It is the tail of a segment, after a splice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// What a splice needs to know of a segment, on the timeline of its packager's run: where it ended, and by
/// which pictures another run is compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where what follows begins.
    pub end: Joint,
    /// Its first keyframes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyframes: Vec<Mark>,
}

/// A keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When it is shown.
    pub pts: Ticks,
    /// The coded picture.
    pub picture: PictureHash,
}

impl Media {
    /// Keyframes that are noted of one segment.
    const MARKS: usize = 4;

    /// Of what a segment holds from `joint` on.
    #[must_use]
    pub fn of(content: &Content, joint: Option<&Joint>) -> Self {
        let keyframes = content.video.iter().flat_map(|video| &video.keyframes);
        let from = joint.and_then(|joint| joint.video);
        let kept = keyframes.filter(|k| from.is_none_or(|from| k.pts.since(from) >= 0));
        let marks = kept.map(|k| Mark { pts: k.pts, picture: k.hash }).take(Self::MARKS);
        Self { end: content.end(), keyframes: marks.collect() }
    }
}

/// How an entry's bytes are made of what its packager has, the same wherever they are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Where the tail begins.
    pub joint: Joint,
    /// The segment that it is the tail of: the entry's source, whole.
    pub whole: Held,
    /// The segment before that one, where the joint's sound is in it: the two are cut as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Part>,
}

/// A segment of a packager and its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Where they come from.
    pub source: Source,
    /// The bytes.
    pub held: Held,
}

impl Entry {
    /// What its source gave, whole: by that a run is known again.
    #[must_use]
    pub fn whole(&self) -> Option<Held> {
        self.cut.as_ref().map(|cut| cut.whole).or(self.held)
    }

    /// It stands in playlists.
    #[must_use]
    pub const fn listed(&self) -> bool {
        self.held.is_some() || self.gap || self.on_demand
    }
    /// The keys that its playlist names because of it: its own, and its init segment's.
    pub fn all_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().chain(self.map.iter().flat_map(|m| &m.keys))
    }
    /// The init segment and the keys that are held for it.
    pub fn assets(&self) -> impl Iterator<Item = Held> {
        let keys = self.all_keys().filter_map(|k| Some(k.held()?.1));
        self.map.iter().map(|m| m.held).chain(keys)
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// The bytes.
    pub held: Held,
    /// The ending of its name, such as `mp4`.
    pub extension: String,
    /// The keys in force where it stands: it may be encrypted itself, or be clear while the
    /// segments are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
}

/// An EXT-X-KEY: its attributes as the packager wrote them, cut where the URI stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its KEYFORMAT.
    pub format: String,
    /// The attributes up to the URI's value.
    pub before: String,
    /// Where the key is.
    pub uri: KeyUri,
    /// The attributes from the URI's end on, with the IV that the packager's number stood for.
    pub after: String,
}

impl Key {
    /// Its name and bytes, where it is ours to hold.
    #[must_use]
    pub fn held(&self) -> Option<(&str, Held)> {
        match &self.uri {
            KeyUri::Held { name, held } => Some((name, *held)),
            KeyUri::Elsewhere(_) => None,
        }
    }
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUri {
    /// On the packager, and so held like a segment.
    Held {
        /// What it is called in this lane's URLs, after `key-`. Not made of its bytes, which are
        /// a secret.
        name: String,
        /// The bytes.
        held: Held,
    },
    /// On another host, or no HTTP at all (`skd:`, `data:`): left alone.
    Elsewhere(String),
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

/// Steps as they were stored, the first format included.
mod stored {
    use super::{Deserialize, Entry, OutputMsn, PackagerId, ProxyId, Share, Splice, Step, UnixMs};

    #[derive(Deserialize)]
    pub(super) struct Stored {
        format: u16,
        msn: OutputMsn,
        packager: PackagerId,
        discontinuity: bool,
        discontinuity_number: u64,
        #[serde(default)]
        splice: Option<Splice>,
        #[serde(default)]
        shares: Vec<Share>,
        /// Format 1: one entry per rendition.
        #[serde(default)]
        entries: Vec<Entry>,
        listed_at: UnixMs,
        content_end: UnixMs,
        #[serde(default)]
        wall_end: Option<UnixMs>,
        #[serde(default)]
        wall_shift_ms: i64,
        #[serde(default)]
        end: bool,
        #[serde(default)]
        holders: Vec<ProxyId>,
    }

    impl From<Stored> for Step {
        fn from(s: Stored) -> Self {
            let first =
                s.entries.into_iter().map(|e| Share { msn: s.msn, tags: None, entries: vec![e] });
            Self {
                format: s.format,
                msn: s.msn,
                packager: s.packager,
                discontinuity: s.discontinuity,
                discontinuity_number: s.discontinuity_number,
                splice: s.splice,
                shares: s.shares.into_iter().chain(first).collect(),
                listed_at: s.listed_at,
                content_end: s.content_end,
                wall_end: s.wall_end,
                wall_shift_ms: s.wall_shift_ms,
                end: s.end,
                holders: s.holders,
            }
        }
    }
}
