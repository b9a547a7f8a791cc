//! How many watch and how full things are: what the front tells becomes counts, peaks are kept in the store,
//! and operators are shown both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::storing::if_reached;
use crate::audience::{self, Audience, Whereabouts};
use crate::config::Config;
use crate::front::{self, Admission, Front, Full, Live};
use crate::model::names::{LaneId, PackagerId, PoolName, ProxyId, StreamKey};
use crate::model::utilisation::{PackagerUse, of_pool, of_proxy};
use crate::model::viewers::log::Report;
use crate::model::viewers::{Picture, RowName, Visit};
use crate::ops::{Metrics, ViewersGauges};
use crate::packagers::{Health, Packager};
use crate::store::{LaneStore, StoreError};
use crate::stream::Clock;

/// How often is counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Peaks and events are written once in so many counts: a killed process loses no more.
const KEEP_EVERY: u32 = 4;
/// Over how many counts what is sent is averaged.
const SENT_OVER: u64 = 8;

/// How each pool's viewers are counted.
pub fn settings(config: &Config) -> HashMap<PoolName, audience::PoolSettings> {
    let of = |pool: &crate::config::Pool| audience::PoolSettings {
        sessions: pool.viewers.sessions,
        limit: pool.limits.viewers,
        people_hundredths: pool.viewers.people_hundredths,
        event_gap: pool.viewers.event_gap,
    };
    config.pools.iter().map(|pool| (pool.name.clone(), of(pool))).collect()
}

/// The audience of a store, with what is remembered there of this proxy, `own`: each counts those whom it answers,
/// so each keeps its own.
pub async fn remembered(
    config: &Config,
    store: &dyn LaneStore,
    own: Option<&ProxyId>,
) -> Result<Arc<Audience>, StoreError> {
    let none = "how many watched before is not known";
    let names = format!("{}{}", owner(own), RowName::PREFIX);
    let records = if_reached(store.kept(&names).await, none)?.unwrap_or_default();
    Ok(Arc::new(Audience::new(settings(config), audience::from_records(&records))))
}

/// What the names of its records begin with, where several proxies keep theirs in one store.
fn owner(own: Option<&ProxyId>) -> String {
    own.map(|id| format!("of/{id}/")).unwrap_or_default()
}

/// What this proxy has limits for.
pub struct Room {
    connections: u64,
    streams: u64,
    segment_bytes_memory: Option<u64>,
    segment_bytes_disk: Option<u64>,
    bandwidth_bps: Option<u64>,
}

impl Room {
    pub fn of(config: &Config) -> Self {
        // Memory above a directory gives way by itself.
        let on_disk = config.segments.dir.is_some();
        Self {
            connections: config.limits.connections as u64,
            streams: config.limits.streams as u64,
            segment_bytes_memory: (!on_disk).then(|| config.segments.memory.bytes()),
            segment_bytes_disk: on_disk.then(|| config.segments.disk.bytes()),
            bandwidth_bps: config.limits.bandwidth_bps,
        }
    }
}

/// Tells the audience of what comes by, and the time.
pub struct Doorkeeper {
    pub audience: Arc<Audience>,
    pub clock: Clock,
}

impl front::Audience for Doorkeeper {
    fn admit(&self, stream: &StreamKey, sid: Option<&str>) -> Result<Admission, Full> {
        let admitted = self.audience.admit(stream, sid).map_err(|_| Full)?;
        Ok(Admission { viewer: admitted.viewer, place: Some(Box::new(admitted.place)) })
    }
    fn arrived(&self, visit: &Visit<'_>) {
        self.audience.arrived(visit, self.clock.now());
    }
    fn asked(&self, visit: &Visit<'_>, fresh: bool) {
        self.audience.asked(visit, fresh, self.clock.now());
    }
}

/// What is counted, and from what.
pub struct Viewing {
    pub audience: Arc<Audience>,
    live: Live,
    front: Arc<Front<Live>>,
    store: Arc<dyn LaneStore>,
    metrics: Arc<Metrics>,
    room: Room,
    clock: Clock,
    /// What the names of records begin with.
    owner: String,
    /// The last records were not kept. The log hears of it once.
    unkept: AtomicBool,
    /// Bits sent a second, lately.
    sent_bps: AtomicU64,
}

impl Viewing {
    pub fn new(
        live: Live,
        front: Arc<Front<Live>>,
        audience: Arc<Audience>,
        store: Arc<dyn LaneStore>,
        (metrics, room): (Arc<Metrics>, Room),
        (clock, own): (Clock, Option<&ProxyId>),
    ) -> Self {
        let (sent_bps, unkept) = (AtomicU64::new(0), AtomicBool::new(false));
        let owner = owner(own);
        Self { audience, live, front, store, metrics, room, clock, owner, unkept, sent_bps }
    }

