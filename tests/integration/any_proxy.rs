//! Viewers come to any proxy with any request: two over one store, asked by turns for the same.

use std::time::Duration;

use crate::fleet::{TOKEN_KEYS, sees};
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::wait_for;

/// Two proxies of one zone over a real Redis, each with segments of its own.
pub struct Pair {
    pub one: Proxy,
    pub other: Proxy,
    pub store: Redis,
}

impl Pair {
    /// The lane of `cam` is open at both.
    pub async fn over(packagers: &[&Packager]) -> Self {
        let store = Redis::start();
        let [one, other] = [(); 2].map(|()| {
            Proxy::over(packagers)
                .setting(TOKEN_KEYS)
                .setting(&format!("store: \"redis://127.0.0.1:{}\"", store.port))
                .pool_setting("lanes_per_stream: 1")
        });
        let peers = format!("peers: [\"{}\", \"{}\"]", one.fleet(), other.fleet());
        let start = |proxy: Proxy, id| proxy.in_fleet(&format!("id: {id}, {peers}")).start();
        let (one, other) = (start(one, "p-1").await, start(other, "p-2").await);
        sees(&one, &["p-2"]).await;
        sees(&other, &["p-1"]).await;
        one.viewer("cam").await.more(1).await;
        other.viewer("cam").await.refresh().await;
        Self { one, other, store }
    }
}

#[tokio::test]
async fn what_one_gives_out_the_other_answers_for() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let pair = Pair::over(&[&a]).await;
    let entry = "/cam/playlist.m3u8";
    let [one, other] = [&pair.one, &pair.other];
    let entries = [one.get(entry).await.unwrap(), other.get(entry).await.unwrap()];
    assert_eq!(entries[0].text(), entries[1].text(), "one lane, one token");
    let viewer = one.viewer("cam").await;
    // Where both print the same list its validators are the same, so that a cache may ask either.
    let same = || async {
        let lists =
            [one.get(viewer.path()).await.unwrap(), other.get(viewer.path()).await.unwrap()];
        if lists[0].body != lists[1].body {
            return false;
        }
        assert!(lists[0].header("etag").is_some());
        for header in ["etag", "cache-control", "content-type", "vary"] {
            assert_eq!(lists[0].header(header), lists[1].header(header), "{header}");
        }
        true
    };
    wait_for("the same list at both", Duration::from_secs(20), same).await.unwrap();
}

/// A list of the one is followed at the other at once: it may not have heard of the newest segment yet.
#[tokio::test]
async fn a_segment_is_asked_for_at_the_other_proxy_the_moment_it_is_listed() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(700).numbered_from(1000).live();
    let pair = Pair::over(&[&a, &b]).await;
    let mut viewer = pair.one.viewer("cam").await;
    viewer.refresh().await;
    for turn in 0..8 {
        let (lists, follows) =
            if turn % 2 == 0 { (&pair.one, &pair.other) } else { (&pair.other, &pair.one) };
        let edge = viewer.edge();
        viewer.led_to(lists.port());
        // Who is asked second may be half a target duration behind.
        viewer.allowing(&[segue::model::watch::Rule::LastMsnFell]);
        viewer.until("a new segment", |v| v.edge() > edge).await;
        let path = viewer.segment_path();
        let followed = follows.get(&path).await.unwrap();
        let listed = lists.get(&path).await.unwrap();
        assert_eq!(followed.status, 200, "{turn}: {path}: {}", followed.text());
        assert!(followed.body == listed.body, "{turn}: other bytes");
        assert_eq!(followed.header("etag"), listed.header("etag"));
        if turn == 4 {
            a.kill().await;
        }
    }
}
