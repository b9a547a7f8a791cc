//! Packagers, their pools and their health.
//!
//! `pools` which packagers carry what, replaced on reload; `drained` who of them is taken out;
//! `health` the checks of one packager; `watch` the loops that run them; `discovery` who belongs to a
//! group.
//!
//! Pingora's load balancing discovers and checks addresses. The
//! choice between packagers is ours (`model/selection.rs`): its selectors see addresses and a
//! key, and neither zones nor lanes, and two packagers may share an address.

pub mod discovery;
mod drained;
mod health;
mod pools;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch as channel;
use tokio::time::Instant;

use crate::model::health::Gauge;
pub use crate::model::health::{Health, Thresholds};
use crate::model::names::{PackagerId, PoolName};
pub use crate::model::selection::Rank;

pub use drained::Drained;
pub use pools::{Pool, Pools};
pub use watch::HealthChecks;

/// A pool as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Its name.
    pub name: PoolName,
    /// The hosts that lead to it, in lower case: a name, `*.example.com`, or `*`.
    pub hosts: Vec<String>,
    /// Names of hosts that lead to it as well, in lower case, each with the zone whose packagers its
    /// viewers get first.
    pub zone_hosts: Vec<(String, String)>,
    /// Its packagers.
    pub packagers: Vec<PackagerSpec>,
    /// How new lanes are spread over them.
    pub spread: Spread,
}

/// How new lanes are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// From this part of its capacity on, in thousandths, a packager gets new lanes only where those of
    /// the other zones have as much.
    pub spill_permille: u32,
    /// One that comes back gets its full share of new lanes after so long.
    pub slow_start: Duration,
}

impl Default for Spread {
    fn default() -> Self {
        Self { spill_permille: 750, slow_start: Duration::from_secs(30) }
    }
}

/// A packager as it is configured. Where it listens is told to the `origin` client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagerSpec {
    /// Its id, unique in all pools.
    pub id: PackagerId,
    /// The availability zone it stands in; empty where none is named.
    pub zone: String,
    /// Its share of new lanes against others; 0 is chosen last.
    pub weight: u32,
    /// What it can carry: lanes, or what its kind says that it carries.
    pub capacity: Option<u64>,
    /// How it is checked; never, where none.
    pub check: Option<CheckSpec>,
}

/// How a packager is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSpec {
    /// Asked for by HTTP; where none, a TCP connection is enough.
    pub path: Option<String>,
    /// The status that `path` must answer.
    pub status: u16,
    /// From the end of one round of checks to the next, give or take a tenth.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Checks in a row that change the verdict.
    pub thresholds: Thresholds,
}

/// What is special about a packager that belongs to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// It came while the proxy ran: it is given lanes once it has passed its checks.
    pub new: bool,
    /// It has left the group: its lanes leave, as those of one that an operator takes out.
    pub leaving: Option<Drained>,
}

impl Membership {
    /// What its checks begin with.
    fn gauge(self) -> Gauge {
        if self.new { Gauge::unproven() } else { Gauge::default() }
    }
}

impl Default for CheckSpec {
    fn default() -> Self {
        Self {
            path: None,
            status: 200,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            thresholds: Thresholds { rise: 2, fall: 2 },
        }
    }
}

/// One live origin server of a pool, as the rest of Segue sees it.
pub struct Packager {
    /// Its id, unique in all pools.
    pub id: PackagerId,
    /// The availability zone it stands in; empty where none is named.
    pub zone: String,
    /// Its share of new lanes against others.
    pub weight: u32,
    /// What it can carry: lanes, or what its kind says that it carries.
    pub capacity: Option<u64>,
    slow_start: Duration,
    state: Arc<State>,
}

