//! Tokens that were verified before: a known lane's playlist costs no MAC. Bounded: two
//! generations, of which the older is dropped when the younger is full.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use crate::model::names::{LaneId, PoolName};

/// What a token said.
#[derive(Debug)]
pub struct Verified<L> {
    /// The pool that it is for. Path and identity query are in the key and in the lane.
    pub pool: PoolName,
    /// The lane that it pins to.
    pub lane_id: LaneId,
    /// The Unix second from which it is refused, if any.
    pub expires_unix_s: Option<u64>,
    /// The viewer that it names, if any.
    pub viewer: Option<Arc<str>>,
    /// The lane, as long as it is watched.
    pub lane: Weak<L>,
}

/// Verified tokens by the path up to the token's end.
pub struct Known<L> {
    generations: RwLock<Generations<L>>,
    /// How often all was forgotten. Changes while `generations` is locked for writing.
    clears: AtomicU64,
    young_max: usize,
}

struct Generations<L> {
    young: HashMap<Box<str>, Arc<Verified<L>>>,
    old: HashMap<Box<str>, Arc<Verified<L>>>,
}

impl<L> Known<L> {
    /// Keeps at most `tokens_max`.
    pub fn new(tokens_max: usize) -> Self {
        Self {
            generations: RwLock::new(Generations { young: HashMap::new(), old: HashMap::new() }),
            clears: AtomicU64::new(0),
            young_max: (tokens_max / 2).max(1),
        }
    }

    /// What the token at the end of `prefix` said when it was verified for this pool.
    pub fn get(&self, pool: &PoolName, prefix: &str) -> Option<Arc<Verified<L>>> {
        let (found, clears) = {
            let held = self.generations.read();
            if let Some(verified) = held.young.get(prefix) {
                return (verified.pool == *pool).then(|| Arc::clone(verified));
            }
            (held.old.get(prefix).cloned()?, self.clears())
        };
        if found.pool != *pool {
            return None;
        }
        self.put(prefix, Arc::clone(&found), clears);
        Some(found)
    }

    /// How often all was forgotten so far. Asked before the settings and keys are read that a token is verified
    /// by.
    pub fn clears(&self) -> u64 {
        self.clears.load(Ordering::Acquire)
    }

    /// Remembers what the token at the end of `prefix` says, unless all was forgotten since `clears`: it may be
    /// that it was verified by what holds no longer.
    pub fn put(&self, prefix: &str, verified: Arc<Verified<L>>, clears: u64) {
        let mut held = self.generations.write();
        if self.clears() != clears {
            return;
        }
        if held.young.len() >= self.young_max && !held.young.contains_key(prefix) {
            held.old = std::mem::take(&mut held.young);
        }
        held.young.insert(prefix.into(), verified);
    }

    /// Forgets all: keys or settings have changed.
    pub fn clear(&self) {
        let mut held = self.generations.write();
        self.clears.fetch_add(1, Ordering::Release);
        held.young.clear();
        held.old.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let held = self.generations.read();
        held.young.len() + held.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(pool: &str) -> Arc<Verified<()>> {
        Arc::new(Verified {
            pool: PoolName::new(pool),
            lane_id: LaneId::new("a-1"),
            expires_unix_s: None,
            viewer: None,
            lane: Weak::new(),
        })
    }

    #[test]
    fn the_number_of_tokens_is_bounded_and_used_ones_stay() {
        let known = Known::new(8);
        let pool = PoolName::new("live");
        known.put("used", verified("live"), 0);
        for n in 0..1000 {
            known.put(&format!("t{n}"), verified("live"), 0);
            assert!(known.get(&pool, "used").is_some(), "lost after {n}");
            assert!(known.len() <= 8);
        }
        assert!(known.get(&pool, "t0").is_none());
    }

    #[test]
    fn a_token_of_another_pool_is_not_known() {
        let known = Known::new(2);
        known.put("p", verified("live"), 0);
        assert!(known.get(&PoolName::new("other"), "p").is_none());
        assert!(known.get(&PoolName::new("live"), "p").is_some());
        known.put("q", verified("live"), 0);
        assert!(known.get(&PoolName::new("other"), "p").is_none(), "in the old generation too");
    }

    #[test]
    fn what_was_verified_before_all_was_forgotten_is_not_remembered() {
        let (known, pool) = (Known::new(2), PoolName::new("live"));
        let before = known.clears();
        known.clear();
        known.put("p", verified("live"), before);
        assert!(known.get(&pool, "p").is_none());
        known.put("p", verified("live"), known.clears());
        assert!(known.get(&pool, "p").is_some());
    }
}
