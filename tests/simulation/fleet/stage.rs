//! One simulation of a fleet, from its seed to its trace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use segue::model::names::{PoolName, UnixMs};
use segue::packagers::{PoolSpec, Pools};
use segue::segments::{Segments, Settings};
use segue::stream::{Capacity, Clock, Parts, PoolSettings, Streams};
use tokio::time::sleep;

use super::across::Counts;
use super::database::Database;
use super::line::Line;
use super::net::{Net, Node, Running};
use super::others::Others;
use super::recorder::Recorder;
use super::script::{Fault, LENGTH, Script};
use super::viewers::{Viewer, Way, stream};
use crate::judge::Judge;
use crate::parts::{self, BASE, Life, Sim, SimOrigin};
use crate::script::Fault as Of;
use crate::world::{Packager, mix};

/// The packagers have been there for so long, milliseconds.
const BEGINS: u64 = 60_000;
/// Clocks are wrong by up to this, milliseconds.
const SKEW: u64 = 3_000;

/// What a simulation came to.
pub struct Done {
    pub trace: Vec<String>,
    pub breach: Option<String>,
    pub refreshes: u64,
    pub counts: Counts,
}

/// Lets a script happen.
pub fn play(seed: u64, script: &Script) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(simulate(seed, script))
}

struct Stage<'a> {
    net: Arc<Net>,
    script: &'a Script,
    lives: u64,
    /// What proxies that are down have on disk.
    disks: BTreeMap<usize, Arc<Segments>>,
    waiting: Vec<(usize, usize)>,
}

fn pool(script: &Script) -> PoolSpec {
    let zone = |n: usize| if script.packager_zones { ["z1", "z2"][n % 2] } else { "" };
    parts::pool(script.shapes.iter().enumerate().map(|(n, shape)| (shape.id, zone(n))))
}