impl Packager {
    /// What its checks say now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.state.inner.lock().health
    }

    /// Why it is down, as the last failed check put it. Empty where it is not.
    #[must_use]
    pub fn cause(&self) -> String {
        self.state.inner.lock().cause.clone()
    }

    /// How much it carries, as it says itself, in the unit of its kind (sessions, connections). None where its
    /// kind does not say, or it is not known now.
    #[must_use]
    pub fn load(&self) -> Option<u64> {
        self.state.inner.lock().load.map(|load| load.reported)
    }

    /// What it carries by now, in the unit of its capacity: what it said last and the lanes that have come
    /// since, or the lanes of this proxy.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.state.carried()
    }

    /// Lanes of this proxy that are on it.
    #[must_use]
    pub fn lanes(&self) -> u64 {
        self.state.lanes.load(Ordering::Relaxed)
    }

    /// What it carries of what it can carry; none where that is not configured. May be above 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // counts of sessions
    pub fn utilisation(&self) -> Option<f64> {
        self.capacity.map(|capacity| self.carried() as f64 / capacity.max(1) as f64)
    }

    /// A lane is on it until what is returned is dropped.
    #[must_use]
    pub fn carry_lane(&self) -> CarriedLane {
        CarriedLane::begin(Arc::clone(&self.state))
    }

    /// This lane is counted here, and not at another that was called so before.
    #[must_use]
    pub fn counts(&self, lane: &CarriedLane) -> bool {
        Arc::ptr_eq(&self.state, &lane.0)
    }

    /// How much of its share of new lanes it takes by now, in thousandths.
    fn started_permille(&self) -> u32 {
        let since = self.state.inner.lock().back_since;
        let Some(since) = since.filter(|_| !self.slow_start.is_zero()) else { return 1000 };
        let passed = since.elapsed().as_millis() * 1000 / self.slow_start.as_millis().max(1);
        u32::try_from(passed).unwrap_or(1000).clamp(100, 1000)
    }

    /// It is taken out, by an operator or because it has left its group: since when.
    #[must_use]
    pub fn drained(&self) -> Option<Drained> {
        let inner = self.state.inner.lock();
        inner.drained.or(inner.membership.leaving)
    }

    /// It has left its group.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.state.inner.lock().membership.leaving.is_some()
    }
}

impl fmt::Debug for Packager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.id, self.health())
    }
}

/// The health of one packager, and whether it is taken out: outlives reloads that keep its id.
struct State {
    id: PackagerId,
    ticks: channel::Sender<u64>,
    lanes: AtomicU64,
    inner: Mutex<Inner>,
}

/// What a packager said of its load, and how many lanes of this proxy were on it then.
#[derive(Clone, Copy)]
struct Load {
    reported: u64,
    lanes: u64,
}

/// One lane that is on a packager.
pub struct CarriedLane(Arc<State>);

