//! One simulation, from its seed to its trace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use segue::model::lane::SpliceMethod;
use segue::model::names::{PackagerId, PoolName, UnixMs};
use segue::packagers::{Health, PoolSpec, Pools};
use segue::segments::{Segments, Settings};
use segue::stream::{Alone, Capacity, Parts, PoolSettings, Streams};
use tokio::time::{Duration as Time, sleep};

use crate::content::Border;
use crate::judge::Judge;
use crate::parts::{self, BASE, Database, Life, Recorder, Sim, SimOrigin, SimStore};
use crate::players::{Door, Player};
use crate::script::{self, Fault, LENGTH, Script};
use crate::world::Packager;

/// What a simulation came to.
pub struct Done {
    pub trace: Vec<String>,
    pub breach: Option<String>,
    pub refreshes: u64,
    /// Of each splice: the true gap, the one that was told, and by which method, milliseconds.
    pub gaps: Vec<(i64, i64, SpliceMethod)>,
    /// Of media, what was seen where a lane went on in another run, or why it cannot be right.
    pub borders: Result<Vec<Border>, String>,
}

pub fn run(seed: u64) -> Done {
    play(seed, script::draw(seed))
}

/// Lets a script happen.
pub fn play(seed: u64, script: Script) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(simulate(seed, script))
}

