//! Renditions that do not share the first one's borders, and windows of which not all is held.

use std::time::Duration;

use segue::model::playlist::Extent;
use segue::model::rendition::Kind;

use crate::show::{Show, Shown, date, list};

const STEP: u64 = 4000;

/// Entries of so many milliseconds, each with its date.
fn every(ms: u64) -> impl Fn(u64) -> String {
    move |n| format!("{}\n#EXTINF:{}.{:03},", date(n * ms), ms / 1000, ms % 1000)
}

/// Shows the first rendition and another of entries of `ms`, up to segment `n` of the first.
fn both(show: &mut Show, packager: usize, n: u64, ms: u64) {
    let now = (n + 1) * STEP;
    show.shows(packager, 0, now, &list(n - 5..n + 1, every(STEP)));
    let ended = now / ms;
    let from = (n - 5) * STEP / ms;
    show.shows(packager, 1, now, &list(from..ended, every(ms)));
}

/// Each rendition counts its own, and no entry is lost or comes twice.
fn in_order(show: &Show) {
    for r in 0..2 {
        let numbers = show.numbers(r);
        assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{r}: {numbers:?}");
        let sources = show.sources(r).concat();
        assert!(sources.windows(2).all(|w| w[0] + 1 == w[1]), "{r}: {sources:?}");
    }
}

fn carried(kind: Kind, ms: u64) -> Show {
    let mut show =
        Show::of(&[Kind::Variant, kind], |h| h.dates = true).with("a", &[Some("av"), Some("ao")]);
    for n in 9..21 {
        both(&mut show, 0, n, ms);
        show.carry((n + 1) * STEP);
    }
    in_order(&show);
    show
}

fn lengths(show: &Show) -> Vec<usize> {
    show.sources(1).iter().map(Vec::len).collect()
}

#[test]
fn pictures_are_several_in_a_step() {
    let show = carried(Kind::IFrames, 1000);
    assert!(lengths(&show).iter().all(|n| *n == 4), "{:?}", show.sources(1));
    assert_eq!(show.numbers(1).len(), show.numbers(0).len() * 4);
    for (video, pictures) in show.sources(0).iter().zip(show.sources(1)) {
        assert_eq!(pictures[0], video[0] * 4, "those of the same moment");
    }
    assert!(show.text(1).contains("#EXT-X-I-FRAMES-ONLY\n") && !show.text(0).contains("I-FRAMES"));
}

#[test]
fn long_subtitles_have_none_in_most_steps() {
    let show = carried(Kind::Subtitles, 12_000);
    let lengths = lengths(&show);
    assert!(lengths.iter().all(|n| *n <= 1), "{lengths:?}");
    let (steps, some) = (lengths.len(), lengths.iter().sum::<usize>());
    assert!(some * 3 <= steps + 3 && some >= 3, "{lengths:?}");
    // What stands where it has none is the number to come.
    let last = show.log.steps().last().unwrap();
    assert_eq!(last.shares[1].next_msn().0 - show.log.header().first_msn.0, some as u64);
}

#[test]
fn audio_of_another_length_keeps_pace() {
    let show = carried(Kind::Audio, 6000);
    let (video, audio) = (show.sources(0).concat(), show.sources(1).concat());
    let of = |all: &[u64], ms: u64| (all[0] * ms, (all[all.len() - 1] + 1) * ms);
    let (video, audio) = (of(&video, STEP), of(&audio, 6000));
    assert!(
        video.0.abs_diff(audio.0) <= 6000 && video.1.abs_diff(audio.1) <= 6000,
        "{video:?} {audio:?}"
    );
}

/// Subtitles of `ms` over a splice after segment `last` of the first rendition.
fn over_a_splice(ms: u64, last: u64) -> Show {
    let mut show = Show::of(&[Kind::Variant, Kind::Subtitles], |h| h.dates = true)
        .with("a", &[Some("av"), Some("as")])
        .with("b", &[Some("bv"), Some("bs")]);
    for n in 9..22 {
        if n <= last {
            both(&mut show, 0, n, ms);
        } else {
            show.fails(0, n * STEP + 100);
        }
        both(&mut show, 1, n, ms);
        show.carry((n + 1) * STEP);
        show.carry((n + 1) * STEP + 1100);
    }
    show
}

