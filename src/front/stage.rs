//! Where the process stands between its start and its end: what readiness and `Connection: close`
//! follow. Set by the lifecycle, read with every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// The stages, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Not ready yet: configuration or store are not open.
    Starting = 0,
    /// Ready.
    Serving = 1,
    /// The listening sockets go to a new process: ready still, since both answer on them, but
    /// connections are closed after their answer, so that they come back to the new one.
    HandingOver = 2,
    /// On its way out: not ready, serves on, closes connections after their answer.
    Draining = 3,
}

/// The stage, and the requests in flight.
#[derive(Debug, Default)]
pub struct Stages {
    stage: AtomicU8,
    blind: AtomicBool,
    in_flight: AtomicUsize,
    beginning: AtomicUsize,
}

impl Stages {
    /// Goes on to `stage`; never back.
    pub fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }
    /// Where the process stands.
    #[must_use]
    pub fn now(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            2 => Stage::HandingOver,
            _ => Stage::Draining,
        }
    }
    /// What the other proxies carry is not known yet, or is.
    pub fn set_blind(&self, blind: bool) {
        self.blind.store(blind, Ordering::Release);
    }
    /// A load balancer may send viewers here.
    #[must_use]
    pub fn ready(&self) -> bool {
        let serves = matches!(self.now(), Stage::Serving | Stage::HandingOver);
        serves && !self.blind.load(Ordering::Acquire)
    }
    /// Connections end with the answer under way.
    #[must_use]
    pub fn closing(&self) -> bool {
        self.now() >= Stage::HandingOver
    }
    /// Somebody waits for an answer, or is about to.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.in_flight() > 0 || self.beginning.load(Ordering::Acquire) > 0
    }
    /// Requests whose answer is not out yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// One request in flight; counted until dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Stages>);

impl InFlight {
    /// Counts one more.
    #[must_use]
    pub fn begin(stages: &Arc<Stages>) -> Self {
        stages.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(stages))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One connection whose first request is under way, its header perhaps not here yet; counted
/// until dropped.
#[derive(Debug)]
pub struct Beginning(Arc<Stages>);

impl Beginning {
    /// Counts one more.
    #[must_use]
    pub fn begin(stages: &Arc<Stages>) -> Self {
        stages.beginning.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(stages))
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.0.beginning.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_never_left_backwards() {
        let stages = Stages::default();
        assert!(!stages.ready());
        stages.reach(Stage::Draining);
        stages.reach(Stage::Serving);
        assert_eq!(stages.now(), Stage::Draining);
        assert!(!stages.ready() && stages.closing());
    }

    #[test]
    fn who_sees_nobody_is_not_ready() {
        let stages = Stages::default();
        stages.set_blind(true);
        stages.reach(Stage::Serving);
        assert!(!stages.ready());
        stages.set_blind(false);
        assert!(stages.ready());
    }

    #[test]
    fn a_hand_over_stays_ready_and_closes() {
        let stages = Stages::default();
        stages.reach(Stage::Serving);
        assert!(stages.ready() && !stages.closing());
        stages.reach(Stage::HandingOver);
        assert!(stages.ready() && stages.closing());
    }
}
