//! The running proxy: everything is opened and checked first, then served until a signal.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::services::background::background_service;

use super::chores::Chores;
use super::drains::Drains;
use super::keys::{self, KeyKeeper, OwnKeys};
use super::lifecycle::{self, Settings};
use super::operate::{Counting, Metering, Running, admin_settings};
use super::storing::{self, if_reached};
use super::telling::Telling;
use super::viewing::{self, Doorkeeper, Room, Rounds, Viewing};
use super::{fleet, groups, listen, parts};
use crate::config::{self, Config};
use crate::front::access_log::{AccessLog, Target};
use crate::front::{Front, Kind, Live, Stages};
use crate::ops::{Admin, Metrics};
use crate::origin::{Client, NameServers};
use crate::packagers::discovery::{Discovery, Groups};
use crate::packagers::{HealthChecks, Pools};
use crate::segments::Segments;
use crate::store::{LaneStore, StoreError};
use crate::stream::{Clock, Parts, Streams};

/// How it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file that the configuration came from, for reloads.
    pub path: PathBuf,
    /// The listening sockets come from the running process.
    pub upgrade: bool,
}

/// Serves until a signal ends it.
///
/// # Errors
/// What cannot be opened, bound or read, with the key that names it.
pub fn serve(config: Config, options: &Options) -> anyhow::Result<()> {
    serve_and_tell(config, options, |_| ())
}

/// The same, handing what runs to `tell` once it is put together.
pub(super) fn serve_and_tell(
    config: Config,
    options: &Options,
    tell: impl FnOnce(Arc<Running>),
) -> anyhow::Result<()> {
    let settings = Settings {
        threads: config.server.threads,
        drain_delay: config.server.drain_delay,
        grace_period: config.server.grace_period,
        upgrade_sock: config.server.upgrade_sock.clone(),
        pid_file: Some(config.server.pid_file.clone()),
        upgrade: options.upgrade,
    };
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let admin = config.admin.to_string();
    if !options.upgrade {
        let keyed = listen.iter().enumerate().map(|(i, a)| (format!("listen[{i}]"), a.as_str()));
        let fleet = config.fleet.as_ref().map(|fleet| fleet.listen.to_string());
        let fleet = fleet.iter().map(|a| ("fleet.listen".to_owned(), a.as_str()));
        listen::check(keyed.chain([("admin".to_owned(), admin.as_str())]).chain(fleet))?;
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let mut server = lifecycle::server(&settings)?;
    let stages = Arc::new(Stages::default());
    let metrics = Arc::new(Metrics::new(&Kind::ALL.map(Kind::as_str)).context("metrics")?);
    let (running, chores) = assemble(config, options, &stages, &metrics)?;
    let running = Arc::new(running);

    let viewers = listen::viewers(&server.configuration, &running.front, &listen);
    let counting = Arc::new(Counting(metrics.clone(), running.telling.clone()));
    let admin_service =
        listen::admin(Admin::new(metrics, running.clone(), running.admin.clone()), &admin);
    let checks = HealthChecks::new(running.pools.clone(), running.client.clone());
    server.add_service(viewers);
    server.add_service(admin_service);
    server.add_service(background_service("health", checks));
    server.add_service(background_service("chores", chores));
    server.add_service(background_service("audience", Rounds(running.viewing.clone())));
    fleet::run(&mut server, &running);
    let clock = running.drains.clock;
    let (groups, names) = (running.groups.clone(), running.names.clone());
    let discovery = Discovery::new(groups, names, counting, Arc::new(move || clock.now()));
    server.add_service(background_service("discovery", discovery));
    server.add_service(background_service("groups", groups::Regrouping(running.clone())));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?listen, admin, "segue serves");
    tell(running.clone());
    let reloading = running.clone();
    let telling = running.telling.clone();
    lifecycle::run(server, &settings, &stages, move || {
        reloading.front.reopen_log();
        let _ = reloading.reload_file();
    })?;
    telling.finish();
    Ok(())
}

fn assemble(
    config: Config,
    options: &Options,
    stages: &Arc<Stages>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Running, Chores)> {
    let clock = Clock::system();
    let (store, standing) = storing::open(&config, metrics, clock)?;
    let own_keys = own_keys(&config, &*store)?;
    let segments = Segments::open(parts::segments(&config), clock.now()).context("segments");
    let segments = Arc::new(segments?);
    let Origins { names, groups, packagers, pools, client } = origins(&config, metrics, clock)?;
    let telling = Telling::new(&config, metrics, clock).context("webhooks")?;
    let counting = Arc::new(Counting(metrics.clone(), telling.clone()));
    let peers = fleet::peers(&config, &own_keys, clock, counting.clone())?;
    let others = fleet::seen(peers.as_ref());
    let streams = Streams::new(Parts {
        origin: client.clone(),
        store: store.clone(),
        segments: segments.clone(),
        pools: pools.clone(),
        fleet: others.clone(),
        observer: counting.clone(),
        clock,
        zone: config.zone.clone(),
        capacity: parts::capacity(&config),
        settings: parts::streams(&config),
        hosts: parts::hosts(&packagers),
        seed: rand::random(),
    });
    telling.watch(pools.clone(), streams.clone());
    let drains = drains(&config, &store, &pools, &streams, clock)?;
    let live = Live { pools: pools.clone(), streams: streams.clone(), segments: segments.clone() };
    let audience =
        wait(viewing::remembered(&config, &*store, others.own_id()))?.context("store")?;
    let doorkeeper = Arc::new(Doorkeeper { audience: audience.clone(), clock });
    let keyring = keys::keyring(&config, &own_keys).context("token_keys")?;
    let front = Front::new(live.clone(), keyring, parts::front(&config), stages.clone());
    let front = observed(front.observed_by(counting).counted_by(doorkeeper), &config)?;
    let (of, now) = ((metrics.clone(), Room::of(&config)), (clock, others.own_id()));
    let viewing = Arc::new(Viewing::new(live, front.clone(), audience, store.clone(), of, now));
    let fleet = fleet::with_derived_key(&config, peers.as_ref());
    let key_keeper = KeyKeeper { own: own_keys.clone(), front: front.clone(), fleet };
    let lane_expires_s = Arc::new(AtomicU64::new(parts::lane_expires_s(&config)));
    let chores = Chores {
        drains: drains.clone(),
        streams: streams.clone(),
        pools: pools.clone(),
        segments: segments.clone(),
        store: store.clone(),
        clock,
        lane_expires_s: lane_expires_s.clone(),
        key_keeper: config.token_keys.is_empty().then_some(key_keeper),
    };
    let running = Running {
        path: options.path.clone(),
        admin: Arc::new(ArcSwap::from_pointee(admin_settings(&config))),
        config: Mutex::new(config),
        front,
        viewing,
        streams,
        segments,
        fleet: peers,
        pools,
        client,
        names,
        groups,
        drains,
        stages: stages.clone(),
        telling,
        lane_expires_s,
        store,
        standing,
        own_keys,
    };
    Ok((running, chores))
}

