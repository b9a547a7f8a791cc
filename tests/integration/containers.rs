//! fMP4 with its init segments, and byte ranges.

use std::time::Duration;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::script::Ranges;
use crate::viewer::Viewer;
use crate::wait_for;

/// The viewer holds every segment against the init segment that stands before it.
#[tokio::test]
async fn each_run_comes_with_its_own_init_segment() {
    let a = Packager::fake("a").fmp4().audio("en", 1000).live();
    let b = Packager::fake("b").shifted(500).fmp4().audio("en", 1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    assert_eq!(viewer.carried().inits(), 2, "one for each rendition");
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.carried().inits(), 4);
    a.restart().await;
    viewer.more(2).await;
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.carried().inits(), 6, "the same name, and other bytes: another name here");
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
    // Also when the splice has left the list, its head says which init segment it needs.
    viewer.until("the splice to leave", |v| v.lists_of("b") == 0).await;
    let text = viewer.text();
    let (head, _) = text.split_once("#EXTINF").unwrap();
    assert!(head.contains("#EXT-X-MAP:"), "{text}");
}

#[tokio::test]
async fn an_init_segment_is_there_after_its_packager_died() {
    let a = Packager::fake("a").fmp4().live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    // A newcomer to the list needs it: the same URI, the same bytes.
    let uri = viewer.text().lines().find_map(|l| l.strip_prefix("#EXT-X-MAP:")).unwrap();
    let name = uri.split('"').nth(1).unwrap().to_owned();
    let reply = proxy.get(&viewer.path_of(&name)).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(crate::content::read_init(&reply.body).is_ok_and(|(packager, ..)| packager == "a"));
    viewer.check_all_listed().await;
}

/// TS cannot follow fMP4 in one list: the lane stays, and new viewers are let in elsewhere.
#[tokio::test]
async fn other_containers_are_no_siblings() {
    let a = Packager::fake("a").fmp4().live();
    let b = Packager::fake("b").shifted(500).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    // Once it is known that a is down. Until then newcomers join the lane that waits for it.
    let let_in = async {
        loop {
            if let Ok(mut newcomer) = Viewer::join(proxy.port(), "cam").await
                && newcomer.token() != viewer.token()
            {
                newcomer.more(1).await;
                return newcomer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let newcomer = tokio::time::timeout(Duration::from_secs(20), let_in).await.expect("let in");
    assert_eq!(newcomer.lane_packager(), "b", "{newcomer}");
    a.start();
    let back = || async { viewer.ask().await.is_ok_and(|r| r.status == 200) };
    wait_for("the lane to go on", Duration::from_secs(20), back).await.unwrap();
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "a", "{viewer}");
    viewer.check_all_listed().await;
}

/// With an offset in each line and only where it must stand: either way what is served is whole,
/// and splices where other segments do.
#[tokio::test]
async fn byte_ranges_are_carried_and_spliced() {
    for (ranges, fmp4) in
        [(Ranges::WithOffset, false), (Ranges::Short, false), (Ranges::Short, true)]
    {
        let wrapped = |p: Packager| if fmp4 { p.fmp4() } else { p };
        let a = wrapped(Packager::fake("a").ranges(ranges)).live();
        let b = wrapped(Packager::fake("b").shifted(500).numbered_from(55).ranges(ranges)).live();
        let proxy = Proxy::over(&[&a, &b]).start().await;
        let mut viewer = proxy.viewer("cam").await;
        viewer.more(2).await;
        a.kill().await;
        viewer.until_on("b").await;
        viewer.more(2).await;
        viewer.check_all_listed().await;
        let borders = viewer.borders();
        assert_eq!(borders.len(), 1, "{ranges:?}: {borders:?}");
        assert!(borders[0].gap_ms.abs() <= 1000, "{ranges:?}: {borders:?}");
    }
}
