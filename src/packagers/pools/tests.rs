//! What a reload keeps, where hosts lead, and in which order packagers are tried.

use super::*;
use crate::packagers::{CarriedLane, KindSpec, PackagerSpec, Spread};

fn pool(name: &str, hosts: &[&str], packagers: &[(&str, &str, u32)]) -> PoolSpec {
    PoolSpec {
        name: PoolName::new(name),
        hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        zone_hosts: Vec::new(),
        packagers: packagers
            .iter()
            .map(|(id, zone, weight)| PackagerSpec {
                id: PackagerId::new(*id),
                zone: (*zone).to_owned(),
                weight: *weight,
                capacity: None,
                check: None,
                kind: KindSpec::default(),
            })
            .collect(),
        spread: Spread::default(),
    }
}

fn live(pools: &Pools) -> Arc<Pool> {
    pools.get(&PoolName::new("live")).unwrap()
}

/// So many lanes on each, until they are dropped.
fn carry(pools: &Pools, lanes: &[(&str, usize)]) -> Vec<CarriedLane> {
    let packagers = live(pools).packagers();
    let on = |id: &str| packagers.iter().find(|p| p.id.as_str() == id).unwrap().clone();
    lanes.iter().flat_map(|(id, n)| (0..*n).map(|_| on(id).carry_lane())).collect()
}

fn order(pools: &Pools, zone: &str, lanes: &[(&str, usize)]) -> String {
    let _lanes = carry(pools, lanes);
    let order = live(pools).preference(zone, &|_| false);
    order.iter().map(|(p, _)| p.id.as_str()).collect()
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
    assert!(Pools::new(&[pool("wild", &["*.example.com"], &[])]).for_host("example.com").is_none());
}

#[test]
fn hosts_that_name_a_zone() {
    let named = |zone_hosts: &[(&str, &str)]| {
        let own = |(host, zone): &(&str, &str)| ((*host).to_owned(), (*zone).to_owned());
        let zone_hosts = zone_hosts.iter().map(own).collect();
        PoolSpec { zone_hosts, ..pool("live", &["media.example.com"], &[]) }
    };
    let both = [("media-az1.example.com", "az1"), ("media-az2.example.com", "az2")];
    let pools = Pools::new(&[named(&both), pool("any", &["*"], &[])]);
    for (host, name, zone) in [
        ("media.example.com", "live", None),
        ("media-az1.example.com", "live", Some("az1")),
        ("media-az2.example.com", "live", Some("az2")),
        ("media-az3.example.com", "any", None),
    ] {
        assert_eq!(pools.for_host(host).unwrap().name.as_str(), name, "{host}");
        assert_eq!(pools.zone_of_host(host).as_deref(), zone, "{host}");
    }
    pools.reload(&[named(&[("media-az1.example.com", "az9")])]);
    assert_eq!(pools.zone_of_host("media-az1.example.com").as_deref(), Some("az9"));
    assert!(pools.for_host("media-az2.example.com").is_none());
    assert_eq!(pools.zone_of_host("media-az2.example.com"), None);
}

#[test]
fn preference_follows_health_zone_and_lanes() {
    let mut spec = pool("live", &["*"], &[("a", "1", 1), ("b", "2", 1), ("c", "2", 2)]);
    spec.spread.slow_start = Duration::ZERO;
    let pools = Pools::new(&[spec]);
    for (zone, down, lanes, want) in [
        ("", "", &[][..], "cab"),
        ("2", "", &[], "cba"),
        ("2", "b", &[], "cab"),
        ("2", "", &[("b", 1)], "cba"),
        ("2", "", &[("b", 1), ("c", 4)], "bca"),
        ("1", "abc", &[], "acb"),
        ("3", "", &[("a", 1)], "cba"),
    ] {
        for id in ["a", "b", "c"] {
            let health = if down.contains(id) { Health::Down } else { Health::Up };
            pools.set_health(&PackagerId::new(id), health);
        }
        assert_eq!(order(&pools, zone, lanes), want, "zone {zone}, down {down}, {lanes:?}");
    }
}

#[test]
fn what_it_said_last_and_the_lanes_since_are_what_it_carries() {
    let mut spec = pool("live", &["*"], &[("a", "", 1)]);
    spec.packagers[0].capacity = Some(200);
    let pools = Pools::new(&[spec]);
    let a = live(&pools).packagers()[0].clone();
    let before = carry(&pools, &[("a", 3)]);
    assert_eq!((a.carried(), a.load()), (3, None));
    pools.set_load(&a.id, Some(80));
    assert_eq!((a.carried(), a.load()), (80, Some(80)));
    let since = carry(&pools, &[("a", 20)]);
    assert_eq!(a.carried(), 100);
    assert_eq!(a.utilisation(), Some(0.5));
    drop(since);
    drop(before);
    assert_eq!((a.carried(), a.lanes()), (80, 0), "until it says less");
    pools.set_load(&a.id, None);
    assert_eq!(a.carried(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_starts_slowly() {
    let pools = Pools::new(&[pool("live", &["*"], &[("a", "", 1), ("b", "", 1)])]);
    let b = PackagerId::new("b");
    pools.set_health(&b, Health::Up);
    assert_eq!(order(&pools, "", &[("a", 1)]), "ba", "its first health is no return");
    pools.set_health(&b, Health::Down);
    pools.set_health(&b, Health::Up);
    assert_eq!(order(&pools, "", &[("a", 8)]), "ab");
    assert_eq!(order(&pools, "", &[("a", 11)]), "ba");
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(order(&pools, "", &[("a", 2)]), "ba", "half of its share");
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(order(&pools, "", &[("a", 1)]), "ba");
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
fn who_is_new_or_leaves_goes_last() {
    let a = PackagerId::new("a");
    let mut spec = pool("live", &["*"], &[("a", "", 1), ("b", "", 1)]);
    spec.packagers.iter_mut().for_each(|p| p.check = Some(CheckSpec::default()));
    spec.spread.slow_start = Duration::ZERO;
    let pools = Pools::new(&[]);
    let mut members =
        BTreeMap::from([(a.clone(), Membership { new: true, ..Membership::default() })]);
    pools.reload_with(std::slice::from_ref(&spec), &members);
    assert_eq!(order(&pools, "", &[]), "ba");
    pools.set_health(&a, Health::Up);
    assert_eq!(order(&pools, "", &[]), "ab", "it has proven itself");
    let leaving = Some(Drained { since: UnixMs(7), spread: Duration::ZERO });
    members.insert(a.clone(), Membership { new: true, leaving });
    pools.reload_with(std::slice::from_ref(&spec), &members);
    assert_eq!(order(&pools, "", &[]), "ba");
    assert!(pools.get(&PoolName::new("live")).unwrap().is_drained(&a));
    // Whom an operator takes out stays out when the group has it back.
    pools.drain(&BTreeMap::from([(a.clone(), UnixMs(8))]), |_| Duration::ZERO);
    pools.reload_with(std::slice::from_ref(&spec), &BTreeMap::new());
    assert_eq!(order(&pools, "", &[]), "ba");
    pools.drain(&BTreeMap::new(), |_| Duration::ZERO);
    assert_eq!(order(&pools, "", &[("b", 0)]), "ab", "and is not new again");
    // Forgotten and found again it is.
    spec.packagers.remove(0);
    pools.reload_with(std::slice::from_ref(&spec), &BTreeMap::new());
    spec.packagers.push(PackagerSpec { id: a.clone(), ..spec.packagers[0].clone() });
    spec.packagers.reverse();
    pools.reload_with(&[spec], &members);
    assert_eq!(order(&pools, "", &[("b", 9)]), "ba");
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
