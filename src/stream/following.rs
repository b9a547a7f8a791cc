//! Following another process: what it appended to a lane is taken over, and its bytes are found.

use std::time::Duration;

use super::worker::Worker;
use crate::model::lane::Step;
use crate::model::names::LaneId;

/// Another process's steps are looked for this often at the most, whoever asks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Worker {
    /// Another process went on with this lane. Where its steps do not follow (it was opened anew
    /// there, above its old numbers), its log is taken in place of the one here.
    pub(super) async fn take_over(&mut self, id: &LaneId, steps: Vec<Step>) {
        let Some(lane) = self.lanes.get(id) else { return };
        let follows =
            lane.log.tail().is_none() || steps.first().map(|s| s.msn) == Some(lane.log.next_msn());
        if follows {
            for step in steps {
                let Some(lane) = self.lanes.get_mut(id) else { return };
                let step = lane.apart.inward(&lane.log, step);
                self.find_bytes(id, &step).await;
                self.take_step(id, step, false);
            }
            return;
        }
        tracing::warn!(lane = %id, "another process opened it anew: going on with its log");
        let wanted = lane.wanted(self.deps.clock.now().minus(self.settings.idle_after));
        self.lanes.remove(id);
        self.slot.forget(id);
        if let Some(lane) = self.load(id).await {
            for (r, _) in wanted.iter().enumerate().filter(|(_, w)| **w) {
                lane.shared.ask(r);
            }
        }
    }

    /// Takes over what another process appended since: during an upgrade two of them answer on the
    /// same sockets, and what one listed the other is asked for.
    pub(super) async fn take_newer(&mut self, id: &LaneId) {
        let now = self.deps.clock.now();
        let Some(lane) = self.lanes.get_mut(id).filter(|l| l.unsaved == 0) else { return };
        if now.since(lane.looked_at) < LOOK_AGAIN {
            return;
        }
        lane.looked_at = now;
        let tail = lane.log.tail().map(|t| t.msn);
        let Ok(newer) = self.deps.store.newer(id, tail).await else { return };
        if newer.first().is_some_and(|first| lane.apart.strays(&lane.log, first)) {
            self.read_again(id).await;
        } else if !newer.is_empty() {
            self.take_over(id, newer).await;
            self.list(id, true).await;
        }
    }

    /// The bytes of another process's step are in the directory that both have.
    async fn find_bytes(&self, id: &LaneId, step: &Step) {
        let Some(lane) = self.lanes.get(id) else { return };
        let header = lane.log.header();
        let keep =
            self.deps.clock.now().plus(header.window.min(header.depth_held) + header.target() * 10);
        for held in step.held() {
            self.deps.segments.find(held, keep).await;
        }
    }
}
