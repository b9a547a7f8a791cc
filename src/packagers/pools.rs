//! Which packagers carry what. Reloading replaces what is inside and keeps what is known of
//! packagers that stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{CheckSpec, Drained, Health, Membership, Packager, PoolSpec, ReportSpec, State};
use crate::model::names::{PackagerId, PoolName, UnixMs};
use crate::model::selection::{Candidate, Rank, preference};

/// The packagers that carry the same streams.
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    packagers: ArcSwap<Vec<Arc<Packager>>>,
    spill_permille: AtomicU32,
}

impl Pool {
    /// Its packagers, in the order of the configuration. Changes on reload; empty once the pool
    /// is no longer configured.
    #[must_use]
    pub fn packagers(&self) -> Arc<Vec<Arc<Packager>>> {
        self.packagers.load_full()
    }

    /// One of its packagers has this id and is taken out.
    #[must_use]
    pub fn is_drained(&self, id: &PackagerId) -> bool {
        self.packagers.load().iter().any(|p| p.id == *id && p.drained().is_some())
    }

    /// The order in which packagers are tried for new lanes, each with its rank: usable before down, drained
    /// last, own zone first unless it is full, then by what they carry of their share, then in the order of the
    /// configuration. `joined`: a new viewer of the stream could join a lane there. An empty `zone` is near
    /// to none.
    #[must_use]
    pub fn preference(
        &self,
        zone: &str,
        joined: &dyn Fn(&PackagerId) -> bool,
    ) -> Vec<(Arc<Packager>, Rank)> {
        let packagers = self.packagers.load();
        let candidates: Vec<Candidate> =
            packagers.iter().map(|p| p.candidate(zone, joined(&p.id))).collect();
        preference(&candidates, self.spill_permille.load(Ordering::Relaxed))
            .into_iter()
            .filter_map(|(i, rank)| Some((packagers.get(i)?.clone(), rank)))
            .collect()
    }
}

/// All pools. Reloading replaces what is inside.
pub struct Pools {
    table: ArcSwap<Table>,
    /// Who is taken out, configured here or not. Held while either changes.
    drained: Mutex<BTreeMap<PackagerId, Drained>>,
    ticks: watch::Sender<u64>,
}

#[derive(Default)]
struct Table {
    pools: HashMap<PoolName, Arc<Pool>>,
    hosts: HashMap<String, Arc<Pool>>,
    /// The zones that hosts name.
    zones: HashMap<String, Arc<str>>,
    /// What stands behind the `*`, dot included, the longest first.
    suffixes: Vec<(String, Arc<Pool>)>,
    any: Option<Arc<Pool>>,
    states: HashMap<PackagerId, Arc<State>>,
    zone_of: HashMap<PackagerId, String>,
    checks: Vec<(Arc<State>, CheckSpec)>,
    reports: Vec<(Arc<State>, ReportSpec)>,
}

impl Pools {
    /// The pools of `specs`. Nothing is checked and all packagers are `Unknown`, until
    /// [`super::HealthChecks`] runs over them.
    #[must_use]
    pub fn new(specs: &[PoolSpec]) -> Self {
        let pools = Self {
            table: ArcSwap::default(),
            drained: Mutex::default(),
            ticks: watch::Sender::new(0),
        };
        pools.reload(specs);
        pools
    }

    /// Takes `specs` in place of what was. Packagers whose id stays keep their health. The
    /// `origin` client is reloaded first: a packager that it does not know fails its checks.
    pub fn reload(&self, specs: &[PoolSpec]) {
        self.reload_with(specs, &BTreeMap::new());
    }

