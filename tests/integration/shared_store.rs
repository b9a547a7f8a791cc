//! A store in Redis that fails, or is not there: viewers are served all the same.

use std::time::Duration;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::viewer::Viewer;
use crate::{http, wait_for};

const PATIENT: Duration = Duration::from_secs(30);

fn over(a: &Packager, b: &Packager, url: &str) -> Proxy {
    let store = format!("store: \"{url}\"");
    Proxy::over(&[a, b]).setting(&store).setting("redis: { timeout_ms: 1000 }")
}

fn packagers() -> (Packager, Packager) {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).live();
    (a, b)
}

fn url(server: &Redis) -> String {
    format!("redis://127.0.0.1:{}/0", server.port)
}

/// The lane whose token is in a viewer's URL.
fn lane(viewer: &Viewer) -> String {
    viewer.token().split('.').nth(2).unwrap().to_owned()
}

async fn has(server: &Redis, key: &str) {
    let there = || async { server.ask::<i64>(&["EXISTS", key]) == 1 };
    wait_for(key, PATIENT, there).await.unwrap();
}

#[tokio::test]
async fn viewers_are_served_on_while_the_store_is_away() {
    let mut server = Redis::start();
    let (a, b) = packagers();
    let proxy = over(&a, &b, &url(&server)).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    let log = format!("segue:{{{}}}:log", lane(&viewer));
    has(&server, &log).await;
    assert_eq!(proxy.metric("segue_store_up").await as u64, 1);
    server.kill();
    viewer.more(2).await;
    assert_eq!(proxy.metric("segue_store_up").await as u64, 0);
    // Its connection broke; why there is no other is what an operator wants to know.
    let told =
        || async { !proxy.logged(&["WARN", "the store is still away", "refused"]).is_empty() };
    wait_for("the cause", PATIENT, told).await.unwrap();
    let store = proxy.status().await["store"].clone();
    assert_eq!(store["up"], false);
    assert!(store["cause"].as_str().unwrap().contains("refused"), "{store}");
    // Newcomers too.
    let mut other = proxy.viewer("cam").await;
    other.more(1).await;
    server.restart(true);
    // What it has lost is written back, and it goes on.
    has(&server, &log).await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert!(viewer.borders().is_empty(), "{:?}", viewer.borders());
    let back = || async { !proxy.logged(&["WARN", "the store answers again"]).is_empty() };
    wait_for("the store to answer again", PATIENT, back).await.unwrap();
    // Told once, however often it was asked.
    assert_eq!(proxy.logged(&["the store cannot be reached: lanes go on"]).len(), 1);
    assert_eq!(proxy.logged(&["the store answers again"]).len(), 1);
    assert_eq!(proxy.status().await["store"]["up"], true);
    assert_eq!(proxy.metric("segue_store_up").await as u64, 1);
    assert!(proxy.metric("segue_store_seconds_count{operation=\"append\"}").await > 0.0);
    assert!(proxy.metric("segue_store_changes_missed_total").await > 0.0);
}

#[tokio::test]
async fn a_proxy_starts_without_its_store_and_finds_it_later() {
    let mut server = Redis::start();
    server.kill();
    let (a, b) = packagers();
    let one = over(&a, &b, &url(&server)).start().await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(1).await;
    assert_eq!(one.logged(&["the store cannot be reached: lanes go on"]).len(), 1);
    assert_eq!(one.logged(&["which packagers are drained is not known yet"]).len(), 1);
    server.restart(true);
    has(&server, &format!("segue:{{{}}}:log", lane(&viewer))).await;
    // Its token key is the installation's from now on: another proxy takes the same viewers.
    has(&server, "segue:secret:token_key").await;
    let two = over(&a, &b, &url(&server)).start().await;
    let there =
        || async { http::get(two.port(), viewer.path()).await.is_ok_and(|r| r.status == 200) };
    wait_for("the viewer to be known at the other", PATIENT, there).await.unwrap();
    viewer.more(1).await;
}

#[tokio::test]
async fn the_token_key_outlives_what_the_store_holds() {
    let server = Redis::start();
    let (a, b) = packagers();
    let _proxy = over(&a, &b, &url(&server)).start().await;
    let key = || server.ask::<Vec<u8>>(&["GET", "segue:secret:token_key"]);
    let before = key();
    assert_eq!(before.len(), 32);
    server.ask::<String>(&["FLUSHALL"]);
    has(&server, "segue:secret:token_key").await;
    assert_eq!(key(), before);
}

/// Another key stands in the store, since it was put there while this proxy could not reach it.
#[tokio::test]
async fn another_token_key_of_the_store_signs_and_both_verify() {
    let server = Redis::start();
    let (a, b) = packagers();
    let proxy = over(&a, &b, &url(&server)).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let key = "another key, of thirty-two bytes";
    server.ask::<String>(&["SET", "segue:secret:token_key", key]);
    let warned = || async { !proxy.logged(&["WARN", "another token key"]).is_empty() };
    wait_for("the warning", PATIENT, warned).await.unwrap();
    viewer.more(1).await;
    let newcomer = proxy.viewer("cam").await;
    let key_of = |viewer: &Viewer| viewer.token().split('.').nth(1).unwrap().to_owned();
    assert_ne!(key_of(&newcomer), key_of(&viewer));
    assert_eq!(lane(&newcomer), lane(&viewer));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = Redis::start_with("requirepass right\n");
    let (a, b) = packagers();
    let wrong = format!("redis://:hush-hush@127.0.0.1:{}", server.port);
    let proxy = over(&a, &b, &wrong).start().await;
    proxy.viewer("cam").await.more(1).await;
    assert_eq!(
        proxy.logged(&["WARN", "user or password is wrong", "cannot be reached: lanes"]).len(),
        1
    );
    let status = proxy.admin("/status.json").await.text();
    for text in [proxy.log(), status, proxy.admin("/metrics").await.text()] {
        assert!(!text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn a_packager_that_was_taken_out_stays_out_when_the_store_loses_everything() {
    let (a, b) = packagers();
    let mut store = Redis::start();
    let start = || over(&a, &b, &url(&store)).with_admin_token().start();
    let (one, other) = (start().await, start().await);
    let drained = "segue_packager_drained{packager=\"a\"}";
    let are = async |out: f64| {
        let both = [one.metric(drained).await, other.metric(drained).await];
        both == [out, out]
    };
    one.change("/packagers/a/drain").await;
    wait_for("both to know", PATIENT, || are(1.0)).await.unwrap();
    store.restart(true);
    wait_for("it to be noted again", PATIENT, || async {
        store.ask::<i64>(&["HEXISTS", "segue:drained", "a"]) == 1
    })
    .await
    .unwrap();
    assert!(are(1.0).await);
    let told = ["WARN", "the store has lost that it is drained", "packager=a"];
    assert_eq!(one.logged(&told).len() + other.logged(&told).len(), 1);
    // Brought back at the one, it stays so at both.
    other.change("/packagers/a/undrain").await;
    wait_for("both to have it back", PATIENT, || are(0.0)).await.unwrap();
}
