//! Several proxies over one store, as they run in several zones: each has its own segments, its own
//! clock, and its own lines to the store, to packagers and to the others. Any of them may be cut,
//! stand still or die, one thing at a time, and every law holds at each proxy and among all.
//!
//! `script` draws what goes wrong; `net` knows who runs and who reaches whom; `database` is the store,
//! `line` a proxy's way to it, `others` its way to the other proxies; `viewers` ask as they do behind a
//! balancer; `across` holds what the proxies show to the laws that bind them together.

mod across;
mod database;
mod line;
mod net;
mod others;
mod recorder;
mod script;
mod stage;
mod viewers;

use std::collections::BTreeMap;

use stage::Done;

use crate::{Traced, every, variable};

/// How many seeds are run if nothing else is said.
const SEEDS: u64 = 200;

impl Traced for Done {
    fn forget_unless_broken(&mut self) {
        if self.breach.is_none() {
            self.trace.clear();
        }
    }
}

fn run(seed: u64) -> Done {
    stage::play(seed, &script::draw(seed))
}

#[test]
fn every_fleet_keeps_the_laws() {
    if let Some(seed) = variable("SEGUE_SEED") {
        let done = run(seed);
        println!("{}", done.trace.join("\n"));
        assert_eq!(done.breach, None, "seed {seed}");
        return;
    }
    let seeds = variable("SEGUE_SEEDS").unwrap_or(SEEDS);
    let mut counts = across::Counts::default();
    let (mut refreshes, mut failed) = (0, BTreeMap::new());
    for (seed, done) in every(seeds, run) {
        refreshes += done.refreshes;
        counts += done.counts;
        if let Some(breach) = done.breach {
            println!("seed {seed}: {breach}");
            failed.insert(seed, (breach, done.trace));
        }
    }
    println!("{seeds} fleets, {refreshes} refreshes, {counts:?}");
    if let Some((seed, (breach, trace))) = failed.first_key_value() {
        let end = trace.iter().position(|l| l.contains("BREACH")).map_or(trace.len(), |at| at + 1);
        let last = trace[end.saturating_sub(60)..end].join("\n");
        panic!("seed {seed} broke law {breach}\n{last}\n{} fleets failed", failed.len());
    }
}

#[test]
fn one_fleet_one_trace() {
    for seed in [3, 10, 21] {
        let (one, two) = (run(seed).trace, run(seed).trace);
        let differs = one.iter().zip(&two).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), two.len(), "seed {seed}");
    }
}
