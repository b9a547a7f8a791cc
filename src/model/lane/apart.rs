//! What a log here and the same log in the store differ by, after a split.

use super::{Log, Step};

/// How far this proxy's copy of a lane's log has come apart from the store's.
#[derive(Clone, Debug, Default)]
pub struct Apart {}

impl Apart {
    /// A step of the store as it follows the log here.
    #[must_use]
    pub fn inward(&self, _log: &Log, step: Step) -> Step {
        step
    }

    /// A step that was computed from the log here as it follows the store's.
    #[must_use]
    pub fn outward(&self, step: Step) -> Step {
        step
    }
}
