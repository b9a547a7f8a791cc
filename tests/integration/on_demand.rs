//! What is listed and not held: whose bytes stand under its name, and that it can still be had after
//! a restart of the proxy, a failover, and the loss of the log.

use segue::model::watch::{Listed, Rule};

use crate::clients::token_keys;
use crate::http::Reply;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// More than is held, so that a lane opens with it on demand.
const DEPTH: u64 = 120;
const HELD: &str = "hold_seconds: 30";

/// Packagers of one content with the same borders, and other numbers on the second.
async fn stand() -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").dvr(DEPTH).live();
    let b = Packager::fake("b").numbered_from(5000).dvr(DEPTH).live();
    let proxy = Proxy::over(&[&a, &b]).pool_setting(HELD).start().await;
    (a, b, proxy)
}

/// Listed, so deep that nobody fetched it for itself; the first leave while a test runs.
fn deep(viewer: &Viewer, n: usize) -> Listed {
    viewer.playlist().segments[30 + n].clone()
}

async fn asked(proxy: &Proxy, viewer: &Viewer, listed: &Listed) -> Reply {
    proxy.get(&viewer.path_of(&listed.uri)).await.unwrap()
}

/// After a restart the same names mean other bytes.
#[tokio::test]
async fn another_lifes_bytes_are_not_given_under_a_name_of_the_one_before() {
    for a in [Packager::fake("a").dvr(DEPTH), Packager::fake("a").event(DEPTH)] {
        let a = a.live();
        let proxy = Proxy::over(&[&a]).pool_setting(HELD).start().await;
        let mut viewer = proxy.viewer("cam").await;
        viewer.more(1).await;
        let before = deep(&viewer, 0);
        assert_eq!(viewer.listed("v0", &before).await.life, 1);
        a.restart_unseen().await;
        viewer.until("the new life", |v| v.newest().label.life == 2).await;
        let reply = asked(&proxy, &viewer, &deep(&viewer, 1)).await;
        assert_eq!((reply.status, reply.header("cache-control")), (503, Some("no-store")));
        // What was given out before is what it was.
        assert_eq!(viewer.listed("v0", &before).await.life, 1);
    }
}

#[tokio::test]
async fn after_a_restart_a_sibling_gives_what_was_listed() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(3).await;
    a.restart_unseen().await;
    viewer.until("the new life", |v| v.newest().label.run() != ("a", 1)).await;
    for n in [0, 20] {
        let listed = deep(&viewer, n);
        let label = viewer.listed("v0", &listed).await;
        assert_eq!((label.packager.as_str(), label.start_ms), ("b", viewer.moment_of_a(&listed)));
    }
}

/// A file that was replaced under its name: what is listed is of the old one, which a sibling has.
#[tokio::test]
async fn another_file_is_not_given_under_the_names_of_the_one_before() {
    let a = Packager::fake("a").vod(200).live();
    let b = Packager::fake("b").vod(200);
    let proxy = Proxy::over(&[&a, &b]).pool_setting(HELD).start().await;
    let mut viewer = proxy.viewer("film").await;
    viewer.fetching_one_in(200, 1);
    viewer.refresh().await;
    let listed = viewer.playlist().segments.clone();
    // What is near to the end is fetched ahead of who asks.
    let ahead = || async { a.requests().iter().any(|(_, path)| path.ends_with("-172.ts")) };
    crate::wait_for("what is held", std::time::Duration::from_secs(10), ahead).await.unwrap();
    a.restart().await;
    // A proof is believed for a moment.
    let next = std::cell::Cell::new(0);
    let refused = || async {
        next.set(next.get() + 1);
        asked(&proxy, &viewer, &listed[next.get()]).await.status == 503
    };
    crate::wait_for("a proof", std::time::Duration::from_secs(10), refused).await.unwrap();
    let reply = asked(&proxy, &viewer, &listed[160]).await;
    assert_eq!((reply.status, reply.header("cache-control")), (503, Some("no-store")));
    b.start();
    let there = || async { asked(&proxy, &viewer, &listed[161]).await.status == 200 };
    crate::wait_for("the sibling", std::time::Duration::from_secs(10), there).await.unwrap();
    for listed in &listed[160..165] {
        let label = viewer.listed("v0", listed).await;
        assert_eq!((label.number, label.start_ms), (listed.msn - 1, (listed.msn - 1) * 1000));
    }
}

/// The lane has left, but its names mean what they meant: whoever listed it is asked first.
#[tokio::test]
async fn a_run_that_the_lane_left_still_gives_its_own() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.freeze();
    viewer.until_on("b").await;
    let listed = deep(&viewer, 0);
    let label = viewer.listed("v0", &listed).await;
    assert_eq!((label.run(), label.start_ms), (("a", 1), viewer.moment_of_a(&listed)));
}

/// Thousands of steps at once, and each of them is there again.
#[tokio::test]
async fn a_long_window_is_the_same_after_a_restart_of_the_proxy() {
    let a = Packager::fake("a").dvr(5000).live();
    let mut proxy = Proxy::over(&[&a]).pool_setting(HELD).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let before = viewer.playlist().segments.clone();
    assert!(before.len() >= 5000, "{} segments", before.len());
    proxy.kill();
    proxy.start_again().await;
    viewer.more(1).await;
    let after = &viewer.playlist().segments;
    let left = usize::try_from(after[0].msn - before[0].msn).unwrap();
    assert!(left < 20, "{left} left");
    for (was, is) in before.iter().skip(left).zip(after) {
        assert_eq!((was.msn, &was.uri, &was.lines), (is.msn, &is.uri, &is.lines));
    }
    for n in [0, 4000] {
        let listed = deep(&viewer, n);
        let label = viewer.listed("v0", &listed).await;
        assert_eq!((label.run(), label.start_ms), (("a", 1), viewer.moment_of_a(&listed)));
    }
    assert!(viewer.borders().is_empty(), "{viewer}");
}

