//! A Redis that fails: killed, stopped, restarted, failed over, and what the store does meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use segue::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use segue::store::{
    Appended, LaneStore, Names, RedisSettings, RedisStore, StoreError, StoreObserver, Unobserved,
};
use tokio::sync::broadcast::error::RecvError;

use crate::fixture::{FIRST, before, header, step, stream};
use crate::server::{HUNG, Redis};

/// What a store says of itself.
#[derive(Default)]
struct Heard {
    ups: Mutex<Vec<bool>>,
}

impl StoreObserver for Heard {
    fn up(&self) {
        self.is(true);
    }
    fn down(&self, _cause: &str) {
        self.is(false);
    }
}

impl Heard {
    /// Another cause for the same is no news here.
    fn is(&self, up: bool) {
        let mut ups = self.ups.lock();
        if ups.last() != Some(&up) {
            ups.push(up);
        }
    }
}

fn impatient(server: &Redis) -> RedisSettings {
    RedisSettings { timeout: Duration::from_millis(300), ..server.settings() }
}

async fn settled(store: &RedisStore) {
    tokio::time::timeout(HUNG, store.settled()).await.unwrap();
}

/// Asks until the answer is `wanted`.
async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, wanted: impl Fn(&T) -> bool) -> T {
    let asking = async {
        loop {
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HUNG, asking).await.expect("it never came so")
}

fn unreachable<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Unreachable(why)) => why,
        other => panic!("{other:?} of a server that cannot be reached"),
    }
}

