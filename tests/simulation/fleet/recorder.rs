//! What a proxy tells: written into the trace, and splits and splices judged.

use std::sync::Arc;
use std::time::Duration;

use segue::model::lane::{Splice, SpliceReason, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, StreamKey};
use segue::stream::{CopiedFrom, Observer, Outcome};

use super::net::Net;
use crate::parts::Life;

pub struct Recorder {
    pub net: Arc<Net>,
    pub proxy: usize,
    pub life: Arc<Life>,
}

impl Recorder {
    fn note(&self, line: &str) {
        if self.life.is_alive() {
            self.net.sim.note(&format!("p{}: {line}", self.proxy));
        }
    }
}

impl Observer for Recorder {
    fn refreshed(&self, packager: &PackagerId, outcome: Outcome, _took: Duration) {
        if outcome != Outcome::Ok {
            self.note(&format!("playlist of {packager} {}", outcome.as_str()));
        }
    }
    fn fetched(&self, packager: &PackagerId, outcome: Outcome, bytes: usize) {
        self.note(&format!("segment of {packager} {} {bytes}", outcome.as_str()));
    }
    fn appended(&self, lane: &LaneId, msn: OutputMsn, delay: Duration) {
        self.note(&format!("{lane} appended {msn}, made {} ms ago", delay.as_millis()));
    }
    fn spliced(&self, _stream: &StreamKey, lane: &LaneId, step: &Step, splice: &Splice) {
        let (from, to, msn) = (&splice.from, &step.packager, step.msn);
        let (reason, method) = (splice.reason.as_str(), splice.method.as_str());
        let gap = splice.gap_ms;
        self.note(&format!(
            "{lane} SPLICE {from} -> {to} at {msn}: {reason}, {gap} ms by {method}"
        ));
    }
    fn lane_opened(&self, lane: &LaneId, stream: &StreamKey) {
        self.note(&format!("{lane} of {} opened", stream.path));
    }
    fn lane_ended(&self, lane: &LaneId) {
        self.note(&format!("{lane} ended"));
    }
    fn stream_state(&self, _stream: &StreamKey, id: &PackagerId, bad: Option<SpliceReason>) {
        self.note(&format!("stream on {id}: {}", bad.map_or("moves", SpliceReason::as_str)));
    }
    fn too_long(&self, packager: &PackagerId) {
        self.note(&format!("segment of {packager} too long"));
    }
    fn store_failed(&self) {
        self.note("store failed");
    }
    fn split(&self, _stream: &StreamKey, lane: &LaneId, from: OutputMsn) {
        self.note(&format!("{lane} SPLIT from {from}"));
        if self.life.is_alive() {
            self.net.split(self.proxy, lane, from.0);
        }
    }
    fn copied(&self, lane: &LaneId, took: Option<Duration>) {
        if took.is_none() {
            self.note(&format!("{lane}: listed without a copy"));
        }
    }
    fn copied_from(&self, from: CopiedFrom, bytes: usize) {
        self.note(&format!("copied {bytes} from {}", from.as_str()));
    }
}
