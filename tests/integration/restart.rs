//! Packagers that die, stand still, and come back with other bytes under the same names.

use crate::packager::Packager;
use crate::proxy::Proxy;

/// Two packagers half a segment apart, and a proxy before them.
async fn stand() -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    (a, b, proxy)
}

#[tokio::test]
async fn killed_and_back_and_then_the_other() {
    let (a, b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    a.restart().await;
    viewer.more(3).await;
    assert_eq!(viewer.lane_packager(), "b", "a packager that is back gets new viewers, not lanes");
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    let borders = viewer.borders();
    assert_eq!(borders.len(), 2, "{borders:?}");
    assert!(borders.iter().all(|b| b.gap_ms.abs() <= 1000), "{borders:?}");
}

#[tokio::test]
async fn the_feed_is_lost_while_the_server_lives() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.freeze();
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    let borders = viewer.borders();
    assert_eq!(borders.len(), 1, "{borders:?}");
    assert!(borders[0].gap_ms.abs() <= 1000, "{borders:?}");
    // What comes back gets new viewers, not old lanes.
    a.thaw();
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "b");
}

#[tokio::test]
async fn a_restart_from_zero_goes_on_behind_a_discontinuity() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.restart().await;
    viewer.until("another life or packager", |v| !v.borders().is_empty()).await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{:?}", viewer.borders());
}

/// One packager alone, which restarts again and again so fast that its list seems to go on. The
/// viewer holds each segment's bytes against the one before it.
#[tokio::test]
async fn a_restart_within_a_refresh_is_seen_by_its_bytes() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    for restarts in 1..=4 {
        a.restart_unseen().await;
        viewer.until("the new life", |v| v.newest().label.life == restarts + 1).await;
        viewer.more(1).await;
        assert_eq!(viewer.borders().len(), restarts as usize, "{viewer}");
        // Not in step with the refreshes.
        let phase = std::time::Duration::from_millis(u64::from(restarts) * 230);
        tokio::time::sleep(phase).await;
    }
    viewer.check_all_listed().await;
}

#[tokio::test]
async fn a_lone_packager_that_restarts_from_zero_is_carried_on() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.restart().await;
    viewer.until("the new life", |v| v.newest().label.life == 2).await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}
