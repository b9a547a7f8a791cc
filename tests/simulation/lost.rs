//! Viewers come back to two proxies with tokens of a lane that nobody has any more.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use segue::model::lane::Held;
use segue::model::names::{LaneId, ProxyId, StreamKey};
use segue::store::StoredLane;
use segue::stream::{Fleet, Lane, Streams};
use tokio::time::{Instant, sleep, timeout};

use crate::merging::{Proxy, Stage};
use crate::players::stream;

/// Viewers of the lost lane at each proxy.
const VIEWERS: usize = 20;

/// The other proxy, once it runs.
struct Other {
    own: ProxyId,
    streams: OnceLock<Arc<Streams>>,
}

#[async_trait]
impl Fleet for Other {
    fn own_id(&self) -> Option<&ProxyId> {
        Some(&self.own)
    }
    fn others(&self) -> usize {
        1
    }
    fn fetcher(&self, _stream: &StreamKey) -> Option<ProxyId> {
        None
    }
    async fn bytes(&self, _: Held, _: &[ProxyId], _: Duration) -> Option<Bytes> {
        None
    }
    async fn lane(&self, key: &StreamKey, lane: &LaneId, within: Duration) -> Option<StoredLane> {
        sleep(Duration::from_millis(5)).await;
        timeout(within, self.streams.get()?.log(key, lane)).await.ok()?
    }
}

fn two(stage: &Stage) -> [Proxy; 2] {
    let other = |own: &str| Arc::new(Other { own: ProxyId::new(own), streams: OnceLock::new() });
    let (of_one, of_two) = (other("p1"), other("p2"));
    let pair = [stage.proxy_beside(1, of_one.clone()), stage.proxy_beside(2, of_two.clone())];
    assert!(of_one.streams.set(pair[1].streams.clone()).is_ok());
    assert!(of_two.streams.set(pair[0].streams.clone()).is_ok());
    pair
}

/// Neither proxy waits for the other, and what goes on goes on.
#[tokio::test(start_paused = true)]
async fn a_lost_lane_stops_no_other() {
    let stage = Stage::new();
    let mut pair = two(&stage);
    let id = pair[0].streams.join(&stream(), None).await.unwrap().header().lane.clone();
    let mut lanes: Vec<Arc<Lane>> = Vec::new();
    for proxy in &pair {
        lanes.push(proxy.streams.lane(&stream(), &id).await.unwrap());
    }
    let lost = LaneId::new("a-00000001");
    let began = Instant::now();
    let ask = |streams: Arc<Streams>| {
        let lost = lost.clone();
        async move { streams.lane(&stream(), &lost).await.map(|_| began.elapsed()) }
    };
    let asked = pair.iter().flat_map(|p| (0..VIEWERS).map(|_| p.streams.clone()));
    let waiting = tokio::spawn(join_all(asked.map(ask).collect::<Vec<_>>()));
    let mut edges = Vec::new();
    for _ in 0..40 {
        sleep(Duration::from_millis(250)).await;
        for (proxy, lane) in pair.iter_mut().zip(&lanes) {
            proxy.refresh(lane).await;
        }
        edges.push((began.elapsed(), pair[0].edges().1.min(pair[1].edges().1)));
    }
    let found = waiting.await.unwrap();
    let latest = found.into_iter().map(|found| found.expect("opened anew")).max().unwrap();
    assert!(latest < Duration::from_secs(4), "the last was answered after {latest:?}");
    // Segments of two seconds: at every moment one came at both within the last three.
    for two in edges.windows(12) {
        let ((from, before), (to, after)) = (two[0], two[11]);
        assert!(after > before, "from {from:?} to {to:?} nothing was listed");
    }
}
