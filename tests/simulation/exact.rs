//! How much a failover loses where segments are media: nothing before one encoder, a GOP where two
//! write dates, a segment where nothing but arrival relates them.

use std::collections::BTreeMap;

use crate::content::Border;
use crate::media::{Encoders, draw, with_crashes};
use crate::run::{Done, play};
use crate::script::Script;
use crate::world::Shape;
use crate::{every, variable};

/// Each with two failovers or more.
const SEEDS: u64 = 60;
/// An exact splice is off by less than one of them.
const PICTURE_MS: i64 = 40;
const SOUND_MS: i64 = 21;
/// By no more does sound lag differently.
const LAG_MS: u64 = 300;

/// Splices from one packager to the other, over so many seeds, of which each keeps the laws.
fn splices(encoders: Encoders, seeds: u64) -> Vec<(u64, Border)> {
    splices_in(encoders, seeds, &|seed| draw(encoders, seed))
}

fn splices_in(
    encoders: Encoders,
    seeds: u64,
    script: &(dyn Fn(u64) -> Script + Sync),
) -> Vec<(u64, Border)> {
    let run = |seed| play(seed, script(seed));
    if let Some(seed) = variable("SEGUE_SEED") {
        println!("{}", run(seed).trace.join("\n"));
        return of_one(seed, &run(seed)).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let mut all = Vec::new();
    let mut broken = Vec::new();
    for (seed, done) in every(variable("SEGUE_SEEDS").unwrap_or(seeds), run) {
        match of_one(seed, &done) {
            Ok(splices) => all.extend(splices),
            Err(why) => broken.push(format!("seed {seed}: {why}")),
        }
    }
    print(encoders, &all);
    assert!(broken.is_empty(), "{} seeds\n{}", broken.len(), broken.join("\n"));
    all
}

fn of_one(seed: u64, done: &Done) -> Result<Vec<(u64, Border)>, String> {
    if let Some(breach) = &done.breach {
        return Err(breach.clone());
    }
    let moved = |border: &&Border| border.told.is_some() && !border.to.follows(&border.from);
    Ok(done.borders.clone()?.iter().filter(moved).map(|border| (seed, border.clone())).collect())
}

/// The distribution of gaps, for each method.
fn print(encoders: Encoders, splices: &[(u64, Border)]) {
    let mut methods: BTreeMap<&str, Vec<&Border>> = BTreeMap::new();
    for (_, border) in splices {
        methods.entry(border.told.unwrap().0.as_str()).or_default().push(border);
    }
    for (method, borders) in methods {
        let tenths = |of: &dyn Fn(&Border) -> i64| {
            let mut all: Vec<i64> = borders.iter().map(|border| of(border)).collect();
            all.sort_unstable();
            let at = |tenth: usize| all[((all.len() - 1) * tenth).div_ceil(10)];
            format!("{} .. {} .. {} .. {} .. {}", at(0), at(1), at(5), at(9), at(10))
        };
        println!(
            "{encoders:?}: {} splices by {method}, {} cut, {} with EXT-X-GAP; least, 1/10, half, 9/10, \
             most:\n  pictures {} ms\n  sound {} ms\n  told wrong by {} ms",
            borders.len(),
            borders.iter().filter(|border| border.is_cut).count(),
            borders.iter().filter(|border| border.missing > 0).count(),
            tenths(&|border| border.pictures_ms),
            tenths(&|border| border.sound_ms),
            tenths(&|border| border.told.unwrap().1 - border.pictures_ms),
        );
    }
}

/// Each splice is `allowed`, and its gap was told right, but for less than so much.
fn hold(
    encoders: Encoders,
    splices: &[(u64, Border)],
    told_wrong_ms: i64,
    allowed: impl Fn(&Shape, &Border) -> bool,
) {
    let told = |border: &Border| {
        border.told.is_some_and(|(_, gap)| (gap - border.pictures_ms).abs() < told_wrong_ms)
    };
    let good = |seed: u64, border: &Border| {
        told(border) && allowed(&draw(encoders, seed).shapes[0], border)
    };
    let bad = splices.iter().filter(|(seed, border)| !good(*seed, border));
    let bad: Vec<String> = bad.map(|(seed, border)| format!("seed {seed}: {border}")).collect();
    let shown = &bad[..bad.len().min(30)];
    let (count, all) = (bad.len(), splices.len());
    assert!(bad.is_empty(), "{encoders:?}: {count} of {all} splices\n{}", shown.join("\n"));
}

fn is_exact(_: &Shape, border: &Border) -> bool {
    border.pictures_ms.abs() < PICTURE_MS && border.sound_ms.abs() < SOUND_MS
}

#[test]
fn a_hundred_kills_at_random_moments_lose_nothing() {
    let splices = splices(Encoders::One, SEEDS);
    hold(Encoders::One, &splices, PICTURE_MS, is_exact);
    let of_lanes = splices.iter().filter(|(_, border)| border.to.variant == 0).count();
    let chosen = variable("SEGUE_SEED").or(variable("SEGUE_SEEDS"));
    assert!(of_lanes >= 100 || chosen.is_some(), "{of_lanes} splices");
}

#[test]
fn a_proxy_that_died_knows_again_how_packagers_relate() {
    let script = |seed| with_crashes(draw(Encoders::One, seed), seed);
    let splices = splices_in(Encoders::One, SEEDS, &script);
    hold(Encoders::One, &splices, PICTURE_MS, is_exact);
}

#[test]
fn two_encoders_with_dates_lose_a_gop_at_most() {
    let splices = splices(Encoders::TwoWithDates, SEEDS / 3);
    hold(Encoders::TwoWithDates, &splices, PICTURE_MS, |shape, border| {
        let gop_ms = shape.media.unwrap().packaging.gop * PICTURE_MS.unsigned_abs();
        // Where there is a gap sound begins with the pictures, however it lagged before.
        let apart = (border.sound_ms - border.pictures_ms).unsigned_abs();
        border.pictures_ms.unsigned_abs() <= gop_ms && apart < LAG_MS
    });
}

#[test]
fn two_encoders_that_nothing_relates_lose_a_segment_at_most() {
    let splices = splices(Encoders::Two, SEEDS / 3);
    hold(Encoders::Two, &splices, i64::MAX, |shape, border| {
        border.pictures_ms.unsigned_abs() <= shape.duration + shape.jitter
    });
}

#[test]
fn one_seed_of_media_one_trace() {
    for encoders in [Encoders::One, Encoders::Two] {
        let [one, two] = [7, 7].map(|seed| play(seed, draw(encoders, seed)).trace);
        let differs = one.iter().zip(&two).find(|(a, b)| a != b);
        assert_eq!(differs, None);
        assert_eq!(one.len(), two.len());
    }
}
