//! What is known of one packager, whatever becomes of the configuration meanwhile.

use std::collections::BTreeMap;

use super::*;
use crate::model::names::PoolName;
use crate::packagers::{KindSpec, PackagerSpec, PoolSpec, Pools, Spread};

const SPEC: Thresholds = Thresholds { rise: 2, fall: 3 };

fn state(new: bool) -> State {
    let membership = Membership { new, ..Membership::default() };
    State::new(PackagerId::new("a"), channel::Sender::new(0), membership)
}

fn health(state: &State) -> Health {
    state.inner.lock().health
}

#[test]
fn who_is_new_and_has_no_address_yet_is_not_proven_by_that() {
    let cause = || "it does not resolve".to_owned();
    let new = state(true);
    new.observe_nameless(cause(), SPEC);
    assert_eq!(health(&new), Health::New);
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    new.addresses(&[address]);
    new.observe(address, Ok(()), SPEC);
    assert_eq!(health(&new), Health::New);
    for _ in 0..3 {
        new.observe_nameless(cause(), SPEC);
    }
    assert_eq!(health(&new), Health::Down);
    let known = state(false);
    known.observe_nameless(cause(), SPEC);
    assert_eq!(health(&known), Health::Unknown);
}

#[test]
fn a_lane_counts_at_the_packager_that_is_configured_now() {
    let packager = PackagerSpec {
        id: PackagerId::new("a"),
        zone: String::new(),
        weight: 1,
        capacity: None,
        check: None,
        kind: KindSpec::default(),
    };
    let name = PoolName::new("live");
    let with = |packagers: Vec<PackagerSpec>| PoolSpec {
        name: name.clone(),
        hosts: Vec::new(),
        zone_hosts: Vec::new(),
        packagers,
        spread: Spread::default(),
    };
    let there = [with(vec![packager])];
    let pools = Pools::new(&there);
    let a = || pools.get(&name).unwrap().packagers()[0].clone();
    let lane = a().carry_lane();
    pools.reload(&there);
    assert!(a().counts(&lane), "a reload that keeps it");
    // Out of the configuration and back: nothing is known of it any more.
    pools.reload_with(&[with(Vec::new())], &BTreeMap::new());
    pools.reload(&there);
    assert!(!a().counts(&lane));
    assert_eq!(a().lanes(), 0);
}
