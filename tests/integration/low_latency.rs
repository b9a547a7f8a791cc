//! Low-latency tags are taken out, and whole segments served.

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

const TAGS: [&str; 6] = [
    "#EXT-X-PART",
    "#EXT-X-PRELOAD-HINT",
    "#EXT-X-RENDITION-REPORT",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-SKIP",
    "_HLS_",
];

fn no_tag_reaches(viewer: &Viewer) {
    for rendition in viewer.renditions() {
        let text = viewer.text_of(rendition);
        let found: Vec<_> = TAGS.iter().filter(|tag| text.contains(**tag)).collect();
        assert!(found.is_empty(), "{found:?} in {text}");
    }
}

#[tokio::test]
async fn whole_segments_are_served_without_a_low_latency_tag() {
    let a = Packager::fake("a").parts(4).audio("en", 1000).dated(0).live();
    let b = Packager::fake("b").shifted(500).parts(4).audio("en", 1000).dated(0).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    for _ in 0..3 {
        viewer.more(1).await;
        no_tag_reaches(&viewer);
    }
    a.kill().await;
    viewer.until_on("b").await;
    no_tag_reaches(&viewer);
    viewer.more(2).await;
    no_tag_reaches(&viewer);
    viewer.check_all_listed().await;
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
    // A part's name has a dot more than a segment's.
    let part =
        |path: &str| path.rsplit('/').next().is_some_and(|file| file.matches('.').count() > 1);
    let asked: Vec<_> = a.requests().into_iter().filter(|(_, path)| part(path)).collect();
    assert!(asked.is_empty(), "{asked:?}");
}
