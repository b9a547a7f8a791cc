//! Packagers, their pools and their health.
//!
//! `pools` which packagers carry what, replaced on reload; `drained` who of them is taken out;
//! `health` the checks of one packager, `playlist` one of them; `report` what it says of itself, asked
//! with `login`; `watch` the loops that run them.
//!
//! Pingora's load balancing discovers and checks addresses. The
//! choice between packagers is ours (`model/selection.rs`): its selectors see addresses and a
//! key, and neither zones nor lanes, and two packagers may share an address.

mod drained;
mod health;
mod login;
mod playlist;
mod pools;
mod report;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch as channel;

use crate::model::health::Gauge;
pub use crate::model::health::{Health, Thresholds};
use crate::model::load::Kind;
use crate::model::names::{PackagerId, PoolName};

pub use drained::Drained;
pub use login::Login;
pub use playlist::Advancing;
pub use pools::{Pool, Pools};
pub use report::{KindSpec, Reads, Report, ReportSpec};
pub use watch::HealthChecks;

/// A pool as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSpec {
    /// Its name.
    pub name: PoolName,
    /// The hosts that lead to it, in lower case: a name, `*.example.com`, or `*`.
    pub hosts: Vec<String>,
    /// Its packagers.
    pub packagers: Vec<PackagerSpec>,
}

/// A packager as it is configured. Where it listens is told to the `origin` client.
#[derive(Clone, Debug, PartialEq)]
pub struct PackagerSpec {
    /// Its id, unique in all pools.
    pub id: PackagerId,
    /// The availability zone it stands in; empty where none is named.
    pub zone: String,
    /// Its share of new lanes against others; 0 is chosen last.
    pub weight: u32,
    /// How it is checked; never, where none.
    pub check: Option<CheckSpec>,
    /// Which program it is, and how it is asked what it carries.
    pub kind: KindSpec,
}

/// How a packager is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSpec {
    /// Asked for by HTTP; where none, a TCP connection is enough.
    pub path: Option<String>,
    /// The status that `path` must answer.
    pub status: u16,
    /// A playlist that must advance beside that.
    pub playlist: Option<Advancing>,
    /// From the end of one round of checks to the next, give or take a tenth.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Checks in a row that change the verdict.
    pub thresholds: Thresholds,
}

impl Default for CheckSpec {
    fn default() -> Self {
        Self {
            path: None,
            status: 200,
            playlist: None,
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
    /// Which program it is.
    pub kind: Kind,
    /// The first request for a stream may take so long before that counts as a failure.
    pub warm_up: Duration,
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
        self.state.inner.lock().load
    }

    /// What it says of itself; none before the first report, and where its kind has none.
    #[must_use]
    pub fn report(&self) -> Option<Arc<Report>> {
        self.state.inner.lock().report.clone()
    }

    /// An operator has taken it out: since when.
    #[must_use]
    pub fn drained(&self) -> Option<Drained> {
        self.state.inner.lock().drained
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
    inner: Mutex<Inner>,
}

struct Inner {
    health: Health,
    cause: String,
    drained: Option<Drained>,
    load: Option<u64>,
    report: Option<Arc<Report>>,
    /// What its checks say alone.
    checked: Health,
    /// Why it is down by its own word, whatever its checks say.
    unwell: Option<String>,
    gauges: HashMap<SocketAddr, Gauge>,
    /// Checks that could not be made, since the name has no address.
    nameless: Gauge,
}

impl State {
    fn new(id: PackagerId, ticks: channel::Sender<u64>) -> Self {
        let inner = Inner {
            health: Health::Unknown,
            cause: String::new(),
            drained: None,
            load: None,
            report: None,
            checked: Health::Unknown,
            unwell: None,
            gauges: HashMap::new(),
            nameless: Gauge::default(),
        };
        Self { id, ticks, inner: Mutex::new(inner) }
    }

    /// The addresses that there are now; what was known of others is forgotten.
    fn addresses(&self, now: &[SocketAddr]) {
        let mut inner = self.inner.lock();
        inner.nameless = Gauge::default();
        inner.gauges.retain(|address, _| now.contains(address));
        for address in now {
            inner.gauges.entry(*address).or_default();
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
        self.inner.lock().load = load;
    }

    /// What it says of itself now, and why it is down by that.
    fn reports(&self, report: Report, down: Option<String>) {
        let mut inner = self.inner.lock();
        // Numbers in it may differ with every report: that it begins and ends is told.
        let state = |r: &Report| (r.load.is_some(), r.trouble.is_empty());
        if inner.report.as_deref().map_or((true, true), state) != state(&report) {
            let (packager, trouble) = (self.id.as_str(), report.trouble.as_str());
            let known = report.load.is_some();
            tracing::info!(target: "segue::packagers", packager, known, trouble, "what the packager says of itself");
        }
        inner.load = report.load;
        inner.report = Some(Arc::new(report));
        inner.unwell.clone_from(&down);
        let checked = inner.checked;
        self.settle(&mut inner, checked, down);
    }

    /// Reports are over for this packager.
    fn forget_reports(&self) {
        let mut inner = self.inner.lock();
        (inner.load, inner.report, inner.unwell) = (None, None, None);
        let checked = inner.checked;
        self.settle(&mut inner, checked, None);
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

    /// That one is away which an operator has taken out is no alarm.
    fn tell_down(&self, inner: &Inner) {
        let (packager, cause) = (self.id.as_str(), inner.cause.as_str());
        if inner.drained.is_some() {
            tracing::info!(target: "segue::packagers", packager, cause, "packager is down, and drained");
        } else {
            tracing::warn!(target: "segue::packagers", packager, cause, "packager is down");
        }
    }

    /// `checked`: the verdict of its checks. What it says of itself may be worse.
    fn settle(&self, inner: &mut Inner, checked: Health, cause: Option<String>) {
        let before = inner.health;
        inner.checked = checked;
        let health = if inner.unwell.is_some() { Health::Down } else { checked };
        if before == health {
            return;
        }
        inner.health = health;
        inner.cause = match health {
            Health::Down => cause.unwrap_or_default(),
            Health::Unknown | Health::Up => String::new(),
        };
        let packager = self.id.as_str();
        match (before, health) {
            (_, Health::Down) => self.tell_down(inner),
            (Health::Down, Health::Up) => {
                tracing::info!(target: "segue::packagers", packager, "packager is up");
            }
            _ => {}
        }
        self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
    }
}
