//! The fleet as it really is: which proxies run, who reaches whom and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use segue::model::names::{ContentHash, ProxyId};
use segue::segments::Segments;
use segue::stream::Streams;

use super::across::Across;
use super::database::Database;
use crate::parts::{Life, Sim};

/// How bad lines are where nothing in particular is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// One call to the store in so many is lost, itself or its answer; 0: none.
    pub lost_one_in: u64,
    /// One call to the store in so many takes 100 to 400 ms; 0: none.
    pub slow_one_in: u64,
}

/// A proxy that runs.
#[derive(Clone)]
pub struct Running {
    pub streams: Arc<Streams>,
    pub life: Arc<Life>,
    pub segments: Arc<Segments>,
}

pub struct Node {
    pub id: ProxyId,
    pub zone: &'static str,
    pub now: Mutex<Option<Running>>,
    /// Since when it runs, is in touch with the store and is in touch with the others.
    good_since: Mutex<Option<u64>>,
    /// Since when it reaches a packager, where it did not before.
    reaches_since: Mutex<BTreeMap<&'static str, u64>>,
    /// When it was started.
    pub started: Mutex<u64>,
}

pub struct Net {
    pub sim: Arc<Sim>,
    pub weather: Weather,
    pub across: Mutex<Across>,
    pub database: Database,
    pub nodes: Vec<Node>,
    /// Segments of a stream are fetched by one proxy of a zone.
    pub one_per_zone: bool,
    /// Proxies that do not reach the store.
    pub cut: Mutex<BTreeSet<usize>>,
    /// Proxies that do not reach the others.
    pub parted: Mutex<BTreeSet<usize>>,
}

impl Node {
    pub fn new(number: usize, zone: &'static str) -> Self {
        Self {
            id: ProxyId::new(format!("p{number}")),
            zone,
            now: Mutex::default(),
            good_since: Mutex::new(None),
            reaches_since: Mutex::default(),
            started: Mutex::new(0),
        }
    }

    /// It runs and does not stand still.
    pub fn running(&self) -> Option<Running> {
        self.now.lock().clone().filter(|r| r.life.is_alive() && !r.life.is_frozen())
    }
}

impl Net {
    /// Nothing has been wrong with a proxy for so long, milliseconds.
    pub fn good_for(&self, proxy: usize, ms: u64) -> bool {
        self.nodes[proxy].good_since.lock().is_some_and(|since| since + ms <= self.sim.now())
    }

    /// It speaks to the store.
    pub fn reaches_store(&self, proxy: usize) -> bool {
        !self.cut.lock().contains(&proxy) && !self.database.is_away()
    }

    /// One proxy's questions reach another.
    pub fn reaches(&self, one: usize, other: usize) -> bool {
        let parted = self.parted.lock();
        !parted.contains(&one) && !parted.contains(&other)
    }

    /// Since when some packager that this proxy reaches has had nothing wrong with it.
    pub fn fed_since(&self, proxy: usize) -> Option<u64> {
        let node = &self.nodes[proxy];
        let cut_off = node.now.lock().as_ref().map(|r| r.life.cut_off.lock().clone())?;
        let since = node.reaches_since.lock();
        let world = self.sim.world.lock();
        let reached = world.iter().filter(|p| !cut_off.contains_key(p.shape.id));
        let good = reached.filter_map(|p| {
            Some(p.good_since?.max(since.get(p.shape.id).copied().unwrap_or_default()))
        });
        good.min()
    }

    /// Since when some packager that any good proxy reaches has had nothing wrong with it.
    pub fn fleet_fed_since(&self) -> Option<u64> {
        let good = (0..self.nodes.len()).filter(|p| self.good_for(*p, 0));
        good.filter_map(|p| self.fed_since(p)).min()
    }

    /// Notes what is well, after a change.
    pub fn settle(&self) {
        let now = self.sim.now();
        let slow = self.database.is_slow();
        for (p, node) in self.nodes.iter().enumerate() {
            let good = node.running().is_some()
                && self.reaches_store(p)
                && !slow
                && !self.parted.lock().contains(&p);
            let mut since = node.good_since.lock();
            *since = good.then(|| since.unwrap_or(now));
        }
    }

    /// A proxy is cut off from packagers, or reaches them again.
    pub fn cut_off(&self, proxy: usize, packagers: &[&'static str], refuses: Option<bool>) {
        let node = &self.nodes[proxy];
        let Some(running) = node.now.lock().clone() else { return };
        for id in packagers {
            let mut cut_off = running.life.cut_off.lock();
            if let Some(refuses) = refuses {
                cut_off.insert(*id, refuses);
            } else {
                cut_off.remove(id);
                node.reaches_since.lock().insert(id, self.sim.now());
            }
        }
    }

    /// How many proxies hold all of these bytes.
    pub fn held_by(&self, hashes: &[ContentHash]) -> usize {
        let has = |r: &Running| hashes.iter().all(|hash| r.segments.has(*hash));
        self.nodes.iter().filter(|n| n.now.lock().as_ref().is_some_and(has)).count()
    }

    pub fn broken(&self, law: &str) {
        self.sim.judge.lock().broken(self.sim.now(), law);
    }
}
