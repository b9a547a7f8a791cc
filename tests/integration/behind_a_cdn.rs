//! A crowd behind real caches: each segment passes once, and after the proxies have lost everything they knew
//! nobody is ever given a stale or a foreign byte.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use segue::model::names::ContentHash;
use segue::model::watch::Rule;

use crate::any_proxy::Pair;
use crate::cdn::{Cdn, Program, Told};
use crate::clients::token_keys;
use crate::content::Container;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// Of one segment's requests one is a miss, so that 100 viewers make 99 % at the best.
const VIEWERS: usize = 160;
const PACKETS: usize = 20;
/// As players do: half a target duration.
const REFRESH: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

fn packager(id: &str) -> Packager {
    Packager::fake(id).segments_of(2000, 2).packets(PACKETS)
}

/// Viewers who join through the cache.
async fn crowd(cdn: &Cdn, stream: &str, count: usize) -> Vec<Viewer> {
    let joining = (0..count).map(|_| Viewer::join(cdn.port, stream));
    let joined: Result<Vec<_>, _> = join_all(joining).await.into_iter().collect();
    let mut viewers = joined.unwrap();
    for viewer in &mut viewers {
        // After a wipe lanes are opened anew above their old numbers, with what a packager lists then.
        viewer.allowing(&[Rule::Hole, Rule::Shrunk]);
    }
    viewers
}

/// All play until each has seen `count` more segments. Every byte is held against what the packager makes.
async fn play(viewers: &mut [Viewer], count: u64) {
    let all = u32::try_from(viewers.len()).unwrap();
    join_all((0..).zip(viewers).map(|(n, viewer)| async move {
        // Not in step with each other.
        tokio::time::sleep(REFRESH * n / all).await;
        viewer.refresh().await;
        let (began, to) = (Instant::now(), viewer.edge() + count);
        while viewer.edge() < to {
            assert!(began.elapsed() < PATIENCE, "waited for {count} segments\n{viewer}");
            tokio::time::sleep(REFRESH).await;
            viewer.refresh().await;
        }
    }))
    .await;
}

/// All look once and see what was there already.
async fn look(viewers: &mut [Viewer]) {
    join_all(viewers.iter_mut().map(|viewer| async {
        let edge = viewer.edge();
        viewer.refresh().await;
        assert_eq!(viewer.edge(), edge, "nobody could have made another");
    }))
    .await;
}

/// No URL named two contents, whoever asked and whenever, and each names its content's hash.
fn no_foreign_byte(viewers: &[Viewer]) {
    let mut contents: BTreeMap<&str, ContentHash> = BTreeMap::new();
    for watched in viewers.iter().flat_map(|viewer| viewer.watched().values()) {
        let uri = &*watched.listed.uri;
        let hash = ContentHash::of(&watched.label.bytes(Container::Ts, PACKETS));
        let short = uri.split(['-', '.']).nth(1).unwrap();
        assert!(hash.is_short(short), "{uri} is {:?}", watched.label);
        assert_eq!(*contents.entry(uri).or_insert(hash), hash, "{uri}");
    }
    assert!(contents.len() > 5, "{contents:?}");
}

/// Requests for segments, those that the cache answered by itself, and how many segments there were.
fn counted(told: &[Told]) -> (usize, usize, usize) {
    let segments = || told.iter().filter(|told| told.is_segment("cam"));
    let names: BTreeSet<&str> = segments().map(|told| &*told.path).collect();
    (segments().count(), segments().filter(|told| told.hit).count(), names.len())
}

fn over_99_percent(program: Program, cdn: &Cdn) {
    let told = cdn.told();
    let failed: Vec<_> = told.iter().filter(|t| t.path.contains('~') && t.status != 200).collect();
    assert!(failed.is_empty(), "{program:?}: {failed:?}");
    let (all, hits, segments) = counted(&told);
    println!("{program:?}: {hits} of {all} requests for {segments} segments were hits");
    assert_eq!(all - hits, segments, "{program:?}: each passes once");
    assert!(hits * 100 > all * 99, "{program:?}: {hits} of {all}");
}

