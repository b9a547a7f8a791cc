//! A segment that a packager lists and does not give, or gives wrong: never listed, and the lane
//! goes on with a sibling.

use futures_util::future::join_all;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;

#[tokio::test]
async fn no_viewer_sees_a_bad_segment() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(400).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let faults = [
        ("status404", Fault::Status(404)),
        ("status500", Fault::Status(500)),
        ("stall", Fault::Stall),
        ("short", Fault::Short),
        ("silence", Fault::Silence),
        ("nothing", Fault::Nothing),
        ("page", Fault::Body(b"<html>200 but no segment</html>".to_vec())),
        ("empty", Fault::Body(Vec::new())),
        ("elsewhere", Fault::Redirect("http://elsewhere.invalid/1.ts".into())),
    ];
    let (a, proxy) = (&a, &proxy);
    join_all(faults.into_iter().map(|(name, fault)| async move {
        let mut viewer = proxy.viewer(name).await;
        viewer.until_on("a").await;
        a.break_segments(name, fault);
        viewer.until_on("b").await;
        viewer.more(2).await;
        viewer.check_all_listed().await;
        let borders = viewer.borders();
        assert_eq!(borders.len(), 1, "{name}: {borders:?}");
        assert!(borders[0].gap_ms.abs() <= 1000, "{name}: {borders:?}");
        let path = format!("stream=/{name}/");
        assert!(!proxy.logged(&[&path, "cannot be had"]).is_empty(), "{name}");
        assert_eq!(proxy.logged(&[&path, "splice"]).len(), 1, "{name}");
    }))
    .await;
}

/// With nowhere else to go, the lane leaves out what cannot be had.
#[tokio::test]
async fn a_lone_packager_that_loses_a_segment_is_carried_on() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.break_segments("cam", Fault::Status(404));
    // Two tries, and it is lost.
    let lost = || async { proxy.logged(&["cannot be had"]).len() >= 2 };
    crate::wait_for("a lost segment", std::time::Duration::from_secs(10), lost).await.unwrap();
    a.mend("cam");
    viewer.more(4).await;
    let borders = viewer.borders();
    assert!(borders.iter().all(|b| b.gap_ms > 0), "{borders:?}");
    assert!(!borders.is_empty());
}