    /// The same, where some of the packagers belong to groups.
    pub fn reload_with(&self, specs: &[PoolSpec], members: &BTreeMap<PackagerId, Membership>) {
        let drained = self.drained.lock();
        let old = self.table.load_full();
        let mut table = Table::default();
        for spec in specs {
            let members = spec.packagers.iter().map(|p| {
                let state = old.states.get(&p.id).cloned();
                // Without checks nobody could prove anything.
                let mut membership = members.get(&p.id).copied().unwrap_or_default();
                membership.new &= p.check.is_some();
                let state = state.unwrap_or_else(|| {
                    Arc::new(State::new(p.id.clone(), self.ticks.clone(), membership))
                });
                state.leave(membership.leaving);
                table.states.insert(p.id.clone(), Arc::clone(&state));
                table.zone_of.insert(p.id.clone(), p.zone.clone());
                if let Some(check) = &p.check {
                    table.checks.push((Arc::clone(&state), check.clone()));
                }
                if let Some(report) = &p.kind.report {
                    table.reports.push((Arc::clone(&state), report.clone()));
                }
                Arc::new(Packager {
                    id: p.id.clone(),
                    zone: p.zone.clone(),
                    weight: p.weight,
                    capacity: p.capacity,
                    slow_start: spec.spread.slow_start,
                    kind: p.kind.kind,
                    warm_up: p.kind.warm_up,
                    state,
                })
            });
            let members = Arc::new(members.collect::<Vec<_>>());
            let pool = old.pools.get(&spec.name).cloned().unwrap_or_else(|| {
                Arc::new(Pool {
                    name: spec.name.clone(),
                    packagers: ArcSwap::default(),
                    spill_permille: AtomicU32::default(),
                })
            });
            pool.packagers.store(members);
            pool.spill_permille.store(spec.spread.spill_permille, Ordering::Relaxed);
            for host in &spec.hosts {
                if host == "*" {
                    table.any.get_or_insert_with(|| Arc::clone(&pool));
                } else if let Some(suffix) = host.strip_prefix('*') {
                    table.suffixes.push((suffix.to_owned(), Arc::clone(&pool)));
                } else {
                    table.hosts.entry(host.clone()).or_insert_with(|| Arc::clone(&pool));
                }
            }
            for (host, zone) in &spec.zone_hosts {
                table.hosts.entry(host.clone()).or_insert_with(|| Arc::clone(&pool));
                table.zones.insert(host.clone(), zone.as_str().into());
            }
            table.pools.insert(spec.name.clone(), pool);
        }
        table.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        for (name, pool) in &old.pools {
            if !table.pools.contains_key(name) {
                pool.packagers.store(Arc::default());
            }
        }
        for (id, state) in &table.states {
            state.drain(drained.get(id).copied());
        }
        self.table.store(Arc::new(table));
        self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
    }

    /// The pool of that name.
    #[must_use]
    pub fn get(&self, name: &PoolName) -> Option<Arc<Pool>> {
        self.table.load().pools.get(name).cloned()
    }

    /// The pool that carries `host` (lower case, without port): an exact name, then
    /// `*.example.com` (the longest that fits, at any depth), then `*`.
    #[must_use]
    pub fn for_host(&self, host: &str) -> Option<Arc<Pool>> {
        let table = self.table.load();
        let wild = || {
            let fits = |s: &str| host.strip_suffix(s).is_some_and(|rest| !rest.is_empty());
            table.suffixes.iter().find(|(s, _)| fits(s)).map(|(_, pool)| pool)
        };
        table.hosts.get(host).or_else(wild).or(table.any.as_ref()).cloned()
    }

    /// The zone of a packager; none where it is in no pool (any more).
    #[must_use]
    pub fn zone_of(&self, packager: &PackagerId) -> Option<String> {
        self.table.load().zone_of.get(packager).cloned()
    }

    /// The zone that `host` (lower case, without port) names: its viewers get the packagers there
    /// first. None where it names none.
    #[must_use]
    pub fn zone_of_host(&self, host: &str) -> Option<Arc<str>> {
        self.table.load().zones.get(host).cloned()
    }

    /// All pools, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Pool>> {
        self.table.load().pools.values().cloned().collect()
    }

    /// The packagers of all pools, in no order of pools.
    pub fn packagers(&self) -> impl Iterator<Item = Arc<Packager>> {
        self.all().into_iter().flat_map(|pool| pool.packagers().to_vec())
    }

    /// Changes at each change of a packager's health, and at each reload.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    /// Takes these packagers out, each since then, and brings all others back. `spread`: the lanes of one
    /// that was not out before leave within this time.
    pub fn drain(
        &self,
        out: &BTreeMap<PackagerId, UnixMs>,
        spread: impl Fn(&PackagerId) -> Duration,
    ) {
        let mut drained = self.drained.lock();
        let known = |id: &PackagerId, since| drained.get(id).filter(|d| d.since == since).copied();
        let now = out.iter().map(|(id, &since)| {
            let known = known(id, since);
            (id.clone(), known.unwrap_or_else(|| Drained { since, spread: spread(id) }))
        });
        *drained = now.collect();
        for (id, state) in &self.table.load().states {
            state.drain(drained.get(id).copied());
        }
    }

    /// Who is taken out, and since when.
    #[must_use]
    pub fn drained(&self) -> BTreeMap<PackagerId, UnixMs> {
        self.drained.lock().iter().map(|(id, drained)| (id.clone(), drained.since)).collect()
    }

    /// Sets a packager's health by hand: for tests and simulations, where no checks run.
    pub fn set_health(&self, packager: &PackagerId, health: Health) {
        if let Some(state) = self.table.load().states.get(packager) {
            state.set(health, "set by hand");
        }
    }

    /// Sets what a packager says of its load by hand: for tests and simulations.
    pub fn set_load(&self, packager: &PackagerId, load: Option<u64>) {
        if let Some(state) = self.table.load().states.get(packager) {
            state.carries(load);
        }
    }

    /// Who is to be checked, and how.
    pub(super) fn checks(&self) -> Vec<(Arc<State>, CheckSpec)> {
        self.table.load().checks.clone()
    }

    /// Who is asked what it carries, and how.
    pub(super) fn reports(&self) -> Vec<(Arc<State>, ReportSpec)> {
        self.table.load().reports.clone()
    }
}

#[cfg(test)]
mod tests;
