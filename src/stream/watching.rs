//! Which packagers a stream is asked of: those that its lanes are on, and for each zone as many standbys as
//! are configured. All others get no request for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::source::Source;
use super::worker::Worker;
use crate::model::names::PackagerId;
use crate::packagers::{Packager, Pool};

impl Worker {
    /// A source for each packager that lanes need or may need, and none for those that left.
    pub(super) fn watch_packagers(&mut self) {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else { return };
        let packagers = pool.packagers();
        let there = |id: &PackagerId| packagers.iter().any(|p| p.id == *id);
        self.sources.retain(|id, _| there(id));
        let mut needed: Vec<PackagerId> =
            self.lanes.values().filter_map(|l| Some(l.log.tail()?.packager.clone())).collect();
        for zone in self.zones() {
            self.add_standbys(&pool, &zone, &mut needed);
        }
        // The lane's own may be gone from the configuration.
        needed.retain(there);
        self.sources.retain(|id, s| needed.contains(id) || s.asking);
        let now = self.deps.clock.now();
        for id in needed {
            let packager = packagers.iter().find(|p| p.id == id);
            let warm_until = now.plus(packager.map_or(Duration::ZERO, |p| p.warm_up));
            let source = self.sources.entry(id.clone());
            source.or_insert_with(|| Source::cold(id, warm_until)).warm(now);
        }
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
        let enough = 1 + self.settings.standbys;
        for p in self.in_order(pool, zone) {
            if own.contains(&p.id) {
                continue;
            }
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
    /// packager that has to begin with the stream.
    fn in_order(&self, pool: &Pool, zone: &str) -> Vec<Arc<Packager>> {
        let watched = |id: &PackagerId| self.sources.contains_key(id) && self.works(id);
        let mut order = pool.preference(zone, &watched);
        order.sort_by_cached_key(|(p, rank)| (*rank, !watched(&p.id)));
        order.into_iter().map(|(p, _)| p).collect()
    }

    /// It could carry lanes on, as far as is known. One that stands still while another moves could not; where
    /// all stand still, asking more of them would not help.
    fn works(&self, id: &PackagerId) -> bool {
        let now = self.deps.clock.now();
        self.sources.get(id).is_none_or(|s| {
            let has_all = self.lanes.values().all(|l| s.has_all(l.log.header()));
            let still = s.answered() && !s.moves(now) && !s.whole();
            let left_behind = still && self.sources.values().any(|other| other.moves(now));
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
            if lane.counted.as_ref().map(crate::packagers::CarriedLane::packager) == on {
                continue;
            }
            let packager = on.and_then(|on| packagers.iter().find(|p| p.id == *on));
            lane.counted = packager.map(|p| p.carry_lane());
        }
    }
}
