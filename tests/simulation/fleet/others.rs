//! The other proxies as one of them sees them: answers come late or not at all, and who is there is
//! known a second or two late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use segue::model::lane::Held;
use segue::model::names::{LaneId, ProxyId, StreamKey};
use segue::store::StoredLane;
use segue::stream::Fleet;
use tokio::time::{sleep, timeout};

use super::net::{Net, Running};
use crate::parts::Life;
use crate::world::mix;

/// The next is asked as well after so long without an answer.
const HEDGE: Duration = Duration::from_millis(200);

pub struct Others {
    net: Arc<Net>,
    proxy: usize,
    life: Arc<Life>,
    /// Who answered when it was last asked how it is.
    answers: Arc<Mutex<BTreeMap<usize, bool>>>,
}

impl Others {
    pub fn new(net: Arc<Net>, proxy: usize, life: Arc<Life>) -> Self {
        let answers: Arc<Mutex<BTreeMap<usize, bool>>> = Arc::default();
        tokio::spawn(greet(net.clone(), proxy, life.clone(), answers.clone()));
        Self { net, proxy, life, answers }
    }

    fn answering(&self) -> Vec<usize> {
        self.answers.lock().iter().filter(|(_, yes)| **yes).map(|(p, _)| *p).collect()
    }

    /// What another proxy says to a question; never returns where it cannot be reached.
    async fn ask<T>(&self, other: usize, question: impl AsyncFnOnce(&Running) -> T) -> T {
        let sim = &self.net.sim;
        let ms = if sim.once_in(40) { 250 } else { sim.among(1, 15) };
        sleep(Duration::from_millis(ms)).await;
        let running = self.net.nodes[other].now.lock().clone();
        let Some(running) = running.filter(|_| self.net.reaches(self.proxy, other)) else {
            return std::future::pending().await;
        };
        running.life.check().await;
        let answer = question(&running).await;
        running.life.check().await;
        sleep(Duration::from_millis(sim.among(1, 15))).await;
        self.life.check().await;
        answer
    }
}

/// Asks each other proxy how it is, again and again. Two failures in a row are believed.
async fn greet(
    net: Arc<Net>,
    proxy: usize,
    life: Arc<Life>,
    answers: Arc<Mutex<BTreeMap<usize, bool>>>,
) {
    let mut failed: BTreeMap<usize, u32> = BTreeMap::new();
    loop {
        life.check().await;
        for other in (0..net.nodes.len()).filter(|other| *other != proxy) {
            let there = net.nodes[other].now.lock().clone();
            let refused = there.is_none();
            let there = there.is_some_and(|r| !r.life.is_frozen()) && net.reaches(proxy, other);
            let failed = failed.entry(other).or_default();
            *failed = if there { 0 } else { *failed + 1 };
            if there || refused || *failed >= 2 {
                answers.lock().insert(other, there);
            }
        }
        sleep(Duration::from_millis(net.sim.among(800, 1200))).await;
    }
}

#[async_trait]
impl Fleet for Others {
    fn own_id(&self) -> Option<&ProxyId> {
        Some(&self.net.nodes[self.proxy].id)
    }

    fn others(&self) -> usize {
        self.answering().len()
    }

    fn fetcher(&self, stream: &StreamKey) -> Option<ProxyId> {
        if !self.net.one_per_zone {
            return None;
        }
        let zone = self.net.nodes[self.proxy].zone;
        let mut zones = self.answering();
        zones.push(self.proxy);
        zones.retain(|p| self.net.nodes[*p].zone == zone);
        let of_stream = stream.path.bytes().fold(7, |sum, byte| mix(sum ^ u64::from(byte)));
        let first = zones.into_iter().max_by_key(|p| mix(of_stream ^ *p as u64))?;
        (first != self.proxy).then(|| self.net.nodes[first].id.clone())
    }

    async fn bytes(&self, held: Held, holders: &[ProxyId], deadline: Duration) -> Option<Bytes> {
        let zone = self.net.nodes[self.proxy].zone;
        let mut order = self.answering();
        order.sort_by_key(|p| {
            let node = &self.net.nodes[*p];
            (!holders.contains(&node.id), node.zone != zone, *p)
        });
        let asked = async {
            for other in order {
                let given = self.ask(other, async |r: &Running| r.segments.get(held).await);
                if let Ok(Some(bytes)) = timeout(HEDGE * 2, given).await {
                    return Some(bytes);
                }
            }
            None
        };
        let bytes = timeout(deadline, asked).await.ok().flatten();
        self.life.check().await;
        bytes
    }

    async fn lane(
        &self,
        stream: &StreamKey,
        lane: &LaneId,
        deadline: Duration,
    ) -> Option<StoredLane> {
        let each = self.answering().into_iter().map(|other| {
            let log = self.ask(other, async |r: &Running| r.streams.log(stream, lane).await);
            timeout(deadline, log)
        });
        let logs = futures_util::future::join_all(each).await;
        self.life.check().await;
        let tail = |l: &StoredLane| l.steps.last().map(|s| s.msn);
        logs.into_iter().filter_map(|log| log.ok().flatten()).max_by_key(tail)
    }
}