    fn count(&self) {
        let zones: HashMap<PackagerId, String> =
            self.live.pools.packagers().map(|p| (p.id.clone(), p.zone.clone())).collect();
        let status = self.live.streams.status();
        let lanes = status.iter().flat_map(|s| &s.lanes);
        let on: HashMap<&LaneId, &PackagerId> =
            lanes.filter_map(|l| Some((&l.lane, l.packager.as_ref()?))).collect();
        let whereabouts = |lane: &LaneId| {
            let packager = (*on.get(lane)?).clone();
            Some(Whereabouts { zone: zones.get(&packager).cloned().unwrap_or_default(), packager })
        };
        self.audience.count(&whereabouts, self.clock.now());
    }

    async fn keep(&self) {
        let rows = self.audience.changed();
        if rows.is_empty() {
            return;
        }
        let mut records = audience::to_records(&rows);
        for (name, _) in &mut records {
            name.insert_str(0, &self.owner);
        }
        let result = self.store.keep(&records).await;
        let was_unkept = self.unkept.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = result {
            if !was_unkept {
                tracing::warn!(%error, "how many watched is not kept for now");
            }
            self.audience.not_kept(rows);
        }
    }

    /// Of what was sent so far: what is sent now, averaged.
    fn measure_sent(&self, before: u64) -> u64 {
        let sent = self.metrics.sent_bytes();
        let bits = sent.saturating_sub(before).saturating_mul(8) / COUNT_EVERY.as_secs().max(1);
        let lately = self.sent_bps.load(Ordering::Relaxed);
        self.sent_bps.store((lately * (SENT_OVER - 1) + bits) / SENT_OVER, Ordering::Relaxed);
        sent
    }

    fn proxy_utilisation(&self) -> f64 {
        let (memory, disk) = self.live.segments.usage();
        let (streams, _) = self.live.streams.counts();
        of_proxy(&[
            (self.front.connections() as u64, Some(self.room.connections)),
            (streams as u64, Some(self.room.streams)),
            (memory, self.room.segment_bytes_memory),
            (disk, self.room.segment_bytes_disk),
            (self.sent_bps.load(Ordering::Relaxed), self.room.bandwidth_bps),
        ])
    }

    /// How full each pool is, where that is known.
    fn pool_utilisation(&self) -> Vec<(String, f64)> {
        let used = |p: &Arc<Packager>| PackagerUse {
            usable: p.health() != Health::Down && p.drained().is_none(),
            carried: p.carried(),
            capacity: p.capacity,
        };
        let of = |pool: Arc<crate::packagers::Pool>| {
            let uses: Vec<PackagerUse> = pool.packagers().iter().map(used).collect();
            Some((pool.name.to_string(), of_pool(&uses)?))
        };
        let mut pools: Vec<_> = self.live.pools.all().into_iter().filter_map(of).collect();
        pools.sort_by(|a, b| a.0.cmp(&b.0));
        pools
    }

    /// How many watch, with what packagers say themselves.
    fn picture(&self) -> Picture {
        let mut picture = (*self.audience.picture()).clone();
        let loads: HashMap<PackagerId, u64> =
            self.live.pools.packagers().filter_map(|p| Some((p.id.clone(), p.load()?))).collect();
        for packager in &mut picture.packagers {
            packager.reported = loads.get(&packager.packager).copied();
        }
        picture
    }

    /// For `/metrics`.
    pub fn gauges(&self) -> ViewersGauges {
        ViewersGauges {
            picture: self.audience.picture(),
            pools: self.pool_utilisation(),
            proxy: self.proxy_utilisation(),
        }
    }

    /// For `/status.json`: how many watch, and how full things are.
    pub fn status(&self) -> (serde_json::Value, serde_json::Value) {
        let pools: serde_json::Map<String, serde_json::Value> =
            self.pool_utilisation().into_iter().map(|(pool, full)| (pool, full.into())).collect();
        let utilisation = serde_json::json!({ "proxy": self.proxy_utilisation(), "pools": pools });
        (serde_json::to_value(self.picture()).unwrap_or_default(), utilisation)
    }

    /// A CDN's log said how many watch; how many of its lanes belong to streams of ours.
    pub fn hear(&self, report: Report) -> usize {
        let pool_of = |host: &str| self.live.pools.for_host(host).map(|pool| pool.name.clone());
        self.audience.hear(report, &pool_of, self.clock.now())
    }
}

/// Counts once a second, and keeps what is to outlive this process.
pub struct Rounds(pub Arc<Viewing>);

#[async_trait]
impl BackgroundService for Rounds {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut counts, mut sent, mut ending) = (0_u32, self.0.metrics.sent_bytes(), false);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // Serving goes on for a while: from now on nothing is put off.
                changed = shutdown.changed(), if !ending => ending = changed.is_err() || *shutdown.borrow(),
            }
            self.0.count();
            sent = self.0.measure_sent(sent);
            counts = counts.wrapping_add(1);
            if ending || counts.is_multiple_of(KEEP_EVERY) {
                self.0.keep().await;
            }
        }
    }
}
