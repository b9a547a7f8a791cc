//! Runs with media: two packagers whose borders are apart by whole GOPs, each of which fails in turn.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::programme::Packaging;
use crate::script::{Fault, LENGTH, Script};
use crate::world::{Answer, Media, Shape};

/// What the two packagers have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoders {
    /// One behind a relay: equal pictures, whatever the timeline.
    One,
    /// Two encoders with EXT-X-PROGRAM-DATE-TIME.
    TwoWithDates,
    /// Two encoders, and nothing that tells how they relate but when a segment is listed.
    Two,
}

pub fn draw(encoders: Encoders, seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut script = Script {
        shapes: shapes(&mut rng, encoders),
        proxies: 1,
        standbys: 1,
        faults: Vec::new(),
        split: false,
    };
    if script.shapes[0].variants == 1 && rng.random_bool(0.3) {
        script.proxies = 2;
    }
    let mut p = rng.random_range(0..2);
    let mut at = rng.random_range(25_000..40_000);
    // Whoever failed is well again for long when the other one does.
    while at < LENGTH - 20_000 {
        let back = at + fault(&mut rng, &mut script, p, at);
        p = 1 - p;
        at = back + rng.random_range(30_000..40_000);
    }
    script.faults.sort_by_key(|(at, _)| *at);
    script
}

/// Proxies die as well, some seconds after a packager is well again.
pub fn with_crashes(mut script: Script, seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed);
    let ends = |fault: &Fault| {
        let ended = matches!(fault, Fault::Start(_) | Fault::Thaw(_) | Fault::FeedAgain(_));
        ended || matches!(fault, Fault::Undrain(_) | Fault::Segments(_, Answer::Right))
    };
    for (at, fault) in script.faults.clone() {
        if ends(&fault) && rng.random_bool(0.3) {
            let down = at + rng.random_range(5_000..12_000);
            let up = down + rng.random_range(100..1000);
            let proxy = rng.random_range(0..script.proxies);
            script
                .faults
                .extend([(down, Fault::CrashProxy(proxy)), (up, Fault::StartProxy(proxy))]);
        }
    }
    script.faults.sort_by_key(|(at, _)| *at);
    script
}

fn shapes(rng: &mut StdRng, encoders: Encoders) -> Vec<Shape> {
    let gop_s: u64 = rng.random_range(1..=2);
    let gops: u64 = rng.random_range(2..=6 / gop_s);
    let duration = gops * gop_s * 1000;
    let jitter = if rng.random_bool(0.3) { gop_s * 1000 } else { 0 };
    let plain = Packaging {
        gop: gop_s * 25,
        reorders: rng.random_bool(0.3),
        base: i64::from(rng.random::<u32>()),
        ..Packaging::default()
    };
    let variants = if rng.random_bool(0.2) { 2 } else { 1 };
    let rebases = rng.random_bool(0.5);
    let apart = [0, rng.random_range(1..gops)];
    let apart_base = if rng.random_bool(0.5) { 0 } else { rng.random::<u32>().into() };
    // Arrival cannot tell how late a packager is from what it shows.
    let slowest = if encoders == Encoders::One { 700 } else { 300 };
    ["a", "b"]
        .into_iter()
        .zip(0..)
        .map(|(id, nth)| {
            let (encoder, phase) = match encoders {
                Encoders::One => (1, 0),
                _ => (1 + nth, rng.random_range(0..plain.gop)),
            };
            let packaging = Packaging {
                encoder,
                phase,
                base: plain.base + apart_base * i64::from(nth),
                sound_late: rng.random_range(-5000..20_000),
                frames_in_one: rng.random_range(1..10),
                counter: rng.random_range(0..16),
                ..plain
            };
            Shape {
                id,
                delay: rng.random_range(0..slowest),
                duration,
                jitter,
                target: u32::try_from((duration + jitter).div_ceil(1000)).unwrap(),
                list: rng.random_range(5..8),
                first: rng.random_range(0..500),
                names_per_run: rng.random_bool(0.3),
                variants,
                offset: 0,
                dates: encoders == Encoders::TwoWithDates,
                marks: rng.random_bool(0.5),
                media: Some(Media { packaging, apart: apart[usize::from(nth)], rebases }),
            }
        })
        .collect()
}

/// One fault and its end; returned is how long it lasts.
fn fault(rng: &mut StdRng, script: &mut Script, p: usize, at: u64) -> u64 {
    let long = rng.random_range(2_000..15_000);
    let broken = *[Answer::Status(404), Answer::Truncated, Answer::Stalls].choose(rng).unwrap();
    let (begins, ends, lasts) = match rng.random_range(0..10) {
        0..4 => (Fault::Kill(p), Fault::Start(p), long),
        4..6 => (Fault::Kill(p), Fault::Start(p), 1),
        6 => (Fault::Freeze(p), Fault::Thaw(p), 15_000),
        7 => (Fault::LoseFeed(p), Fault::FeedAgain(p), 15_000),
        8 => (Fault::Segments(p, broken), Fault::Segments(p, Answer::Right), 15_000),
        _ => (Fault::Drain(p), Fault::Undrain(p), 15_000),
    };
    script.faults.extend([(at, begins), (at + lasts, ends)]);
    lasts
}
