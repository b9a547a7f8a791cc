//! The store in Redis or Valkey: of all proxies of a fleet. One thread of its own does what the sockets want;
//! callers wait for an answer, for half a second at the most.
//!
//! `keys` what things are called there; `scripts` what is done at once; `lanes` and `others` the operations;
//! `connect` finding and entering the server; `link` the connection and its breaker; `following` hearing of
//! changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use super::{
    Appended, CHANGES_QUEUED_MAX, Change, LaneStore, StoreError, StoreObserver, StoredLane,
};
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use connect::Place;
use following::Following;
use keys::Keys;
use link::{Link, State, until};

mod connect;
mod following;
mod keys;
mod lanes;
mod link;
mod others;
mod scripts;

pub use connect::{Names, RedisSettings, SystemNames};

/// No more than the usual time.
const NO_MORE: Duration = Duration::ZERO;
/// What is noted of lanes outlives them by this, since it is looked at now and then only.
const INDEX_OUTLIVES: Duration = Duration::from_secs(3600);

/// Lanes' logs in Redis or Valkey. Opening it waits for nothing: calls fail while the server cannot be reached.
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    changes: broadcast::Sender<Change>,
    heard: watch::Receiver<bool>,
    lane_expires_ms: AtomicU64,
    /// Where this process has trimmed logs.
    trimmed: Mutex<HashMap<LaneId, OutputMsn>>,
    /// Dropped with the store: the thread ends then.
    _open: oneshot::Sender<()>,
}

impl RedisStore {
    /// Opens it; the server is connected to beside.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] if the CA's file cannot be read, or no thread can be had.
    pub fn open(
        settings: &RedisSettings,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        Self::open_with(settings, observer, Arc::new(SystemNames))
    }

    /// The same, with `names` in place of the system's.
    ///
    /// # Errors
    /// See [`RedisStore::open`].
    pub fn open_with(
        settings: &RedisSettings,
        observer: Arc<dyn StoreObserver>,
        names: Arc<dyn Names>,
    ) -> Result<Self, StoreError> {
        let place = Place::new(settings, names)?;
        let link = Arc::new(Link::new(place, settings.timeout, observer.clone()));
        let keys = Keys::new(&settings.prefix);
        let (changes, _) = broadcast::channel(CHANGES_QUEUED_MAX);
        let alive = watch::Sender::new(false);
        let heard = alive.subscribe();
        let following = Following {
            link: link.clone(),
            channel: keys.changes(),
            changes: changes.clone(),
            observer,
            alive,
        };
        let (open, closed) = oneshot::channel();
        work(link.clone(), following, closed)?;
        let store = Self {
            link,
            keys,
            changes,
            heard,
            lane_expires_ms: AtomicU64::new(0),
            trimmed: Mutex::default(),
            _open: open,
        };
        store.keep_lanes_for(settings.lane_expires);
        Ok(store)
    }

    /// Waits until the server answers and changes are heard of.
    pub async fn settled(&self) {
        let (mut state, mut heard) = (self.link.watch(), self.heard.clone());
        until(&mut state, |state| matches!(state, State::Up(_))).await;
        let _ = heard.wait_for(|heard| *heard).await;
    }

    fn lane_expires(&self) -> Duration {
        Duration::from_millis(self.lane_expires_ms.load(Ordering::Relaxed))
    }

    /// Twice, since a lane that lives is noted anew once in a lane's time.
    fn index_expires(&self) -> Duration {
        self.lane_expires().saturating_mul(2).saturating_add(INDEX_OUTLIVES)
    }
}

/// Starts the thread: the connection is kept, and changes are followed, until the store is dropped.
fn work(
    link: Arc<Link>,
    following: Following,
    closed: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let unreachable = |e: std::io::Error| StoreError::Unreachable(e.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(unreachable)?;
    let all = async move {
        tokio::select! {
            () = link.keep() => {}
            () = following.follow() => {}
            _ = closed => {}
        }
    };
    let thread = thread::Builder::new().name("segue-store".into());
    thread.spawn(move || runtime.block_on(all)).map(drop).map_err(unreachable)
}

#[async_trait]
impl LaneStore for RedisStore {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        self.create_lane(header).await
    }

    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        self.load_lane(lane).await
    }

    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        self.append_steps(lane, expected_tail, steps).await
    }

    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        self.begin_lane_again(header, seen).await
    }

    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        self.steps_after(lane, tail).await
    }

    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        self.stream_lanes(stream).await
    }

    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        self.trim_lane(lane, keep_from).await
    }

    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.expire_lanes(before).await
    }

    fn keep_lanes_for(&self, idle: Duration) {
        let ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        self.lane_expires_ms.store(ms, Ordering::Relaxed);
    }

    async fn want(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        _now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        // By the server's clock: callers' may differ.
        self.want_renditions(lane, renditions, within).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.first_secret(name, fresh).await
    }

    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        self.highest_target(stream, seconds).await
    }

    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        self.all_drained(known).await
    }

    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.set_drained(packager, since).await
    }

    async fn kept(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.kept_records(prefix).await
    }

    async fn keep(&self, records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        self.keep_records(records).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
