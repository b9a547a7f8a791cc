//! Which packagers lanes go to, and who is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use segue::model::watch::Rule;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

/// A viewer of `stream` and who his lane is on.
async fn joined(proxy: &Proxy, stream: &str) -> (Viewer, String) {
    let mut viewer = proxy.viewer(stream).await;
    viewer.refresh().await;
    let on = viewer.lane_packager().to_owned();
    (viewer, on)
}

/// Another viewer, who comes when the lane that the last one got is no longer simply handed on.
async fn later(proxy: &Proxy, stream: &str, first: &mut Viewer) -> (Viewer, String) {
    first.more(2).await;
    joined(proxy, stream).await
}

/// Who was asked for this stream.
fn asked<'a>(packagers: &'a [Packager], stream: &str) -> BTreeSet<&'a str> {
    let of = format!("/{stream}/");
    let asked = packagers.iter().filter(|p| p.requests().iter().any(|(_, p)| p.starts_with(&of)));
    asked.map(Packager::id).collect()
}

/// So many requests for this stream came to each.
fn counts(packagers: &[Packager], stream: &str) -> BTreeMap<String, usize> {
    let of = format!("/{stream}/");
    let count = |p: &Packager| p.requests().iter().filter(|(_, p)| p.starts_with(&of)).count();
    packagers.iter().map(|p| (p.id().to_owned(), count(p))).collect()
}

fn proxy_over(packagers: &[Packager]) -> Proxy {
    packagers.iter().fold(Proxy::over(&[]), |proxy, p| proxy.packager(p, "here"))
}

#[tokio::test]
async fn of_twenty_edges_only_those_with_a_lane_or_standing_by_are_asked() {
    let edge = |n: u64| Packager::fake(&format!("e{n}")).shifted(n * 40).live();
    let edges: Vec<Packager> = (0..20).map(edge).collect();
    let proxy = proxy_over(&edges).start().await;
    let streams: Vec<String> = (0..8).map(|n| format!("cam{n}")).collect();
    let mut viewers = Vec::new();
    let mut on = BTreeMap::<String, usize>::new();
    for stream in &streams {
        let (first, edge) = joined(&proxy, stream).await;
        *on.entry(edge).or_default() += 1;
        viewers.push(first);
    }
    assert_eq!(on.len(), streams.len(), "each stream's lane is on another edge: {on:?}");
    // A crowd, and latecomers: some of them open the second lane.
    for (stream, first) in streams.iter().zip(viewers.iter_mut()) {
        for _ in 0..3 {
            later(&proxy, stream, first).await;
        }
    }
    for stream in &streams {
        let asked = asked(&edges, stream);
        assert_eq!(asked.len(), 2, "{stream}: {asked:?}");
    }
    // An edge that dies is replaced by one other.
    let (viewer, stream) = (&mut viewers[0], &streams[0]);
    let dead = viewer.lane_packager().to_owned();
    let before = counts(&edges, stream);
    let edge = edges.iter().find(|e| e.id() == dead).unwrap();
    edge.kill().await;
    viewer.until("the lane to leave", |v| v.lane_packager() != dead).await;
    viewer.more(5).await;
    let new: Vec<_> =
        counts(&edges, stream).into_iter().filter(|(id, n)| before[id] == 0 && *n > 0).collect();
    assert_eq!(new.len(), 1, "one standby takes the place of the one that is used: {new:?}");
}

#[tokio::test]
async fn two_lanes_share_the_viewers_of_a_stream() {
    let edges: Vec<Packager> = ["a", "b", "c"].map(|id| Packager::fake(id).live()).into();
    let proxy = proxy_over(&edges).start().await;
    let (mut first, a) = joined(&proxy, "cam").await;
    let mut on = vec![a];
    let mut lanes = BTreeSet::from([first.token().to_owned()]);
    for _ in 0..5 {
        let (viewer, edge) = later(&proxy, "cam", &mut first).await;
        on.push(edge);
        lanes.insert(viewer.token().to_owned());
    }
    assert_eq!(lanes.len(), 2, "{on:?}");
    for edge in on.iter().collect::<BTreeSet<_>>() {
        assert_eq!(on.iter().filter(|o| *o == edge).count(), 3, "{on:?}");
    }
}