/// RFC 8216, 6.2.4: discontinuities are counted alike in all renditions.
#[test]
fn a_discontinuity_is_printed_when_the_rendition_has_an_entry() {
    let show = over_a_splice(8000, 11);
    let at = show.log.steps().position(|s| s.splice.is_some()).expect("a splice");
    let after = show.sources(1).iter().skip(at).position(|e| !e.is_empty()).unwrap();
    assert!(after > 0, "the splice's step has none: {:?}", show.sources(1));
    for r in [0, 1] {
        let body = show.body(r);
        assert_eq!(body.iter().filter(|l| *l == "#EXT-X-DISCONTINUITY").count(), 1, "{body:?}");
        let tag = body.iter().position(|l| l == "#EXT-X-DISCONTINUITY").unwrap();
        let before = body[..tag].iter().filter(|l| !l.starts_with('#')).count();
        let expected: usize = show.sources(r).iter().take(at).map(Vec::len).sum();
        assert_eq!(before, expected, "{r}: {body:?}");
    }
    in_order(&show);
    // In a window that begins after the splice it has left; where the entry that it stood before
    // is still listed it still stands there.
    let first = show.log.steps().nth(at + 1).unwrap().msn;
    for (r, (sequence, tags)) in [(1, 0), (0, 1)].into_iter().enumerate() {
        let text = segue::model::lane::print(&show.log, r, first).unwrap();
        let head = format!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n");
        assert!(text.contains(&head), "{r}: {text}");
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), tags, "{r}: {text}");
    }
}

/// However much of a window has left: a tag leaves with the entry that it stands before (RFC 8216,
/// 6.2.2), and an entry's number is that of its step. Also in steps that were stored and read again.
fn counted_alike(show: &Show) {
    let mut log = segue::model::lane::Log::new(show.log.header().clone());
    for step in show.log.steps() {
        let text = serde_json::to_string(step).unwrap();
        log.push(serde_json::from_str(&text).unwrap()).unwrap();
    }
    for (r, first) in (0..2).flat_map(|r| log.steps().map(move |s| (r, s.msn))) {
        let numbers = |s: &segue::model::lane::Step| {
            let all = s.shares[r].numbered().map(|(msn, _)| (msn.0, s.discontinuity_number));
            all.collect::<Vec<_>>()
        };
        let expected: Vec<(u64, u64)> = log.from(first).flat_map(numbers).collect();
        let Some(text) = segue::model::lane::print(&log, r, first) else {
            assert!(expected.is_empty(), "{r} from {first}: {expected:?}");
            continue;
        };
        let left = log.steps().take_while(|s| s.msn < first).flat_map(numbers).last();
        let (mut number, mut got) = (0, Vec::new());
        for line in text.lines() {
            if let Some(sequence) = line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:") {
                number = sequence.parse().unwrap();
                assert_eq!(number, left.map_or(0, |(_, n)| n), "{r} from {first}: {text}");
            } else if line == "#EXT-X-DISCONTINUITY" {
                number += 1;
            } else if !line.starts_with('#') {
                got.push((line.split_once('-').unwrap().0.parse().unwrap(), number));
            }
        }
        assert_eq!(got, expected, "{r} from {first}: {text}");
    }
}

