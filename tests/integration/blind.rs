//! A proxy of a fleet that starts while the store, which tells of the others, is away.

use std::time::Duration;

use crate::fleet::{SOON, TOKEN_KEYS, sees};
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::wait_for;

fn over(packager: &Packager, store: &Redis, id: &str) -> Proxy {
    let url = format!("store: \"redis://127.0.0.1:{}\"", store.port);
    Proxy::over(&[packager])
        .setting(TOKEN_KEYS)
        .setting(&url)
        .pool_setting("lanes_per_stream: 1")
        .in_fleet(&format!("id: {id}"))
}

/// Those that know it from before ask it, and say where they are: so it carries on what they carry.
#[tokio::test]
async fn the_others_are_known_again_without_the_store() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let mut store = Redis::start();
    let one = over(&a, &store, "p-1").start().await;
    let mut other = over(&a, &store, "p-2").start().await;
    sees(&one, &["p-2"]).await;
    sees(&other, &["p-1"]).await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(2).await;
    store.kill();
    other.kill();
    sees(&one, &[]).await;
    other.start_again().await;
    // It was not ready before.
    sees(&other, &["p-1"]).await;
    let list = other.get(viewer.path()).await.unwrap();
    assert_eq!(list.status, 200);
    assert_eq!(other.logged(&["its log comes from another proxy"]).len(), 1);
    let first = |text: &str| {
        let number = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        number.unwrap().parse::<u64>().unwrap()
    };
    let there = first(&list.text());
    let here = first(&one.get(viewer.path()).await.unwrap().text());
    assert!(there.abs_diff(here) < 20, "{there} and {here} are of two logs");
    // Empty: both know the lane, and give it back as one.
    store.restart(true);
    let back = || async { !other.logged(&["the store answers again"]).is_empty() };
    wait_for("the store to answer again", SOON, back).await.unwrap();
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert!(viewer.borders().is_empty(), "{:?}", viewer.borders());
}

/// What others carry would be begun anew there.
#[tokio::test]
async fn one_that_sees_neither_the_store_nor_others_is_ready_later() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let mut store = Redis::start();
    store.kill();
    let one = over(&a, &store, "p-1").start().await;
    let alone = "neither the store nor another proxy has answered since the start";
    assert_eq!(one.logged(&["WARN", alone]).len(), 1, "it was ready before that");
    one.viewer("cam").await.more(1).await;
    assert_eq!(one.get("/.segue/readyz").await.unwrap().status, 200);
}

/// The store told that there is nobody else: there is nothing to wait for.
#[tokio::test]
async fn one_that_is_alone_is_ready_at_once() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let store = Redis::start();
    let one = over(&a, &store, "p-1").start().await;
    one.viewer("cam").await.more(1).await;
    assert_eq!(one.logged(&["neither the store"]), Vec::<String>::new());
    drop(store);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(one.get("/.segue/readyz").await.unwrap().status, 200);
}
