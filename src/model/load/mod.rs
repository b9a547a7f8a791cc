//! What packagers say of how much they carry: the kinds of packagers, and readers of what each kind
//! reports. A reader takes what it understands and keeps a bounded part of the rest.

mod kind;
mod wcs;
mod wowza;

pub use kind::Kind;
pub use wcs::{Bound, Stats};
pub use wowza::{Counts, StreamSessions};

/// Why a report cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not the text that this kind of packager writes.
    #[error("is no {0}")]
    Other(&'static str),
    /// It ends in the middle.
    #[error("ends in the middle")]
    Cut,
    /// Nested deeper than any server writes.
    #[error("is nested too deep")]
    Deep,
}

/// Which number of a Wowza report is the packager's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WowzaLoad {
    /// `ConnectionsCurrent` of the server.
    #[default]
    Connections,
    /// `SessionsTotal` of all streams.
    Sessions,
    /// `SessionsCupertino` of all streams.
    HlsSessions,
}

/// What a packager reported.
#[derive(Clone, Debug, PartialEq)]
pub enum Reported {
    /// A Wowza's `/connectioncounts`.
    Wowza(Counts),
    /// A Web Call Server's `?action=stat`.
    Wcs(Stats),
}
