//! Packagers that operators take out and bring back while viewers play.

use std::time::Duration;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

/// Two packagers, `b` so much later than `a`, and a proxy that can be told what to do.
async fn stand(later_ms: u64) -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(later_ms).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).with_admin_token().pool_setting(QUICK).start().await;
    (a, b, proxy)
}

/// Health is known within a second.
const QUICK: &str = "health: { interval_seconds: 1, timeout_seconds: 1, rise: 1, fall: 1 }";

async fn lanes(proxy: &Proxy, id: &str) -> u64 {
    let state = proxy.admin(&format!("/packagers/{id}/drain")).await;
    assert_eq!(state.status, 200);
    let state: serde_json::Value = serde_json::from_slice(&state.body).unwrap();
    state["lanes"].as_u64().unwrap()
}

/// All lanes have left: it can be stopped.
async fn left(proxy: &Proxy, id: &str) {
    let none = || async { lanes(proxy, id).await == 0 };
    wait_for(&format!("all lanes to leave {id}"), Duration::from_secs(20), none).await.unwrap();
}

async fn new_viewers_go_to(proxy: &Proxy) -> String {
    let mut viewer = proxy.viewer("cam").await;
    viewer.refresh().await;
    viewer.lane_packager().to_owned()
}

/// The packager that his lane opened on, whichever it is on now.
fn opened_on(viewer: &Viewer) -> &str {
    let lane = viewer.token().split('.').nth(2).unwrap();
    lane.split_once('-').unwrap().0
}

fn drained(status: &serde_json::Value, id: &str) -> bool {
    let packagers = status["packagers"].as_array().unwrap();
    let one = packagers.iter().find(|p| p["packager"] == id).unwrap();
    assert_eq!(one["drained"], !one["drained_since"].is_null(), "{one:#}");
    one["drained"].as_bool().unwrap()
}

/// The whole way of maintenance: out, stopped, started, back, and then the other.
#[tokio::test]
async fn taken_out_and_brought_back_while_viewers_play() {
    // A quarter of a segment: `b` is always a little behind `a`.
    let (a, b, proxy) = stand(250).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "a");
    let state = proxy.change("/packagers/a/drain").await;
    assert_eq!((&state["drained"], &state["siblings"]), (&true.into(), &1.into()), "{state:#}");
    // New viewers go elsewhere at once.
    let wants_b = || async { new_viewers_go_to(&proxy).await == "b" };
    wait_for("new viewers to go to b", Duration::from_secs(5), wants_b).await.unwrap();
    viewer.until_on("b").await;
    left(&proxy, "a").await;
    a.kill().await;
    viewer.more(4).await;

    let down = || async { proxy.metric("segue_packager_up{packager=\"a\"}").await == 0.0 };
    wait_for("a to be known as down", Duration::from_secs(10), down).await.unwrap();
    assert!(proxy.metric("segue_packager_drained{packager=\"a\"}").await > 0.0);
    assert!(drained(&proxy.status().await, "a"));
    // That it is away was meant.
    assert_eq!(proxy.logged(&["WARN"]), Vec::<String>::new());
    a.restart().await;
    wait_for("a to be up", Duration::from_secs(10), || async { !down().await }).await.unwrap();
    viewer.more(2).await;
    assert_eq!(new_viewers_go_to(&proxy).await, "b", "not before it is brought back");
    let state = proxy.change("/packagers/a/undrain").await;
    assert_eq!(state["drained"], false);
    let wants_a = || async { new_viewers_go_to(&proxy).await == "a" };
    wait_for("new viewers to go to a", Duration::from_secs(10), wants_a).await.unwrap();
    viewer.more(3).await;
    assert_eq!(viewer.lane_packager(), "b", "lanes stay where they are");
    proxy.change("/packagers/b/drain").await;
    viewer.until_on("a").await;
    left(&proxy, "b").await;
    b.kill().await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    let borders = viewer.borders();
    assert_eq!(borders.len(), 2, "{borders:?}");
    assert!(borders.iter().all(|b| b.gap_ms.abs() <= 750), "{borders:?}");
    let out = proxy.logged(&["splice", "reason=\"drained\""]);
    assert!(out.len() >= 2 && out.iter().all(|l| l.contains("INFO")), "{out:?}");
}

