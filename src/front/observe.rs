//! What the front tells of each answer, to metrics and to the access log.

use std::time::Duration;

use crate::model::names::PoolName;

/// The kinds of requests, as metrics and logs name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A multivariant playlist.
    Entry,
    /// A media playlist.
    Playlist,
    /// A segment.
    Segment,
    /// An init segment.
    Init,
    /// A key.
    Key,
    /// What the multivariant playlist names beside renditions.
    Data,
    /// `/.segue/healthz` and `/.segue/readyz`.
    Health,
    /// CORS preflight, and whatever was refused before its kind was known.
    Other,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Entry,
        Self::Playlist,
        Self::Segment,
        Self::Init,
        Self::Key,
        Self::Data,
        Self::Health,
        Self::Other,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Init => "init",
            Self::Key => "key",
            Self::Data => "data",
            Self::Health => "health",
            Self::Other => "other",
        }
    }
}

/// One request answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The pool that its host leads to; none before that is known.
    pub pool: Option<PoolName>,
    /// The key of the limit that it was refused for.
    pub refused: Option<&'static str>,
    /// What was asked.
    pub kind: Kind,
    /// The status sent; 0 if the viewer left before.
    pub status: u16,
    /// Bytes of the body sent.
    pub bytes: u64,
    /// From the request's header to the answer's last byte.
    pub elapsed: Duration,
    /// The viewer left, or was let go, before the end.
    pub cut: bool,
}

/// Who is told.
pub trait Observer: Send + Sync {
    /// A request was answered.
    fn answered(&self, answered: Answered);
    /// A request did not show that it came through the CDN.
    fn not_through_cdn(&self) {}
}

/// Nobody is told.
pub struct Nobody;

impl Observer for Nobody {
    fn answered(&self, _answered: Answered) {}
}
