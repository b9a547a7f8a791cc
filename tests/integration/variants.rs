//! Several variants, other names and another order on the sibling, other target durations.

use std::time::Duration;

use futures_util::future::join_all;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;

#[tokio::test]
async fn variants_splice_together_whatever_they_are_called() {
    // 4 and 6 s, scaled down.
    let a = Packager::fake("a")
        .segments_of(1000, 1)
        .variants(&[("high", "1280x720", 2_000_000), ("low", "640x360", 800_000)])
        .live();
    let b = Packager::fake("b")
        .segments_of(1500, 2)
        .shifted(700)
        .numbered_from(77)
        .variants(&[
            ("chunklist_b790", "640x360", 790_000),
            ("chunklist_b2100", "1280x720", 2_100_000),
        ])
        .live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    // The sibling answers later: its target duration is waited for.
    b.break_playlists("cam", Fault::Late(Duration::from_millis(300)));
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    b.mend("cam");
    viewer.more(2).await;
    // One target duration for all, from the start, that holds for the longer segments too.
    assert_eq!(viewer.playlist().target.as_secs(), 2);
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.same_moments(), Ok(()), "{viewer}");
    let borders = viewer.borders_of_all();
    assert_eq!(borders.len(), 2);
    for of_one in &borders {
        assert_eq!(of_one.len(), 1, "{borders:?}");
        assert_eq!(of_one[0].msn, borders[0][0].msn, "one splice for all: {borders:?}");
        assert!(of_one[0].gap_ms.abs() <= 1500, "{borders:?}");
    }
    let resolutions: Vec<_> = borders.iter().map(|b| b[0].to.rendition.as_str()).collect();
    assert_eq!(resolutions, ["1280x720", "640x360"]);
}

/// A rendition that nobody watched joins the numbers that the others have.
#[tokio::test]
async fn a_rendition_asked_for_late_has_the_same_numbers() {
    let variants = [("high", "1280x720", 2_000_000), ("low", "640x360", 800_000)];
    let a = Packager::fake("a").variants(&variants).live();
    let proxy = &Proxy::over(&[&a]).start().await;
    join_all((0..5).map(|n| async move {
        let mut viewer = proxy.viewer(&format!("cam{n}")).await;
        viewer.more(2).await;
        // Not in step with the packager's lists.
        tokio::time::sleep(Duration::from_millis(190 * n)).await;
        let mut viewer = viewer.with_all_renditions();
        viewer.more(3).await;
        viewer.check_all_listed().await;
        assert!(viewer.borders_of_all().iter().all(Vec::is_empty), "{viewer}");
        assert_eq!(viewer.same_moments(), Ok(()), "{viewer}");
    }))
    .await;
}
