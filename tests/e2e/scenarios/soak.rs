//! Random faults, one after another, each healed before the next: no law may break and nobody may stall.
//!
//! `make soak` runs for ten minutes, `make test` for one. The same seed asks for the same faults
//! (`SEGUE_SOAK_SEED`); who is well enough to be their target is seen in the run.

use std::thread;
use std::time::Duration;

use super::alone;
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::process::now_ms;
use crate::proxy::Which;
use crate::stage::Stage;

const PROXIES: usize = 3;
/// From one fault to the next.
const EVERY: Duration = Duration::from_secs(10);
/// How long what was killed or frozen stays so.
const AWAY: Duration = Duration::from_secs(4);
const STALL_MS_MAX: u64 = 1000;
/// Within its first minute a proxy is killed and another frozen, a packager killed, and the store killed and
/// frozen.
const SEED: u64 = 5;
/// How long a run lasts where nobody says so.
const SECONDS: u64 = 60;

/// What can happen to each of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Killed,
    Frozen,
    Restarted,
}

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Packager,
    Proxy(usize),
    Store,
}

/// SplitMix64: enough to draw faults from, and the same everywhere.
struct Draw(u64);

impl Draw {
    const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn fault(&mut self) -> (Part, What) {
        let part = match self.below(5) {
            0 | 1 => Part::Packager,
            2 | 3 => Part::Proxy(self.below(PROXIES as u64) as usize),
            _ => Part::Store,
        };
        let what = [What::Killed, What::Frozen, What::Restarted];
        (part, what[self.below(3) as usize])
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}"))
    })
}

#[test]
fn random_faults_go_unnoticed() {
    let _alone = alone();
    if Which::chosen() != Which::Segue {
        return;
    }
    let seconds = setting("SEGUE_SOAK_SECONDS", SECONDS);
    let seed = setting("SEGUE_SOAK_SEED", SEED);
    let stage = if seconds > SECONDS * 4 {
        Stage::nginx_rtmp_for_long(3)
    } else {
        Stage::nginx_rtmp_kept(3)
    };
    let fleet = Fleet::start(&stage, PROXIES);
    eprintln!("soak: {seconds} s, seed {seed}");
    let mut run = FleetRun::begin("soak", stage, fleet, &["hls.js", "mpv"], 10);
    run.seed = Some(seed);
    run.nothing(Duration::from_secs(5));
    let mut draw = Draw(seed);
    let ends = now_ms() + seconds * 1000;
    while now_ms() < ends {
        let (part, what) = draw.fault();
        // What has just come back is left in peace until all see it well: two faults at once are not asked
        // for.
        if part == Part::Packager && !run.both_are_well() {
            continue;
        }
        strike(&mut run, part, what);
    }
    run.end("soak").assert_unnoticed(STALL_MS_MAX);
}

fn strike(run: &mut FleetRun, part: Part, what: What) {
    match part {
        Part::Packager => strike_packager(run, what),
        Part::Proxy(n) => strike_proxy(run, n, what),
        Part::Store => strike_store(run, what),
    }
}

fn strike_packager(run: &mut FleetRun, what: What) {
    let id = run.serving();
    run.fault(&format!("packager {id}: {what:?}"), EVERY, |run| match what {
        What::Killed => {
            run.stage.packager(&id).kill();
            thread::sleep(AWAY);
            run.start_packager(&id);
        }
        What::Frozen => {
            run.stage.packager(&id).freeze();
            thread::sleep(AWAY * 2);
            run.stage.packager(&id).thaw();
        }
        What::Restarted => {
            run.stage.packager(&id).kill();
            run.start_packager(&id);
        }
    });
}

fn strike_proxy(run: &mut FleetRun, n: usize, what: What) {
    run.fault(&format!("proxy {}: {what:?}", n + 1), EVERY, |run| match what {
        What::Killed => run.without_proxy(n, |run| {
            run.fleet.proxies[n].kill();
            thread::sleep(AWAY);
            run.fleet.proxies[n].start_again();
        }),
        What::Frozen => run.without_proxy(n, |run| {
            run.fleet.proxies[n].freeze();
            thread::sleep(AWAY);
            run.fleet.proxies[n].thaw();
        }),
        What::Restarted => run.without_proxy(n, |run| run.fleet.proxies[n].kill_and_restart()),
    });
}

fn strike_store(run: &mut FleetRun, what: What) {
    run.fault(&format!("store: {what:?}"), EVERY, |run| match what {
        What::Killed => {
            run.fleet.redis.kill();
            thread::sleep(AWAY);
            run.fleet.redis.start_empty();
        }
        What::Frozen => {
            run.fleet.redis.freeze();
            thread::sleep(AWAY);
            run.fleet.redis.thaw();
        }
        What::Restarted => {
            run.fleet.redis.kill();
            run.fleet.redis.start_again();
        }
    });
}

#[test]
fn the_same_seed_draws_the_same_faults_of_all_kinds() {
    let drawn = |seed| {
        let mut draw = Draw(seed);
        (0..200).map(|_| draw.fault()).collect::<Vec<_>>()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let kinds = drawn(1);
    for part in [Part::Packager, Part::Proxy(0), Part::Proxy(1), Part::Proxy(2), Part::Store] {
        for what in [What::Killed, What::Frozen, What::Restarted] {
            assert!(kinds.contains(&(part, what)), "{part:?} {what:?}");
        }
    }
}