/// Several streams: one lane after another leaves, and the command waits for the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_leave_one_after_another_and_the_command_waits() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).live();
    let proxy = Proxy::over(&[&a, &b]).with_admin_token().pool_setting(QUICK);
    let proxy = proxy.pool_setting("origin: { requests: 1 }").start().await;
    let streams = ["one", "two", "three"];
    let playing = streams.map(|stream| async {
        let mut viewer = proxy.viewer(stream).await;
        viewer.more(2).await;
        viewer
    });
    let mut viewers = futures_util::future::join_all(playing).await;
    assert_eq!(lanes(&proxy, "a").await, 3);
    let file = proxy.file();
    let drain = tokio::task::spawn_blocking(move || {
        let mut segue = std::process::Command::new(env!("CARGO_BIN_EXE_segue"));
        segue.args(["drain", "a", "--wait", "--conf"]).arg(file).output().unwrap()
    });
    for viewer in &mut viewers {
        viewer.until_on("b").await;
        viewer.more(1).await;
    }
    let output = drain.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("a is drained; 3 lanes leave it.\n"), "{said}");
    assert!(said.ends_with("a has no lane any more: it can be stopped.\n"), "{said}");
    assert_eq!(proxy.logged(&["packager is drained", "spread_ms=3000"]).len(), 1);
    assert!(viewers.iter().all(|v| v.borders().len() == 1));
}

/// Killed, started, upgraded in place: it stays out.
#[tokio::test]
async fn it_stays_out_over_a_restart_and_an_upgrade_of_the_proxy() {
    let (a, _b, mut proxy) = stand(500).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    proxy.change("/packagers/a/drain").await;
    viewer.until_on("b").await;
    proxy.kill();
    proxy.start_again().await;
    assert!(drained(&proxy.status().await, "a"));
    let mut second = proxy.viewer("cam").await;
    second.refresh().await;
    assert_eq!(second.lane_packager(), "b");
    proxy.upgrade().await;
    assert!(drained(&proxy.status().await, "a"));
    assert_eq!(new_viewers_go_to(&proxy).await, "b");
    second.more(2).await;
    viewer.more(2).await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
    a.kill().await;
    viewer.more(1).await;
}

/// It is dead already: it stays so quietly, and is not taken back when it comes up.
#[tokio::test]
async fn one_that_is_dead_is_taken_out() {
    let (a, _b, proxy) = stand(500).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.kill().await;
    viewer.until_on("b").await;
    for _ in 0..2 {
        let state = proxy.change("/packagers/a/drain").await;
        assert_eq!((&state["drained"], &state["lanes"]), (&true.into(), &0.into()), "{state:#}");
    }
    let down = || async { proxy.metric("segue_packager_up{packager=\"a\"}").await == 0.0 };
    wait_for("a to be down", Duration::from_secs(10), down).await.unwrap();
    // Nobody knocks there while another does: but for its checks.
    let failed = "segue_origin_refreshes_total{outcome=\"failed\",packager=\"a\"}";
    let asked = proxy.metric(failed).await;
    viewer.more(4).await;
    assert!(proxy.metric(failed).await < asked + 2.0);
    a.restart().await;
    let up = || async { !down().await };
    wait_for("a to be up", Duration::from_secs(10), up).await.unwrap();
    viewer.more(2).await;
    assert_eq!(new_viewers_go_to(&proxy).await, "b");
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}

/// With nobody left its lanes stay, new viewers are served, and the answer says why.
#[tokio::test]
async fn the_last_one_serves_on() {
    let (a, b, proxy) = stand(500).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    b.kill().await;
    let down = || async { proxy.metric("segue_packager_up{packager=\"b\"}").await == 0.0 };
    wait_for("b to be down", Duration::from_secs(10), down).await.unwrap();
    let state = proxy.change("/packagers/a/drain").await;
    assert_eq!((&state["siblings"], &state["lanes"]), (&0.into(), &1.into()), "{state:#}");
    assert_eq!(proxy.logged(&["WARN", "drained without a sibling"]).len(), 1);
    viewer.more(3).await;
    let mut new = proxy.viewer("other").await;
    new.more(1).await;
    assert_eq!((viewer.lane_packager(), new.lane_packager()), ("a", "a"));
    assert_eq!(proxy.logged(&["WARN", "a drained packager gets a lane"]).len(), 1);
    // Both out: the same as none.
    b.start();
    proxy.change("/packagers/b/drain").await;
    viewer.more(3).await;
    assert_eq!(viewer.borders().len(), 0, "{viewer}");
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    viewer.check_all_listed().await;
}

