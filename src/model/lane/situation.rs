//! What the decision looks at, and what it says.

use std::time::Duration;

use super::{Cutting, Held, Listed, Log, Resource, SpliceReason, Step, Track};
use crate::model::align::Relation;
use crate::model::names::{PackagerId, PackagerMsn, UnixMs};

/// All that the decision looks at.
pub struct Situation<'a> {
    /// Now.
    pub now: UnixMs,
    /// The log so far.
    pub log: &'a Log,
    /// Per rendition of the header: its bytes are to be held before a step is appended.
    pub wanted: &'a [bool],
    /// The packagers whose playlists are refreshed, in the order of preference.
    pub candidates: &'a [Candidate<'a>],
    /// Since when this process has been able to carry the lane on: it is not late before.
    pub carried_since: UnixMs,
    /// When another proxy's step of the tail's run was last heard of: the packager goes on for that one,
    /// whatever is seen of it here.
    pub elsewhere: Option<UnixMs>,
    /// Other proxies answer now: what fails here may go on for them.
    pub fleet: bool,
    /// The store cannot be asked, so others may decide otherwise: only direct successors are appended, and the
    /// lane leaves its packager only when that fails.
    pub alone: bool,
    /// A stream that every packager calls gone or ended for this long is over.
    pub end_after: Duration,
    /// Where no keyframe fits a splice the earlier one is taken, and content repeated, instead of
    /// the later one.
    pub overlap: bool,
}

/// A packager as this lane may use it.
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a PackagerId,
    /// Why the lane must not use it; none where it may.
    pub barred: Option<SpliceReason>,
    /// Since when it has said that there is no such stream, or that it has ended.
    pub over_since: Option<UnixMs>,
    /// Its tracks, matched to the header's renditions; none where one is not shown yet.
    pub tracks: Vec<Option<&'a Track>>,
    /// Per rendition: it has none that could stand in. Empty: it has all.
    pub lacks: Vec<bool>,
    /// How the run that the lane is on relates to the one that is on here.
    pub relation: Option<Relation>,
    /// Per rendition: what stands in its list before that which the track looks at, for a lane
    /// that opens on a long window.
    pub depth: Vec<&'a [Listed]>,
}

/// Bytes that the next step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// From whom.
    pub packager: PackagerId,
    /// Of which rendition (place in the header).
    pub rendition: usize,
    /// The run that lists it.
    pub run: u32,
    /// What.
    pub what: What,
}

/// A segment, what it cannot be played without, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A segment.
    Segment {
        /// Its number on the packager.
        msn: PackagerMsn,
        /// Where it is.
        at: Resource,
        /// All of it is ciphertext (METHOD=AES-128): its beginning tells nothing.
        encrypted: bool,
    },
    /// An init segment or a key.
    Asset {
        /// Where it is.
        at: Resource,
        /// A key of 16 bytes.
        key_of_16: bool,
    },
    /// The keyframes in the first part of a standby's segment.
    Glimpse {
        /// Its number on the packager.
        msn: PackagerMsn,
        /// Where that part is.
        at: Resource,
    },
    /// The tail of a segment, to be made of what is held.
    Tail {
        /// Which.
        cutting: Cutting,
        /// Where the segment is.
        at: Resource,
        /// The segment, and the one before it first where that is needed.
        of: Vec<Held>,
        /// The init segment.
        init: Option<Held>,
    },
}

impl What {
    /// A whole segment.
    #[must_use]
    pub const fn is_segment(&self) -> bool {
        matches!(self, Self::Segment { .. })
    }
    /// Where it is.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        match self {
            Self::Segment { at, .. }
            | Self::Asset { at, .. }
            | Self::Glimpse { at, .. }
            | Self::Tail { at, .. } => at,
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Append these steps to the tail they were computed from: one, but for the depth that a lane
    /// opens with.
    Append(Vec<Step>),
    /// Nothing yet.
    Wait,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do with the log.
    pub action: Action,
    /// Bytes to fetch, most urgent first.
    pub wants: Vec<Want>,
    /// When to look again, if nothing happens before.
    pub wake: UnixMs,
    /// In a word, for whoever looks at the lane.
    pub why: &'static str,
}
