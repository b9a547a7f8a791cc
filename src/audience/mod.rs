//! How many watch, counted as requests come and remembered over restarts.
//!
//! `census` counts who asks, in shards, each behind a lock that is held for nanoseconds; `gates` refuses
//! newcomers at a pool's limit; `heard` holds what a CDN's log said; `records` is what is kept. Once a second
//! all of it becomes a [`Picture`], which operators read without waiting. What a viewer is and when he is
//! one is decided in `model/viewers`.

mod census;
mod gates;
mod heard;
mod records;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::model::names::{LaneId, PackagerId, PoolName, StreamKey, UnixMs};
use crate::model::viewers::log::Report;
use crate::model::viewers::{
    Counts, Group, Ledger, Picture, PoolShown, Row, Sources, Tally, Visit,
};

use census::{Crowd, Watched};
use gates::Gates;
use heard::Heard;

pub use gates::{AtCapacity, Place};
pub use records::{from_records, to_records};

/// How a pool's viewers are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Each viewer gets an id in his token.
    pub sessions: bool,
    /// Newcomers beyond so many viewers are refused.
    pub limit: Option<u64>,
    /// People before each viewer's screen, hundredths.
    pub people_hundredths: u32,
    /// Nobody watches a stream for so long: its event is over.
    pub event_gap: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            sessions: false,
            limit: None,
            people_hundredths: 170,
            event_gap: Duration::from_secs(600),
        }
    }
}

/// Whoever was let in.
#[derive(Debug)]
pub struct Admitted {
    /// The id that his token is to carry.
    pub viewer: Option<String>,
    /// Counts against the limit until he is counted himself.
    pub place: Place,
}

/// Where a lane's viewers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The packager that the lane is on.
    pub packager: PackagerId,
    /// The zone that this stands in; empty for none.
    pub zone: String,
}

/// All viewers of this proxy.
pub struct Audience {
    settings: ArcSwap<HashMap<PoolName, PoolSettings>>,
    crowd: Crowd,
    gates: Gates,
    heard: Mutex<Heard>,
    ledger: Mutex<Ledger>,
    picture: ArcSwap<Picture>,
}

impl Audience {
    /// Nobody watches yet; `ledger` is what is remembered.
    #[must_use]
    pub fn new(settings: HashMap<PoolName, PoolSettings>, ledger: Ledger) -> Self {
        let audience = Self {
            settings: ArcSwap::default(),
            crowd: Crowd::default(),
            gates: Gates::default(),
            heard: Mutex::default(),
            ledger: Mutex::new(ledger),
            picture: ArcSwap::default(),
        };
        audience.reload(settings);
        audience
    }

    /// Takes changed settings. Whoever is counted stays so.
    pub fn reload(&self, settings: HashMap<PoolName, PoolSettings>) {
        self.gates.of_pools(settings.keys());
        self.settings.store(Arc::new(settings));
    }

    fn settings_of(&self, pool: &PoolName) -> PoolSettings {
        self.settings.load().get(pool).cloned().unwrap_or_default()
    }

    /// Somebody asks for the entry playlist of `stream`; `sid`: the session id of his player, by which one who
    /// watches already is known.
    ///
    /// # Errors
    /// [`AtCapacity`] where his pool has as many viewers as it may.
    pub fn admit(&self, stream: &StreamKey, sid: Option<&str>) -> Result<Admitted, AtCapacity> {
        let settings = self.settings.load();
        let of = settings.get(&stream.pool);
        let limit = of.and_then(|of| of.limit);
        let known = || sid.is_some_and(|sid| self.crowd.knows(stream, sid));
        let limit = limit.filter(|_| !known());
        let place = self.gates.enter(&stream.pool, limit)?;
        let viewer = of.is_some_and(|of| of.sessions).then(new_viewer);
        Ok(Admitted { viewer, place })
    }

    /// Whoever was let in was given a lane.
    pub fn arrived(&self, visit: &Visit<'_>, now: UnixMs) {
        if self.crowd.arrived(visit, now) {
            self.gates.arrived(&visit.stream.pool);
        }
    }

    /// Somebody asked for a media playlist. `fresh`: of a rendition of which every viewer plays one, and new
    /// to him.
    pub fn asked(&self, visit: &Visit<'_>, fresh: bool, now: UnixMs) {
        self.crowd.asked(visit, fresh, now);
    }

    /// A CDN's log said how many watch. `pool_of`: which pool a host leads to. Returns how many lanes'
    /// viewers were taken.
    pub fn hear(
        &self,
        report: Report,
        pool_of: &dyn Fn(&str) -> Option<PoolName>,
        now: UnixMs,
    ) -> usize {
        let stream_of = |lane: &LaneId| self.crowd.stream_of(lane);
        self.heard.lock().take(report, &stream_of, pool_of, now)
    }

