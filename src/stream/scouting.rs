//! Where all packagers that are watched stand still, others may move: they are asked one after another, each
//! for as long as it may be news. All at once would keep a whole pool busy with a stream that has stopped.

use std::sync::Arc;
use std::time::Duration;

use super::carry::Carried;
use super::source::Source;
use super::worker::Worker;
use crate::model::names::{PackagerId, UnixMs};
use crate::packagers::Packager;

/// One that did not work is tried again after the others, for so long.
const UNFIT_FOR: Duration = Duration::from_secs(60);

impl Worker {
    /// Adds the one that is asked now, where there is need.
    pub(super) fn add_scout(&mut self, packagers: &[Arc<Packager>], needed: &mut Vec<PackagerId>) {
        let now = self.deps.clock.now();
        if !self.all_stand_still(now, needed) {
            self.scouted.clear();
            return;
        }
        let others = packagers.iter().filter(|p| !needed.contains(&p.id) && !Self::away(p));
        // A zone's packagers mostly stand still together.
        let zones: Vec<&str> =
            packagers.iter().filter(|p| needed.contains(&p.id)).map(|p| &*p.zone).collect();
        let turn = |p: &Packager| {
            let asked = self.scouted.iter().position(|id| *id == p.id);
            let usable = p.health().is_usable() && p.drained().is_none();
            (asked, !usable, zones.contains(&&*p.zone), p.carried())
        };
        let current = self.scouted.last().filter(|id| {
            let there = others.clone().any(|p| p.id == **id);
            there && self.sources.get(*id).is_none_or(|s| !s.answered() || s.moves(now))
        });
        let next = current.cloned().or_else(|| Some(others.min_by_key(|p| turn(p))?.id.clone()));
        let Some(next) = next else { return };
        self.scouted.retain(|id| *id != next);
        self.scouted.push(next.clone());
        needed.push(next);
    }

    /// What this packager shows first is no news for the lane: it is asked since the lane's own, which
    /// answers, has nothing new. Without content to compare what is old would be shown again. Once it has
    /// moved for as long as the lane's own may need to go on as well it is believed.
    pub(super) fn is_no_news(&self, now: UnixMs, lane: &Carried, id: &PackagerId) -> bool {
        let Some(tail) = lane.log.tail().filter(|tail| tail.packager != *id) else { return false };
        let answers = self.sources.get(&tail.packager).is_some_and(|s| s.lists() && !s.failed());
        let new = |s: &Source| {
            let moves = s.moving_since.is_some_and(|since| now.since(since) >= lane.target());
            // A process that has just begun sees everybody for the first time.
            let later = s.begun > tail.listed_at.max(lane.since.plus(lane.target()));
            later && !moves
        };
        answers && self.sources.get(id).is_some_and(new)
    }

    /// The same, for new viewers: none goes where a lane that stands still would not.
    pub(super) fn is_no_choice(&self, now: UnixMs, id: &PackagerId) -> bool {
        let still = |l: &Carried| {
            let own = l.log.tail().and_then(|tail| self.sources.get(&tail.packager));
            own.is_some_and(|s| s.stands_still(now))
        };
        self.lanes.values().any(|lane| still(lane) && self.is_no_news(now, lane, id))
    }

    /// Remembers of whoever is watched no more that it did not work.
    pub(super) fn note_unfit(&mut self, now: UnixMs, needed: &[PackagerId]) {
        let goes = |id: &&PackagerId| !needed.contains(id) && !self.works(id);
        let unfit: Vec<PackagerId> = self.sources.keys().filter(goes).cloned().collect();
        self.unfit.retain(|_, at| now.since(*at) < UNFIT_FOR);
        self.unfit.extend(unfit.into_iter().map(|id| (id, now)));
    }

    /// A lane goes on, and none of these could carry it now.
    fn all_stand_still(&self, now: UnixMs, ids: &[PackagerId]) -> bool {
        let still = |id: &PackagerId| self.sources.get(id).is_some_and(|s| s.stands_still(now));
        let goes_on = |l: &Carried| l.log.tail().is_some_and(|t| !t.end);
        self.lanes.values().any(goes_on) && ids.iter().all(still)
    }
}
