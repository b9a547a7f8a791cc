//! One proxy's line to the store: calls take their time, are lost before or after they are done, and
//! fail at once while the store is known to be away. Changes are heard late, twice, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use segue::model::lane::{Header, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use segue::store::{Appended, Change, LaneStore, StoreError, StoredLane};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{sleep, timeout};

use super::database::{Ask, Reply};
use super::net::Net;
use crate::parts::Life;

/// A call is waited for so long.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Changes that are missed are told of this often.
const TOLD_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    net: Arc<Net>,
    proxy: usize,
    life: Arc<Life>,
    /// The store is known not to answer.
    down: AtomicBool,
    told: broadcast::Sender<Change>,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    LostBefore,
    LostAfter,
}

impl Line {
    pub fn new(net: Arc<Net>, proxy: usize, life: Arc<Life>) -> Self {
        let told = broadcast::Sender::new(1024);
        let line = Self(Arc::new(Inner { net, proxy, life, down: AtomicBool::new(false), told }));
        tokio::spawn(line.clone().hear());
        line
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, StoreError> {
        let inner = &*self.0;
        inner.life.check().await;
        if inner.down.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable("it is away".into()));
        }
        let answer = timeout(TIMEOUT, self.send(ask)).await;
        inner.life.check().await;
        if let Ok(Ok(answer)) = answer {
            return answer;
        }
        if !inner.down.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().knock());
        }
        Err(StoreError::Unreachable("no answer".into()))
    }

    /// On its way, whoever waits for the answer.
    fn send(&self, ask: Ask) -> oneshot::Receiver<Result<Reply, StoreError>> {
        let inner = self.0.clone();
        let (answer, answered) = oneshot::channel();
        let (there, back) = (inner.latency(), inner.latency());
        let lost = inner.net.weather.lost_one_in;
        let fate = match inner.net.sim.draw() {
            n if lost == 0 || !n.is_multiple_of(lost) => Fate::Arrives,
            n if n / lost % 2 == 0 => Fate::LostBefore,
            _ => Fate::LostAfter,
        };
        tokio::spawn(async move {
            sleep(there).await;
            if fate == Fate::LostBefore || inner.net.database.is_away() {
                return;
            }
            if !inner.net.cut.lock().contains(&inner.proxy) {
                let now = inner.net.sim.now();
                let done = inner.net.database.perform(now, ask.clone());
                if let (Ask::Append(lane, _, steps), Ok(Reply::Appended(Appended::Done))) =
                    (&ask, &done)
                {
                    inner.net.appended(inner.proxy, lane, steps);
                }
                sleep(back).await;
                if fate == Fate::LostAfter {
                    return;
                }
                if !inner.net.cut.lock().contains(&inner.proxy) {
                    let _ = answer.send(done);
                    return;
                }
            }
            // Nobody says that nothing comes.
            sleep(TIMEOUT * 2).await;
        });
        answered
    }

    /// Asks again and again whether it is there.
    async fn knock(self) {
        let inner = &*self.0;
        let mut wait = 100;
        loop {
            sleep(Duration::from_millis(inner.net.sim.among(wait / 2, wait))).await;
            inner.life.check().await;
            let took = inner.latency() + inner.latency();
            sleep(took.min(TIMEOUT)).await;
            if inner.net.reaches_store(inner.proxy) && took < TIMEOUT {
                inner.down.store(false, Ordering::Relaxed);
                return;
            }
            wait = (wait * 2).min(2000);
        }
    }

    /// Hears of changes for as long as it lives.
    async fn hear(self) {
        let inner = &*self.0;
        let mut changes = inner.net.database.subscribe();
        loop {
            let changed = timeout(TOLD_EVERY, changes.recv()).await;
            let lost = inner.net.weather.lost_one_in;
            let breaks = lost > 0 && changed.is_ok() && inner.net.sim.once_in(lost);
            if breaks || !inner.net.reaches_store(inner.proxy) {
                let mut away = if breaks { inner.net.sim.among(1, 5) } else { 1 };
                while away > 0 || !inner.net.reaches_store(inner.proxy) {
                    inner.tell(None).await;
                    sleep(TOLD_EVERY).await;
                    away = away.saturating_sub(1);
                }
                changes = inner.net.database.subscribe();
                inner.tell(None).await;
                continue;
            }
            match changed {
                Ok(Ok(changed)) => {
                    sleep(inner.latency().min(TIMEOUT)).await;
                    if inner.net.sim.once_in(30) {
                        inner.tell(Some(changed.clone())).await;
                    }
                    inner.tell(Some(changed)).await;
                }
                Ok(Err(_)) => inner.tell(None).await,
                Err(_) => {}
            }
        }
    }
}

impl Inner {
    async fn tell(&self, change: Change) {
        self.life.check().await;
        let _ = self.told.send(change);
    }

    /// One way.
    fn latency(&self) -> Duration {
        let sim = &self.net.sim;
        let slow = self.net.weather.slow_one_in;
        let ms = if self.net.database.is_slow() {
            sim.among(100, 2000)
        } else if slow > 0 && sim.once_in(slow) {
            sim.among(50, 200)
        } else {
            sim.among(0, 10)
        };
        Duration::from_millis(ms)
    }
}

macro_rules! asks {
    ($line:ident, $ask:expr, $reply:path) => {
        match $line.ask($ask).await? {
            $reply(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    };
}

#[async_trait]
impl LaneStore for Line {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        asks!(self, Ask::Create(header.clone()), Reply::Header).map(|header| *header)
    }
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        asks!(self, Ask::Load(lane.clone()), Reply::Lane).map(|lane| *lane)
    }
    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let ask = Ask::Append(lane.clone(), expected_tail, steps.to_vec());
        asks!(self, ask, Reply::Appended)
    }
    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        asks!(self, Ask::Begin(header.clone(), seen), Reply::Begun)
    }
    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        asks!(self, Ask::Newer(lane.clone(), tail), Reply::Steps)
    }
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        asks!(self, Ask::LanesOf(stream.clone()), Reply::Lanes)
    }
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        self.ask(Ask::Trim(lane.clone(), keep_from)).await.map(|_| ())
    }
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        asks!(self, Ask::Expire(before), Reply::Count)
    }
    async fn want(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        asks!(self, Ask::Want(lane.clone(), renditions.to_vec(), now, within), Reply::Wanted)
    }
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        asks!(self, Ask::Secret(name.to_owned(), fresh), Reply::Secret)
    }
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        asks!(self, Ask::Target(stream.clone(), seconds), Reply::Target)
    }
    async fn drained(
        &self,
        _known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        asks!(self, Ask::Drained, Reply::Drained)
    }
    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.ask(Ask::Drain(packager.clone(), since)).await.map(|_| ())
    }
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.told.subscribe()
    }
}