fn drains(
    config: &Config,
    store: &Arc<dyn LaneStore>,
    pools: &Arc<Pools>,
    streams: &Arc<Streams>,
    clock: Clock,
) -> anyhow::Result<Arc<Drains>> {
    let drains = Drains {
        store: store.clone(),
        pools: pools.clone(),
        streams: streams.clone(),
        clock,
        requests: ArcSwap::from_pointee(parts::requests(config)),
        one: tokio::sync::Mutex::default(),
    };
    let nobody = "which packagers are drained is not known yet";
    if_reached(wait(drains.follow())?, nobody).context("store")?;
    Ok(Arc::new(drains))
}

/// The packagers, and who asks them.
struct Origins {
    names: Arc<NameServers>,
    groups: Arc<Groups>,
    /// The configuration with the members of groups in the place of each.
    packagers: Config,
    pools: Arc<Pools>,
    client: Arc<Client>,
}

fn origins(config: &Config, metrics: &Arc<Metrics>, clock: Clock) -> anyhow::Result<Origins> {
    let names = Arc::new(NameServers::new(config.dns.servers.clone()));
    let groups = Groups::open(groups::specs(config), groups::file(config), clock.now());
    let packagers = groups::expanded(config, &groups.all());
    let pools = Arc::new(Pools::new(&parts::pools(&packagers)));
    let (metrics, zone) = (metrics.clone(), config.zone.clone());
    let metering = Metering { metrics, pools: pools.clone(), zone };
    let client = Client::with_names(parts::endpoints(&packagers), names.clone());
    let client = Arc::new(client.context("pools")?.metered_by(Arc::new(metering)));
    Ok(Origins { names, groups, packagers, pools, client })
}

/// The front with its access log, if there is one.
fn observed(front: Front<Live>, config: &Config) -> anyhow::Result<Arc<Front<Live>>> {
    Ok(Arc::new(match access_log(&config.log.access) {
        Some(target) => front.logging_to(AccessLog::open(target).context("log.access")?),
        None => front,
    }))
}

/// The installation's own token key: made once and kept in the store.
fn own_keys(config: &Config, store: &dyn LaneStore) -> anyhow::Result<Arc<OwnKeys>> {
    let stored = match wait(OwnKeys::of(store))? {
        // It is needed for tokens that were signed before the keys were configured alone.
        Err(StoreError::Unreachable(_)) if !config.token_keys.is_empty() => None,
        stored => {
            let fresh = "there are no token_keys, and the one kept in the store is not known: a fresh one signs meanwhile";
            if_reached(stored, fresh).context("store")?
        }
    };
    Ok(Arc::new(OwnKeys::new(stored)))
}

/// Nothing runs yet that could be kept waiting.
fn wait<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}

fn access_log(log: &config::AccessLog) -> Option<Target> {
    match log {
        config::AccessLog::Off => None,
        config::AccessLog::Stdout => Some(Target::Stdout),
        config::AccessLog::File(path) => Some(Target::File(path.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_that_takes_longer_segments_takes_them_from_other_proxies_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segue.yaml");
        let write = |origin: &str| {
            let text = [
                "token_keys: [AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=]",
                "fleet: { id: p-1, listen: \"127.0.0.1:1\", peers: [\"127.0.0.1:2\"] }",
                "pools:",
                "- name: live",
                "  hosts: [\"*\"]",
                "  packagers: [{ id: a, url: \"http://127.0.0.1:3\" }]",
                origin,
            ];
            std::fs::write(&path, text.join("\n")).unwrap();
        };
        write("");
        let config = Config::load(&path).unwrap();
        let options = Options { path: path.clone(), upgrade: false };
        let metrics = Arc::new(Metrics::new(&[]).unwrap());
        let stages = Arc::new(Stages::default());
        let (running, _) = assemble(config, &options, &stages, &metrics).unwrap();
        let longest = || running.fleet.as_ref().unwrap().bytes_max();
        assert_eq!(longest(), 64 << 20);
        write("  origin: { segment_bytes: 100MiB }");
        running.reload_file().unwrap();
        assert_eq!(longest(), 100 << 20);
    }
}
