//! What goes wrong, and when: drawn from the seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::world::{Answer, Shape};

/// How long a simulation lasts, milliseconds.
pub const LENGTH: u64 = 170_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    LoseFeed(usize),
    FeedAgain(usize),
    Playlists(usize, Answer),
    Segments(usize, Answer),
    CrashProxy(usize),
    StartProxy(usize),
    Health(usize, bool),
    Drain(usize),
    Undrain(usize),
    /// Out of the configuration, and back into it.
    Remove(usize),
    Restore(usize),
    StoreFails(bool),
    StoreLost,
}

pub struct Script {
    pub shapes: Vec<Shape>,
    pub proxies: usize,
    pub standbys: usize,
    /// In order of time.
    pub faults: Vec<(u64, Fault)>,
    /// Proxies may come to disagree.
    pub split: bool,
}

pub fn draw(seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut shapes = shapes(&mut rng);
    let proxies = rng.random_range(1..=2);
    if proxies > 1 {
        // A rendition that viewers of one proxy alone ask for goes cold after a minute, since the
        // other appends without it: to be solved with the store that several proxies share.
        shapes.iter_mut().for_each(|s| s.variants = 1);
    }
    let standbys = rng.random_range(1..shapes.len());
    let mut script = Script { shapes, proxies, standbys, faults: Vec::new(), split: false };
    if seed.is_multiple_of(8) {
        return script;
    }
    let crashes = rng.random_bool(0.4);
    // Proxies that go on apart while their store fails come to disagree; bringing their logs
    // together again is for the store that several proxies share.
    let store = rng.random_bool(0.4) && proxies == 1;
    let mut at = rng.random_range(15_000..40_000);
    while at < LENGTH - 45_000 {
        at = fault(&mut rng, &mut script, at, crashes, store);
    }
    script.faults.sort_by_key(|(at, _)| *at);
    script
}

pub fn shapes(rng: &mut StdRng) -> Vec<Shape> {
    let variants = if rng.random_bool(0.3) { 2 } else { 1 };
    let duration = *[1000, 2000, 4000, 6000].choose(rng).unwrap();
    let dates = rng.random_bool(0.3);
    let count = if rng.random_bool(0.25) { 3 } else { 2 };
    let ids = ["a", "b", "c"];
    ids[..count]
        .iter()
        .map(|id| {
            let duration: u64 = if rng.random_bool(0.2) { duration * 3 / 2 } else { duration };
            let jitter = if rng.random_bool(0.5) { 0 } else { rng.random_range(1..duration / 4) };
            Shape {
                id,
                delay: rng.random_range(0..2500),
                duration,
                jitter,
                target: u32::try_from((duration + jitter).div_ceil(1000)).unwrap(),
                list: rng.random_range(3..8),
                first: rng.random_range(0..500),
                names_per_run: rng.random_bool(0.3),
                variants,
                offset: if rng.random_bool(0.3) { rng.random_range(2..40) } else { 0 },
                dates,
                marks: rng.random_bool(0.5),
                media: None,
            }
        })
        .collect()
}

/// One fault, and its end. Returns when the next may come.
fn fault(rng: &mut StdRng, script: &mut Script, at: u64, crashes: bool, store: bool) -> u64 {
    let p = rng.random_range(0..script.shapes.len());
    let long = at + rng.random_range(500..20_000);
    let f = &mut script.faults;
    let answer = *[
        Answer::Status(404),
        Answer::Status(500),
        Answer::Garbage,
        Answer::Empty,
        Answer::Truncated,
        Answer::Stalls,
    ]
    .choose(rng)
    .unwrap();
    match rng.random_range(0..14) {
        0 | 1 => f.extend([(at, Fault::Kill(p)), (long, Fault::Start(p))]),
        2 => f.extend([(at, Fault::Freeze(p)), (long, Fault::Thaw(p))]),
        3 => f.extend([(at, Fault::Kill(p)), (at + 1, Fault::Start(p))]),
        4 => f.extend([(at, Fault::LoseFeed(p)), (long, Fault::FeedAgain(p))]),
        5 | 6 => f.extend([
            (at, Fault::Playlists(p, answer)),
            (long, Fault::Playlists(p, Answer::Right)),
        ]),
        7 => {
            f.extend([(at, Fault::Segments(p, answer)), (long, Fault::Segments(p, Answer::Right))])
        }
        8 => {
            for p in 0..script.shapes.len() {
                let back = long + rng.random_range(0..4000);
                f.extend([(at, Fault::Kill(p)), (back, Fault::Start(p))]);
            }
        }
        9 => {
            for p in 0..script.shapes.len() {
                f.extend([(at, Fault::LoseFeed(p)), (long, Fault::FeedAgain(p))]);
            }
        }
        10 if crashes => {
            let proxy = rng.random_range(0..script.proxies);
            let back = at + rng.random_range(100..3000);
            f.extend([(at, Fault::CrashProxy(proxy)), (back, Fault::StartProxy(proxy))]);
        }
        11 if store => {
            script.split |= script.proxies > 1;
            f.extend([(at, Fault::StoreFails(true)), (long, Fault::StoreFails(false))]);
            if rng.random_bool(0.3) {
                f.push((at + 1, Fault::StoreLost));
            }
        }
        12 => f.extend([(at, Fault::Health(p, false)), (long, Fault::Health(p, true))]),
        13 if at % 2 == 0 => f.extend([(at, Fault::Remove(p)), (long, Fault::Restore(p))]),
        13 => f.extend([(at, Fault::Drain(p)), (long, Fault::Undrain(p))]),
        _ => {}
    }
    // Sometimes the next comes before this one is over.
    let calm = rng.random_range(5_000..25_000);
    if rng.random_bool(0.3) { at + calm } else { long + calm }
}