/// The proxy loses its store and its segments, while the cache keeps what it has and viewers play on.
async fn the_store_and_the_segments_are_lost(program: Program) {
    let a = packager("a").live();
    let b = packager("b").shifted(700).numbered_from(1000).live();
    let mut proxy = Proxy::over(&[&a, &b])
        .setting(&token_keys())
        .pool_setting("lanes_per_stream: 1")
        .start()
        .await;
    let cdn = Cdn::before(program, [proxy.port(); 2]).await;
    let mut viewers = crowd(&cdn, "cam", VIEWERS).await;
    play(&mut viewers, 3).await;
    let (lane, edge) = (viewers[0].token().to_owned(), viewers[0].edge());
    assert!(viewers.iter().all(|viewer| viewer.token() == lane), "they share one lane");
    // Of another stream: what they were given would be foreign to the others.
    viewers.extend(crowd(&cdn, "other", 10).await);
    play(&mut viewers, 1).await;

    proxy.kill();
    // What the last good playlist lists everybody has asked for, and nothing else is to be had.
    join_all(viewers.iter_mut().map(Viewer::refresh)).await;
    proxy.lose_store();
    proxy.lose_segments();
    // It begins again with other bytes under the same names.
    a.restart().await;
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(REFRESH).await;
        look(&mut viewers).await;
    }
    proxy.start_again().await;
    play(&mut viewers, 3).await;
    let mut newcomers = crowd(&cdn, "cam", VIEWERS / 4).await;
    play(&mut newcomers, 2).await;
    over_99_percent(program, &cdn);
    viewers.extend(newcomers);
    join_all(viewers.iter_mut().map(Viewer::check_all_listed)).await;
    assert!(viewers.iter().all(|viewer| viewer.playlist().first_msn > edge), "opened anew");
    no_foreign_byte(&viewers);
}

#[tokio::test]
async fn nginx_gives_no_stale_byte_after_everything_was_lost() {
    the_store_and_the_segments_are_lost(Program::Nginx).await;
}

#[tokio::test]
async fn varnish_gives_no_stale_byte_after_everything_was_lost() {
    the_store_and_the_segments_are_lost(Program::Varnish).await;
}

/// Two proxies answer by turns, and one of them dies.
async fn two_proxies_are_one(program: Program) {
    let a = packager("a").live();
    let b = packager("b").shifted(700).numbered_from(1000).live();
    let mut pair = Pair::over(&[&a, &b]).await;
    let cdn = Cdn::before(program, [pair.one.port(), pair.other.port()]).await;
    let mut viewers = crowd(&cdn, "cam", VIEWERS).await;
    // Edges of two proxies may differ by half a target duration, and the cache asks either.
    for viewer in &mut viewers {
        viewer.allowing(&[Rule::LastMsnFell, Rule::FirstMsnFell]);
    }
    play(&mut viewers, 4).await;
    let lane = viewers[0].token().to_owned();
    assert!(viewers.iter().all(|viewer| viewer.token() == lane), "they share one lane");
    pair.one.kill();
    play(&mut viewers, 3).await;
    over_99_percent(program, &cdn);
    join_all(viewers.iter_mut().map(Viewer::check_all_listed)).await;
    assert_eq!(viewers[0].borders().len(), 0, "the same run goes on: {}", viewers[0]);
    no_foreign_byte(&viewers);
}

#[tokio::test]
async fn two_proxies_behind_nginx_are_one() {
    two_proxies_are_one(Program::Nginx).await;
}

#[tokio::test]
async fn two_proxies_behind_varnish_are_one() {
    two_proxies_are_one(Program::Varnish).await;
}

/// The store forgets all lanes under two proxies that carry them.
#[tokio::test]
async fn a_fleet_whose_store_is_emptied_is_one_behind_varnish() {
    let a = packager("a").live();
    let b = packager("b").shifted(700).numbered_from(1000).live();
    let mut pair = Pair::over(&[&a, &b]).await;
    let cdn = Cdn::before(Program::Varnish, [pair.one.port(), pair.other.port()]).await;
    let mut viewers = crowd(&cdn, "cam", VIEWERS).await;
    for viewer in &mut viewers {
        viewer.allowing(&[Rule::LastMsnFell, Rule::FirstMsnFell]);
    }
    play(&mut viewers, 2).await;
    pair.store.restart(true);
    play(&mut viewers, 4).await;
    over_99_percent(Program::Varnish, &cdn);
    join_all(viewers.iter_mut().map(Viewer::check_all_listed)).await;
    no_foreign_byte(&viewers);
}

#[tokio::test]
async fn neither_keeps_a_key() {
    let a = packager("a").another_key_every(2).live();
    let proxy = Proxy::over(&[&a]).start().await;
    for program in [Program::Nginx, Program::Varnish] {
        let cdn = Cdn::before(program, [proxy.port(); 2]).await;
        let mut viewer = Viewer::join(cdn.port, "cam").await.unwrap();
        viewer.more(1).await;
        let (_, line) = viewer.text().split_once("#EXT-X-KEY:").unwrap();
        let (_, uri) = line.split_once("URI=\"").unwrap();
        let path = viewer.path_of(uri.split('"').next().unwrap());
        let asking = (0..30).map(|_| crate::http::get(cdn.port, &path));
        for key in join_all(asking).await {
            let key = key.unwrap();
            assert_eq!((key.status, key.body.len()), (200, 16), "{program:?}");
        }
        let told = cdn.told();
        let of_key: Vec<_> = told.iter().filter(|told| told.path == path).collect();
        assert!(of_key.len() >= 30 && of_key.iter().all(|told| !told.hit), "{program:?}: {told:?}");
    }
}
