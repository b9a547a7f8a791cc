//! Which packagers a stream is asked of: those that its lanes are on, and for each zone as many standbys as
//! are configured. All others get no request for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::choosing::Choice;
use super::source::Source;
use super::worker::Worker;
use crate::model::names::{PackagerId, UnixMs};
use crate::packagers::{Packager, Pool, Rank};

impl Worker {
    /// A source for each packager that lanes need or may need, and none for those that left.
    pub(super) fn watch_packagers(&mut self) {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else { return };
        let packagers = pool.packagers();
        let there = |id: &PackagerId| packagers.iter().any(|p| p.id == *id);
        self.sources.retain(|id, _| there(id));
        self.expected = None;
        let mut needed: Vec<PackagerId> =
            self.lanes.values().filter_map(|l| Some(l.log.tail()?.packager.clone())).collect();
        for zone in self.zones() {
            self.add_standbys(&pool, &zone, &mut needed);
        }
        // The lane's own may be gone from the configuration.
        needed.retain(there);
        self.add_scout(&packagers, &mut needed);
        let now = self.deps.clock.now();
        self.note_unfit(now, &needed);
        self.sources.retain(|id, s| needed.contains(id) || s.asking);
        for id in needed {
            let packager = packagers.iter().find(|p| p.id == id);
            let warm_until = now.plus(packager.map_or(Duration::ZERO, |p| p.warm_up));
            let source = self.sources.entry(id.clone());
            source.or_insert_with(|| Source::cold(id, now, warm_until)).warm(now);
        }
        self.expect_lane();
    }

    /// Counts the lane that is about to open where it is most likely to: of streams that begin at the same
    /// moment each would else find all packagers equally free, and watch the same two.
    fn expect_lane(&mut self) {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else { return };
        let joining = self.joining.first().map(|j| &*j.zone);
        let reopens = || (!self.reopening.is_empty()).then_some(&*self.deps.zone);
        let zone = joining.or_else(reopens);
        let has_lane = |zone: &str| self.lanes.values().any(|l| l.log.header().zone == zone);
        let first = |zone: &str| Some(self.in_order(&pool, zone).first()?.0.clone());
        let packager = zone.filter(|zone| !has_lane(zone)).and_then(first);
        self.expected = packager.map(|p| p.carry_lane());
    }

    /// The packager that new viewers of `zone` go to. The lane that is expected keeps nobody from it.
    pub(super) fn choose_new(&mut self, now: UnixMs, waited: Duration, zone: &str) -> Choice {
        self.expected = None;
        let choice = self.choose(now, waited, zone);
        self.expect_lane();
        choice
    }

    /// The zones whose viewers watch, or wait to; this proxy's, where there are none.
    fn zones(&self) -> BTreeSet<Arc<str>> {
        let watching = self.lanes.values().map(|l| l.log.header().zone.as_str().into());
        let mut zones: BTreeSet<Arc<str>> = watching.collect();
        zones.extend(self.joining.iter().map(|j| j.zone.clone()));
        if zones.is_empty() || !self.reopening.is_empty() {
            zones.insert(self.deps.zone.as_str().into());
        }
        zones
    }

    /// Siblings of the packagers that the zone's lanes are on, or candidates to open on: those that work
    /// count. Lanes on two packagers have each other's for a standby.
    fn add_standbys(&self, pool: &Pool, zone: &str, needed: &mut Vec<PackagerId>) {
        let own = self.lanes.values().filter(|l| l.log.header().zone == zone);
        let own: BTreeSet<&PackagerId> =
            own.filter_map(|l| Some(&l.log.tail()?.packager)).filter(|id| self.works(id)).collect();
        let mut working = own.len();
        let order = self.in_order(pool, zone);
        let best = order.first().map(|(_, rank)| *rank);
        for (p, rank) in order {
            if own.contains(&p.id) {
                continue;
            }
            // Who has each of the lanes that are wanted is watched before it opens there.
            let lanes = self.settings.lanes_per_stream.filter(|_| Some(rank) == best);
            let enough = (1 + self.settings.standbys).max(lanes.unwrap_or(0));
            if working >= enough || (Self::away(&p) && self.somebody_works(needed)) {
                break;
            }
            // One that lacks something is used when nothing else is: another is watched beside it.
            working += usize::from(self.works(&p.id));
            if !needed.contains(&p.id) {
                needed.push(p.id.clone());
            }
        }
    }

    /// By preference; of equal rank those first that are watched already, since every change costs a
    /// packager that has to begin with the stream, and those last that did not work: of many each gets its
    /// turn.
    fn in_order(&self, pool: &Pool, zone: &str) -> Vec<(Arc<Packager>, Rank)> {
        let watched = |id: &PackagerId| self.sources.contains_key(id) && self.works(id);
        let mut order = pool.preference(zone, &watched);
        let known = |id: &PackagerId| self.sources.contains_key(id) && !self.works(id);
        order.sort_by_cached_key(|(p, rank)| {
            let unfit = self.unfit.get(&p.id).copied();
            (*rank, !watched(&p.id), known(&p.id), unfit.filter(|_| !watched(&p.id)))
        });
        order
    }

    /// It could carry lanes on, as far as is known. One that stands still while another moves could not; where
    /// all stand still, one more at a time is asked (`scouting`).
    pub(super) fn works(&self, id: &PackagerId) -> bool {
        let now = self.deps.clock.now();
        self.sources.get(id).is_none_or(|s| {
            let has_all = self.lanes.values().all(|l| s.has_all(l.log.header()));
            let still = s.answered() && !s.moves(now) && !s.whole();
            let moves = |other: &Source| other.moves(now) && other.moving_since.is_some();
            let left_behind = still && self.sources.values().any(moves);
            !s.failed() && s.over_since().is_none() && has_all && !left_behind
        })
    }

    fn somebody_works(&self, ids: &[PackagerId]) -> bool {
        ids.iter().any(|id| self.works(id))
    }

    /// Counts each lane at the packager that it is on.
    pub(super) fn place_lanes(&mut self) {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else { return };
        let packagers = pool.packagers();
        for lane in self.lanes.values_mut() {
            let tail = lane.log.tail();
            let on = tail.map_or(lane.opens_on.as_ref(), |t| (!t.end).then_some(&t.packager));
            let packager = on.and_then(|on| packagers.iter().find(|p| p.id == *on));
            let counted = lane.counted.as_ref();
            if counted.is_some_and(|lane| packager.is_some_and(|p| p.counts(lane))) {
                continue;
            }
            lane.counted = packager.map(|p| p.carry_lane());
        }
        self.expect_lane();
    }
}