    /// Counts. `whereabouts`: where the viewers of a lane are; none where it is not carried any more.
    pub fn count(&self, whereabouts: &dyn Fn(&LaneId) -> Option<Whereabouts>, now: UnixMs) {
        // For all of it: two at a time would both take the same arrivals off.
        let mut ledger = self.ledger.lock();
        let arrivals = self.gates.before_counting();
        let counted = self.crowd.count(now);
        self.heard.lock().forget(now);
        let (counts, sources) = self.sum(&counted, whereabouts);
        let mut admitted: HashMap<PoolName, u64> = HashMap::new();
        for watched in &counted {
            let of = admitted.entry(watched.stream.pool.clone()).or_default();
            *of += watched.tally.admitted;
        }
        self.gates.counted(&arrivals, &|pool| {
            let shown = counts.groups.get(&Group::Pool(pool.clone())).copied().unwrap_or(0);
            shown.max(admitted.get(pool).map_or(0, |thousandths| thousandths.div_ceil(1000)))
        });
        ledger.update(now, &counts, &|pool| self.settings_of(pool).event_gap);
        let people = |pool: &PoolName| self.settings_of(pool).people_hundredths;
        let mut picture = Picture::of(&ledger, &sources, &people);
        drop(ledger);
        self.add_limits(&mut picture);
        self.picture.store(Arc::new(picture));
    }

    /// Also of pools that nobody has watched yet.
    fn add_limits(&self, picture: &mut Picture) {
        let settings = self.settings.load();
        for pool in settings.keys() {
            if !picture.pools.iter().any(|shown| shown.pool == *pool) {
                picture.pools.push(PoolShown::empty(pool.clone()));
            }
        }
        picture.pools.sort_by(|a, b| a.pool.cmp(&b.pool));
        for pool in &mut picture.pools {
            pool.limit = self.settings_of(&pool.pool).limit;
            pool.refused = self.gates.refused(&pool.pool);
        }
        picture.refused = self.gates.all_refused();
    }

    /// By stream and by group. Of a stream a log counts instead, where it saw more.
    fn sum(
        &self,
        counted: &[Watched],
        whereabouts: &dyn Fn(&LaneId) -> Option<Whereabouts>,
    ) -> (Counts, BTreeMap<StreamKey, Sources>) {
        let mut own: BTreeMap<&StreamKey, Vec<(&LaneId, u64)>> = BTreeMap::new();
        let mut sources: BTreeMap<StreamKey, Sources> = BTreeMap::new();
        for Watched { stream, lane, tally } in counted {
            own.entry(stream).or_default().push((lane, tally.viewers()));
            add(sources.entry(stream.clone()).or_default(), tally);
        }
        let heard = self.heard.lock();
        let mut counts = Counts::default();
        let logged = heard.streams().filter(|(stream, _)| !own.contains_key(stream));
        let logged: Vec<_> = logged.map(|(stream, _)| (stream, Vec::new())).collect();
        for (stream, lanes) in own.into_iter().chain(logged) {
            let seen: u64 = lanes.iter().map(|(_, viewers)| viewers).sum();
            let log = heard.of(stream);
            if let Some((viewers, _)) = log {
                sources.entry(stream.clone()).or_default().log = Some(viewers);
            }
            let lanes = match log {
                Some((viewers, lanes)) if viewers > seen => lanes,
                _ => lanes,
            };
            for (lane, viewers) in lanes.into_iter().filter(|(_, viewers)| *viewers > 0) {
                *counts.streams.entry(stream.clone()).or_default() += viewers;
                let mut groups = vec![Group::All, Group::Pool(stream.pool.clone())];
                if let Some(Whereabouts { packager, zone }) = whereabouts(lane) {
                    groups.push(Group::Packager(packager));
                    if !zone.is_empty() {
                        groups.push(Group::Zone(zone));
                    }
                }
                for group in groups {
                    *counts.groups.entry(group).or_default() += viewers;
                }
            }
        }
        (counts, sources)
    }

    /// What operators are shown: as it was when this last [counted](Self::count).
    #[must_use]
    pub fn picture(&self) -> Arc<Picture> {
        self.picture.load_full()
    }

    /// Records that changed since this was last asked.
    #[must_use]
    pub fn changed(&self) -> Vec<Row> {
        self.ledger.lock().changed()
    }

    /// These records could not be kept: they are told again.
    pub fn not_kept(&self, rows: Vec<Row>) {
        self.ledger.lock().not_kept(rows);
    }
}

fn add(sources: &mut Sources, tally: &Tally) {
    sources.sessions += tally.sessions;
    sources.cmcd += tally.cmcd;
    sources.estimated += (tally.estimated + 500) / 1000;
}

/// An id that no other viewer has, and that nobody can guess: of the letters that tokens may hold.
fn new_viewer() -> String {
    format!("{:016x}", rand::random::<u64>())
}