/// Twice, before the rendition has an entry of either: both tags stand before its next one.
#[test]
fn two_discontinuities_without_an_entry_are_counted_in_it() {
    let mut show = Show::of(&[Kind::Variant, Kind::Subtitles], |h| h.dates = true)
        .with("a", &[Some("av"), Some("as")])
        .with("b", &[Some("bv"), Some("bs")])
        .with("c", &[Some("cv"), Some("cs")]);
    for n in 9..22 {
        for (p, last) in [(0, 11), (1, 12), (2, 99)] {
            if n <= last {
                both(&mut show, p, n, 12_000);
                continue;
            }
            show.fails(p, n * STEP + 100);
        }
        show.carry((n + 1) * STEP);
        show.carry((n + 1) * STEP + 1100);
    }
    let splices: Vec<usize> =
        (0..).zip(show.log.steps()).filter(|(_, s)| s.splice.is_some()).map(|(k, _)| k).collect();
    let between: usize = show.sources(1)[splices[0]..=splices[1]].iter().map(Vec::len).sum();
    assert_eq!((splices.len(), between), (2, 0), "{:?}", show.sources(1));
    let (picture, subtitles) = (show.body(0), show.body(1));
    let tags = |body: &[String]| body.iter().filter(|l| *l == "#EXT-X-DISCONTINUITY").count();
    assert_eq!((tags(&picture), tags(&subtitles)), (2, 2), "{subtitles:?}");
    counted_alike(&show);
}

#[test]
fn long_subtitles_come_back_after_a_splice() {
    for last in 10..14 {
        let show = over_a_splice(12_000, last);
        let sources = show.sources(1);
        let at = show.log.steps().position(|s| s.splice.is_some()).unwrap();
        let after = sources.iter().skip(at).flatten().count();
        assert!(after >= 2, "{last}: none in {} steps: {sources:?}", sources.len() - at);
        // They lag behind the pictures when the packager dies, and none is lost for that.
        let all = sources.concat();
        assert!(all.windows(2).all(|w| w[1] <= w[0] + 1), "{last}: {all:?}");
        let since: Vec<u64> = sources.iter().skip(at).flatten().copied().collect();
        assert!(since.windows(2).all(|w| w[0] + 1 == w[1]), "{last}: {since:?}");
        counted_alike(&show);
    }
}

#[test]
fn a_window_deeper_than_what_is_held_opens_with_what_is_fetched_on_demand() {
    let plain = |_: u64| "#EXTINF:4.0,".to_owned();
    let mut show = Show::of(&[Kind::Variant], |h| {
        h.window = Duration::from_secs(400);
        h.depth_held = Duration::from_secs(12);
    })
    .with("a", &[Some("a")]);
    show.depth = vec![Shown::new("a").listed(&list(0..40, plain)).segments];
    show.packagers[0].1[0].as_mut().unwrap().bytes_after = 97;
    show.shows(0, 0, 0, &list(40..100, plain));
    assert_eq!(show.carry(0), 100, "one decision, all of the window");
    assert_eq!(show.sources(0).concat(), (0..100).collect::<Vec<_>>());
    assert_eq!(show.numbers(0), (0..100).collect::<Vec<_>>());
    for (n, step) in show.log.steps().enumerate() {
        let entry = &step.entries(0)[0];
        assert_eq!((entry.on_demand, entry.held.is_some()), (n < 97, n >= 97), "{n}");
        assert!(!step.discontinuity);
    }
    let times: Vec<_> = show.log.steps().map(|s| (s.listed_at, s.content_end)).collect();
    assert!(times.windows(2).all(|w| w[0] < w[1]), "each was made after the one before");
    // Names of what is on demand differ, though no bytes are known.
    let uris: std::collections::HashSet<_> = show
        .body(0)
        .into_iter()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once('-').unwrap().1.to_owned())
        .collect();
    assert_eq!(uris.len(), 100);
}

#[test]
fn a_whole_playlist_is_opened_as_one() {
    let plain = |_: u64| "#EXTINF:4.0,".to_owned();
    let mut show = Show::of(&[Kind::Variant, Kind::Audio], |h| h.extent = Extent::Whole)
        .with("a", &[Some("v"), Some("a")]);
    let text = list(0..30, plain) + "#EXT-X-ENDLIST\n";
    for r in [0, 1] {
        show.shows(0, r, 0, &text);
    }
    assert_eq!(show.carry(0), 31);
    for r in [0, 1] {
        assert_eq!(show.numbers(r), (0..30).collect::<Vec<_>>());
        let text = show.text(r);
        assert!(
            text.ends_with("#EXT-X-ENDLIST\n") && text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n"),
            "{text}"
        );
    }
    assert_eq!(show.carry(600_000), 0, "nothing follows");
}