/// The list of a rendition that nobody has asked for a while, after its packager was killed.
async fn unasked(change: impl Fn(Packager) -> Packager) -> (Proxy, Viewer, String, Packager) {
    let variants = [("high", "1280x720", 2_000_000), ("low", "640x360", 800_000)];
    let packager = |id| change(Packager::fake(id).variants(&variants)).dvr(DEPTH);
    let (a, b) = (packager("a").live(), packager("b").numbered_from(5000).live());
    let proxy = Proxy::over(&[&a, &b]).pool_setting(HELD).pool_setting("idle_after_seconds: 10");
    let proxy = proxy.start().await;
    let mut viewer = proxy.viewer("cam").await;
    let low = |path: &str| path.contains("/low-");
    let fetched = || a.requests().iter().filter(|(_, path)| low(path)).count();
    // When a lane opens all are asked for, and some of the depth is still to be fetched.
    viewer.more(12).await;
    let mut rounds = Vec::new();
    while rounds.len() < 2 || rounds.last() != rounds.get(rounds.len() - 2) {
        assert!(rounds.len() < 10, "fetched for nobody: {rounds:?}");
        viewer.more(2).await;
        rounds.push(fetched());
    }
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    let path = viewer.path().replace("/v0/", "/v1/");
    let (first, edge) = (viewer.playlist().first_msn, viewer.edge());
    let text = proxy.get(&path).await.unwrap().text();
    let shown = segue::model::watch::read(&text).unwrap();
    viewer.refresh().await;
    // The same numbers as in the other's list.
    assert!((first..=viewer.playlist().first_msn).contains(&shown.first_msn), "{text}");
    assert!((edge..=viewer.edge()).contains(&shown.last_msn().unwrap()), "{text}");
    assert!(shown.segments.iter().all(|s| !s.gap), "{text}");
    (proxy, viewer, text, b)
}

/// Its list goes on without its bytes, and they come when somebody turns to it; here from a sibling.
#[tokio::test]
async fn a_rendition_of_a_long_window_that_nobody_asks_for_can_be_had_later() {
    let (_proxy, mut viewer, text, _b) = unasked(|p| p).await;
    let shown = segue::model::watch::read(&text).unwrap();
    // Of the depth, of the time that nobody asked for it, and after the splice.
    let edge = shown.segments.len() - 1;
    for listed in [30, edge - 5, edge].map(|n| shown.segments[n].clone()) {
        let label = viewer.listed("v1", &listed).await;
        assert_eq!((label.packager.as_str(), label.rendition.as_str()), ("b", "640x360"));
        let video = viewer.watched().get(&listed.msn);
        let moment = video.map_or_else(|| viewer.moment_of_a(&listed), |w| w.label.start_ms);
        assert_eq!(label.start_ms, moment, "{}", listed.uri);
    }
}

/// What a list names beside segments is held all the same, also the sibling's.
#[tokio::test]
async fn a_rendition_that_nobody_asks_for_has_its_init_segments() {
    let (proxy, viewer, text, _b) = unasked(Packager::fmp4).await;
    let inits: Vec<&str> = text.split("#EXT-X-MAP:URI=\"").skip(1).collect();
    assert_eq!(inits.len(), 2, "{text}");
    let inits = inits.iter().map(|rest| rest.split('"').next().unwrap());
    for uri in inits.chain(text.lines().last()) {
        let path = viewer.path_of(uri).replace("/v0/", "/v1/");
        let reply = proxy.get(&path).await.unwrap();
        assert_eq!(reply.status, 200, "{uri}: {text}");
    }
}

/// Who was there goes on above his old numbers, without what lies behind: those names are gone. Who
/// comes new gets all of the window.
#[tokio::test]
async fn a_long_window_whose_log_is_lost() {
    let [dvr, event] = [Packager::fake("a").dvr(DEPTH), Packager::fake("a").event(DEPTH)];
    tokio::join!(log_is_lost(dvr.live()), log_is_lost(event.live()));
}

async fn log_is_lost(a: Packager) {
    let mut proxy = Proxy::over(&[&a]).pool_setting(HELD).setting(&token_keys()).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let (edge, sequence) = (viewer.edge(), viewer.newest().listed.discontinuity_number);
    proxy.kill();
    proxy.lose_store();
    proxy.start_again().await;
    let text = viewer.ask().await.unwrap().text();
    let shown = segue::model::watch::read(&text).unwrap();
    let first = &shown.segments[0];
    assert!(first.msn > edge && first.discontinuity, "{edge}: {text}");
    assert!(first.discontinuity_number > sequence, "{text}");
    assert!(shown.segments.len() < 30, "{text}");
    viewer.allowing(&[Rule::Hole, Rule::EventRemoved]);
    viewer.more(2).await;
    viewer.check_all_listed().await;

    let mut newcomer = proxy.viewer("cam").await;
    newcomer.more(1).await;
    let listed = newcomer.playlist().segments.len();
    assert!(listed >= 119, "{listed}: {}", newcomer.text());
    let oldest = deep(&newcomer, 0);
    let label = newcomer.listed("v0", &oldest).await;
    assert_eq!(label.start_ms, newcomer.moment_of_a(&oldest));
    // Both go on.
    viewer.more(1).await;
    assert_eq!(proxy.viewer("cam").await.token(), newcomer.token());
}
