//! Why a segment cannot be used, or not be cut.

use super::Ticks;

/// A fact about bytes from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// An error page, garbage, another container.
    #[error("it is not {0}")]
    NotMedia(&'static str),
    /// It ends in the middle of something.
    #[error("it is cut off after {0} bytes")]
    Truncated(usize),
    /// Its tables or boxes tell of nothing that is shown.
    #[error("it has neither pictures nor sound")]
    Empty,
    /// A track of pictures without one.
    #[error("it has no picture")]
    NoPicture,
    /// The tables or the init segment that it is read with are not at hand, or say nothing that is understood.
    #[error("nothing tells how to read it")]
    Unreadable,
    /// Samples that are encrypted are spliced at borders.
    #[error("it is encrypted")]
    Encrypted,
    /// No keyframe at that time, or one that needs what comes before.
    #[error("it cannot be cut at {0:?}")]
    NoKeyframe(Ticks),
    /// What a reader of its container does not believe.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Damage {
    /// It is the segment that is at fault: players could not show it. What is only not understood here is
    /// judged where other segments of its run were. `understood`: some were.
    #[must_use]
    pub const fn counts(&self, understood: bool) -> bool {
        match self {
            Self::NotMedia(_) => true,
            Self::Truncated(_)
            | Self::NoPicture
            | Self::Empty
            | Self::Malformed(_)
            | Self::Unreadable => understood,
            Self::Encrypted | Self::NoKeyframe(_) => false,
        }
    }
}
