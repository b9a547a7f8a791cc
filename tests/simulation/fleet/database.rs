//! The store that all proxies share, as a server: it can be away, slow, lose everything, and fail
//! over to a copy of itself that lacks the last writes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use segue::model::lane::{Header, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use segue::store::{Appended, Change, Changed, LaneStore, MemoryStore, StoreError, StoredLane};
use tokio::sync::broadcast;

/// What a proxy asks of it.
#[derive(Clone, Debug)]
pub enum Ask {
    Create(Header),
    Load(LaneId),
    Append(LaneId, Option<OutputMsn>, Vec<Step>),
    Begin(Header, Option<OutputMsn>),
    Newer(LaneId, Option<OutputMsn>),
    LanesOf(StreamKey),
    Trim(LaneId, OutputMsn),
    Expire(UnixMs),
    Want(LaneId, Vec<usize>, UnixMs, Duration),
    Secret(String, [u8; 32]),
    Target(StreamKey, u32),
    Drained,
    Drain(PackagerId, Option<UnixMs>),
}

#[derive(Clone, Debug)]
pub enum Reply {
    Header(Box<Header>),
    Lane(Box<Option<StoredLane>>),
    Appended(Appended),
    Begun(bool),
    Steps(Vec<Step>),
    Lanes(Vec<LaneId>),
    Done,
    Count(u64),
    Wanted(Vec<usize>),
    Secret([u8; 32]),
    Target(u32),
    Drained(BTreeMap<PackagerId, UnixMs>),
}

impl Ask {
    fn writes(&self) -> bool {
        !matches!(self, Self::Load(_) | Self::Newer(..) | Self::LanesOf(_) | Self::Drained)
    }
}

struct Inner {
    store: MemoryStore,
    told: broadcast::Receiver<Change>,
    /// What was written, and when.
    journal: VecDeque<(u64, Ask)>,
    away: bool,
    slow: bool,
}

pub struct Database {
    inner: Mutex<Inner>,
    changes: broadcast::Sender<Changed>,
}

impl Database {
    pub fn new() -> Self {
        let store = MemoryStore::new();
        let told = store.changes();
        let inner = Inner { store, told, journal: VecDeque::new(), away: false, slow: false };
        Self { inner: Mutex::new(inner), changes: broadcast::Sender::new(4096) }
    }

    pub fn is_away(&self) -> bool {
        self.inner.lock().away
    }
    pub fn away(&self, away: bool) {
        self.inner.lock().away = away;
    }
    pub fn is_slow(&self) -> bool {
        self.inner.lock().slow
    }
    pub fn slow(&self, slow: bool) {
        self.inner.lock().slow = slow;
    }
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    pub fn perform(&self, now: u64, ask: Ask) -> Result<Reply, StoreError> {
        let mut inner = self.inner.lock();
        let reply = perform(&inner.store, &ask);
        if ask.writes() {
            inner.journal.push_back((now, ask));
        }
        while let Ok(change) = inner.told.try_recv() {
            if let Some(changed) = change {
                let _ = self.changes.send(changed);
            }
        }
        reply
    }

    pub fn lose_everything(&self) {
        self.fail_over(0);
    }

    /// Goes on with what had been written until then, milliseconds.
    pub fn fail_over(&self, until: u64) {
        let mut inner = self.inner.lock();
        inner.journal.retain(|(at, _)| *at <= until);
        let store = MemoryStore::new();
        for (_, ask) in &inner.journal {
            let _ = perform(&store, ask);
        }
        inner.told = store.changes();
        inner.store = store;
    }
}

fn perform(store: &MemoryStore, ask: &Ask) -> Result<Reply, StoreError> {
    let doing = async {
        Ok(match ask.clone() {
            Ask::Create(header) => Reply::Header(Box::new(store.create(&header).await?)),
            Ask::Load(lane) => Reply::Lane(Box::new(store.load(&lane).await?)),
            Ask::Append(lane, tail, steps) => {
                Reply::Appended(store.append(&lane, tail, &steps).await?)
            }
            Ask::Begin(header, seen) => Reply::Begun(store.begin_again(&header, seen).await?),
            Ask::Newer(lane, tail) => Reply::Steps(store.newer(&lane, tail).await?),
            Ask::LanesOf(stream) => Reply::Lanes(store.lanes_of(&stream).await?),
            Ask::Trim(lane, from) => store.trim(&lane, from).await.map(|()| Reply::Done)?,
            Ask::Expire(before) => Reply::Count(store.expire(before).await?),
            Ask::Want(lane, renditions, now, within) => {
                Reply::Wanted(store.want(&lane, &renditions, now, within).await?)
            }
            Ask::Secret(name, fresh) => Reply::Secret(store.secret(&name, fresh).await?),
            Ask::Target(stream, s) => Reply::Target(store.target_duration(&stream, s).await?),
            Ask::Drained => Reply::Drained(store.drained(&BTreeMap::new()).await?),
            Ask::Drain(id, since) => store.drain(&id, since).await.map(|()| Reply::Done)?,
        })
    };
    doing.now_or_never().unwrap()
}
