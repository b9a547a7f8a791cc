//! The scripted packagers themselves, without a proxy: whatever they write keeps the laws, and the
//! viewer can read it. What a test shows behind a proxy is then the proxy's.

use futures_util::future::join_all;

use crate::packager::Packager;
use crate::script::Ranges;
use crate::viewer::Viewer;

/// Plays all renditions of `packager`'s own stream for some segments.
async fn plays(packager: &Packager) -> Viewer {
    let joined = Viewer::join(packager.port(), "cam").await.unwrap();
    let mut viewer = joined.with_all_renditions();
    viewer.more(1).await;
    viewer.check_all_listed().await;
    assert!(viewer.borders_of_all().iter().all(Vec::is_empty), "{viewer}");
    viewer
}

#[tokio::test]
async fn every_dialect_keeps_the_laws() {
    let keyed = |p: Packager| p.another_key_every(2).also_keyed(SKD);
    let packagers = [
        Packager::fake("a"),
        Packager::fake("a").segments_of(2000, 2).audio("en", 1000).subtitles("en", 3000),
        Packager::fake("a").packed_audio("en", 700).dated(-10_000),
        Packager::fake("a").iframes(4).dated(0),
        Packager::fake("a").fmp4().audio("en", 1000),
        Packager::fake("a").ranges(Ranges::WithOffset).audio("en", 900),
        Packager::fake("a").ranges(Ranges::Short).fmp4(),
        keyed(Packager::fake("a").numbered_from(9)).clear_one_in(3).audio("en", 1000),
        keyed(Packager::fake("a").ranges(Ranges::Short)).fmp4(),
        Packager::fake("a").dated(0).a_break_every(3).gap_one_in(5).starting_at(-3.0),
        Packager::fake("a").with_unknown_tags().parts(4).audio("en", 1000),
        Packager::fake("a").event(20).audio("en", 1000),
        Packager::fake("a").media().shifted(1000),
        keyed(Packager::fake("a").media()),
    ]
    .map(Packager::live);
    join_all(packagers.iter().map(|packager| async {
        let mut viewer = plays(packager).await;
        viewer.more(2).await;
        viewer.check_all_listed().await;
    }))
    .await;
}

/// Each writes what its test is about: one that forgot to would prove nothing.
#[tokio::test]
async fn every_dialect_is_spoken() {
    let table: [(Packager, &[&str]); 9] = [
        (
            Packager::fake("a").audio("en", 700).subtitles("en", 3000),
            &["TYPE=AUDIO", "SUBTITLES=\""],
        ),
        (Packager::fake("a").iframes(4), &["#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-I-FRAMES-ONLY"]),
        (Packager::fake("a").fmp4(), &["#EXT-X-MAP:URI=", ".m4s"]),
        (Packager::fake("a").ranges(Ranges::Short), &["#EXT-X-BYTERANGE:18800\n", "18800@"]),
        (
            Packager::fake("a").another_key_every(1).clear_one_in(2).also_keyed(SKD),
            &["METHOD=AES-128,URI=\"key-", "METHOD=NONE", SKD],
        ),
        (
            Packager::fake("a").dated(-10_000).a_break_every(3).gap_one_in(5),
            &["#EXT-X-PROGRAM-DATE-TIME:2026-", "SCTE35-OUT=0xFC61312D", "#EXT-X-GAP"],
        ),
        (
            Packager::fake("a").starting_at(-3.5).with_unknown_tags(),
            &["#EXT-X-START:TIME-OFFSET=-3.5", "#EXT-X-SCRIPTED:NUMBER="],
        ),
        (Packager::fake("a").event(20), &["#EXT-X-PLAYLIST-TYPE:EVENT"]),
        (
            Packager::fake("a").parts(4).audio("en", 1000),
            &[
                "#EXT-X-PART:DURATION=0.250",
                "#EXT-X-PART-INF:",
                "#EXT-X-PRELOAD-HINT:",
                "#EXT-X-RENDITION-REPORT:",
                "#EXT-X-SERVER-CONTROL:",
            ],
        ),
    ];
    for (packager, words) in table {
        let packager = packager.live();
        let viewer = plays(&packager).await;
        let renditions = viewer.renditions();
        let all: String =
            renditions.iter().map(|r| viewer.text_of(r)).chain([viewer.entry()]).collect();
        for word in words {
            assert!(all.contains(word), "{word} in {all}");
        }
    }
}

#[tokio::test]
async fn a_window_of_hours_and_a_file_can_be_had() {
    let dvr = Packager::fake("a").dvr(18_000).live();
    let mut viewer = Viewer::join(dvr.port(), "cam").await.unwrap();
    viewer.more(1).await;
    assert_eq!(viewer.playlist().segments.len(), 18_000);
    let oldest = viewer.playlist().segments[0].clone();
    let label = viewer.listed("v0", &oldest).await;
    assert_eq!(label.number, oldest.msn);
    let file = Packager::fake("b").vod(12).live();
    let mut viewer = Viewer::join(file.port(), "film").await.unwrap();
    viewer.refresh().await;
    assert!(viewer.playlist().ended && viewer.playlist().segments.len() == 12);
    viewer.check_all_listed().await;
}

/// A wrong key, IV or init segment would be seen.
#[tokio::test]
#[should_panic(expected = "segment 7")]
async fn a_viewer_sees_a_number_that_is_no_iv() {
    let a = Packager::fake("a").another_key_every(2).live();
    let renumbered = |text: &str| {
        let line = text.lines().find(|l| l.starts_with("#EXT-X-MEDIA-SEQUENCE")).unwrap();
        text.replace(line, "#EXT-X-MEDIA-SEQUENCE:7")
    };
    a.break_playlists("cam", crate::faults::Fault::Edited(renumbered));
    let mut viewer = Viewer::join(a.port(), "cam").await.unwrap();
    viewer.refresh().await;
}

/// A key of another system, on another host.
pub const SKD: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"skd://elsewhere/1\",\
                       KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"";
