//! EVENT, VOD, low latency, and windows of hours.

use super::*;

#[test]
fn nothing_is_removed_from_an_event() {
    let event = |first: u64, count: u64| {
        window(first, count, &[]).replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n")
    };
    assert_eq!(rules(&[event(0, 6), event(0, 7), event(0, 8)]), []);
    assert_eq!(rules(&[event(0, 6), event(0, 7), event(1, 7)]), [Rule::EventRemoved]);
    let end = event(0, 8) + "#EXT-X-ENDLIST\n";
    assert_eq!(rules(&[event(0, 7), end.clone(), end.clone(), end]), []);
}

#[test]
fn a_vod_does_not_grow_stale() {
    let vod = window(0, 9, &[4]).replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    let vod = vod + "#EXT-X-ENDLIST\n";
    let shown = read(&vod).unwrap();
    assert_eq!((shown.kind, shown.ended), (Some(Kind::Vod), true));
    assert_eq!(rules(&[vod.clone(), vod.clone(), vod]), []);
}

#[test]
fn parts_belong_to_no_segment_yet() {
    let low = |n: u64| {
        good(n, &[]).replace(
            "#EXT-X-VERSION:3\n",
            "#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.5\n",
        ) + &format!("#EXT-X-PART:DURATION=0.5,URI=\"{}.0.ts\"\n", n + 6)
            + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}.1.ts\"\n", n + 6)
            + &format!("#EXT-X-RENDITION-REPORT:URI=\"../v1\",LAST-MSN={n}\n")
    };
    let table: Vec<String> = (100..104).map(low).collect();
    assert_eq!(rules(&table), []);
    let without: Vec<String> =
        (100..104).map(|n| if n % 2 == 0 { low(n) } else { good(n, &[]) }).collect();
    assert_eq!(rules(&without), [], "they may go with each look");
}

#[test]
fn a_delta_update_was_not_asked_for() {
    let delta = good(101, &[]).replacen("#EXTINF", "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF", 1);
    assert_eq!(rules(&[good(100, &[]), delta]), [Rule::Unparsable]);
}

/// A window of hours costs what is new in it, and what it remembers has an end.
#[test]
fn a_window_of_hours_is_watched_and_forgotten() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    let long = |observer: &mut Observer, first: u64, ms: u64| {
        let text = window(first, 18_000, &[]);
        let seen = observer.playlist(&v0, at(ms), Answer::Whole(text.as_bytes()));
        assert_eq!(seen.breaches, []);
        seen.added.len()
    };
    assert_eq!(long(&mut observer, 100, 0), 18_000);
    assert_eq!(long(&mut observer, 101, 4_000), 1);
    assert_eq!(long(&mut observer, 5_101, 8_000), 5_000);
    let v0 = place(0, "v0");
    let later = Duration::from_secs(9);
    assert!(observer.due(&v0, 5_000, later).is_some(), "it left just now");
    assert!(observer.due(&v0, 100, later).is_none(), "too long ago to be remembered");
    assert_eq!(observer.summaries()[&v0].segments, 23_001);
}
