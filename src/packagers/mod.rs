//! Packagers, their pools and their health.

use std::sync::Arc;

use crate::model::names::{PackagerId, PoolName};

/// One live origin server of a pool, as the rest of Segue sees it.
#[derive(Debug)]
pub struct Packager {
    /// Its id, unique in all pools.
    pub id: PackagerId,
    /// The availability zone it stands in; empty where none is named.
    pub zone: String,
    /// Its share of new lanes against others.
    pub weight: u32,
}

/// What a packager's checks say. `Unknown` counts as usable: checks have not come round yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// No check has come round yet.
    Unknown,
    /// Usable.
    Up,
    /// Failed its checks.
    Down,
}

impl Packager {
    /// What its checks say now.
    pub fn health(&self) -> Health {
        todo!()
    }
}

/// The packagers that carry the same streams.
pub struct Pool {
    /// Its name.
    pub name: PoolName,
}

impl Pool {
    /// Its packagers, in the order of the configuration. Changes on reload.
    pub fn packagers(&self) -> Arc<Vec<Arc<Packager>>> {
        todo!()
    }
    /// The order in which packagers are tried for new lanes: usable before down, own zone first,
    /// then by lanes against weight, then in the order of the configuration.
    pub fn preference(&self, _zone: &str, _lanes: &dyn Fn(&PackagerId) -> usize) -> Vec<Arc<Packager>> {
        todo!()
    }
}

/// All pools. Reloading replaces what is inside.
pub struct Pools {}

impl Pools {
    /// The pool of that name.
    pub fn get(&self, _name: &PoolName) -> Option<Arc<Pool>> {
        todo!()
    }
    /// The pool that carries `host` (lower case, without port): an exact name, then `*.example.com`, then `*`.
    pub fn for_host(&self, _host: &str) -> Option<Arc<Pool>> {
        todo!()
    }
}