#[tokio::test]
async fn as_many_lanes_as_are_wanted_however_many_stand_by() {
    let edge = |id: &str| Packager::fake(id).segments_of(2000, 2).live();
    let edges: Vec<Packager> = ["a", "b", "c", "d"].map(edge).into();
    let proxy = proxy_over(&edges).pool_setting("lanes_per_stream: 3").start().await;
    let (mut first, a) = joined(&proxy, "cam").await;
    let mut on = BTreeSet::from([a]);
    for _ in 0..4 {
        on.insert(later(&proxy, "cam", &mut first).await.1);
    }
    assert_eq!(on.len(), 3, "{on:?}");
    assert_eq!(asked(&edges, "cam").len(), 3, "they are each other's standbys");
}

/// A page shows eight cameras: nobody has a lane yet that the others could see.
#[tokio::test]
async fn streams_that_begin_at_the_same_moment_are_spread() {
    let edge = |n: u64| Packager::fake(&format!("e{n}")).segments_of(2000, 2).live();
    let edges: Vec<Packager> = (0..8).map(edge).collect();
    let proxy = proxy_over(&edges).start().await;
    let streams: Vec<String> = (0..8).map(|n| format!("cam{n}")).collect();
    let joining = streams.iter().map(|stream| joined(&proxy, stream));
    let mut on = BTreeMap::<String, usize>::new();
    for (_, edge) in futures_util::future::join_all(joining).await {
        *on.entry(edge).or_default() += 1;
    }
    // Two threads may choose at the very same time.
    assert!(on.len() >= 5, "{on:?}");
    assert!(on.values().all(|lanes| *lanes <= 2), "{on:?}");
}

/// Two of the edges do not have the stream: neither is tried in turns for ever.
#[tokio::test]
async fn a_standby_is_found_beyond_those_that_do_not_work() {
    let edge = |id: &str| Packager::fake(id).segments_of(2000, 2).live();
    let edges: Vec<Packager> = ["a", "b", "c", "d", "e"].map(edge).into();
    for edge in &edges[1..4] {
        edge.break_playlists("cam", Fault::Status(500));
    }
    let proxy = proxy_over(&edges).start().await;
    let (mut viewer, on) = joined(&proxy, "cam").await;
    assert_eq!(on, "a");
    let asked = || async { asked(&edges, "cam").contains("e") };
    wait_for("e to be asked", Duration::from_secs(30), asked).await.unwrap();
    viewer.more(3).await;
    let before = counts(&edges, "cam");
    viewer.more(3).await;
    let now = counts(&edges, "cam");
    assert_eq!(now.iter().filter(|(id, n)| before[*id] < **n).count(), 2, "{before:?} {now:?}");
}

/// The encoder of a zone fails: its packagers answer, and none of them moves.
#[tokio::test]
async fn where_all_that_are_watched_stand_still_others_are_asked() {
    let edge = |(id, n): (&str, u64)| {
        Packager::fake(id).segments_of(2000, 2).shifted(n * 300).numbered_from(n * 100).live()
    };
    let [a, b, c, d] = [("a", 0), ("b", 1), ("c", 2), ("d", 3)].map(edge);
    let proxy = Proxy::over(&[]).packager(&a, "here").packager(&b, "here");
    let proxy = proxy.packager(&c, "here").packager(&d, "there").start().await;
    let (mut viewer, on) = joined(&proxy, "cam").await;
    viewer.more(2).await;
    assert_eq!(on, "a");
    for packager in [&c, &d] {
        assert!(packager.requests().iter().all(|(_, path)| !path.contains("cam")));
    }
    for packager in [&a, &b, &c] {
        packager.freeze();
    }
    // The one that moves is found in time for players, if not for a busy machine.
    viewer.allowing(&[Rule::NotOk]);
    viewer.until_on("d").await;
    viewer.more(2).await;
    // What c shows first is as old as what a and b show.
    assert_eq!(viewer.lists_of("c"), 0, "{viewer}");
}

/// The stream itself has stopped: one after another is asked whether it has more, and nothing of what
/// they show is taken for news.
#[tokio::test]
async fn a_stream_that_stands_still_everywhere_goes_on_where_it_was() {
    let edge = |n: u64| Packager::fake(&format!("e{n}")).segments_of(2000, 2).live();
    let edges: Vec<Packager> = (0..4).map(edge).collect();
    let proxy = proxy_over(&edges).start().await;
    let (mut viewer, _) = joined(&proxy, "cam").await;
    viewer.more(2).await;
    // On a busy machine it may take longer than the last playlist is good.
    viewer.allowing(&[Rule::NotOk]);
    edges.iter().for_each(Packager::freeze);
    let all = || async { asked(&edges, "cam").len() == edges.len() };
    wait_for("each to be asked", Duration::from_secs(60), all).await.unwrap();
    assert_eq!(proxy.logged(&["splice"]), Vec::<String>::new());
    edges.iter().for_each(Packager::thaw);
    viewer.more(2).await;
    // Of the two that were watched before either may be first.
    assert!(["e0", "e1"].contains(&viewer.lane_packager()), "{viewer}");
    // Once it goes on the others are left alone again.
    let before = counts(&edges, "cam");
    viewer.more(3).await;
    let now = counts(&edges, "cam");
    assert_eq!(now.iter().filter(|(id, n)| before[*id] < **n).count(), 2, "{before:?} {now:?}");
}

