//! The other proxies: this one's name and key among them, where they are found, and what operators see of them.

use std::sync::Arc;

use anyhow::Context as _;
use pingora::server::Server;
use pingora::services::background::background_service;

use super::keys::OwnKeys;
use super::operate::{Counting, Running};
use super::{listen, parts};
use crate::config::{self, Config};
use crate::front::Stage;
use crate::model::fleet::FleetKeys;
use crate::model::names::ProxyId;
use crate::peers::{self, Advertised, Finder, Meter, Peers, Serving, Source, Watching};
use crate::stream::{Alone, Clock, Fleet};

impl Meter for Counting {
    fn asked(&self, kind: &'static str, outcome: &'static str) {
        self.0.fleet.asked(kind, outcome);
    }
    fn answered(&self, kind: &'static str, status: u16) {
        self.0.fleet.answered(kind, status);
    }
    fn received(&self, bytes: usize) {
        self.0.fleet.received(bytes);
    }
    fn sent(&self, bytes: usize) {
        self.0.fleet.sent(bytes);
    }
}

/// This proxy among others, if the configuration says that there are others. `own`: the installation's token keys.
pub fn peers(
    config: &Config,
    own: &OwnKeys,
    clock: Clock,
    counting: Arc<Counting>,
) -> anyhow::Result<Option<Arc<Peers>>> {
    let Some(fleet) = &config.fleet else { return Ok(None) };
    let id = match &fleet.id {
        Some(id) => ProxyId::new(id.as_str()),
        None => peers::own_id(&config.zone, config.segments.dir.as_deref())
            .context("segments.dir: proxy-id")?,
    };
    let settings = peers::Settings {
        id,
        zone: config.zone.clone(),
        one_per_zone: fleet.one_per_zone,
        bytes_max: bytes_max(config),
    };
    tracing::info!(proxy = %settings.id, zone = config.zone, listen = %fleet.listen, "one of a fleet");
    Ok(Some(Arc::new(Peers::new(settings, keys(config, own), clock, counting))))
}

/// Longest content of any pool, bytes: nothing longer is taken from other proxies.
pub fn bytes_max(config: &Config) -> u64 {
    let of_pools = config.pools.iter().map(|pool| pool.origin.segment_bytes.bytes());
    of_pools.max().unwrap_or_default()
}

/// What questions to other proxies are signed with.
pub fn keys(config: &Config, own: &OwnKeys) -> FleetKeys {
    match config.fleet.as_ref().and_then(|fleet| fleet.key.as_ref()) {
        Some(key) => FleetKeys::new([key.reveal()]),
        None if config.token_keys.is_empty() => FleetKeys::new(own.all()),
        None => FleetKeys::new(config.token_keys.iter().map(config::Secret::reveal)),
    }
}

/// The other proxies, if questions to them are signed with a key that follows the token keys.
pub fn with_derived_key(config: &Config, peers: Option<&Arc<Peers>>) -> Option<Arc<Peers>> {
    let own = config.fleet.as_ref().is_some_and(|fleet| fleet.key.is_some());
    peers.filter(|_| !own).cloned()
}

/// The fleet as streams see it.
pub fn seen(peers: Option<&Arc<Peers>>) -> Arc<dyn Fleet> {
    match peers {
        Some(peers) => Arc::clone(peers) as Arc<dyn Fleet>,
        None => Arc::new(Alone),
    }
}

/// Adds what runs of it to the server.
pub fn run(server: &mut Server, running: &Arc<Running>) {
    let config = running.config.lock().clone();
    let (Some(peers), Some(fleet)) = (&running.fleet, &config.fleet) else { return };
    let source = if fleet.peers.is_empty() {
        Source::Store(advertised(fleet, &config.store))
    } else {
        Source::Names(fleet.peers.clone())
    };
    let (names, store) = (running.names.clone(), running.drains.store.clone());
    let finder = Finder::new(source, names, store);
    let (segments, streams) = (running.segments.clone(), running.streams.clone());
    let serving = Serving::new(peers.clone(), segments, streams);
    server.add_service(listen::fleet(serving, &fleet.listen.to_string()));
    let stages = running.stages.clone();
    // Before the process is ready: others, and the store, may be away.
    stages.set_blind(true);
    let seen = stages.clone();
    let leaving = Box::new(move || stages.now() == Stage::Draining);
    let sees = Box::new(move || seen.set_blind(false));
    let watching = Watching { peers: peers.clone(), finder, leaving, sees };
    server.add_service(background_service("fleet", watching));
}

/// Where others are told to ask.
fn advertised(fleet: &config::Fleet, store: &config::StoreSpec) -> Advertised {
    let port = fleet.listen.port();
    match (fleet.advertise, parts::place_of(store)) {
        (Some(at), _) => Advertised::At(at),
        (None, _) if !fleet.listen.ip().is_unspecified() => Advertised::At(fleet.listen),
        (None, Some(store)) => Advertised::Towards { store, port },
        // A store of this machine alone.
        (None, None) => Advertised::At(([127, 0, 0, 1], port).into()),
    }
}
