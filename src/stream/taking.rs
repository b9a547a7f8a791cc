//! Taking a step into a lane's log, whoever appended it: operators are told of it, and what of it is
//! held here is noted.

use std::time::Duration;

use super::worker::Worker;
use crate::model::lane::{Entry, Splice, SpliceReason, Step};
use crate::model::names::LaneId;
use crate::model::playlist::Extent;
use crate::model::rendition::Kind;

impl Worker {
    pub(super) fn take_step(&mut self, id: &LaneId, step: Step, own: bool) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let (msn, end) = (step.msn, step.end);
        // The depth that a lane opens with was made long before.
        let deep = step.shares.iter().any(|s| s.entries.iter().any(|e| e.on_demand));
        if own && !deep {
            self.deps.observer.appended(id, msn, now.since(step.content_end));
        }
        let limit = lane.target() + Duration::from_millis(500);
        let kinds = lane.log.header().renditions.iter().map(|r| r.traits.kind);
        let mut timed = step.shares.iter().zip(kinds).filter(|(_, k)| *k != Kind::IFrames);
        if timed.any(|(share, _)| share.entries.iter().any(|e| e.duration >= limit)) {
            self.deps.observer.too_long(&step.packager);
            tracing::warn!(lane = %id, packager = %step.packager, %msn, "a segment is longer than the lane's target duration");
        }
        if let Some(splice) = &step.splice {
            self.tell_splice(id, &step, splice, own);
        }
        self.tell_gaps(id, &step);
        let fleet = self.in_fleet();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let brought = lane.coming.contains_key(&msn);
        if !own {
            lane.elsewhere = Some(now);
        } else if step.splice.is_some() {
            lane.elsewhere = None;
        }
        for (r, share) in step.shares.iter().enumerate() {
            let segments = &self.deps.segments;
            let has = |e: &Entry| {
                let bytes = e.held.map_or(e.listed(), |h| segments.has(h.hash));
                bytes && e.assets().all(|held| segments.has(held.hash))
            };
            // What another proxy holds is brought here before it is listed.
            let comes = |e: &Entry| brought && e.listed();
            let held = share.entries.iter().all(|e| has(e) || comes(e));
            if let Some(from) = lane.held_from.get_mut(r).filter(|_| !held) {
                *from = msn.next();
            }
            // Proxies of a fleet tell each other what they want.
            let given = held && !share.entries.is_empty() && !own && !fleet;
            if let Some(at) = lane.wanted_elsewhere.get_mut(r).filter(|_| given) {
                *at = now;
            }
        }
        if let Err(error) = lane.log.push(step) {
            tracing::error!(lane = %id, %error, "a step that does not follow was refused");
            return;
        }
        let whole = lane.log.header().extent == Extent::Whole;
        if end && !whole {
            tracing::warn!(lane = %id, stream = %self.key, %msn, "the stream is over");
            self.deps.observer.lane_ended(id);
        }
    }

    fn tell_splice(&mut self, id: &LaneId, step: &Step, splice: &Splice, own: bool) {
        let (msn, to) = (step.msn, &step.packager);
        let (reason, method, gap_ms) =
            (splice.reason.as_str(), splice.method.as_str(), splice.gap_ms);
        let at = step.place().as_str();
        // What an operator asked for is no alarm; and of a fleet the one who decided it tells.
        if !own {
            let by = step.holders.first().map_or("", |by| by.as_str());
            tracing::info!(lane = %id, stream = %self.key, %msn, from = %splice.from, %to, reason, method, at, gap_ms, by, "splice of another proxy");
        } else if splice.reason == SpliceReason::Drained {
            tracing::info!(lane = %id, stream = %self.key, %msn, from = %splice.from, %to, reason, method, at, gap_ms, "splice");
        } else {
            tracing::warn!(lane = %id, stream = %self.key, %msn, from = %splice.from, %to, reason, method, at, gap_ms, "splice");
        }
        if self.taken_out(to) {
            tracing::warn!(lane = %id, packager = %to, "a drained packager gets a lane: nobody else carries the stream");
        }
        if own {
            self.deps.observer.spliced(&self.key, id, step, splice);
        }
        let from = &splice.from;
        let decision =
            format!("splice {from} -> {to} at {msn}: {reason}, gap {gap_ms} ms by {method}");
        self.note(id, self.deps.clock.now(), decision);
    }

    /// Operators hear when a rendition begins to have gaps, and can count them.
    fn tell_gaps(&self, id: &LaneId, step: &Step) {
        let Some(lane) = self.lanes.get(id) else { return };
        let gap = |st: &Step, r: usize| st.entries(r).last().is_some_and(|e| e.gap);
        for (r, rendition) in lane.log.header().renditions.iter().enumerate() {
            if !gap(step, r) {
                continue;
            }
            self.deps.observer.gap(&step.packager);
            if !lane.log.tail().is_some_and(|tail| gap(tail, r)) {
                tracing::warn!(
                    lane = %id, packager = %step.packager, msn = %step.msn, rendition = %rendition.id,
                    "a rendition stays away and no sibling has it: a gap"
                );
            }
        }
    }
}
