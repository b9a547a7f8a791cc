//! Audio and subtitles beside the video, with borders and lengths of their own: they splice with it
//! as one, and none holds up the others.

use crate::content::Label;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// Video of 2 s, audio of 1 s, subtitles of 3 s, on two packagers that are not in step.
async fn stand() -> (Packager, Packager, Proxy) {
    let beside = |packager: Packager| {
        packager.segments_of(2000, 3).audio("en", 1000).audio("de", 1000).subtitles("en", 3000)
    };
    let a = beside(Packager::fake("a")).live();
    let b = beside(Packager::fake("b").shifted(700).numbered_from(1000)).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    (a, b, proxy)
}

fn of_kind(viewer: &Viewer, letter: char) -> Vec<String> {
    let names = viewer.renditions();
    names.into_iter().filter(|n| n.starts_with(letter)).map(str::to_owned).collect()
}

/// Each rendition has lists of its own lengths, and nothing is lost or repeated in it by more than
/// the longest segment.
fn carried_on(viewer: &Viewer, splices: usize) {
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
    for of_one in viewer.borders_of_all() {
        assert_eq!(of_one.len(), splices, "{viewer}");
        assert!(of_one.iter().all(|b| b.gap_ms.abs() <= 3000), "{of_one:?}");
    }
}

