//! Ends, events, files, and windows of hours.

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

fn segments_asked(packager: &Packager) -> usize {
    packager.requests().iter().filter(|(_, path)| path.ends_with(".ts")).count()
}

#[tokio::test]
async fn a_window_of_hours_is_fetched_on_demand_and_from_a_sibling_after_a_kill() {
    let a = Packager::fake("a").dvr(18_000).live();
    let b = Packager::fake("b").numbered_from(5000).dvr(18_000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer_with("cam", "?DVR").await;
    viewer.more(2).await;
    let listed = viewer.playlist().segments.clone();
    assert!(listed.len() >= 17_990, "{} segments", listed.len());
    assert!(segments_asked(&a) < 600, "{} were fetched for nobody", segments_asked(&a));
    for n in [50, listed.len() / 2] {
        let label = viewer.listed("v0", &listed[n]).await;
        assert_eq!(
            (label.packager.as_str(), label.start_ms),
            ("a", viewer.moment_of_a(&listed[n]))
        );
    }
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    assert!(viewer.playlist().segments.len() >= 17_990, "what was listed stays");
    // Not one that was fetched before: it is asked of the sibling by its content.
    for n in [300, listed.len() / 2 + 7, listed.len() - 4_000] {
        let label = viewer.listed("v0", &listed[n]).await;
        let moment = viewer.moment_of_a(&listed[n]);
        assert_eq!((label.packager.as_str(), label.start_ms), ("b", moment), "{}", listed[n].uri);
    }
    // What is at the live edge is held as ever.
    let edge = viewer.playlist().segments.len() - 5;
    let newest = viewer.playlist().segments[edge..].to_vec();
    for listed in newest {
        viewer.listed("v0", &listed).await;
    }
}

#[tokio::test]
async fn an_event_keeps_its_beginning() {
    let a = Packager::fake("a").event(20).live();
    let b = Packager::fake("b").shifted(500).event(20).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    let first = viewer.playlist().first_msn;
    assert!(viewer.playlist().segments.len() >= 20, "{}", viewer.text());
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    assert_eq!(viewer.playlist().first_msn, first, "{}", viewer.text());
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}

/// The end of one packager is not the end of the lane; the end of all is, in every rendition.
#[tokio::test]
async fn all_renditions_end_when_all_packagers_have() {
    let a = Packager::fake("a").segments_of(2000, 2).audio("en", 2000).live();
    // Its borders are a little before those of a, so that audio, which is listed after the picture,
    // is there well before the lane must go on with what there is.
    let b = Packager::fake("b").segments_of(2000, 2).shifted(1500).audio("en", 2000).live();
    let proxy = Proxy::over(&[&a, &b]).pool_setting("end_after_seconds: 5").start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(1).await;
    a.end();
    viewer.until_on("b").await;
    viewer.more(2).await;
    let ended = |v: &Viewer, r: &str| v.shown_of(r).unwrap().ended;
    assert!(!ended(&viewer, "v0") && !ended(&viewer, "a0"), "{}", viewer.text());
    b.end();
    viewer.until("EXT-X-ENDLIST in both", |v| ended(v, "v0") && ended(v, "a0")).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
}

/// A file is whole from the start, and what its packager cannot give any more a sibling can.
#[tokio::test]
async fn a_file_is_served_on_from_a_sibling_that_has_it() {
    let a = Packager::fake("a").vod(200).live();
    let b = Packager::fake("b").vod(200).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("film").await;
    viewer.fetching_one_in(5, 0);
    viewer.refresh().await;
    assert!(viewer.playlist().ended, "{}", viewer.text());
    assert_eq!(viewer.playlist().segments.len(), 200);
    let before = viewer.text().to_owned();
    a.kill().await;
    viewer.check_all_listed().await;
    viewer.refresh().await;
    assert_eq!(viewer.text(), before, "a file does not change");
    assert!(segments_asked(&b) > 0);
}

/// Another file under the same name: nothing of it may be shown in the place of what was listed.
#[tokio::test]
async fn another_file_of_that_name_is_no_sibling() {
    let a = Packager::fake("a").vod(200).live();
    let b = Packager::fake("b").shifted(300).vod(200).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("film").await;
    viewer.refresh().await;
    let first = viewer.playlist().segments[0].uri.clone();
    a.kill().await;
    let reply = proxy.get(&viewer.path_of(&first)).await.unwrap();
    if reply.status == 200 {
        let label = crate::content::Label::read(&reply.body).unwrap();
        assert_eq!(label.start_ms % 1000, 0, "it was held: {label:?}");
    } else {
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}
