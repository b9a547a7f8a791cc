//! Dates, date ranges, gaps, starts and unknown tags: carried as they are, and right across a
//! splice.

use crate::faults::Fault;
use crate::lists::hex;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// How far the dates of what was watched move against the content: the least and the most.
fn date_errors(viewer: &Viewer) -> (i64, i64) {
    let watched = viewer.watched_of("v0").values();
    let errors: Vec<i64> = watched.filter_map(crate::viewer::Watched::date_error_ms).collect();
    assert_eq!(errors.len(), viewer.watched_of("v0").len(), "all have dates: {}", viewer.text());
    (errors.iter().copied().min().unwrap(), errors.iter().copied().max().unwrap())
}

async fn over_a_kill(a: &Packager, b: &Packager) -> Viewer {
    let proxy = Proxy::over(&[a, b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(3).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    viewer
}

/// Clocks agree: each date is the content's own, also where a splice repeats or loses some.
#[tokio::test]
async fn dates_tell_the_content_truthfully_over_a_splice() {
    let a = Packager::fake("a").dated(0).live();
    let b = Packager::fake("b").shifted(500).dated(0).live();
    let viewer = over_a_kill(&a, &b).await;
    let (least, most) = date_errors(&viewer);
    assert!(least.abs() <= 50 && most.abs() <= 50, "{least} to {most} ms");
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}

/// The clock of the sibling is another: the lane keeps the one that it began with. How well the
/// two can be told apart, arrival says: a segment at the most.
#[tokio::test]
async fn dates_go_on_where_clocks_disagree() {
    for error_ms in [-10_000, 10_000] {
        let a = Packager::fake("a").dated(0).live();
        let b = Packager::fake("b").shifted(500).dated(error_ms).live();
        let viewer = over_a_kill(&a, &b).await;
        let (least, most) = date_errors(&viewer);
        assert!(most - least <= 1000, "{error_ms}: {least} to {most} ms");
    }
}

/// A restart loses content: dates step over what was lost, and by no more.
#[tokio::test]
async fn lost_content_is_lost_time() {
    let a = Packager::fake("a").dated(0).live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(3).await;
    a.restart().await;
    viewer.until("the new life", |v| v.newest().label.life == 2).await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    let (least, most) = date_errors(&viewer);
    assert!(least.abs() <= 50 && most.abs() <= 50, "{least} to {most} ms");
}

/// If one has none, none has: dates are stripped or made up, but never mixed.
#[tokio::test]
async fn dates_stand_in_all_segments_or_in_none() {
    let a = Packager::fake("a").dated(0).live();
    let b = Packager::fake("b").shifted(500).live();
    let viewer = over_a_kill(&a, &b).await;
    let shown = viewer.playlist();
    let dated = shown.segments.iter().filter(|s| s.moment.is_some()).count();
    assert!(dated == 0 || dated == shown.segments.len(), "{}", viewer.text());
}

/// The viewer holds every ID to what it said first, whichever packager and life says it.
#[tokio::test]
async fn date_ranges_of_two_packagers_and_lives_never_clash() {
    let a = Packager::fake("a").dated(0).a_break_every(2).live();
    let b = Packager::fake("b").dated(0).a_break_every(2).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    // `a1-` and so on, as they stand in splice commands.
    let command =
        |v: &Viewer, who: &str| v.text().contains(&format!("SCTE35-OUT=0xFC{}", hex(who)));
    viewer.until("a break of a", |v| command(v, "a1-")).await;
    viewer.more(2).await;
    a.restart_unseen().await;
    viewer
        .until("a break of the other life or packager", |v| command(v, "a2-") || command(v, "b1-"))
        .await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until("a break of b", |v| command(v, "b1-")).await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
}

#[tokio::test]
async fn a_packagers_gaps_are_passed_on_and_never_asked_for() {
    let a = Packager::fake("a").gap_one_in(4).live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(6).await;
    let gaps = viewer.playlist().segments.iter().filter(|s| s.gap).count();
    assert!(gaps > 0, "{}", viewer.text());
    viewer.check_all_listed().await;
    assert!(viewer.borders().is_empty(), "{viewer}");
    let number = |path: &str| path.rsplit_once('-')?.1.strip_suffix(".ts")?.parse::<u64>().ok();
    let asked: Vec<u64> = a.requests().iter().filter_map(|(_, path)| number(path)).collect();
    assert!(asked.iter().all(|n| n % 4 != 3), "{asked:?}");
}

/// Where a player begins is not changed under it.
#[tokio::test]
async fn the_start_is_the_same_for_a_lanes_life() {
    let a = Packager::fake("a").starting_at(-3.5).live();
    let b = Packager::fake("b").shifted(500).starting_at(-5.5).live();
    let viewer = over_a_kill(&a, &b).await;
    let starts: Vec<&str> =
        viewer.text().lines().filter(|l| l.starts_with("#EXT-X-START")).collect();
    assert_eq!(starts, ["#EXT-X-START:TIME-OFFSET=-3.5"], "{}", viewer.text());
}

/// Each tag stays with its segment, under whichever number that is listed.
#[tokio::test]
async fn unknown_tags_stay_with_their_segments() {
    let a = Packager::fake("a").with_unknown_tags().live();
    let b = Packager::fake("b").shifted(500).numbered_from(5000).with_unknown_tags().live();
    let viewer = over_a_kill(&a, &b).await;
    for (msn, watched) in viewer.watched_of("v0") {
        let line = format!("#EXT-X-SCRIPTED:NUMBER={},OF=\"lone\"", watched.label.number);
        assert!(
            watched.listed.lines.contains(&line),
            "{msn}: {line} in {:?}",
            watched.listed.lines
        );
    }
}

/// An interstitial beside the stream is another stream of this proxy, whoever named it.
#[tokio::test]
async fn what_a_date_range_names_plays_on_after_a_kill() {
    fn with_an_ad(text: &str) -> String {
        let (before, newest) = text.rsplit_once("#EXTINF").unwrap();
        let date = crate::script::iso(crate::script::EPOCH_MS);
        format!(
            "{before}#EXT-X-DATERANGE:ID=\"ad\",CLASS=\"com.apple.hls.interstitial\",\
             START-DATE=\"{date}\",X-ASSET-URI=\"../ad/playlist.m3u8\"\n#EXTINF{newest}"
        )
    }
    let a = Packager::fake("a").dated(0).live();
    let b = Packager::fake("b").shifted(500).dated(0).live();
    for packager in [&a, &b] {
        packager.break_playlists("cam", Fault::Edited(with_an_ad));
    }
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let mut ad = proxy.viewer("ad").await;
    ad.more(1).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    let (_, newest) = viewer.text().rsplit_once("X-ASSET-URI=\"").expect("an asset");
    let uri = newest.split('"').next().unwrap();
    // Up from a media playlist of ours: the token, the rendition, the stream.
    assert_eq!(uri, "../../../ad/playlist.m3u8", "{}", viewer.text());
    ad.until_on("b").await;
    ad.check_all_listed().await;
}