/// Its sibling is up and does not have this stream: the lane stays until it does, and does not end.
#[tokio::test]
async fn a_lane_stays_while_its_sibling_does_not_have_the_stream() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).live();
    b.break_playlists("cam", Fault::Status(404));
    let ends = "end_after_seconds: 5";
    let proxy = Proxy::over(&[&a, &b]).with_admin_token().pool_setting(QUICK);
    let proxy = proxy.pool_setting(ends).start().await;
    let mut viewer = proxy.viewer("cam").await;
    let mut other = proxy.viewer("other").await;
    viewer.more(1).await;
    other.more(1).await;
    proxy.change("/packagers/a/drain").await;
    other.until_on("b").await;
    // For longer than it takes a stream to end that everybody else calls gone.
    viewer.more(8).await;
    assert_eq!((viewer.lane_packager(), viewer.borders().len()), ("a", 0));
    assert_eq!(new_viewers_go_to(&proxy).await, "a");
    b.mend("cam");
    viewer.until_on("b").await;
    viewer.more(1).await;
    viewer.check_all_listed().await;
}

/// A crowd that joins at once is given one lane without a look at packagers, for a second.
#[tokio::test]
async fn who_comes_the_moment_after_goes_elsewhere() {
    let (_a, _b, proxy) = stand(500).await;
    let _first = proxy.viewer("cam").await;
    proxy.change("/packagers/a/drain").await;
    assert_eq!(opened_on(&proxy.viewer("cam").await), "b");
}

/// Its sibling has no audio of its own: the lane stays for it. Who is new does not know of any, and
/// gets all of the sibling's long window.
#[tokio::test]
async fn a_lane_stays_for_a_rendition_and_new_viewers_do_without() {
    let a = Packager::fake("a").segments_of(2000, 2).dvr(1000).audio("en", 2000).live();
    let b = Packager::fake("b").segments_of(2000, 2).dvr(1000).shifted(500).live();
    let proxy = Proxy::over(&[&a, &b]).with_admin_token().pool_setting(QUICK).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.fetching_one_in(200, 0);
    viewer.more(1).await;
    proxy.change("/packagers/a/drain").await;
    let mut new = proxy.viewer("cam").await;
    new.fetching_one_in(200, 0);
    new.more(1).await;
    assert_eq!(opened_on(&new), "b");
    assert!(new.playlist().segments.len() >= 1000);
    viewer.more(4).await;
    assert_eq!(lanes(&proxy, "a").await, 1);
    assert_eq!(proxy.logged(&["splice"]), Vec::<String>::new());
}

/// The other dies while one is out: it is taken, rather than that viewers lose anything, and left
/// again.
#[tokio::test]
async fn one_that_is_out_is_the_last_resort() {
    let (_a, b, proxy) = stand(500).await;
    proxy.change("/packagers/a/drain").await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "b");
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(1).await;
    assert!(!proxy.logged(&["WARN", "a drained packager gets a lane"]).is_empty());
    b.restart().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 2, "{viewer}");
}

#[tokio::test]
async fn nobody_is_taken_out_by_another_name_or_without_the_token() {
    let (_a, _b, proxy) = stand(500).await;
    let reply =
        proxy.post("/packagers/z/drain", "Authorization: Bearer a-secret-of-16-letters\r\n");
    let reply = reply.await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "no such packager; there are a, b\n"));
    assert_eq!(proxy.post("/packagers/a/drain", "").await.status, 401);
    let wrong = "Authorization: Bearer b-secret-of-16-letters\r\n";
    assert_eq!(proxy.post("/packagers/a/drain", wrong).await.status, 403);
    assert!(!drained(&proxy.status().await, "a"));
}
