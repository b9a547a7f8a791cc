//! I-frame playlists: several entries for each segment, each a byte range of it.

use crate::packager::Packager;
use crate::proxy::Proxy;

#[tokio::test]
async fn frames_are_carried_and_splice_with_the_video() {
    let a = Packager::fake("a").iframes(4).live();
    let b = Packager::fake("b").shifted(500).numbered_from(300).iframes(4).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    let uri = "#EXT-X-I-FRAME-STREAM-INF:";
    assert!(viewer.entry().contains(uri), "{}", viewer.entry());
    assert!(viewer.text_of("i0").contains("#EXT-X-I-FRAMES-ONLY"), "{}", viewer.text_of("i0"));
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
    // Each segment has its four: none was lost but at the splice.
    let shown = viewer.shown_of("i0").unwrap();
    let per_segment = shown.segments.iter().filter(|s| !s.discontinuity).count();
    assert!(per_segment >= 4 * 5, "{}", viewer.text_of("i0"));
    assert!(viewer.borders_of_all().iter().all(|b| b.len() == 1), "{viewer}");
}

/// Frames with dates go on by their own durations.
#[tokio::test]
async fn frames_have_the_dates_of_their_segments() {
    let a = Packager::fake("a").dated(0).iframes(2).live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(3).await;
    let frames = viewer.watched_of("i0");
    let half = |w: &crate::viewer::Watched| w.date_error_ms().map(|error| error.rem_euclid(500));
    assert!(frames.len() > 4 && frames.values().all(|w| half(w) == Some(0)), "{viewer}");
}
