//! What operators see and do, and how what happens becomes metrics.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;

use super::drains::Drains;
use super::keys::{self, OwnKeys};
use super::storing::Standing;
use super::telling::Telling;
use super::viewing::{self, Viewing};
use super::{fleet, groups, parts, reported, tenants};
use crate::config::Config;
use crate::front::{self, Front, Live, Stages};
use crate::model::lane::{Splice, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey};
use crate::model::viewers::log::Report;
use crate::ops::{
    self, DrainError, Gauges, Metrics, Operations, PackagerGauge, PackagerState, StreamGauge,
};
use crate::origin::{Client, Meter, NameServers};
use crate::packagers::discovery::{GroupState, Groups};
use crate::packagers::{Health, Pools};
use crate::peers::Peers;
use crate::segments::Segments;
use crate::store::LaneStore;
use crate::stream::{self, CopiedFrom, Outcome, Streams, Verdict};

/// Counts what happens, and has operators told of it.
pub struct Counting(pub Arc<Metrics>, pub Arc<Telling>);

impl front::Observer for Counting {
    fn answered(&self, a: front::Answered) {
        self.0.answered(a.kind.as_str(), a.status, a.bytes, a.elapsed, a.cut);
        if let Some(pool) = &a.pool {
            self.0.answered_for(pool, a.status, a.bytes, a.refused);
        }
    }
    fn not_through_cdn(&self) {
        self.0.auth.not_through_cdn();
    }
}

impl stream::Observer for Counting {
    fn refreshed(&self, packager: &PackagerId, outcome: Outcome, took: Duration) {
        self.0.refreshed(packager, outcome.as_str(), took);
    }
    fn admission(&self, packager: &PackagerId, verdict: Verdict, took: Duration) {
        self.0.auth.admission(packager, verdict, took);
    }
    fn fetched(&self, packager: &PackagerId, outcome: Outcome, bytes: usize) {
        self.0.fetched(packager, bytes as u64, outcome.as_str());
    }
    fn appended(&self, lane: &LaneId, _msn: OutputMsn, delay: Duration) {
        self.0.appended(lane, delay);
    }
    fn spliced(&self, stream: &StreamKey, lane: &LaneId, step: &Step, splice: &Splice) {
        self.0.spliced(&step.packager, splice);
        self.1.spliced(stream, lane, step, splice);
    }
    fn lane_opened(&self, _lane: &LaneId, _stream: &StreamKey) {
        self.0.lane_opened();
    }
    fn lane_ended(&self, _lane: &LaneId) {
        self.0.lane_ended();
    }
    fn too_long(&self, packager: &PackagerId) {
        self.0.too_long(packager);
    }
    fn gap(&self, packager: &PackagerId) {
        self.0.gap(packager);
    }
    fn store_failed(&self) {
        self.0.store_failed();
    }
    fn split(&self, _stream: &StreamKey, _lane: &LaneId, _from: OutputMsn) {
        self.0.fleet.split();
    }
    fn copied(&self, _lane: &LaneId, took: Option<Duration>) {
        self.0.fleet.copied(took);
    }
    fn copied_from(&self, from: CopiedFrom, bytes: usize) {
        self.0.fleet.copied_from(from.as_str(), bytes);
    }
}

/// Counts what comes from packagers by the zones that it crosses.
pub struct Metering {
    pub metrics: Arc<Metrics>,
    pub pools: Arc<Pools>,
    /// The zone this proxy stands in.
    pub zone: String,
}

impl Meter for Metering {
    fn received(&self, packager: &PackagerId, bytes: u64) {
        if let Some(from) = self.pools.zone_of(packager) {
            self.metrics.received(&from, &self.zone, bytes);
        }
    }
}

/// The running proxy, as operators see it.
pub struct Running {
    pub path: PathBuf,
    pub config: Mutex<Config>,
    pub front: Arc<Front<Live>>,
    pub streams: Arc<Streams>,
    pub segments: Arc<Segments>,
    /// None: alone.
    pub fleet: Option<Arc<Peers>>,
    pub pools: Arc<Pools>,
    pub client: Arc<Client>,
    pub names: Arc<NameServers>,
    pub groups: Arc<Groups>,
    pub drains: Arc<Drains>,
    pub viewing: Arc<Viewing>,
    pub stages: Arc<Stages>,
    pub telling: Arc<Telling>,
    pub admin: Arc<ArcSwap<ops::Settings>>,
    /// Seconds after which a lane's log is dropped.
    pub lane_expires_s: Arc<AtomicU64>,
    pub store: Arc<dyn LaneStore>,
    /// Whether it can be reached.
    pub standing: Arc<Standing>,
    /// The keys made for this installation, for when none is configured.
    pub own_keys: Arc<OwnKeys>,
}

