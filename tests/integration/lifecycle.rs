//! The proxy dies, is replaced, or is asked to go while viewers play.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use segue::model::watch::Rule;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::clients::token_keys;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

async fn stand() -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    (a, b, proxy)
}

#[tokio::test]
async fn killed_and_started_in_mid_play() {
    let (_a, _b, mut proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    proxy.kill();
    proxy.start_again().await;
    viewer.refresh().await;
    viewer.check_all_listed().await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 0, "the same run goes on: {viewer}");
    // A newcomer joins the lane that is there.
    let other = proxy.viewer("cam").await;
    assert_eq!(other.token(), viewer.token());
}

#[tokio::test]
async fn killed_while_the_lane_is_spliced_and_the_old_packager_is_gone() {
    let (a, _b, mut proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    proxy.kill();
    proxy.start_again().await;
    viewer.refresh().await;
    assert!(viewer.lists_of("a") > 0, "{viewer}");
    viewer.check_all_listed().await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}

#[tokio::test]
async fn a_new_process_takes_over_and_no_request_fails() {
    let (a, _b, mut proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.kill().await;
    viewer.until_on("b").await;
    let mut other = proxy.viewer("cam").await;
    other.refresh().await;
    // Two processes answer, whose edges may differ by half a target duration.
    for viewer in [&mut viewer, &mut other] {
        viewer.allowing(&[Rule::LastMsnFell, Rule::FirstMsnFell]);
    }
    let over = AtomicBool::new(false);
    // Every refresh panics on an answer that is not 200, or none.
    let looping = async {
        while !over.load(Ordering::Relaxed) {
            other.refresh().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let upgrading = async {
        proxy.upgrade().await;
        viewer.more(3).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(looping, upgrading);
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
    assert!(!proxy.logged(&["handing the listening sockets"]).is_empty());
}

#[tokio::test]
async fn sigterm_fails_readiness_first_and_cuts_nothing() {
    // 6 MB a segment: more than the sockets hold.
    let a = Packager::fake("a").packets(32_000).live();
    let server =
        "server: { drain_delay_seconds: 2, grace_period_seconds: 10, upgrade_sock: \"run/u\" }";
    let mut proxy = Proxy::over(&[&a]).setting(server).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let mut slow = ask_slowly(proxy.port(), &viewer.segment_path()).await;
    proxy.signal("TERM");
    let unready = || async { proxy.get("/.segue/readyz").await.is_ok_and(|r| r.status == 503) };
    wait_for("readiness to fail", Duration::from_secs(5), unready).await.unwrap();
    // It serves on, and asks clients to go.
    let reply = viewer.ask().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    viewer.refresh().await;
    let closed = || async { TcpStream::connect(("127.0.0.1", proxy.port())).await.is_err() };
    wait_for("the listener to close", Duration::from_secs(10), closed).await.unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    let body = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(rest.len() - body, 32_000 * 188, "what was in flight ends whole");
    proxy.ends().await;
}

/// The log of the lane is lost, its token is not: it goes on above its old numbers.
#[tokio::test]
async fn the_store_is_lost() {
    let a = Packager::fake("a").live();
    let mut proxy = Proxy::over(&[&a]).setting(&token_keys()).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(3).await;
    let (edge, path) = (viewer.edge(), viewer.path().to_owned());
    proxy.kill();
    proxy.lose_store();
    proxy.start_again().await;
    let reply = viewer.ask().await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = segue::model::watch::read(&reply.text()).unwrap();
    let first = &shown.segments[0];
    assert!(first.msn > edge, "{} is not above {edge}", first.msn);
    assert!(first.discontinuity, "{}", reply.text());
    let mut again = Viewer::with_path(proxy.port(), "cam", &path);
    again.more(2).await;
    again.check_all_listed().await;
    // He who was there before sees numbers rise, more than one at a time, and a DISCONTINUITY.
    viewer.allowing(&[Rule::Hole]);
    viewer.more(2).await;
}

/// Asks for a segment over a small window and reads nothing yet.
async fn ask_slowly(port: u16, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.peek(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}