impl Stage<'_> {
    fn start(&mut self, proxy: usize, empty: bool) {
        self.lives += 1;
        let (net, sim) = (self.net.clone(), self.net.sim.clone());
        let life = Life::new(self.lives * 10 + proxy as u64);
        let kept = self.disks.remove(&proxy).filter(|_| !empty);
        let clock =
            UnixMs(BASE + sim.now() + mix(sim.seed ^ mix(proxy as u64)) % (SKEW * 2) - SKEW);
        let memory = Settings { dir: None, memory: 1 << 30, disk: 0 };
        let fresh = || Arc::new(Segments::open(memory, clock).unwrap());
        let segments = kept.unwrap_or_else(fresh);
        let pools = Arc::new(Pools::new(&[pool(self.script)]));
        let settings = PoolSettings { standbys: self.script.standbys, ..PoolSettings::default() };
        let clock = Clock::starting_at(clock);
        let streams = Streams::new(Parts {
            origin: Arc::new(SimOrigin { sim: sim.clone(), life: life.clone() }),
            store: Arc::new(Line::new(net.clone(), proxy, life.clone())),
            segments: segments.clone(),
            pools,
            fleet: Arc::new(Others::new(net.clone(), proxy, life.clone())),
            observer: Arc::new(Recorder { net: net.clone(), proxy, life: life.clone() }),
            clock,
            zone: net.nodes[proxy].zone.to_owned(),
            capacity: Capacity::default(),
            settings: HashMap::from([(PoolName::new("live"), settings)]),
            hosts: HashMap::new(),
            seed: sim.seed ^ (self.lives << 40),
        });
        tokio::spawn(sweep(segments.clone(), life.clone(), clock));
        *net.nodes[proxy].started.lock() = sim.now();
        *net.nodes[proxy].now.lock() = Some(Running { streams, life, segments });
        sim.judge.lock().settle_split(proxy, |lane| net.across.lock().is_split(proxy, lane));
    }

    fn crash(&mut self, proxy: usize) {
        if let Some(running) = self.net.nodes[proxy].now.lock().take() {
            running.life.kill();
            self.disks.insert(proxy, running.segments);
        }
    }

    fn apply(&mut self, fault: &Fault, splices: Option<usize>) {
        let net = self.net.clone();
        let now = net.sim.now();
        net.sim.note(&format!("== {fault:?}"));
        if let Some(splices) = splices {
            net.across.lock().fault(splices);
        }
        let ids = |of: &[usize]| of.iter().map(|p| self.script.shapes[*p].id).collect::<Vec<_>>();
        let frozen = |proxy: usize, frozen: bool| {
            if let Some(running) = &*net.nodes[proxy].now.lock() {
                running.life.freeze(frozen);
            }
        };
        let mut of_store = true;
        match fault {
            Fault::CutStore(proxy) => drop(net.cut.lock().insert(*proxy)),
            Fault::JoinStore(proxy) => drop(net.cut.lock().remove(proxy)),
            Fault::StoreAway => net.database.away(true),
            Fault::StoreBack => net.database.away(false),
            Fault::StoreEmpty => {
                net.database.lose_everything();
                net.database.away(false);
            }
            Fault::StoreFailover(lost) => {
                net.database.fail_over(self.away_since(now).saturating_sub(*lost));
                net.database.away(false);
            }
            Fault::StoreSlow(slow) => net.database.slow(*slow),
            Fault::FreezeProxy(proxy) => frozen(*proxy, true),
            Fault::ThawProxy(proxy) => frozen(*proxy, false),
            _ => of_store = false,
        }
        match fault {
            Fault::Packager(of) => of_packager(&net, *of),
            Fault::CrashProxy(proxy) => self.crash(*proxy),
            Fault::StartProxy(proxy, empty) => self.start(*proxy, *empty),
            Fault::PartProxy(proxy) => drop(net.parted.lock().insert(*proxy)),
            Fault::JoinProxies(proxy) => drop(net.parted.lock().remove(proxy)),
            Fault::CutPackagers(proxy, of, refuses) => {
                net.cut_off(*proxy, &ids(of), Some(*refuses))
            }
            Fault::JoinPackagers(proxy, of) => net.cut_off(*proxy, &ids(of), None),
            Fault::KillBoth(proxy, p) => self.waiting.push((*proxy, *p)),
            _ => {}
        }
        net.across.lock().may_split |= of_store;
        net.settle();
    }

    /// When the store went away last.
    fn away_since(&self, now: u64) -> u64 {
        let aways = self.script.faults.iter().filter(|(_, f, _)| *f == Fault::StoreAway);
        aways.map(|(at, ..)| BEGINS + at).filter(|at| *at <= now).max().unwrap_or(now)
    }

    /// Kills whoever is to die once nothing is lost by it.
    fn kill_waiting(&mut self) {
        for (proxy, p) in std::mem::take(&mut self.waiting) {
            if !self.net.is_safe_without(proxy) {
                self.waiting.push((proxy, p));
                continue;
            }
            self.net.sim.note(&format!("== now p{proxy} and packager {p} are killed"));
            self.crash(proxy);
            of_packager(&self.net, Of::Kill(p));
            self.net.settle();
        }
    }
}

fn of_packager(net: &Net, fault: Of) {
    let now = net.sim.now();
    let mut world = net.sim.world.lock();
    match fault {
        Of::Kill(p) => world[p].kill(now),
        Of::Start(p) => world[p].start_again(now),
        Of::Freeze(p) => world[p].freeze(now),
        Of::Thaw(p) => world[p].thaw(now),
        Of::LoseFeed(p) => world[p].lose_feed(now),
        Of::FeedAgain(p) => world[p].feed_again(now),
        Of::Playlists(p, answer) => world[p].playlists = answer,
        Of::Segments(p, answer) => world[p].segments = answer,
        other => panic!("{other:?}"),
    }
    for p in world.iter_mut() {
        p.settle(now);
    }
}

/// Drops what nobody keeps, as every proxy does.
async fn sweep(segments: Arc<Segments>, life: Arc<Life>, clock: Clock) {
    loop {
        sleep(Duration::from_secs(5)).await;
        life.check().await;
        segments.sweep(clock.now());
    }
}

/// Viewers come all the time, for what others watch and for what nobody does.
async fn newcomers(net: Arc<Net>) {
    let mut name = 100;
    loop {
        sleep(Duration::from_millis(net.sim.among(3_000, 9_000))).await;
        name += 1;
        let proxy = net.sim.among(0, net.nodes.len() as u64) as usize;
        let way = if net.sim.once_in(3) { Way::Stays(proxy) } else { Way::Balanced };
        let stream = if net.sim.once_in(3) { stream(net.sim.among(1, 4)) } else { stream(0) };
        let rendition = net.sim.among(0, 2) as usize;
        let until = net.sim.now() + net.sim.among(8_000, 25_000);
        let viewer = Viewer { net: net.clone(), name, way, stream, rendition, until };
        tokio::spawn(viewer.watch());
    }
}