#[tokio::test]
async fn one_lane_for_all_where_that_is_wanted() {
    let edges: Vec<Packager> = ["a", "b"].map(|id| Packager::fake(id).live()).into();
    let proxy = proxy_over(&edges).pool_setting("lanes_per_stream: 1").start().await;
    let (mut first, _) = joined(&proxy, "cam").await;
    for _ in 0..2 {
        let (viewer, _) = later(&proxy, "cam", &mut first).await;
        assert_eq!(viewer.token(), first.token());
    }
}

#[tokio::test]
async fn a_full_zone_spills_into_the_other() {
    let [a, b, c] = ["a", "b", "c"].map(|id| Packager::fake(id).live());
    let proxy = Proxy::over(&[])
        .packager_with(&a, "zone: here, capacity: 2")
        .packager_with(&b, "zone: here, capacity: 4")
        .packager_with(&c, "zone: there, capacity: 100")
        .pool_setting("lanes_per_stream: 1")
        .pool_setting("spill_at: 0.5")
        .start()
        .await;
    let mut viewers = Vec::new();
    let mut on = Vec::new();
    for n in 0..5 {
        let (viewer, edge) = joined(&proxy, &format!("cam{n}")).await;
        viewers.push(viewer);
        on.push(edge);
    }
    // A quarter of b, half of a: full, half of b: full.
    assert_eq!(on, ["b", "a", "b", "c", "c"]);
    // Five lanes of what all three can carry: the number that operators scale by.
    let full = proxy.metric("segue_pool_utilisation{pool=\"live\"}").await;
    assert!((full - 5.0 / 106.0).abs() < 0.001, "{full}");
    // Who watches what is there already costs it nothing.
    let (mut again, edge) = later(&proxy, "cam1", &mut viewers[1]).await;
    assert_eq!((again.token(), edge.as_str()), (viewers[1].token(), "a"));
    again.more(1).await;
}

#[tokio::test]
async fn a_stream_that_stands_still_gets_no_new_lane() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let (mut viewer, on) = joined(&proxy, "cam").await;
    assert_eq!(on, "a");
    a.freeze();
    viewer.until_on("b").await;
    let (mut second, on) = later(&proxy, "cam", &mut viewer).await;
    assert_eq!(on, "b");
    second.more(2).await;
    // The packager is up, its stream is not: health of the two is kept apart.
    assert!((proxy.metric("segue_packager_up{packager=\"a\"}").await - 1.0).abs() < 0.1);
    let states = &proxy.status().await["streams"][0]["packagers"];
    let state = |id: &str| {
        let all = states.as_array().unwrap();
        all.iter().find(|p| p["packager"] == id).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state("a").as_str(), state("b").as_str()), ("stalled", "moves"), "{states:#}");
}

#[tokio::test]
async fn bytes_between_zones_are_counted_by_pair() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").live();
    let proxy = Proxy::over(&[]).packager(&a, "far").packager(&b, "farther").start().await;
    let (mut viewer, _) = joined(&proxy, "cam").await;
    viewer.more(3).await;
    let from = |zone: &str| {
        let name = format!("segue_zone_received_bytes_total{{from=\"{zone}\",to=\"here\"}}");
        let proxy = &proxy;
        async move { proxy.metric(&name).await }
    };
    let (far, farther) = (from("far").await, from("farther").await);
    // Nothing is fetched between the two looks but what comes after them.
    let fetched = |id: &str| {
        let name = format!("segue_origin_fetched_bytes_total{{packager=\"{id}\"}}");
        let proxy = &proxy;
        async move { proxy.metric(&name).await }
    };
    assert!(far > 0.0 && farther > 0.0, "{far} {farther}");
    viewer.more(2).await;
    let segments = fetched("a").await;
    assert!(segments > 0.0 && from("far").await >= segments, "playlists count as well");
    assert!(from("here").await < 1.0);
}
