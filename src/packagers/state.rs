//! What is known of one packager, from checks, from its own word and from operators. Outlives reloads that
//! keep its id.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch as channel;
use tokio::time::Instant;

use super::{Drained, Membership, Report};
use crate::model::health::{Gauge, Health, Thresholds};
use crate::model::names::PackagerId;

/// The health of one packager, and whether it is taken out: outlives reloads that keep its id.
pub(super) struct State {
    pub(super) id: PackagerId,
    pub(super) ticks: channel::Sender<u64>,
    pub(super) lanes: AtomicU64,
    pub(super) inner: Mutex<Inner>,
}

/// What a packager said of its load, and how many lanes of this proxy were on it then.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) reported: u64,
    lanes: u64,
}

/// One lane that is on a packager.
pub struct CarriedLane(pub(super) Arc<State>);

impl CarriedLane {
    pub(super) fn begin(state: Arc<State>) -> Self {
        state.lanes.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for CarriedLane {
    fn drop(&mut self) {
        self.0.lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct Inner {
    pub(super) health: Health,
    pub(super) cause: String,
    pub(super) drained: Option<Drained>,
    pub(super) membership: Membership,
    pub(super) load: Option<Load>,
    pub(super) report: Option<Arc<Report>>,
    /// What its checks say alone.
    pub(super) checked: Health,
    /// Why it is down by its own word, whatever its checks say.
    pub(super) unwell: Option<String>,
    /// When it came back from being down, or had proven itself.
    pub(super) back_since: Option<Instant>,
    pub(super) gauges: HashMap<SocketAddr, Gauge>,
    /// Checks that could not be made, since the name has no address.
    pub(super) nameless: Gauge,
}

impl Inner {
    /// What it said last and the lanes that have come since; where it does not say, the `lanes`.
    pub(super) fn carried(&self, lanes: u64) -> u64 {
        let since = |load: Load| load.reported.saturating_add(lanes.saturating_sub(load.lanes));
        self.load.map_or(lanes, since)
    }
}

impl State {
    pub(super) fn new(id: PackagerId, ticks: channel::Sender<u64>, membership: Membership) -> Self {
        let health = if membership.new { Health::New } else { Health::Unknown };
        let inner = Inner {
            health,
            cause: String::new(),
            drained: None,
            membership,
            load: None,
            report: None,
            checked: health,
            unwell: None,
            back_since: None,
            gauges: HashMap::new(),
            nameless: membership.gauge(),
        };
        Self { id, ticks, lanes: AtomicU64::new(0), inner: Mutex::new(inner) }
    }

    /// The addresses that there are now; what was known of others is forgotten.
    pub(super) fn addresses(&self, now: &[SocketAddr]) {
        let mut inner = self.inner.lock();
        let gauge = inner.membership.gauge();
        inner.nameless = gauge;
        inner.gauges.retain(|address, _| now.contains(address));
        for address in now {
            inner.gauges.entry(*address).or_insert(gauge);
        }
    }

    /// One check came to an end.
    pub(super) fn observe(
        &self,
        address: SocketAddr,
        outcome: Result<(), String>,
        thresholds: Thresholds,
    ) {
        let mut inner = self.inner.lock();
        // An address that left in the meantime is of no interest.
        if let Some(gauge) = inner.gauges.get_mut(&address) {
            gauge.observe(outcome.is_ok(), thresholds);
        }
        let health = Health::of_any(inner.gauges.values().map(Gauge::health));
        self.settle(&mut inner, health, outcome.err());
    }

    /// No check could be made: there is no address.
    pub(super) fn observe_nameless(&self, cause: String, thresholds: Thresholds) {
        let mut inner = self.inner.lock();
        inner.nameless.observe(false, thresholds);
        let health = inner.nameless.health();
        self.settle(&mut inner, health, Some(cause));
    }

    /// Checks are over for this packager: nothing is known of it any more.
    pub(super) fn forget(&self) {
        let mut inner = self.inner.lock();
        inner.gauges.clear();
        inner.nameless = Gauge::default();
        self.settle(&mut inner, Health::Unknown, None);
    }

    pub(super) fn carries(&self, load: Option<u64>) {
        self.inner.lock().load = self.since_now(load);
    }

    pub(super) fn since_now(&self, load: Option<u64>) -> Option<Load> {
        let lanes = self.lanes.load(Ordering::Relaxed);
        load.map(|reported| Load { reported, lanes })
    }

    pub(super) fn carried(&self) -> u64 {
        let lanes = self.lanes.load(Ordering::Relaxed);
        self.inner.lock().carried(lanes)
    }

    /// What it says of itself now, and why it is down by that.
    pub(super) fn reports(&self, report: Report, down: Option<String>) {
        let mut inner = self.inner.lock();
        if report.is_news_after(inner.report.as_deref()) {
            report.tell(&self.id, inner.health == Health::Down);
        }
        inner.load = self.since_now(report.load);
        inner.report = Some(Arc::new(report));
        inner.unwell.clone_from(&down);
        let checked = inner.checked;
        self.settle(&mut inner, checked, down);
    }

    /// Reports are over for this packager.
    pub(super) fn forget_reports(&self) {
        let mut inner = self.inner.lock();
        (inner.load, inner.report, inner.unwell) = (None, None, None);
        let checked = inner.checked;
        self.settle(&mut inner, checked, None);
    }

    pub(super) fn set(&self, health: Health, cause: &str) {
        self.settle(&mut self.inner.lock(), health, Some(cause.to_owned()));
    }

    /// Takes it out, or brings it back.
    pub(super) fn drain(&self, drained: Option<Drained>) {
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
    pub(super) fn leave(&self, leaving: Option<Drained>) {
        let mut inner = self.inner.lock();
        let since = |leaving: Option<Drained>| leaving.map(|l| l.since);
        if since(inner.membership.leaving) != since(leaving) {
            inner.membership.leaving = leaving;
            self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
        }
    }

    /// That one is away which an operator has taken out, or which has left, is no alarm.
    pub(super) fn tell_down(&self, inner: &Inner) {
        let (packager, cause) = (self.id.as_str(), inner.cause.as_str());
        if inner.drained.is_some() || inner.membership.leaving.is_some() {
            tracing::info!(target: "segue::packagers", packager, cause, "packager is down, and drained");
        } else {
            tracing::warn!(target: "segue::packagers", packager, cause, "packager is down");
        }
    }

    /// `checked`: the verdict of its checks. What it says of itself may be worse.
    pub(super) fn settle(&self, inner: &mut Inner, checked: Health, cause: Option<String>) {
        let before = inner.health;
        inner.checked = checked;
        let health = if inner.unwell.is_some() { Health::Down } else { checked };
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