/// What proxies are made of.
struct Stage {
    sim: Arc<Sim>,
    database: Arc<Database>,
    segments: Arc<Segments>,
    pools: Arc<Pools>,
    /// Every packager, and whether it is removed from the configuration.
    packagers: Vec<(&'static str, bool)>,
    drained: BTreeMap<PackagerId, UnixMs>,
    standbys: usize,
    lives: u64,
}

/// Those that are not removed.
fn pool(packagers: &[(&'static str, bool)]) -> PoolSpec {
    let stay = packagers.iter().filter(|(_, removed)| !removed);
    parts::pool(stay.map(|(id, _)| (*id, "")))
}

impl Stage {
    fn proxy(&mut self, proxy: usize) -> (Arc<Streams>, Arc<Life>) {
        self.lives += 1;
        let life = Life::new(self.lives);
        let (sim, database) = (self.sim.clone(), self.database.clone());
        let settings = PoolSettings { standbys: self.standbys, ..PoolSettings::default() };
        let streams = Streams::new(Parts {
            origin: Arc::new(SimOrigin { sim: sim.clone(), life: life.clone() }),
            store: Arc::new(SimStore { sim: sim.clone(), life: life.clone(), database }),
            segments: self.segments.clone(),
            pools: self.pools.clone(),
            fleet: Arc::new(Alone),
            observer: Arc::new(Recorder { sim: sim.clone(), proxy }),
            clock: sim.clock(),
            zone: String::new(),
            capacity: Capacity::default(),
            settings: HashMap::from([(PoolName::new("live"), settings)]),
            hosts: HashMap::new(),
            seed: sim.seed ^ (self.lives << 40),
        });
        (streams, life)
    }
}

async fn simulate(seed: u64, script: Script) -> Done {
    let world = script.shapes.iter().map(|s| Packager::new(s.clone(), 60_000)).collect();
    let judge = Judge::new(script.split);
    let sim = Arc::new(Sim::new(seed, world, judge));
    for shape in &script.shapes {
        sim.note(&format!("{shape:?}"));
    }
    let memory = Settings { dir: None, memory: 1 << 30, disk: 0 };
    let segments = Arc::new(Segments::open(memory, UnixMs(BASE)).unwrap());
    let packagers: Vec<_> = script.shapes.iter().map(|s| (s.id, false)).collect();
    let pools = Arc::new(Pools::new(&[pool(&packagers)]));
    let standbys = script.standbys;
    let database = Database::new();
    let mut stage = Stage {
        sim: sim.clone(),
        database,
        segments: segments.clone(),
        pools,
        packagers,
        drained: BTreeMap::new(),
        standbys,
        lives: 0,
    };
    // The packagers have been there for a minute.
    sleep(Time::from_mins(1)).await;
    let doors: Vec<Door> = (0..script.proxies)
        .map(|p| Arc::new(parking_lot::Mutex::new(Some(stage.proxy(p)))))
        .collect();
    for name in 0..3 {
        let mut all: Vec<(usize, Door)> = doors.iter().cloned().enumerate().collect();
        // The first two stay with one proxy, the third asks all.
        let len = all.len();
        all.rotate_left(name % len);
        if name < 2 {
            all.truncate(1);
        }
        let player = Player {
            sim: sim.clone(),
            name,
            doors: all,
            segments: segments.clone(),
            rendition: name % 2,
        };
        tokio::spawn(player.play());
    }
    act(&sim, &script, &mut stage, &doors, &segments).await;
    let shortest = script.shapes.iter().map(|s| s.duration).min().unwrap_or_default();
    let mut judge = sim.judge.lock();
    if script.faults.is_empty()
        && let Err(waste) = judge.frugal(shortest)
    {
        let now = sim.now();
        judge.broken(now, &waste);
    }
    Done {
        trace: std::mem::take(&mut judge.trace),
        breach: judge.breach.take(),
        refreshes: judge.refreshes,
        gaps: std::mem::take(&mut judge.gaps),
        borders: sim.content.lock().borders(),
    }
}

/// Lets the script happen, until its end or the first breach.
async fn act(sim: &Sim, script: &Script, stage: &mut Stage, doors: &[Door], segments: &Segments) {
    let mut faults = script.faults.iter().peekable();
    let begin = sim.now();
    while sim.now() < begin + LENGTH && sim.judge.lock().breach.is_none() {
        while let Some((_, fault)) = faults.next_if(|(at, _)| begin + at <= sim.now()) {
            apply(sim, stage, doors, *fault);
        }
        if sim.now() / 1000 % 5 == 0 {
            segments.sweep(UnixMs(BASE + sim.now()));
        }
        let next = faults.peek().map_or(u64::MAX, |(at, _)| begin + at);
        let wait = next.saturating_sub(sim.now()).clamp(1, 1000);
        sleep(Duration::from_millis(wait)).await;
    }
}

fn apply(sim: &Sim, stage: &mut Stage, doors: &[Door], fault: Fault) {
    let now = sim.now();
    sim.note(&format!("== {fault:?}"));
    let mut world = sim.world.lock();
    match fault {
        Fault::Kill(p) => world[p].kill(now),
        Fault::Start(p) => world[p].start_again(now),
        Fault::Freeze(p) => world[p].freeze(now),
        Fault::Thaw(p) => world[p].thaw(now),
        Fault::LoseFeed(p) => world[p].lose_feed(now),
        Fault::FeedAgain(p) => world[p].feed_again(now),
        Fault::Playlists(p, answer) => world[p].playlists = answer,
        Fault::Segments(p, answer) => world[p].segments = answer,
        Fault::CrashProxy(p) => {
            if let Some((_, life)) = doors[p].lock().take() {
                life.kill();
            }
            sim.judge.lock().calm_since = now;
        }
        Fault::StartProxy(p) => {
            drop(world);
            *doors[p].lock() = Some(stage.proxy(p));
            sim.judge.lock().calm_since = now;
            return;
        }
        Fault::Health(p, up) => {
            let health = if up { Health::Up } else { Health::Down };
            stage.pools.set_health(&PackagerId::new(stage.packagers[p].0), health);
            world[p].usable = up;
        }
        // Viewers lose nothing by it: whoever is drained is there, as the last resort.
        Fault::Drain(p) | Fault::Undrain(p) => {
            let id = PackagerId::new(stage.packagers[p].0);
            stage.drained.remove(&id);
            if matches!(fault, Fault::Drain(_)) {
                stage.drained.insert(id, UnixMs(BASE + now));
            }
            stage.pools.drain(&stage.drained, |_| Duration::from_secs(1));
        }
        Fault::Remove(p) | Fault::Restore(p) => {
            stage.packagers[p].1 = matches!(fault, Fault::Remove(_));
            stage.pools.reload(&[pool(&stage.packagers)]);
            world[p].usable = !stage.packagers[p].1;
        }
        Fault::StoreFails(fails) => {
            stage.database.fail(fails);
            sim.judge.lock().calm_since = now;
        }
        Fault::StoreLost => stage.database.lose_everything(),
    }
    for p in world.iter_mut() {
        p.settle(now);
    }
    drop(world);
    let pools = matches!(fault, Fault::Drain(_) | Fault::Undrain(_))
        || matches!(fault, Fault::Remove(_) | Fault::Restore(_));
    if pools || matches!(fault, Fault::Health(..)) {
        for door in doors {
            if let Some((streams, _)) = &*door.lock() {
                streams.look();
            }
        }
    }
}

/// How well splices were placed, over all seeds.
pub fn print_gaps(gaps: &[(i64, i64, SpliceMethod)]) {
    let methods: BTreeSet<SpliceMethod> = gaps.iter().map(|gap| gap.2).collect();
    for method in methods {
        let mut truly: Vec<i64> = gaps.iter().filter(|g| g.2 == method).map(|g| g.0).collect();
        let mut wrong: Vec<i64> =
            gaps.iter().filter(|g| g.2 == method).map(|g| (g.0 - g.1).abs()).collect();
        truly.sort_unstable();
        wrong.sort_unstable();
        let at = |v: &[i64], tenth: usize| v.get(v.len() * tenth / 10).copied().unwrap_or_default();
        println!(
            "{} splices by {}: gap ms {} .. {} .. {}, told wrong by {} (median) {} (9 of 10)",
            truly.len(),
            method.as_str(),
            at(&truly, 1),
            at(&truly, 5),
            at(&truly, 9),
            at(&wrong, 5),
            at(&wrong, 9),
        );
    }
}
