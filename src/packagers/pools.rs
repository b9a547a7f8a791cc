//! Which packagers carry what. Reloading replaces what is inside and keeps what is known of
//! packagers that stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{CheckSpec, Drained, Health, Packager, PoolSpec, ReportSpec, State};
use crate::model::names::{PackagerId, PoolName, UnixMs};
use crate::model::selection::{Candidate, preference};

/// The packagers that carry the same streams.
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    packagers: ArcSwap<Vec<Arc<Packager>>>,
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

    /// The order in which packagers are tried for new lanes: usable before down, drained last, own
    /// zone first, then by lanes against weight, then in the order of the configuration. An empty `zone` is
    /// near to none.
    #[must_use]
    pub fn preference(
        &self,
        zone: &str,
        lanes: &dyn Fn(&PackagerId) -> usize,
    ) -> Vec<Arc<Packager>> {
        let packagers = self.packagers.load();
        let candidates: Vec<Candidate> = packagers
            .iter()
            .map(|p| Candidate {
                usable: p.health().is_usable(),
                drained: p.drained().is_some(),
                near: !zone.is_empty() && p.zone == zone,
                lanes: lanes(&p.id),
                weight: p.weight,
            })
            .collect();
        preference(&candidates).into_iter().filter_map(|i| packagers.get(i).cloned()).collect()
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
    /// What stands behind the `*`, dot included, the longest first.
    suffixes: Vec<(String, Arc<Pool>)>,
    any: Option<Arc<Pool>>,
    states: HashMap<PackagerId, Arc<State>>,
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
        let drained = self.drained.lock();
        let old = self.table.load_full();
        let mut table = Table::default();
        for spec in specs {
            let members = spec.packagers.iter().map(|p| {
                let state = old.states.get(&p.id).cloned();
                let state =
                    state.unwrap_or_else(|| Arc::new(State::new(p.id.clone(), self.ticks.clone())));
                table.states.insert(p.id.clone(), Arc::clone(&state));
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
                    kind: p.kind.kind,
                    warm_up: p.kind.warm_up,
                    state,
                })
            });
            let members = Arc::new(members.collect::<Vec<_>>());
            let pool = old.pools.get(&spec.name).cloned().unwrap_or_else(|| {
                Arc::new(Pool { name: spec.name.clone(), packagers: ArcSwap::default() })
            });
            pool.packagers.store(members);
            for host in &spec.hosts {
                if host == "*" {
                    table.any.get_or_insert_with(|| Arc::clone(&pool));
                } else if let Some(suffix) = host.strip_prefix('*') {
                    table.suffixes.push((suffix.to_owned(), Arc::clone(&pool)));
                } else {
                    table.hosts.entry(host.clone()).or_insert_with(|| Arc::clone(&pool));
                }
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

    /// All pools, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Pool>> {
        self.table.load().pools.values().cloned().collect()
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
mod tests {
    use super::*;
    use crate::packagers::{KindSpec, PackagerSpec};

    fn pool(name: &str, hosts: &[&str], packagers: &[(&str, &str, u32)]) -> PoolSpec {
        PoolSpec {
            name: PoolName::new(name),
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            packagers: packagers
                .iter()
                .map(|(id, zone, weight)| PackagerSpec {
                    id: PackagerId::new(*id),
                    zone: (*zone).to_owned(),
                    weight: *weight,
                    check: None,
                    kind: KindSpec::default(),
                })
                .collect(),
        }
    }

    fn order(pools: &Pools, zone: &str, lanes: &[(&str, usize)]) -> String {
        let lanes =
            |id: &PackagerId| lanes.iter().find(|(l, _)| *l == id.as_str()).map_or(0, |(_, n)| *n);
        let order = pools.get(&PoolName::new("live")).unwrap().preference(zone, &lanes);
        order.iter().map(|p| p.id.as_str()).collect()
    }

    #[test]
    fn hosts() {
        let pools = Pools::new(&[
            pool("exact", &["a.example.com"], &[]),
            pool("deep", &["*.b.example.com"], &[]),
            pool("wild", &["*.example.com"], &[]),
            pool("any", &["*"], &[]),
        ]);
        for (host, want) in [
            ("a.example.com", "exact"),
            ("x.a.example.com", "wild"),
            ("x.b.example.com", "deep"),
            ("b.example.com", "wild"),
            ("example.com", "any"),
            ("notexample.com", "any"),
            ("", "any"),
        ] {
            assert_eq!(pools.for_host(host).unwrap().name.as_str(), want, "{host}");
        }
        assert!(
            Pools::new(&[pool("wild", &["*.example.com"], &[])]).for_host("example.com").is_none()
        );
    }

    #[test]
    fn preference_follows_health_zone_and_lanes() {
        let pools =
            Pools::new(&[pool("live", &["*"], &[("a", "1", 1), ("b", "2", 1), ("c", "2", 2)])]);
        for (zone, down, lanes, want) in [
            ("", "", &[][..], "abc"),
            ("2", "", &[], "bca"),
            ("2", "b", &[], "cab"),
            ("2", "", &[("b", 1)], "cba"),
            ("2", "", &[("b", 1), ("c", 2)], "bca"),
            ("1", "abc", &[], "abc"),
            ("3", "", &[("a", 1)], "bca"),
        ] {
            for id in ["a", "b", "c"] {
                let health = if down.contains(id) { Health::Down } else { Health::Up };
                pools.set_health(&PackagerId::new(id), health);
            }
            assert_eq!(order(&pools, zone, lanes), want, "zone {zone}, down {down}, {lanes:?}");
        }
    }

    #[test]
    fn who_is_drained_stays_drained_and_goes_last() {
        let pools = Pools::new(&[pool("live", &["*"], &[("a", "", 1), ("b", "", 1)])]);
        let mut ticks = pools.subscribe();
        let out = |since| BTreeMap::from([(PackagerId::new("a"), UnixMs(since))]);
        pools.drain(&out(7), |_| Duration::from_secs(3));
        assert!(ticks.has_changed().unwrap());
        ticks.mark_unchanged();
        assert_eq!(order(&pools, "", &[("b", 9)]), "ba");
        // The same again, looked for in the store: nothing changes.
        pools.drain(&out(7), |_| Duration::ZERO);
        assert!(!ticks.has_changed().unwrap());
        let drained = |pools: &Pools| {
            pools.get(&PoolName::new("live")).unwrap().packagers().iter().find_map(|p| p.drained())
        };
        let since = Drained { since: UnixMs(7), spread: Duration::from_secs(3) };
        assert_eq!(drained(&pools), Some(since));
        // Out of the configuration and back.
        pools.reload(&[pool("live", &["*"], &[("b", "", 1)])]);
        pools.reload(&[pool("live", &["*"], &[("a", "", 1), ("b", "", 1)])]);
        assert_eq!(drained(&pools), Some(since));
        pools.drain(&BTreeMap::new(), |_| Duration::ZERO);
        assert_eq!(drained(&pools), None);
        assert_eq!(order(&pools, "", &[("b", 9)]), "ab");
    }

    #[test]
    fn reload_keeps_health_and_pool() {
        let pools = Pools::new(&[pool("live", &["*"], &[("a", "", 1), ("b", "", 1)])]);
        let held = pools.get(&PoolName::new("live")).unwrap();
        pools.set_health(&PackagerId::new("a"), Health::Down);
        let mut ticks = pools.subscribe();
        pools.reload(&[pool("live", &["h"], &[("c", "", 1), ("a", "z", 7)])]);
        assert!(ticks.has_changed().unwrap());
        ticks.mark_unchanged();
        let now = held.packagers();
        assert_eq!(
            now.iter().map(|p| (p.id.as_str(), p.health())).collect::<Vec<_>>(),
            [("c", Health::Unknown), ("a", Health::Down)]
        );
        assert_eq!((now[1].zone.as_str(), now[1].weight), ("z", 7));
        assert!(pools.for_host("x").is_none());
        pools.set_health(&PackagerId::new("a"), Health::Down);
        assert!(!ticks.has_changed().unwrap(), "no change, no tick");
        pools.set_health(&PackagerId::new("a"), Health::Up);
        assert!(ticks.has_changed().unwrap());
        pools.reload(&[]);
        assert!(held.packagers().is_empty());
    }
}
