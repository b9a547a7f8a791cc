//! A tenant at its limit harms no other: x floods, y plays on as if it were alone.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::faults::Fault;
use crate::http::Reply;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

const X: &str = "x.example";
const Y: &str = "y.example";

/// Tenant `live` at x.example, on `a`, and tenant `other` at y.example, on `b`.
fn two(a: &Packager, b: &Packager, of_x: &[&str], of_y: &[&str]) -> Proxy {
    let hosts = format!("hosts: [{Y}]");
    let of_y: Vec<&str> = of_y.iter().copied().chain([hosts.as_str()]).collect();
    let proxy = Proxy::over(&[a]).pool("other", &of_y, &[b]);
    let of_x = of_x.iter().copied().chain(["hosts: [x.example]"]);
    of_x.fold(proxy, Proxy::pool_setting)
}

fn live(id: &str) -> Packager {
    Packager::fake(id).segments_of(2000, 2).live()
}

fn refused(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

/// How many requests of a pool were refused for a limit, as the metrics say.
async fn refused_for(proxy: &Proxy, limit: &str, pool: &str) -> String {
    let name = format!("segue_pool_refused_total{{limit=\"{limit}\",pool=\"{pool}\"}}");
    proxy.metric(&name).await.to_string()
}

#[tokio::test]
async fn a_flood_of_stream_names_stays_within_its_tenant() {
    let (a, b) = (live("a"), live("b"));
    let proxy = two(&a, &b, &["limits: { streams: 2 }"], &[])
        .setting("limits: { streams: 6 }")
        .start()
        .await;
    let mut of_x = proxy.viewer_at(X, "cam").await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_x.more(1).await;
    of_y.more(1).await;
    // One more is let in, all others are not, over and over.
    let names: Vec<String> = (0..60).map(|n| format!("/flood-{n}/playlist.m3u8")).collect();
    let replies = join_all(names.iter().map(|path| proxy.get_at(X, path))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    replies.iter().filter(|reply| reply.status != 200).for_each(refused);
    let asked: std::collections::BTreeSet<String> =
        a.requests().into_iter().map(|(_, path)| path).collect();
    assert_eq!(asked.iter().filter(|p| p.ends_with("/playlist.m3u8")).count(), 2, "{asked:?}");
    // y plays on, and opens more.
    of_y.more(1).await;
    for stream in ["two", "three"] {
        proxy.viewer_at(Y, stream).await.refresh().await;
    }
    of_x.more(1).await;
    proxy.viewer_at(X, "cam").await.refresh().await;
    assert_eq!(refused_for(&proxy, "pools.limits.streams", "live").await, "59");
}

#[tokio::test]
async fn a_place_is_free_again_when_nobody_watches() {
    let (a, b) = (live("a"), live("b"));
    let of_x = ["limits: { streams: 1 }", "idle_after_seconds: 10"];
    let proxy = two(&a, &b, &of_x, &[]).start().await;
    proxy.viewer_at(X, "one").await;
    refused(&proxy.get_at(X, "/two/playlist.m3u8").await);
    let free = || async { proxy.get_at(X, "/two/playlist.m3u8").await.status == 200 };
    wait_for("a place", Duration::from_secs(30), free).await.unwrap();
    refused(&proxy.get_at(X, "/one/playlist.m3u8").await);
}

#[tokio::test]
async fn dead_packagers_of_one_tenant_keep_nobody_else_waiting() {
    let (a, b) = (live("a"), live("b"));
    // Eight may wait: six of x, where nothing else is said.
    let proxy = two(&a, &b, &[], &[]).setting("limits: { waiting_requests: 8 }").start().await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_y.more(1).await;
    for n in 0..40 {
        a.break_playlists(&format!("dead-{n}"), Fault::Silence);
    }
    let done = AtomicUsize::new(0);
    let proxy = &proxy;
    let flood = join_all((0..40).map(|n| {
        let done = &done;
        async move {
            let reply = proxy.get_at(X, &format!("/dead-{n}/playlist.m3u8")).await;
            done.fetch_add(1, SeqCst);
            reply
        }
    }));
    let plays = async {
        // Those beyond the limit are answered at once: the others hold all that x may have.
        let full = || async { done.load(SeqCst) >= 32 };
        wait_for("x to be at its limit", Duration::from_secs(10), full).await.unwrap();
        for n in 0..5 {
            proxy.viewer_at(Y, &format!("new-{n}")).await;
        }
        of_y.more(2).await;
    };
    let (replies, ()) = futures_util::future::join(flood, plays).await;
    replies.iter().for_each(refused);
    assert_ne!(refused_for(proxy, "pools.limits.waiting_requests", "live").await, "0");
    assert_eq!(refused_for(proxy, "limits.waiting_requests", "live").await, "0");
    assert_eq!(refused_for(proxy, "limits.waiting_requests", "other").await, "0");
}

#[tokio::test]
async fn one_tenant_alone_cannot_fill_the_segment_store() {
    // 1.5 MB each; x may hold 18 MiB of the 24.
    let a = Packager::fake("a").segments_of(2000, 2).packets(8000).live();
    let b = live("b");
    let origin = "origin: { segment_bytes: 2MiB }";
    let proxy = two(&a, &b, &[origin], &[origin])
        .setting("segments: { dir: \"off\", memory: 24MiB }")
        .start()
        .await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_y.more(1).await;
    // Streams until there is no room for another; what is in goes on to grow.
    let held = "segue_pool_in_use{limit=\"segment_bytes\",pool=\"live\"}";
    let proxy = &proxy;
    let names: Vec<String> = (0..4).map(|n| format!("/big-{n}/playlist.m3u8")).collect();
    join_all(names.iter().map(|path| proxy.get_at(X, path))).await;
    let full = || async { proxy.metric(held).await >= f64::from(17 << 20) };
    wait_for("x to be full", Duration::from_secs(40), full).await.unwrap();
    refused(&proxy.get_at(X, "/another/playlist.m3u8").await);
    assert_ne!(refused_for(proxy, "pools.limits.segment_bytes", "live").await, "0");
    of_y.more(2).await;
    for stream in ["two", "three"] {
        proxy.viewer_at(Y, stream).await.more(1).await;
    }
    let held = proxy.metric(held).await;
    assert!(held <= f64::from(18 << 20), "{held}");
}

#[tokio::test]
async fn a_tenant_s_bandwidth_is_shared_by_its_own_viewers() {
    const VIEWERS: usize = 6;
    // 1.5 MB each; x's line carries 1 MB a second.
    let [a, b] = ["a", "b"].map(|id| Packager::fake(id).segments_of(2000, 2).packets(8000).live());
    let proxy = two(&a, &b, &["limits: { bandwidth_mbps: 8 }"], &[]).start().await;
    let mut of_x = proxy.viewer_at(X, "cam").await;
    of_x.fetching_one_in(1 << 40, 1);
    of_x.refresh().await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_y.refresh().await;
    let (proxy, path) = (&proxy, of_x.path_of(&of_x.playlist().segments.last().unwrap().uri));
    let (began, done) = (Instant::now(), AtomicUsize::new(0));
    let fetches = join_all((0..VIEWERS).map(|_| async {
        let reply = proxy.get_at(X, &path).await;
        done.fetch_add(1, SeqCst);
        reply
    }));
    let beside = async {
        // All are under way: their bytes have begun to flow.
        let y = of_y.segment_path();
        for _ in 0..20 {
            let reply = proxy.get_at(Y, &y).await;
            assert!(reply.status == 200 && reply.is_whole());
            // Playlists wait for no turn.
            let reply = proxy.get_at(X, of_x.path()).await;
            assert!(reply.status == 200 && reply.is_whole());
        }
        done.load(SeqCst)
    };
    let (replies, done_beside) = futures_util::future::join(fetches, beside).await;
    assert_eq!(done_beside, 0, "30 MB of y, and x's playlists, were sent before any 1.5 MB of x");
    for reply in &replies {
        assert!(reply.status == 200 && reply.is_whole(), "{} {}", reply.status, reply.body.len());
        assert_eq!(reply.body, replies[0].body);
    }
    // 9 MB and playlists: however busy the machine is, the line carries no more.
    let least = Duration::from_millis((VIEWERS as u64 * 1_504_000 / 1000) - 400);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_would_wait_too_long_for_the_line_is_refused() {
    // 18,800 bytes each; x's line carries 125,000 a second.
    let [a, b] = ["a", "b"].map(|id| Packager::fake(id).segments_of(2000, 2).live());
    let proxy = two(&a, &b, &["limits: { bandwidth_mbps: 1 }"], &[]).start().await;
    let mut of_x = proxy.viewer_at(X, "cam").await;
    of_x.fetching_one_in(1 << 40, 1);
    of_x.refresh().await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    let proxy = &proxy;
    let path = of_x.path_of(&of_x.playlist().segments.last().unwrap().uri);
    let replies = join_all((0..100).map(|_| proxy.get_at(X, &path))).await;
    let (whole, others): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert!(whole.iter().all(|reply| reply.is_whole() && reply.body.len() == 18_800));
    for reply in &others {
        refused(reply);
    }
    assert!(!others.is_empty() && !whole.is_empty(), "{} refused", others.len());
    let counted = refused_for(proxy, "pools.limits.bandwidth_mbps", "live").await;
    assert_eq!(counted, others.len().to_string());
    // The line is free again.
    let reply = proxy.get_at(X, &path).await;
    assert!(reply.status == 200 && reply.is_whole());
    of_y.more(1).await;
}

#[tokio::test]
async fn lanes_over_the_limit_are_refused_to_their_tenant_alone() {
    let (a, b) = (live("a"), live("b"));
    let proxy = two(&a, &b, &["limits: { lanes: 1 }"], &[]).start().await;
    let mut of_x = proxy.viewer_at(X, "one").await;
    refused(&proxy.get_at(X, "/two/playlist.m3u8").await);
    for stream in ["one", "two"] {
        proxy.viewer_at(Y, stream).await.more(1).await;
    }
    of_x.more(1).await;
}

/// Behind a proxy of its own, and behind one that it shares with all troubles of x at once, a viewer
/// of y has the same segments at the end.
#[tokio::test]
async fn y_has_as_much_as_alone() {
    let (a, b) = (live("a"), live("b"));
    let of_x = ["limits: { streams: 8, bandwidth_mbps: 1, waiting_requests: 4 }"];
    let shared = two(&a, &b, &of_x, &[]).setting("limits: { streams: 10 }").start().await;
    let alone = Proxy::over(&[&b]).start().await;
    let mut in_trouble = shared.viewer_at(Y, "cam").await;
    let mut at_ease = alone.viewer("cam").await;
    let mut of_x = shared.viewer_at(X, "cam").await;
    of_x.refresh().await;
    let segment = of_x.segment_path();
    for n in 0..20 {
        a.break_playlists(&format!("dead-{n}"), Fault::Silence);
    }
    let asked = AtomicUsize::new(0);
    let floods = join_all((0..40).map(|n| {
        let (shared, segment, asked) = (&shared, &segment, &asked);
        async move {
            let entry = format!("/dead-{}/playlist.m3u8", n % 20);
            for round in 0..5 {
                let path = if (n + round) % 2 == 0 { segment } else { &entry };
                let reply = shared.get_at(X, path).await;
                assert!(matches!(reply.status, 200 | 503), "{}", reply.status);
                asked.fetch_add(1, SeqCst);
            }
        }
    }));
    let play = async {
        let mut streams = 0;
        while asked.load(SeqCst) < 200 {
            in_trouble.more(1).await;
            at_ease.refresh().await;
            // y opens what it likes: the tenth stream has its place.
            shared.viewer_at(Y, "two").await;
            streams += 1;
        }
        assert!(streams > 1, "the flood was over at once");
    };
    futures_util::future::join(floods, play).await;
    in_trouble.refresh().await;
    at_ease.refresh().await;
    let newest = [&in_trouble, &at_ease].map(|viewer| viewer.newest().label.number);
    assert!(newest[0].abs_diff(newest[1]) <= 1, "{newest:?}");
    assert!(in_trouble.borders().is_empty() && at_ease.borders().is_empty());
}
