//! Packagers, their pools and their health.
//!
//! `pools` which packagers carry what, replaced on reload; `drained` who of them is taken out;
//! `health` the checks of one packager, `playlist` one of them; `report` what it says of itself, asked
//! with `login`; `state` what all that comes to; `watch` the loops that run them; `discovery` who belongs to a
//! group.
//!
//! Pingora's load balancing discovers and checks addresses. The
//! choice between packagers is ours (`model/selection.rs`): its selectors see addresses and a
//! key, and neither zones nor lanes, and two packagers may share an address.

pub mod discovery;
mod drained;
mod health;
mod login;
mod playlist;
mod pools;
mod report;
mod state;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::health::Gauge;
pub use crate::model::health::{Health, Thresholds};
use crate::model::load::Kind;
use crate::model::names::{PackagerId, PoolName};
use crate::model::selection::Candidate;
pub use crate::model::selection::Rank;

pub use drained::Drained;
pub use login::Login;
pub use playlist::Advancing;
pub use pools::{Pool, Pools};
pub use report::{KindSpec, Reads, Report, ReportSpec};
pub use state::CarriedLane;
use state::State;
pub use watch::HealthChecks;

/// A pool as it is configured.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
    /// What it can carry: lanes, or what its kind says that it carries.
    pub capacity: Option<u64>,
    slow_start: Duration,
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

    /// As the choice for `zone` sees it. All is read under one lock: every stream asks this of all packagers
    /// whenever something happens to it.
    fn candidate(&self, zone: &str, joined: bool) -> Candidate {
        let inner = self.state.inner.lock();
        Candidate {
            usable: inner.health.is_usable(),
            drained: inner.drained.or(inner.membership.leaving).is_some(),
            near: !zone.is_empty() && self.zone == zone,
            joined,
            carried: inner.carried(self.lanes()),
            capacity: self.capacity,
            weight: self.weight,
            started_permille: self.started_permille(inner.back_since),
        }
    }

    /// How much of its share of new lanes it takes by now, in thousandths, where it is back since then.
    fn started_permille(&self, since: Option<Instant>) -> u32 {
        let Some(since) = since.filter(|_| !self.slow_start.is_zero()) else { return 1000 };
        let passed = since.elapsed().as_millis() * 1000 / self.slow_start.as_millis().max(1);
        u32::try_from(passed).unwrap_or(1000).clamp(100, 1000)
    }

    /// What it says of itself; none before the first report, and where its kind has none.
    #[must_use]
    pub fn report(&self) -> Option<Arc<Report>> {
        self.state.inner.lock().report.clone()
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
