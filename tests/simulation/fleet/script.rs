//! What goes wrong with a fleet, and when: drawn from the seed, one thing at a time.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::net::Weather;
use crate::script;
use crate::world::{Answer, Shape};

/// How long a simulation lasts, milliseconds.
pub const LENGTH: u64 = 170_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Of a packager.
    Packager(script::Fault),
    CrashProxy(usize),
    /// With nothing but an empty directory, or with what it had.
    StartProxy(usize, bool),
    FreezeProxy(usize),
    ThawProxy(usize),
    /// A proxy does not reach the store.
    CutStore(usize),
    JoinStore(usize),
    StoreAway,
    StoreBack,
    /// It comes back empty.
    StoreEmpty,
    /// It goes on without the writes of so many last milliseconds.
    StoreFailover(u64),
    StoreSlow(bool),
    /// A proxy does not reach the others.
    PartProxy(usize),
    JoinProxies(usize),
    /// A proxy does not reach these packagers; whether it is told so at once.
    CutPackagers(usize, Vec<usize>, bool),
    JoinPackagers(usize, Vec<usize>),
    /// Both at once, as soon as another proxy holds what this one appended last.
    KillBoth(usize, usize),
}

pub struct Script {
    pub shapes: Vec<Shape>,
    pub packager_zones: bool,
    pub zones: Vec<&'static str>,
    pub standbys: usize,
    pub one_per_zone: bool,
    pub weather: Weather,
    /// In order of time. With how many splices of a lane each may lead to, until the next; none: it ends
    /// what began before.
    pub faults: Vec<(u64, Fault, Option<usize>)>,
}

pub fn draw(seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed ^ 0xf1ee7);
    let shapes = shapes(&mut rng);
    let count = rng.random_range(2..=4);
    let count = if crate::variable("SEGUE_ALONE").is_some() { 1 } else { count };
    let zones = (0..count).map(|n: usize| ["z1", "z2", "z1", "z2"][n]);
    let one_zone = rng.random_bool(0.3);
    let zones = zones.map(|zone| if one_zone { "z1" } else { zone }).collect();
    let standbys = rng.random_range(1..shapes.len());
    let calm = seed.is_multiple_of(8);
    let lossy = !calm && rng.random_bool(0.3);
    let mut script = Script {
        shapes,
        packager_zones: rng.random_bool(0.5),
        zones,
        standbys,
        one_per_zone: rng.random_bool(0.4),
        weather: Weather { lost_one_in: if lossy { 150 } else { 0 }, slow_one_in: 60 },
        faults: Vec::new(),
    };
    if calm {
        return script;
    }
    let mut at = rng.random_range(20_000..40_000);
    while at < LENGTH - 35_000 {
        let back = at + fault(&mut rng, &mut script, at);
        at = back + rng.random_range(15_000..25_000);
    }
    script.faults.sort_by_key(|(at, _, _)| *at);
    script
}

/// Packagers that are never late by themselves: what a lane does then is seen with one proxy.
fn shapes(rng: &mut StdRng) -> Vec<Shape> {
    let mut shapes = script::shapes(rng);
    let duration = shapes[0].duration.max(2000);
    for shape in &mut shapes {
        shape.duration = duration;
        shape.jitter = shape.jitter.min(duration / 20);
        shape.delay %= 1000;
        shape.target = u32::try_from((duration + shape.jitter).div_ceil(1000)).unwrap();
    }
    shapes
}

/// One fault and its end; returned is how long it lasts.
fn fault(rng: &mut StdRng, script: &mut Script, at: u64) -> u64 {
    use script::Fault as F;
    let long = rng.random_range(1_000..20_000);
    let p = rng.random_range(0..script.shapes.len());
    let proxy = rng.random_range(0..script.zones.len());
    let other = (proxy + 1) % script.zones.len();
    let broken = *[Answer::Status(404), Answer::Status(500), Answer::Truncated, Answer::Stalls]
        .choose(rng)
        .unwrap();
    let refuses = rng.random_bool(0.5);
    let all: Vec<usize> = (0..script.shapes.len()).collect();
    let (begins, ends, lasts, splices) = match rng.random_range(0..20) {
        0 | 1 => (Fault::Packager(F::Kill(p)), Fault::Packager(F::Start(p)), long, 1),
        2 => (Fault::Packager(F::Kill(p)), Fault::Packager(F::Start(p)), 1, 1),
        3 => (Fault::Packager(F::Freeze(p)), Fault::Packager(F::Thaw(p)), long, 1),
        4 => (Fault::Packager(F::LoseFeed(p)), Fault::Packager(F::FeedAgain(p)), long, 1),
        5 => {
            let right = F::Segments(p, Answer::Right);
            (Fault::Packager(F::Segments(p, broken)), Fault::Packager(right), long, 1)
        }
        6 => {
            let right = F::Playlists(p, Answer::Right);
            (Fault::Packager(F::Playlists(p, broken)), Fault::Packager(right), long, 1)
        }
        _ if script.zones.len() == 1 => return 0,
        // What it alone carried may have to leave afterwards.
        7 => (Fault::CrashProxy(proxy), Fault::StartProxy(proxy, true), long, 1),
        8 => (Fault::CrashProxy(proxy), Fault::StartProxy(proxy, false), long, 1),
        9 | 10 => {
            let lasts = rng.random_range(1_000..8_000);
            // What it alone carried may have to leave afterwards.
            (Fault::FreezeProxy(proxy), Fault::ThawProxy(proxy), lasts, 1)
        }
        11 => (Fault::CutStore(proxy), Fault::JoinStore(proxy), long, 0),
        12 => (Fault::StoreAway, Fault::StoreBack, long, 0),
        13 => (Fault::StoreAway, Fault::StoreEmpty, rng.random_range(100..8_000), 0),
        14 => {
            let lost = rng.random_range(200..2_000);
            (Fault::StoreAway, Fault::StoreFailover(lost), rng.random_range(100..5_000), 0)
        }
        15 => (Fault::StoreSlow(true), Fault::StoreSlow(false), long, 0),
        16 => (Fault::PartProxy(proxy), Fault::JoinProxies(proxy), long, 0),
        17 => {
            let cut = if rng.random_bool(0.5) { vec![p] } else { all };
            let begins = Fault::CutPackagers(proxy, cut.clone(), refuses);
            (begins, Fault::JoinPackagers(proxy, cut), long, 1)
        }
        18 => {
            let lasts = rng.random_range(5_000..20_000);
            script.faults.push((at + lasts, Fault::StartProxy(proxy, true), None));
            (Fault::KillBoth(proxy, p), Fault::Packager(F::Start(p)), lasts, 1)
        }
        _ => {
            // One reaches only `a`, the other only `b`.
            let all_but = |p: usize| all.iter().copied().filter(|q| *q != p).collect::<Vec<_>>();
            let (only_a, only_b) = (all_but(0), all_but(1));
            let cut = |proxy, packagers| Fault::CutPackagers(proxy, packagers, refuses);
            script.faults.push((at, cut(other, only_b.clone()), Some(2)));
            script.faults.push((at + 60_000, Fault::JoinPackagers(other, only_b), None));
            (cut(proxy, only_a.clone()), Fault::JoinPackagers(proxy, only_a), 60_000, 2)
        }
    };
    script.faults.extend([(at, begins, Some(splices)), (at + lasts, ends, None)]);
    lasts
}