impl Running {
    /// Takes the changed file: all of it, or nothing.
    pub fn reload_file(&self) -> Result<(), String> {
        let mut config = self.config.lock();
        let result = config.reload(&self.path).map_err(|e| e.to_string()).and_then(|changed| {
            let keyring = keys::keyring(&changed, &self.own_keys).map_err(|e| e.to_string())?;
            let specs = groups::specs(&changed);
            // The only step that can fail comes first.
            self.take_packagers(&changed, &self.groups.with(specs.clone()))?;
            self.groups.reload(specs);
            self.names.reload(changed.dns.servers.clone());
            self.drains.requests.store(Arc::new(parts::requests(&changed)));
            self.front.reload(parts::front(&changed), keyring);
            if let Some(peers) = &self.fleet {
                peers.reload(fleet::keys(&changed, &self.own_keys));
                peers.take_up_to(fleet::bytes_max(&changed));
            }
            self.viewing.audience.reload(viewing::settings(&changed));
            self.admin.store(Arc::new(admin_settings(&changed)));
            self.telling.reload(&changed);
            let lane_expires_s = parts::lane_expires_s(&changed);
            self.lane_expires_s.store(lane_expires_s, Ordering::Relaxed);
            self.store.keep_lanes_for(Duration::from_secs(lane_expires_s));
            *config = changed;
            Ok(())
        });
        match &result {
            Ok(()) => tracing::info!(file = %self.path.display(), "configuration reloaded"),
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "the changed configuration is not taken");
            }
        }
        result
    }

    /// Takes the packagers that belong to groups now. Whether it could.
    pub fn regroup(&self) -> bool {
        let config = self.config.lock();
        let taken = self.take_packagers(&config, &self.groups.all());
        if let Err(error) = &taken {
            tracing::error!(error, "the packagers of groups are not taken");
        }
        taken.is_ok()
    }

    /// All packagers of `config`. Whoever asks them knows them before anybody may be sent there.
    fn take_packagers(&self, config: &Config, states: &[GroupState]) -> Result<(), String> {
        let config = groups::expanded(config, states);
        self.client.reload(parts::endpoints(&config)).map_err(|e| e.to_string())?;
        let members = groups::memberships(states, |id| self.drains.spread(id));
        self.pools.reload_with(&parts::pools(&config), &members);
        self.streams.reload(parts::streams(&config), parts::hosts(&config));
        Ok(())
    }
}

pub fn admin_settings(config: &Config) -> ops::Settings {
    ops::Settings { admin_token: config.admin_token.as_ref().map(|t| t.reveal().clone()) }
}

#[async_trait]
impl Operations for Running {
    fn ready(&self) -> bool {
        self.stages.ready()
    }

    fn gauges(&self) -> Gauges {
        let (streams, lanes) = self.streams.counts();
        let (memory, disk) = self.segments.usage();
        let status = self.streams.status();
        let mut carried: HashMap<PackagerId, u64> = HashMap::new();
        for packager in status.iter().flat_map(|s| &s.lanes).filter_map(|l| l.packager.clone()) {
            *carried.entry(packager).or_default() += 1;
        }
        let packagers: Vec<_> = self.pools.packagers().collect();
        let on_packagers = status.iter().flat_map(|s| s.packagers.iter().map(move |p| (s, p)));
        Gauges {
            viewers: self.viewing.gauges(),
            fleet_zones: self.fleet.as_ref().map(|peers| peers.zones()).unwrap_or_default(),
            ready: self.stages.ready(),
            in_flight: self.stages.in_flight() as u64,
            streams: streams as u64,
            lanes: lanes as u64,
            segment_bytes_memory: memory,
            segment_bytes_disk: disk,
            access_log_dropped: self.front.access_log_dropped(),
            pools: tenants::gauges(self),
            reports: packagers.iter().filter_map(|p| reported::gauge(p)).collect(),
            packagers: packagers
                .iter()
                .map(|p| PackagerGauge {
                    up: p.health() != Health::Down,
                    drained: p.drained().is_some(),
                    lanes: carried.get(&p.id).copied().unwrap_or(0),
                    packager: p.id.clone(),
                })
                .collect(),
            groups: groups::gauges(&self.groups.all(), self.drains.clock.now()),
            stream_states: on_packagers
                .map(|(s, p)| StreamGauge {
                    stream: s.stream.clone(),
                    packager: p.packager.clone(),
                    state: p.state,
                    age: p.playlist_age_ms.map(Duration::from_millis),
                })
                .collect(),
        }
    }

    fn status(&self) -> serde_json::Value {
        let packagers: Vec<_> = self
            .pools
            .all()
            .into_iter()
            .flat_map(|pool| {
                let name = pool.name.to_string();
                let list = pool.packagers().to_vec();
                list.into_iter().map(move |p| {
                    serde_json::json!({
                        "packager": p.id, "pool": name, "zone": p.zone, "weight": p.weight,
                        "health": format!("{:?}", p.health()).to_lowercase(), "cause": p.cause(),
                        "kind": p.kind.as_str(), "load": p.load(), "report": reported::status(&p),
                        "drained": p.drained().is_some(),
                        "drained_since": p.drained().map(|d| d.since), "leaving": p.is_leaving(),
                    })
                })
            })
            .collect();
        let (viewers, utilisation) = self.viewing.status();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.stages.ready(),
            "pools": tenants::gauges(self),
            "packagers": packagers,
            "store": self.standing.status(),
            "fleet": Operations::fleet(self),
            "groups": groups::status(&self.groups.all(), self.drains.clock.now()),
            "streams": self.streams.status(),
            "viewers": viewers,
            "utilisation": utilisation,
        })
    }

    fn fleet(&self) -> serde_json::Value {
        let Some(peers) = &self.fleet else { return serde_json::Value::Null };
        let mut status = peers.status();
        if let Some(status) = status.as_object_mut() {
            status.insert("store".to_owned(), self.standing.status());
        }
        status
    }

    fn reload(&self) -> Result<(), String> {
        self.reload_file()
    }

    fn packager(&self, id: &PackagerId) -> Result<PackagerState, DrainError> {
        self.drains.state(id)
    }

    async fn drain(&self, id: &PackagerId, out: bool) -> Result<PackagerState, DrainError> {
        self.drains.set(id, out).await
    }

    fn heard(&self, report: Report) -> usize {
        self.viewing.hear(report)
    }
}
