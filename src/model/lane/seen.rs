//! What a refresh brings, and what is kept of it: resources, lists, segments with their bytes.

use std::sync::Arc;
use std::time::Duration;

use super::{ByteRange, Held, Source};
use crate::model::media::{Content, Joint, Keyframe, Ticks};
use crate::model::names::{PackagerMsn, UnixMs};
use crate::model::playlist::{Key, Segment};

/// A segment or init segment is asked for so often before it counts as lost.
const TRIES: u8 = 2;

/// A resource on the packager: absolute path and query, and the part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Absolute path and query.
    pub path: String,
    /// The part, if not the whole.
    pub range: Option<ByteRange>,
}

/// A segment of a list, its URIs resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// As the packager wrote it.
    pub segment: Segment,
    /// Where its bytes are.
    pub resource: Resource,
    /// Where its init segment is.
    pub map: Option<Resource>,
    /// Where each of its keys is on the packager; none: it is elsewhere.
    pub keys: Arc<[Option<Resource>]>,
    /// The same for the keys of its init segment.
    pub map_keys: Arc<[Option<Resource>]>,
}

impl Listed {
    /// What has to be held beside its bytes before it can be listed.
    pub fn assets(&self) -> impl Iterator<Item = Asset<'_>> {
        let key = |whole_segment: bool, resource| Asset { resource, key_of_16: whole_segment };
        let of = |keys: &'_ [Key]| keys.iter().map(|k| k.whole_segment).collect::<Vec<_>>();
        let own = of(&self.segment.keys).into_iter().zip(self.keys.iter());
        let maps = self.segment.map.as_ref().map(|m| of(&m.keys)).unwrap_or_default();
        let keys = own.chain(maps.into_iter().zip(self.map_keys.iter()));
        let keys = keys.filter_map(move |(whole, r)| Some(key(whole, r.as_ref()?)));
        self.map.iter().map(|resource| Asset { resource, key_of_16: false }).chain(keys)
    }
}

/// An init segment or a key that a segment cannot be played without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset<'a> {
    /// Where it is.
    pub resource: &'a Resource,
    /// A key of METHOD=AES-128, which has 16 bytes (RFC 8216, 4.3.2.4).
    pub key_of_16: bool,
}

/// A media playlist as one refresh brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// EXT-X-TARGETDURATION, seconds.
    pub target_duration: u32,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// How many older segments stand in the list before these: of a long list only the end is
    /// looked at with every refresh.
    pub skipped: u64,
    /// Its newest segments.
    pub segments: Vec<Listed>,
}

/// Whether bytes were asked for, and with what result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Where they are, once held.
    pub held: Option<Held>,
    /// Tries that failed.
    pub failures: u8,
}

impl Fetched {
    /// A fetch came to an end: what it brought, if anything.
    pub(super) const fn note(&mut self, held: Option<Held>) {
        match held {
            Some(h) => self.held = Some(h),
            None => self.failures = self.failures.saturating_add(1),
        }
    }
    /// It was tried often enough: it cannot be had.
    #[must_use]
    pub const fn lost(&self) -> bool {
        self.held.is_none() && self.failures >= TRIES
    }
}

/// A segment of the run that is on.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As it was listed first.
    pub listed: Listed,
    /// Content of the run up to the end of this segment.
    pub content_end: Duration,
    /// EXT-X-PROGRAM-DATE-TIME of its end, Unix milliseconds, worked out from the last one given.
    pub wall_end: Option<UnixMs>,
    /// Its bytes.
    pub bytes: Fetched,
    /// What is in them. None: they were not looked into, or nothing can be told of them.
    pub content: Option<Arc<Content>>,
    /// Keyframes seen in its first part alone. None: nobody looked; empty: that part told nothing.
    pub glimpse: Option<Arc<[Keyframe]>>,
}

/// The tail of a segment that a splice goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cutting {
    /// The segment's number on the packager.
    pub msn: PackagerMsn,
    /// Where the tail begins.
    pub joint: Joint,
    /// The segment before it is needed as well: the joint's sound is in that one.
    pub with_before: bool,
}

impl Seen {
    /// Its number on the packager.
    #[must_use]
    pub const fn msn(&self) -> PackagerMsn {
        self.listed.segment.msn
    }
    /// The keyframes that were seen in it.
    #[must_use]
    pub fn keyframes(&self) -> &[Keyframe] {
        let inside = self.content.as_ref().and_then(|content| content.video.as_ref());
        let glimpsed = || self.glimpse.as_deref().unwrap_or_default();
        inside.map_or_else(glimpsed, |video| &video.keyframes)
    }
    /// When its first picture is shown, as far as was looked.
    #[must_use]
    pub fn first_picture(&self) -> Option<Ticks> {
        let inside = self.content.as_ref().and_then(|content| content.video.as_ref());
        let glimpsed = || self.keyframes().first().map(|keyframe| keyframe.pts);
        inside.map_or_else(glimpsed, |video| Some(video.pts.first))
    }
    /// Its length.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.listed.segment.duration
    }
    /// As a step names it.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            msn: self.msn(),
            path: self.listed.resource.path.clone(),
            range: self.listed.resource.range,
        }
    }
    /// The bytes cannot be had: tried, or the packager says so itself (EXT-X-GAP).
    #[must_use]
    pub const fn lost(&self) -> bool {
        self.bytes.lost() || self.listed.segment.gap
    }
}

/// Refreshes that failed in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first was given up.
    pub since: UnixMs,
    /// How many.
    pub count: u32,
    /// Since when each one has said that there is no such playlist, if the last did.
    pub gone_since: Option<UnixMs>,
}

impl Failing {
    /// One more failure at `now`. A packager that is started again refuses first and then says
    /// for ever that there is no such playlist, so what came before does not count.
    pub fn note(failing: &mut Option<Self>, now: UnixMs, gone: bool) -> Self {
        let f = failing.get_or_insert(Self { since: now, count: 0, gone_since: None });
        f.count = f.count.saturating_add(1);
        f.gone_since = gone.then(|| f.gone_since.unwrap_or(now));
        *f
    }
}

/// What a refresh showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing new.
    Same,
    /// The run went on.
    Grew,
    /// Another run began.
    NewRun,
    /// It may go on, or be another run under the same names: [`Track::proof`] tells what to fetch.
    Doubtful,
}