impl CarriedLane {
    fn begin(state: Arc<State>) -> Self {
        state.lanes.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for CarriedLane {
    fn drop(&mut self) {
        self.0.lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Inner {
    health: Health,
    cause: String,
    drained: Option<Drained>,
    membership: Membership,
    load: Option<Load>,
    /// When it came back from being down, or had proven itself.
    back_since: Option<Instant>,
    gauges: HashMap<SocketAddr, Gauge>,
    /// Checks that could not be made, since the name has no address.
    nameless: Gauge,
}

impl State {
    fn new(id: PackagerId, ticks: channel::Sender<u64>, membership: Membership) -> Self {
        let inner = Inner {
            health: if membership.new { Health::New } else { Health::Unknown },
            cause: String::new(),
            drained: None,
            membership,
            load: None,
            back_since: None,
            gauges: HashMap::new(),
            nameless: membership.gauge(),
        };
        Self { id, ticks, lanes: AtomicU64::new(0), inner: Mutex::new(inner) }
    }

    /// The addresses that there are now; what was known of others is forgotten.
    fn addresses(&self, now: &[SocketAddr]) {
        let mut inner = self.inner.lock();
        let gauge = inner.membership.gauge();
        inner.nameless = gauge;
        inner.gauges.retain(|address, _| now.contains(address));
        for address in now {
            inner.gauges.entry(*address).or_insert(gauge);
        }
    }

    /// One check came to an end.
    fn observe(&self, address: SocketAddr, outcome: Result<(), String>, thresholds: Thresholds) {
        let mut inner = self.inner.lock();
        // An address that left in the meantime is of no interest.
        if let Some(gauge) = inner.gauges.get_mut(&address) {
            gauge.observe(outcome.is_ok(), thresholds);
        }
        let health = Health::of_any(inner.gauges.values().map(Gauge::health));
        self.settle(&mut inner, health, outcome.err());
    }

    /// No check could be made: there is no address.
    fn observe_nameless(&self, cause: String, thresholds: Thresholds) {
        let mut inner = self.inner.lock();
        inner.nameless.observe(false, thresholds);
        let health = inner.nameless.health();
        self.settle(&mut inner, health, Some(cause));
    }

    /// Checks are over for this packager: nothing is known of it any more.
    fn forget(&self) {
        let mut inner = self.inner.lock();
        inner.gauges.clear();
        inner.nameless = Gauge::default();
        self.settle(&mut inner, Health::Unknown, None);
    }

    fn carries(&self, load: Option<u64>) {
        let lanes = self.lanes.load(Ordering::Relaxed);
        self.inner.lock().load = load.map(|reported| Load { reported, lanes });
    }

    fn carried(&self) -> u64 {
        let lanes = self.lanes.load(Ordering::Relaxed);
        let load = self.inner.lock().load;
        load.map_or(lanes, |load| load.reported.saturating_add(lanes.saturating_sub(load.lanes)))
    }

    fn set(&self, health: Health, cause: &str) {
        self.settle(&mut self.inner.lock(), health, Some(cause.to_owned()));
    }

    /// Takes it out, or brings it back.
    fn drain(&self, drained: Option<Drained>) {
        let mut inner = self.inner.lock();
        if inner.drained == drained {
            return;
        }
        inner.drained = drained;
        let packager = self.id.as_str();
        match drained {
            Some(drained) => {
                let spread_ms = u64::try_from(drained.spread.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(target: "segue::packagers", packager, spread_ms, "packager is drained: no new lanes, and those on it leave");
            }
            None => {
                tracing::info!(target: "segue::packagers", packager, "packager is no longer drained");
            }
        }
        if drained.is_none() && inner.health == Health::Down {
            self.tell_down(&inner);
        }
        self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
    }

    /// It has left its group, or is back in it.
    fn leave(&self, leaving: Option<Drained>) {
        let mut inner = self.inner.lock();
        let since = |leaving: Option<Drained>| leaving.map(|l| l.since);
        if since(inner.membership.leaving) != since(leaving) {
            inner.membership.leaving = leaving;
            self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
        }
    }

    /// That one is away which an operator has taken out, or which has left, is no alarm.
    fn tell_down(&self, inner: &Inner) {
        let (packager, cause) = (self.id.as_str(), inner.cause.as_str());
        if inner.drained.is_some() || inner.membership.leaving.is_some() {
            tracing::info!(target: "segue::packagers", packager, cause, "packager is down, and drained");
        } else {
            tracing::warn!(target: "segue::packagers", packager, cause, "packager is down");
        }
    }

    fn settle(&self, inner: &mut Inner, health: Health, cause: Option<String>) {
        let before = inner.health;
        if before == health {
            return;
        }
        inner.health = health;
        if matches!(before, Health::Down | Health::New) && health == Health::Up {
            inner.back_since = Some(Instant::now());
        }
        inner.cause = match health {
            Health::Down => cause.unwrap_or_default(),
            Health::Unknown | Health::New | Health::Up => String::new(),
        };
        // It has proven itself, once and for all.
        inner.membership.new &= health != Health::Up;
        let packager = self.id.as_str();
        match (before, health) {
            (_, Health::Down) => self.tell_down(inner),
            (Health::Down, Health::Up) => {
                tracing::info!(target: "segue::packagers", packager, "packager is up");
            }
            (Health::New, Health::Up) => {
                tracing::info!(target: "segue::packagers", packager, "packager is proven: it may get lanes");
            }
            _ => {}
        }
        self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;