async fn look(net: Arc<Net>) {
    loop {
        sleep(Duration::from_millis(100)).await;
        net.look();
    }
}

async fn simulate(seed: u64, script: &Script) -> Done {
    let world = script.shapes.iter().map(|s| Packager::new(s.clone(), BEGINS)).collect();
    let sim = Arc::new(Sim::new(seed, world, Judge::of_fleet()));
    for shape in &script.shapes {
        sim.note(&format!("{shape:?}"));
    }
    let Script { zones, standbys, one_per_zone, weather, packager_zones, .. } = script;
    sim.note(&format!("{zones:?} {packager_zones} {standbys} {one_per_zone} {weather:?}"));
    let nodes = zones.iter().enumerate().map(|(n, zone)| Node::new(n, zone)).collect();
    let net = Arc::new(Net {
        sim: sim.clone(),
        weather: script.weather,
        across: Mutex::default(),
        database: Database::new(),
        nodes,
        one_per_zone: script.one_per_zone,
        cut: Mutex::default(),
        parted: Mutex::default(),
    });
    net.across.lock().may_split = weather.lost_one_in > 0;
    sleep(Duration::from_millis(BEGINS)).await;
    let (disks, waiting) = (BTreeMap::new(), Vec::new());
    let mut stage = Stage { net: net.clone(), script, lives: 0, disks, waiting };
    for proxy in 0..zones.len() {
        stage.start(proxy, true);
    }
    net.settle();
    let ways = (0..zones.len()).map(Way::Stays).chain([Way::Balanced, Way::Balanced]);
    for (way, name) in ways.zip(0..) {
        let (net, rendition, until) = (net.clone(), (name % 2) as usize, u64::MAX);
        tokio::spawn(Viewer { net, name, way, stream: stream(0), rendition, until }.watch());
    }
    tokio::spawn(newcomers(net.clone()));
    tokio::spawn(look(net.clone()));
    act(&mut stage).await;
    if script.faults.is_empty() {
        frugal(&net, script);
    }
    let counts = net.across.lock().counts;
    let mut judge = sim.judge.lock();
    let trace = std::mem::take(&mut judge.trace);
    Done { trace, breach: judge.breach.take(), refreshes: judge.refreshes, counts }
}

/// Lets the script happen, until its end or the first breach.
async fn act(stage: &mut Stage<'_>) {
    let sim = stage.net.sim.clone();
    let mut faults = stage.script.faults.iter().peekable();
    let begin = BEGINS;
    while sim.now() < begin + LENGTH && sim.judge.lock().breach.is_none() {
        while let Some((_, fault, splices)) = faults.next_if(|(at, ..)| begin + at <= sim.now()) {
            stage.apply(fault, *splices);
        }
        stage.kill_waiting();
        let next = faults.peek().map_or(u64::MAX, |(at, ..)| begin + at);
        let most = if stage.waiting.is_empty() { 1000 } else { 20 };
        sleep(Duration::from_millis(next.saturating_sub(sim.now()).clamp(1, most))).await;
    }
}

/// Without faults every proxy asks for a segment once, and one of a zone where it fetches for all.
fn frugal(net: &Net, script: &Script) {
    let shortest = script.shapes.iter().map(|s| s.duration).min().unwrap_or_default();
    let found = net.sim.judge.lock().frugal(shortest);
    if let Err(waste) = found {
        net.broken(&waste);
    }
    let asked = net.sim.judge.lock().segments_asked();
    let mut zones: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for ((life, path), times) in asked {
        *zones.entry((net.nodes[(life % 10) as usize].zone, path)).or_default() += times;
    }
    let (times, different) = (zones.values().sum::<usize>(), zones.len());
    let most = if script.one_per_zone { 13 } else { 11 * script.zones.len() };
    let told = format!("{different} segments were asked for {times} times by their zones");
    net.sim.note(&told);
    if times * 10 > different * most {
        net.broken(&told);
    }
}