async fn fill(store: &RedisStore, lane: &str, steps: u64) -> LaneId {
    let lane = store.create(&header(lane)).await.unwrap().lane;
    for n in 0..steps {
        store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    lane
}

async fn append(store: &RedisStore, lane: &LaneId, n: u64) -> Result<Appended, StoreError> {
    store.append(lane, before(n), &[step(n, "a")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_comes_back_with_what_it_had() {
    let mut server = Redis::start();
    let heard = Arc::new(Heard::default());
    let store = RedisStore::open(&server.settings(), heard.clone()).unwrap();
    settled(&store).await;
    let lane = fill(&store, "a-1", 2).await;
    let _: String = server.ask(&["SAVE"]);
    let mut changes = store.changes();
    server.kill();
    let failed = until(|| store.newer(&lane, None), Result::is_err).await;
    unreachable(failed);
    // At once, without anybody being asked.
    let refused = store.append(&lane, before(2), &[step(2, "a")]).now_or_never();
    unreachable(refused.expect("nobody is waited for"));
    // Everybody looks, and looks again.
    for _ in 0..3 {
        let told = tokio::time::timeout(HUNG, changes.recv()).await.unwrap();
        assert!(matches!(told, Ok(None)), "{told:?}");
    }
    server.restart(false);
    settled(&store).await;
    assert_eq!(store.newer(&lane, None).await.unwrap(), [step(0, "a"), step(1, "a")]);
    let done = store.append(&lane, before(2), &[step(2, "a")]).await.unwrap();
    assert_eq!(done, Appended::Done);
    // It went once and came once, however often it was asked.
    assert_eq!(*heard.ups.lock(), [false, true, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_knows_no_lane() {
    let mut server = Redis::start();
    let store = server.store().await;
    let lane = fill(&store, "a-1", 2).await;
    server.restart(true);
    let answer = || append(&store, &lane, 2);
    let refused = until(answer, |a| !matches!(a, Err(StoreError::Unreachable(_)))).await;
    assert!(matches!(refused, Err(StoreError::NoLane(l)) if l == lane));
    // Whoever has the log writes it back.
    store.create(&header("a-1")).await.unwrap();
    let steps: Vec<_> = (0..3).map(|n| step(n, "a")).collect();
    assert_eq!(store.append(&lane, None, &steps).await.unwrap(), Appended::Done);
    assert_eq!(store.lanes_of(&header("a-1").stream).await.unwrap(), [lane]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_drained_is_put_back_into_a_server_that_comes_back_empty() {
    let mut server = Redis::start();
    let (one, two) = (server.store().await, server.store().await);
    let [a, b] = ["a", "b"].map(PackagerId::new);
    let nobody = BTreeMap::new();
    for (id, since) in [(&a, 7), (&b, 8)] {
        one.drain(id, Some(UnixMs(since))).await.unwrap();
    }
    let both = one.drained(&nobody).await.unwrap();
    server.restart(true);
    for store in [&one, &two] {
        settled(store).await;
        until(|| store.drained(&nobody), Result::is_ok).await.unwrap();
    }
    // Who knows of it brings it back for who does not.
    assert_eq!(two.drained(&nobody).await.unwrap(), nobody);
    assert_eq!(one.drained(&both).await.unwrap(), both);
    assert_eq!(two.drained(&nobody).await.unwrap(), both);
    // It is emptied again, and an operator is there first, at a proxy that knows of nobody: his word stands, and
    // of the other one nothing is lost.
    let _: String = server.ask(&["FLUSHALL"]);
    two.drain(&a, None).await.unwrap();
    let only_b = BTreeMap::from([(b.clone(), UnixMs(8))]);
    assert_eq!(one.drained(&both).await.unwrap(), only_b);
    assert_eq!(two.drained(&nobody).await.unwrap(), only_b);
    // Or a moment later.
    let _: String = server.ask(&["FLUSHALL"]);
    assert_eq!(one.drained(&both).await.unwrap(), both);
    two.drain(&a, None).await.unwrap();
    assert_eq!(one.drained(&both).await.unwrap(), only_b);
    // A newer word is not written over.
    let _: String = server.ask(&["FLUSHALL"]);
    two.drain(&a, Some(UnixMs(9))).await.unwrap();
    assert_eq!(one.drained(&both).await.unwrap(), [(a, UnixMs(9)), (b, UnixMs(8))].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_away_until_it_answers() {
    let server = Redis::start();
    let heard = Arc::new(Heard::default());
    let store = RedisStore::open(&impatient(&server), heard.clone()).unwrap();
    settled(&store).await;
    let lane = fill(&store, "a-1", 2).await;
    server.signal("-STOP");
    let third = [step(2, "a")];
    let why = unreachable(store.append(&lane, before(2), &third).await);
    assert!(why.contains("no answer in"), "{why}");
    let at_once = store.append(&lane, before(2), &third).now_or_never();
    unreachable(at_once.expect("nobody is waited for"));
    server.signal("-CONT");
    // Whether the first try was taken late is not known; once more is harmless.
    let answer = || store.append(&lane, before(2), &third);
    let taken = until(answer, Result::is_ok).await;
    assert_eq!(taken.unwrap(), Appended::Done);
    assert_eq!(store.load(&lane).await.unwrap().unwrap().steps.len(), 3);
    let ups = heard.ups.lock().clone();
    assert!(ups.starts_with(&[false, true, false, true]), "{ups:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_opened_before_its_server_is_there() {
    let mut server = Redis::start();
    server.kill();
    let heard = Arc::new(Heard::default());
    let store = RedisStore::open(&server.settings(), heard.clone()).unwrap();
    let why = unreachable(store.secret("token_key", [1; 32]).await);
    assert!(why.contains(&format!("127.0.0.1:{}", server.port)), "{why}");
    let nobody = BTreeMap::new();
    let next = store.drained(&nobody).now_or_never();
    unreachable(next.expect("nobody is waited for"));
    server.restart(true);
    settled(&store).await;
    assert_eq!(store.secret("token_key", [2; 32]).await.unwrap(), [2; 32]);
    assert_eq!(*heard.ups.lock(), [false, true]);
}

/// A name whose address is changed.
struct Leads(Mutex<SocketAddr>);

#[async_trait]
impl Names for Leads {
    async fn addresses(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(vec![*self.0.lock()])
    }
}

/// A primary and its replica, which has all that the primary has, and a store that is led to the primary.
async fn pair() -> (Redis, Redis, Arc<Leads>, RedisStore, LaneId) {
    let (primary, replica) = (Redis::start(), Redis::start());
    let leads = Arc::new(Leads(Mutex::new(primary.address())));
    let settings = Redis::settings_of("redis://store.internal:6379");
    let store = RedisStore::open_with(&settings, Arc::new(Unobserved), leads.clone()).unwrap();
    settled(&store).await;
    let lane = fill(&store, "a-1", 3).await;
    follow(&replica, &primary).await;
    (primary, replica, leads, store, lane)
}

async fn follow(replica: &Redis, primary: &Redis) {
    let port = primary.port.to_string();
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
    let same = |info: &String| {
        let offset =
            |key: &str| info.lines().find_map(|l| l.strip_prefix(key)).map(ToOwned::to_owned);
        info.contains("master_link_status:up") && offset("slave_repl_offset:").is_some()
    };
    until(|| async { replica.ask::<String>(&["INFO", "replication"]) }, same).await;
    until(|| async { primary.ask::<i64>(&["WAIT", "1", "100"]) }, |n| *n == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_promoted_is_followed() {
    let (old, new, leads, store, lane) = pair().await;
    let _: String = new.ask(&["REPLICAOF", "NO", "ONE"]);
    // The old primary takes nothing any more; the name still leads there.
    follow(&old, &new).await;
    let failed = until(|| append(&store, &lane, 3), Result::is_err).await;
    let why = unreachable(failed);
    assert!(!why.is_empty());
    *leads.0.lock() = new.address();
    let done = until(|| append(&store, &lane, 3), Result::is_ok).await;
    assert_eq!(done.unwrap(), Appended::Done);
    assert_eq!(store.load(&lane).await.unwrap().unwrap().steps.len(), 4);
    let length: i64 = new.ask(&["LLEN", "segue:{a-1}:log"]);
    assert_eq!(length, 4);
    // Changes are heard of from there.
    settled(&store).await;
    let mut changes = store.changes();
    new.ask::<i64>(&["PUBLISH", "segue:changes", "a-1 17"]);
    until_told(&mut changes, OutputMsn(17)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_elsewhere_is_followed_though_the_old_server_answers() {
    let (old, new, leads, store, lane) = pair().await;
    let _: String = new.ask(&["REPLICAOF", "NO", "ONE"]);
    *leads.0.lock() = new.address();
    let at_new = |length: &i64| *length > 3;
    // It goes on, at the old server until the name has been looked at.
    let append = || async {
        let tail = store.newer(&lane, None).await.map(|steps| steps.last().map(|s| s.msn));
        if let Ok(Some(tail)) = tail {
            let n = tail.0 - FIRST + 1;
            let _ = store.append(&lane, Some(tail), &[step(n, "a")]).await;
        }
        new.ask::<i64>(&["LLEN", "segue:{a-1}:log"])
    };
    until(append, at_new).await;
    drop(old);
    assert!(store.load(&lane).await.unwrap().unwrap().steps.len() > 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_has_lost_is_a_hole_that_its_writer_fills() {
    let (old, new, leads, store, lane) = pair().await;
    // Promoted before the last steps came over.
    let _: String = new.ask(&["REPLICAOF", "NO", "ONE"]);
    for n in 3..5 {
        store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    drop(old);
    *leads.0.lock() = new.address();
    let answer = || append(&store, &lane, 5);
    let refused = until(answer, |a| !matches!(a, Err(StoreError::Unreachable(_)))).await;
    assert!(matches!(refused, Err(StoreError::Hole { .. })), "{refused:?}");
    let steps: Vec<_> = (3..6).map(|n| step(n, "a")).collect();
    assert_eq!(store.append(&lane, before(3), &steps).await.unwrap(), Appended::Done);
}

async fn until_told(
    changes: &mut tokio::sync::broadcast::Receiver<segue::store::Change>,
    tail: OutputMsn,
) {
    let told = async {
        loop {
            match changes.recv().await {
                Ok(Some(change)) if change.tail == Some(tail) => return,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => panic!("the store is gone"),
            }
        }
    };
    tokio::time::timeout(HUNG, told).await.expect("nothing was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_lost_is_found_again() {
    let server = Redis::start();
    let (one, two) = (server.store().await, server.store().await);
    let lane = fill(&one, "a-1", 1).await;
    let mut changes = two.changes();
    let killed: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(killed, 2);
    // Whatever was missed is looked for.
    let none = async { while changes.recv().await != Ok(None) {} };
    tokio::time::timeout(HUNG, none).await.unwrap();
    until(|| async { server.ask::<Vec<String>>(&["PUBSUB", "CHANNELS"]) }, |c| !c.is_empty()).await;
    settled(&two).await;
    one.append(&lane, before(1), &[step(1, "a")]).await.unwrap();
    until_told(&mut changes, OutputMsn(FIRST + 1)).await;
    // What is none of ours is passed over.
    for text in ["", "a-1", "../a 1", "a-1 x"] {
        server.ask::<i64>(&["PUBLISH", "segue:changes", text]);
    }
    one.append(&lane, before(2), &[step(2, "a")]).await.unwrap();
    until_told(&mut changes, OutputMsn(FIRST + 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_forgotten_are_told_again() {
    let server = Redis::start();
    let store = server.store().await;
    let key = stream("/live/cam/playlist.m3u8");
    let flush = || server.ask::<String>(&["SCRIPT", "FLUSH"]);
    flush();
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    for n in 0..3 {
        flush();
        let done = store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
        assert_eq!(done, Appended::Done);
    }
    flush();
    assert_eq!(store.target_duration(&key, 4).await.unwrap(), 4);
    flush();
    store.trim(&lane, OutputMsn(FIRST + 1)).await.unwrap();
    flush();
    assert_eq!(store.load(&lane).await.unwrap().unwrap().steps.len(), 2);
    flush();
    store.drain(&PackagerId::new("a"), None).await.unwrap();
    flush();
    assert!(store.begin_again(&header("a-1"), before(3)).await.unwrap());
    flush();
    assert_eq!(store.expire(UnixMs(u64::MAX)).await.unwrap(), 1);
}