#[tokio::test]
async fn what_is_beside_the_video_is_carried_as_it_is() {
    let (_a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(3).await;
    viewer.check_all_listed().await;
    let kinds = ['v', 'a', 's'].map(|kind| of_kind(&viewer, kind).len());
    assert_eq!(kinds, [1, 2, 1], "{}", viewer.entry());
    for (letter, ms) in [('v', 2000), ('a', 1000), ('s', 3000)] {
        for rendition in of_kind(&viewer, letter) {
            let watched = viewer.watched_of(&rendition);
            assert!(watched.values().all(|w| w.label.duration_ms == ms), "{rendition}");
            assert!(watched.values().all(|w| w.listed.duration.as_millis() == u128::from(ms)));
        }
    }
    assert_eq!(viewer.playlist().target.as_secs(), 3, "one for all");
    carried_on(&viewer, 0);
}

#[tokio::test]
async fn all_renditions_splice_at_one_moment() {
    let (a, b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    carried_on(&viewer, 1);
    a.restart().await;
    viewer.more(3).await;
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    carried_on(&viewer, 2);
}

/// X-TIMESTAMP-MAP ties cues to the timeline of the video beside them: both are one packager's.
#[tokio::test]
async fn subtitles_lie_on_the_timeline_of_the_video_across_a_splice() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    let subtitles = of_kind(&viewer, 's').remove(0);
    let mut compared = 0;
    for text in viewer.watched_of(&subtitles).values() {
        let number = text.listed.discontinuity_number;
        let timeline = |l: &Label| l.pts_ms.cast_signed() - l.start_ms.cast_signed();
        let video = viewer.watched_of("v0").values();
        for picture in video.filter(|w| w.listed.discontinuity_number == number) {
            assert_eq!(timeline(&text.label), timeline(&picture.label), "{viewer}");
            compared += 1;
        }
    }
    assert!(compared > 4, "{viewer}");
}

#[tokio::test]
async fn packed_audio_is_carried_across_a_splice() {
    let a = Packager::fake("a").packed_audio("en", 1000).live();
    let b = Packager::fake("b").shifted(500).packed_audio("en", 1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    assert!(viewer.text_of("a0").contains(".aac"), "{}", viewer.text_of("a0"));
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    carried_on(&viewer, 1);
}

/// Nobody else has it, so the entry is a gap, and the others go on.
#[tokio::test]
async fn a_rendition_that_stays_away_is_a_gap_in_it_alone() {
    let a = Packager::fake("a").audio("en", 1000).live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    a.halt("en");
    let gaps =
        |v: &Viewer, r: &str| v.shown_of(r).unwrap().segments.iter().filter(|s| s.gap).count();
    viewer.until("a gap in the audio", |v| gaps(v, "a0") > 0).await;
    viewer.more(3).await;
    assert_eq!(gaps(&viewer, "v0"), 0, "{}", viewer.text());
    assert!(viewer.borders().is_empty(), "{viewer}");
    viewer.check_all_listed().await;
}

/// A sibling has it: then the lane goes there with all renditions.
#[tokio::test]
async fn a_rendition_that_stays_away_is_a_reason_to_splice() {
    let (a, _b, proxy) = stand().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    a.halt("en");
    viewer.until_on("b").await;
    viewer.more(2).await;
    let gaps = viewer.renditions().iter().any(|r| viewer.text_of(r).contains("#EXT-X-GAP"));
    assert!(!gaps, "{viewer}");
    viewer.check_all_listed().await;
    carried_on(&viewer, 1);
}

/// The nearest stands in, and it is logged.
#[tokio::test]
async fn a_sibling_with_fewer_renditions_stands_in() {
    let a = Packager::fake("a")
        .variants(&[("high", "1280x720", 2_000_000), ("low", "640x360", 800_000)])
        .audio("en", 1000)
        .audio("de", 1000)
        .live();
    let b = Packager::fake("b")
        .shifted(400)
        .variants(&[("only", "1280x720", 2_100_000)])
        .audio("en", 1000)
        .live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions().taking_stand_ins();
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
    for rendition in viewer.renditions() {
        let newest = viewer.watched_of(rendition).values().next_back().unwrap();
        assert_eq!(newest.label.packager, "b", "{rendition}");
        let kind = if rendition.starts_with('v') { "1280x720" } else { "en" };
        assert_eq!(newest.label.rendition, kind, "{rendition}");
    }
    assert!(!proxy.logged(&["stand"]).is_empty(), "who stands in for whom is logged");
}

/// One that has less is come to if nobody else is left, and what it lacks is a gap that operators
/// hear of and can count.
#[tokio::test]
async fn a_sibling_without_audio_is_better_than_none() {
    let a = Packager::fake("a").audio("en", 1000).live();
    let video = [("video", "1280x720", 2_000_000)];
    let b = Packager::fake("b").shifted(400).variants(&video).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    let audio = &viewer.shown_of("a0").unwrap().segments;
    let (edge, gaps) = (audio.last().unwrap(), audio.iter().filter(|s| s.gap).count());
    assert!(edge.gap && edge.msn == viewer.edge(), "{}", viewer.text_of("a0"));
    assert!(viewer.playlist().segments.iter().all(|s| !s.gap), "{}", viewer.text());
    let told = proxy.logged(&["WARN", "stays away", "packager=b", "rendition=a0"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let counted = proxy.metric("segue_gaps_total{packager=\"b\"}").await;
    assert!(counted >= gaps as f64, "{counted}");
}

/// The one nearest by has less than the other.
#[tokio::test]
async fn a_sibling_that_has_all_is_chosen_before_one_that_has_less() {
    let a = Packager::fake("a").audio("en", 1000).live();
    let video = [("video", "1280x720", 2_000_000)];
    let b = Packager::fake("b").shifted(400).variants(&video);
    let c = Packager::fake("c").shifted(700).audio("en", 1000).live();
    let proxy = Proxy::over(&[&a]).packager(&b, "here").packager(&c, "there").start().await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(1).await;
    b.start();
    let asked = || async { b.requests().len() > 3 };
    crate::wait_for("b to be watched", std::time::Duration::from_secs(10), asked).await.unwrap();
    a.kill().await;
    viewer.until("the lane to leave", |v| v.lane_packager() != "a").await;
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "c");
    assert!(!viewer.text_of("a0").contains("#EXT-X-GAP"), "{}", viewer.text_of("a0"));
    viewer.check_all_listed().await;
    carried_on(&viewer, 1);
}
