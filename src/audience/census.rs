//! Counting on every request's way: a hash of whoever asks leads to a shard, and a lane to its number.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::model::names::{LaneId, StreamKey, UnixMs};
use crate::model::viewers::{Census, CensusLimits, LaneNumber, Tally, Visit, Who, Window};

/// Locks among which viewers are spread.
const SHARDS: usize = 64;
/// Viewers that are told exactly, of this proxy: some 60 MB. The rest is estimated.
const EXACT_MAX: usize = 1_000_000;
/// Addresses that are remembered: some 50 MB.
const ADDRESSES_MAX: usize = 250_000;
/// Lanes whose viewers are counted; the proxy has a limit of its own for lanes.
const LANES_MAX: usize = 1_000_000;
/// A lane that nobody asked for this long is forgotten.
const LANE_KEPT: Duration = Duration::from_secs(60);

/// All who ask.
pub(super) struct Crowd {
    shards: Vec<Mutex<Census>>,
    /// Viewers choose what they call themselves: nobody can choose who shares a shard or a place.
    hasher: RandomState,
    lanes: RwLock<HashMap<LaneId, Arc<Lane>>>,
    next: AtomicU32,
}

/// A lane that somebody asked for.
struct Lane {
    number: LaneNumber,
    stream: StreamKey,
    /// Hashed once: what every viewer of it is told apart by begins with it.
    stream_hash: u64,
    window: Window,
    /// Unix milliseconds.
    asked_at: AtomicU64,
}

/// A lane and its viewers.
pub(super) struct Watched {
    pub stream: StreamKey,
    pub lane: LaneId,
    pub tally: Tally,
}

impl Default for Crowd {
    fn default() -> Self {
        let limits = CensusLimits { exact: EXACT_MAX / SHARDS, addresses: ADDRESSES_MAX / SHARDS };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Census::new(limits))).collect(),
            hasher: RandomState::new(),
            lanes: RwLock::default(),
            next: AtomicU32::new(0),
        }
    }
}

impl Crowd {
    /// Whether a player with this session id watches the stream.
    pub fn knows(&self, stream: &StreamKey, sid: &str) -> bool {
        let who = self.by_sid(self.hasher.hash_one(stream), sid);
        self.shard(who, LaneNumber(0)).is_some_and(|shard| shard.lock().knows(who))
    }

    /// Whether he is new, as far as that can be told.
    pub fn arrived(&self, visit: &Visit<'_>, now: UnixMs) -> bool {
        let Some(lane) = self.lane(visit, now) else { return false };
        let who = self.who(visit, lane.stream_hash);
        let shard = self.shard(who, lane.number);
        shard.is_some_and(|shard| shard.lock().arrived(who, lane.number, lane.window, now))
    }

    pub fn asked(&self, visit: &Visit<'_>, fresh: bool, now: UnixMs) {
        let Some(lane) = self.lane(visit, now) else { return };
        let who = self.who(visit, lane.stream_hash);
        if let Some(shard) = self.shard(who, lane.number) {
            shard.lock().asked(who, lane.number, lane.window, fresh, now);
        }
    }

    /// The stream of a lane that somebody asked for.
    pub fn stream_of(&self, lane: &LaneId) -> Option<StreamKey> {
        self.lanes.read().get(lane).map(|lane| lane.stream.clone())
    }

    /// The viewers of each lane.
    pub fn count(&self, now: UnixMs) -> Vec<Watched> {
        let lanes: Vec<(LaneId, Arc<Lane>)> =
            self.lanes.read().iter().map(|(id, lane)| (id.clone(), Arc::clone(lane))).collect();
        let windows = lanes.iter().map(|(_, lane)| (lane.number, lane.window)).collect();
        let mut tallies = HashMap::new();
        for shard in &self.shards {
            shard.lock().count(now, &windows, &mut tallies);
        }
        let mut counted = Vec::new();
        let mut gone = Vec::new();
        for (id, lane) in lanes {
            let asked_at = UnixMs(lane.asked_at.load(Ordering::Relaxed));
            match tallies.get(&lane.number) {
                Some(tally) => {
                    counted.push(Watched { stream: lane.stream.clone(), lane: id, tally: *tally });
                }
                None if now.since(asked_at) > LANE_KEPT.max(lane.window.length()) => gone.push(id),
                None => {}
            }
        }
        if !gone.is_empty() {
            let mut lanes = self.lanes.write();
            for id in gone {
                lanes.remove(&id);
            }
        }
        counted
    }

    fn lane(&self, visit: &Visit<'_>, now: UnixMs) -> Option<Arc<Lane>> {
        if let Some(lane) = self.lanes.read().get(visit.lane) {
            lane.asked_at.store(now.0, Ordering::Relaxed);
            return Some(Arc::clone(lane));
        }
        let mut lanes = self.lanes.write();
        if lanes.len() >= LANES_MAX {
            return None;
        }
        let new = || {
            Arc::new(Lane {
                number: LaneNumber(self.next.fetch_add(1, Ordering::Relaxed)),
                stream: visit.stream.clone(),
                stream_hash: self.hasher.hash_one(visit.stream),
                window: Window::of_target(visit.target_seconds),
                asked_at: AtomicU64::new(now.0),
            })
        };
        Some(Arc::clone(lanes.entry(visit.lane.clone()).or_insert_with(new)))
    }

    /// By the best that is known of him. What a stream's viewer is called means nothing in another.
    fn who(&self, visit: &Visit<'_>, stream: u64) -> Who {
        if let Some(viewer) = visit.viewer {
            Who::Session(self.hasher.hash_one((0_u8, stream, viewer)))
        } else if let Some(sid) = visit.sid {
            self.by_sid(stream, sid)
        } else if let Some(client) = visit.client {
            Who::Address(self.hasher.hash_one((2_u8, stream, client, visit.user_agent)))
        } else {
            Who::Anybody
        }
    }

    fn by_sid(&self, stream: u64, sid: &str) -> Who {
        Who::Cmcd(self.hasher.hash_one((1_u8, stream, sid)))
    }

    fn shard(&self, who: Who, lane: LaneNumber) -> Option<&Mutex<Census>> {
        let id = match who {
            Who::Session(id) | Who::Cmcd(id) | Who::Address(id) => id,
            Who::Anybody => u64::from(lane.0),
        };
        self.shards.get(usize::try_from(id % SHARDS as u64).unwrap_or(0))
    }
}
