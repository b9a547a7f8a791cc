//! The streams' real code under a virtual clock, over packagers, proxies and a store to which
//! everything happens that may happen: one seed, one trace.
//!
//! `world` is the truth; `script` what goes wrong; `parts` what the streams are given instead of
//! network and database; `players` poll and fetch; `judge` holds what they see to the laws.
//! Segments are labels, or media: `media` draws runs of those, `content` reads what was received of
//! them, and `exact` says how much a failover may lose. `fleet` is several proxies, each with segments,
//! a clock and a line to the store of its own.
//!
//! `SEGUE_SEED=n cargo test --test simulation` runs one seed and prints its trace;
//! `SEGUE_SEEDS=n` sets how many are run.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::semicolon_if_nothing_returned,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::large_stack_arrays,
    clippy::manual_is_multiple_of,
    reason = "a test may"
)]

mod content;
mod exact;
mod fleet;
mod judge;
mod kept;
mod lost;
mod media;
mod merging;
mod parts;
mod players;
#[path = "../programme/mod.rs"]
mod programme;
mod refusing;
mod run;
mod script;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many seeds are run if nothing else is said.
const SEEDS: u64 = 200;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a simulation came to, with its trace.
trait Traced: Send {
    /// A trace is long: it is kept of a breach.
    fn forget_unless_broken(&mut self);
}

impl Traced for run::Done {
    fn forget_unless_broken(&mut self) {
        if self.breach.is_none() {
            self.trace.clear();
        }
    }
}

/// Runs all seeds, two at a time, in no order; what they came to, by seed. Only who failed keeps its trace.
fn every<D: Traced>(seeds: u64, run: impl Fn(u64) -> D + Sync) -> BTreeMap<u64, D> {
    let next = AtomicU64::new(0);
    let all = parking_lot::Mutex::new(BTreeMap::new());
    let one_after_another = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|s| *s < seeds) {
            let mut done = run(seed);
            done.forget_unless_broken();
            all.lock().insert(seed, done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(one_after_another);
        }
    });
    all.into_inner()
}

#[test]
fn every_seed_keeps_the_laws() {
    if let Some(seed) = variable("SEGUE_SEED") {
        let done = run::run(seed);
        println!("{}", done.trace.join("\n"));
        assert_eq!(done.breach, None, "seed {seed}");
        return;
    }
    let seeds = variable("SEGUE_SEEDS").unwrap_or(SEEDS);
    let (mut refreshes, mut gaps, mut failed) = (0, Vec::new(), BTreeMap::new());
    for (seed, done) in every(seeds, run::run) {
        refreshes += done.refreshes;
        gaps.extend(done.gaps);
        if let Some(breach) = done.breach {
            println!("seed {seed}: {breach}");
            failed.insert(seed, (breach, done.trace));
        }
    }
    println!("{seeds} seeds, {refreshes} refreshes");
    run::print_gaps(&gaps);
    if let Some((seed, (breach, trace))) = failed.first_key_value() {
        let end = trace.iter().position(|l| l.contains("BREACH")).map_or(trace.len(), |at| at + 1);
        let last = &trace[end.saturating_sub(60)..end];
        panic!(
            "seed {seed} broke law {breach}\n{}\n{} seeds failed",
            last.join("\n"),
            failed.len()
        );
    }
}

#[test]
fn one_seed_one_trace() {
    for seed in [3, 10, 21, 31] {
        let (one, two) = (run::run(seed).trace, run::run(seed).trace);
        let differs = one.iter().zip(&two).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed} differs at {at}:\n{}\n{}", one[at], two[at]);
        }
        assert_eq!(one.len(), two.len(), "seed {seed}");
    }
}
