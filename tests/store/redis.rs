//! What a store in Redis promises beside the suite: logins and TLS, expiry, memory, slots.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use segue::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use segue::store::{Appended, LaneStore, RedisSettings, RedisStore, StoreError, Unobserved};

use crate::fixture::{FIRST, before, header, step, stream};
use crate::server::{HUNG, Redis, make_certificates};

fn open(settings: &RedisSettings) -> RedisStore {
    RedisStore::open(settings, Arc::new(Unobserved)).unwrap()
}

async fn why_not(settings: &RedisSettings) -> String {
    match open(settings).drained(&BTreeMap::new()).await {
        Err(StoreError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// What the documentation says that the user must be let do.
const RULES: &str = "~segue:* &segue:* +@all -@dangerous +role";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_acl_logs_in_with_his_password() {
    let server = Redis::start_with(&format!(
        "user default off\nuser segue on >hush:@/% {RULES}\nuser other on >hush ~none\n"
    ));
    let of = |login: &str| Redis::settings_of(&format!("redis://{login}127.0.0.1:{}", server.port));
    let store = open(&of("segue:hush:@/%25@"));
    tokio::time::timeout(HUNG, store.settled()).await.unwrap();
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    store.want(&lane, &[0], UnixMs(0), HUNG).await.unwrap();
    store.secret("token_key", [1; 32]).await.unwrap();
    store.target_duration(&stream("/a"), 4).await.unwrap();
    store.begin_again(&header("a-1"), before(1)).await.unwrap();
    store.drain(&PackagerId::new("a"), None).await.unwrap();
    store.keep(&[("a".into(), Some("1".into()))]).await.unwrap();
    store.expire(UnixMs(u64::MAX)).await.unwrap();
    for login in ["segue:hushed@", ":hush@", "nobody:hush@"] {
        let why = why_not(&of(login)).await;
        assert!(why.contains("user or password is wrong"), "{why}");
        assert!(!why.contains("hush"), "{why}");
    }
    let why = why_not(&of("")).await;
    assert!(why.contains("wants a login"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_may_do_without_a_user() {
    let server = Redis::start_with("requirepass hush\n");
    let of =
        |login: &str| Redis::settings_of(&format!("redis://{login}127.0.0.1:{}/3", server.port));
    let store = open(&of(":hush@"));
    tokio::time::timeout(HUNG, store.settled()).await.unwrap();
    store.create(&header("a-1")).await.unwrap();
    let why = why_not(&of(":other@")).await;
    assert!(why.contains("user or password is wrong") && !why.contains("other"), "{why}");
    // Its own database.
    drop(store);
    let other = Redis::settings_of(&format!("redis://:hush@127.0.0.1:{}", server.port));
    assert_eq!(open(&other).load(&LaneId::new("a-1")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_ca_that_is_named_and_no_other() {
    let (server, ca) = Redis::start_with_tls();
    let of = |ca: &Path| RedisSettings {
        ca: Some(ca.to_owned()),
        ..Redis::settings_of(&format!("rediss://127.0.0.1:{}", server.port))
    };
    let store = open(&of(&ca));
    tokio::time::timeout(HUNG, store.settled()).await.unwrap();
    store.create(&header("a-1")).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let why = why_not(&of(&make_certificates(other.path()))).await;
    assert!(why.contains("certificate"), "{why}");
    // The system's do not know it either.
    let of_system = Redis::settings_of(&format!("rediss://127.0.0.1:{}", server.port));
    let why = why_not(&of_system).await;
    assert!(why.contains("certificate"), "{why}");
    // A name that the certificate does not have.
    let of_name = Redis::settings_of(&format!("rediss://localhost:{}", server.port));
    let why = why_not(&RedisSettings { ca: Some(ca), ..of_name }).await;
    assert!(why.contains("certificate"), "{why}");
    for (file, text) in [("none.pem", None), ("empty.pem", Some("")), ("bad.pem", Some("PEM"))] {
        let file = other.path().join(file);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let refused = RedisStore::open(&of(&file), Arc::new(Unobserved)).map(drop);
        assert!(matches!(refused, Err(StoreError::Unreachable(w)) if w.contains("the CA in")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_goes_by_itself_after_its_last_step() {
    let server = Redis::start();
    let store =
        open(&RedisSettings { lane_expires: Duration::from_millis(400), ..server.settings() });
    tokio::time::timeout(HUNG, store.settled()).await.unwrap();
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    store.want(&lane, &[0], UnixMs(0), Duration::from_millis(1)).await.unwrap();
    store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    while store.load(&lane).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left: Vec<String> = server.ask(&["KEYS", "segue:{a-1}:l*"]);
    assert!(left.is_empty(), "{left:?}");
    let refused = store.append(&lane, before(1), &[step(1, "a")]).await;
    assert!(matches!(refused, Err(StoreError::NoLane(_))));
    // What is noted of it goes with the chores, counted.
    assert_eq!(store.lanes_of(&header("a-1").stream).await.unwrap(), [lane]);
    assert_eq!(store.expire(UnixMs(u64::MAX)).await.unwrap(), 1);
    assert_eq!(store.expire(UnixMs(u64::MAX)).await.unwrap(), 0);
    assert!(store.lanes_of(&header("a-1").stream).await.unwrap().is_empty());
    // A reload may let them live longer.
    store.keep_lanes_for(HUNG);
    let lane = store.create(&header("a-2")).await.unwrap().lane;
    store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    for key in ["segue:{a-2}:lane", "segue:{a-2}:log"] {
        let left: i64 = server.ask(&["PTTL", key]);
        assert!(left > 400 && left <= 60_000, "{left}");
    }
}

/// Nothing is there for ever but secrets, who is drained, and records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_streams_leave_expires() {
    let server = Redis::start();
    let store = server.store().await;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    store.want(&lane, &[0], UnixMs(0), HUNG).await.unwrap();
    store.target_duration(&header("a-1").stream, 4).await.unwrap();
    // And what a proxy keeps for itself: there may be another one tomorrow.
    store.keep(&[("of/p1/a".into(), Some("1".into()))]).await.unwrap();
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(keys.len(), 7, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("segue:"), "{key}");
        let left: i64 = server.ask(&["PTTL", &key]);
        assert!(left > 0, "{key} stays");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_of_50000_steps_takes_bounded_memory() {
    let server = Redis::start();
    let store = server.store().await;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    let usage = || server.ask::<u64>(&["MEMORY", "USAGE", "segue:{a-1}:log", "SAMPLES", "0"]);
    let mut used = Vec::new();
    for begin in (0..50_000).step_by(5_000) {
        let steps: Vec<_> = (begin..begin + 5_000).map(|n| step(n, "a")).collect();
        assert_eq!(store.append(&lane, before(begin), &steps).await.unwrap(), Appended::Done);
        used.push(usage());
    }
    let length: u64 = server.ask(&["LLEN", "segue:{a-1}:log"]);
    assert_eq!(length, 32_768);
    // From the seventh piece on it grows no more, but for longer numbers.
    assert!(used[9] < used[6] + used[6] / 50, "{used:?}");
    // It goes on, and is read whole.
    store.append(&lane, before(50_000), &[step(50_000, "a")]).await.unwrap();
    let steps = store.load(&lane).await.unwrap().unwrap().steps;
    assert_eq!((steps.len(), steps[32_767].msn.0), (32_768, FIRST + 50_000));
    // Who missed all of it gets what there is.
    let lost = store.append(&lane, before(1), &[step(1, "b")]).await.unwrap();
    assert!(matches!(lost, Appended::Lost(after) if after.len() == 32_768));
    // And a retry of all that a lane opened with is still one.
    let long: Vec<_> = (0..2_000).map(|n| step(n, "a")).collect();
    let other = store.create(&header("a-2")).await.unwrap().lane;
    for _ in 0..2 {
        assert_eq!(store.append(&other, None, &long).await.unwrap(), Appended::Done);
    }
    assert_eq!(store.newer(&other, before(3)).await.unwrap(), long[3..]);
}

/// Each proxy asks for it at each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_trimmed_now_and_then() {
    let server = Redis::start();
    let store = server.store().await;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    let steps: Vec<_> = (0..60).map(|n| step(n, "a")).collect();
    store.append(&lane, None, &steps).await.unwrap();
    let mut most = 0;
    for n in 0..50 {
        store.trim(&lane, OutputMsn(FIRST + n)).await.unwrap();
        let length: u64 = server.ask(&["LLEN", "segue:{a-1}:log"]);
        most = most.max(length - (60 - n));
    }
    assert_eq!(most, 15);
    let asked: String = server.ask(&["INFO", "commandstats"]);
    let trims = asked.lines().find(|l| l.starts_with("cmdstat_ltrim:")).unwrap();
    // One of the append, and one for each sixteen steps that left.
    assert!(trims.contains("calls=4,"), "{trims}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_so_many_lanes_at_the_most() {
    let server = Redis::start();
    let store = server.store().await;
    for n in 0..130 {
        store.create(&header(&format!("a-{n}"))).await.unwrap();
    }
    let lanes = store.lanes_of(&header("a").stream).await.unwrap();
    let newest: Vec<_> = (2..130).map(|n| LaneId::new(format!("a-{n}"))).collect();
    assert_eq!(lanes, newest);
    // The first ones go soon, unless somebody appends to them.
    let left = |lane: &str| server.ask::<i64>(&["PTTL", &format!("segue:{{{lane}}}:lane")]);
    assert!(left("a-1") <= 600_000 && left("a-2") > 600_000);
    store.append(&LaneId::new("a-1"), None, &[step(0, "a")]).await.unwrap();
    assert!(left("a-1") > 600_000);
}

/// Several slots of one shard: a script that touches two of them would be refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_touches_two_slots() {
    let server = Redis::start_with("cluster-enabled yes\n");
    let _: String = server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let up = "cluster_state:ok";
    while !server.ask::<String>(&["CLUSTER", "INFO"]).contains(up) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let store = server.store().await;
    let key = header("a-1").stream;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    for n in 0..3 {
        store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    let lost = store.append(&lane, before(2), &[step(2, "b")]).await.unwrap();
    assert_eq!(lost, Appended::Lost(vec![step(2, "a")]));
    store.trim(&lane, OutputMsn(FIRST + 1)).await.unwrap();
    store.want(&lane, &[0], UnixMs(0), HUNG).await.unwrap();
    assert_eq!(store.load(&lane).await.unwrap().unwrap().steps.len(), 2);
    assert_eq!(store.target_duration(&key, 4).await.unwrap(), 4);
    assert_eq!(store.lanes_of(&key).await.unwrap(), [lane]);
    assert!(store.begin_again(&header("a-1"), before(3)).await.unwrap());
    store.drain(&PackagerId::new("a"), None).await.unwrap();
    store.secret("token_key", [1; 32]).await.unwrap();
    store.keep(&[("a".into(), Some("1".into())), ("b".into(), None)]).await.unwrap();
    assert_eq!(store.expire(UnixMs(u64::MAX)).await.unwrap(), 1);
    assert!(store.lanes_of(&key).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_stays_within_its_lane() {
    let server = Redis::start();
    let store = server.store().await;
    let damages: [(&[&str], &str); 6] = [
        (&["LSET", "segue:{hurt}:log", "1", "garbage"], "expected value"),
        (&["LSET", "segue:{hurt}:log", "1", "{\"format\":99}"], "newer"),
        (&["RPOP", "segue:{hurt}:log"], "missing"),
        (&["HSET", "segue:{hurt}:lane", "header", "{}"], "missing field"),
        (&["HSET", "segue:{hurt}:lane", "tail", "-7"], "number"),
        (&["SET", "segue:{hurt}:log", "x"], "WRONGTYPE"),
    ];
    for (damage, why) in damages {
        let _: String = server.ask(&["FLUSHALL"]);
        for lane in ["hurt", "whole"] {
            let lane = store.create(&header(lane)).await.unwrap().lane;
            for n in 0..3 {
                store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
            }
        }
        let _: redis::Value = server.ask(damage);
        match store.load(&LaneId::new("hurt")).await {
            Err(StoreError::Unreadable(text)) => assert!(text.contains(why), "{text}"),
            other => panic!("{other:?} where {why:?} was to be said"),
        }
        let done = store.append(&LaneId::new("whole"), before(3), &[step(3, "a")]).await;
        assert_eq!(done.unwrap(), Appended::Done, "{damage:?}");
    }
    let mut beyond = header("beyond");
    beyond.first_msn.0 = u64::MAX;
    let refused = store.create(&beyond).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(w)) if w.contains("beyond")));
}

/// Full, it refuses to take more and lets nothing of what it has go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_lives_on() {
    let server = Redis::start();
    let store = server.store().await;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = store.append(&lane, before(1), &[step(1, "a")]).await;
    assert!(
        matches!(&refused, Err(StoreError::Unreachable(w)) if w.contains("OOM")),
        "{refused:?}"
    );
    assert_eq!(store.newer(&lane, None).await.unwrap(), [step(0, "a")]);
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.append(&lane, before(1), &[step(1, "a")]).await.unwrap(), Appended::Done);
}

/// Streams go on asking a server that is full many times a second.
#[tokio::test]
async fn one_warning_tells_that_a_server_is_full() {
    let server = Redis::start();
    let store = server.store().await;
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = tracing_subscriber::fmt().with_writer(file.reopen().unwrap()).finish();
    let _to_file = tracing::subscriber::set_default(log);
    let told = |what: &str| std::fs::read_to_string(file.path()).unwrap().matches(what).count();
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..3 {
        store.append(&lane, None, &[step(0, "a")]).await.unwrap_err();
        // What it does all the same says nothing.
        store.newer(&lane, None).await.unwrap();
        store.trim(&lane, OutputMsn(FIRST)).await.unwrap();
        store.want(&lane, &[], UnixMs(0), HUNG).await.unwrap();
        store.drain(&PackagerId::new("a"), None).await.unwrap();
    }
    let (refuses, takes) = ("the store refuses", "the store takes writes again");
    assert_eq!((told(refuses), told(takes)), (1, 0));
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    for _ in 0..2 {
        store.append(&lane, None, &[step(0, "a")]).await.unwrap();
    }
    assert_eq!((told(refuses), told(takes)), (1, 1));
}

/// Who was brought back is forgotten one day, so that packagers may come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_brought_back_long_ago_is_forgotten() {
    let server = Redis::start();
    let store = server.store().await;
    let now: Vec<u64> = server.ask(&["TIME"]);
    let ago = |days: u64| format!("-{}", (now[0] - days * 24 * 3600) * 1000);
    for (id, at) in [("old", ago(31)), ("newer", ago(29)), ("out", "7".into())] {
        server.ask::<i64>(&["HSET", "segue:drained", id, &at]);
    }
    store.drain(&PackagerId::new("a"), None).await.unwrap();
    let mut noted: Vec<String> = server.ask(&["HKEYS", "segue:drained"]);
    noted.sort();
    assert_eq!(noted, ["a", "newer", "out"]);
    let out = store.drained(&BTreeMap::new()).await.unwrap();
    assert_eq!(out, [(PackagerId::new("out"), UnixMs(7))].into());
}
