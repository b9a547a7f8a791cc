//! What it costs to put the packagers of a large pool in order, which each stream does whenever something
//! happens to it.

use std::hint::black_box;
use std::time::Duration;

use segue::model::names::{PackagerId, PoolName};
use segue::packagers::{KindSpec, PackagerSpec, PoolSpec, Pools, Spread};

use crate::pieces;

/// A large pool: the edges of an origin.
pub const PACKAGERS: usize = 20;

/// Nanoseconds for one order, for a zone that has half of the packagers.
pub fn ns() -> f64 {
    let packager = |n: usize| PackagerSpec {
        id: PackagerId::new(format!("edge-{n}")),
        zone: format!("az{}", n % 2),
        weight: 1,
        capacity: Some(1000),
        check: None,
        kind: KindSpec::default(),
    };
    let name = PoolName::new("live");
    let pools = Pools::new(&[PoolSpec {
        name: name.clone(),
        hosts: vec!["*".to_owned()],
        zone_hosts: Vec::new(),
        packagers: (0..PACKAGERS).map(packager).collect(),
        spread: Spread { spill_permille: 750, slow_start: Duration::from_secs(30) },
    }]);
    for n in 0..PACKAGERS {
        // No two alike, and in no order.
        let load = u64::try_from(n * 7 % PACKAGERS).ok();
        pools.set_load(&PackagerId::new(format!("edge-{n}")), load);
    }
    let joined = PackagerId::new("edge-3");
    let mut order = || {
        let pool = pools.get(&name);
        pool.is_some_and(|pool| !black_box(pool.preference("az0", &|id| *id == joined)).is_empty())
    };
    pieces::us(&mut order) * 1e3
}
