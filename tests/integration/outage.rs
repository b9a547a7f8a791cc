//! Nobody makes progress, or the stream is over.

use std::time::Duration;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

/// Two packagers with a target duration of 1 s, so that six of them pass fast.
async fn stand(pool_setting: &str) -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").segments_of(1000, 1).live();
    let b = Packager::fake("b").segments_of(1000, 1).shifted(300).live();
    let proxy = Proxy::over(&[&a, &b]).pool_setting(pool_setting).start().await;
    (a, b, proxy)
}

#[tokio::test]
async fn all_down_then_one_comes_back() {
    let (a, b, proxy) = stand("standbys: 1").await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    b.kill().await;
    // The last good playlist, for six target durations after its newest segment.
    let went = std::time::Instant::now();
    let mut good = 0;
    let refusal = loop {
        let reply = viewer.ask().await.unwrap();
        if reply.status != 200 {
            break reply;
        }
        viewer.refresh().await;
        good += 1;
        assert!(went.elapsed() < Duration::from_secs(20), "still answered");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert!(good > 8, "the last good playlist was answered {good} times");
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(refusal.header("cache-control"), Some("no-store"));
    let newcomer = Viewer::join(proxy.port(), "cam").await.err().unwrap();
    assert!(newcomer.starts_with("503"), "{newcomer}");
    let edge = viewer.edge();
    b.start();
    let back = || async { viewer.ask().await.is_ok_and(|r| r.status == 200) };
    wait_for("the lane to go on", Duration::from_secs(20), back).await.unwrap();
    viewer.until("newer segments", |v| v.edge() > edge + 1).await;
    viewer.check_all_listed().await;
    assert!(!viewer.borders().is_empty());
    // Newcomers are let in again.
    let mut other = proxy.viewer("cam").await;
    other.more(1).await;
}

#[tokio::test]
async fn gone_everywhere_is_the_end() {
    let (a, b, proxy) = stand("end_after_seconds: 5").await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.break_playlists("cam", Fault::Status(404));
    viewer.more(2).await;
    assert!(!viewer.playlist().ended, "one that is gone is no end");
    b.break_playlists("cam", Fault::Status(404));
    viewer.until("EXT-X-ENDLIST", |v| v.playlist().ended).await;
    viewer.check_all_listed().await;
    let newcomer = Viewer::join(proxy.port(), "cam").await.err().unwrap();
    assert!(newcomer.starts_with("404"), "{newcomer}");
}

#[tokio::test]
async fn ended_everywhere_is_the_end() {
    let (a, b, proxy) = stand("end_after_seconds: 5").await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.end();
    // EXT-X-ENDLIST of one is not passed on while the other lives.
    viewer.until_on("b").await;
    viewer.more(2).await;
    assert!(!viewer.playlist().ended);
    b.end();
    viewer.until("EXT-X-ENDLIST", |v| v.playlist().ended).await;
    viewer.check_all_listed().await;
}
