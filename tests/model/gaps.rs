//! A rendition that stays away: a gap in it alone where nobody else has it, a splice where a
//! sibling does.

use segue::model::lane::{SpliceReason, empty_subtitles};
use segue::model::rendition::Kind;

use crate::show::{Show, list};

fn plain(_: u64) -> String {
    "#EXTINF:4.0,".into()
}

/// Segment `n` is listed at 4n seconds; `b` is the rendition that stands still from `stops` on.
fn until(show: &mut Show, packager: usize, n: u64, stops: u64) {
    let now = n * 4000;
    show.shows(packager, 0, now, &list(n - 5..n + 1, plain));
    let newest = n.min(stops);
    show.shows(packager, 1, now, &list(newest - 5..newest + 1, plain));
}

fn opened(kind: Kind, siblings: bool) -> Show {
    let mut show = Show::of(&[Kind::Variant, kind], |_| {}).with("a", &[Some("av"), Some("aa")]);
    if siblings {
        show = show.with("b", &[Some("bv"), Some("ba")]);
    }
    for n in 5..8 {
        for p in 0..show.packagers.len() {
            until(&mut show, p, n, 99);
        }
        show.carry(n * 4000);
    }
    assert_eq!(show.sources(0).last().unwrap(), &[7]);
    show
}

#[test]
fn without_a_sibling_one_rendition_has_a_gap_and_goes_on() {
    for kind in [Kind::Audio, Kind::Subtitles] {
        let mut show = opened(kind, false);
        let before = show.log.steps().len();
        until(&mut show, 0, 8, 7);
        for wait in [0, 1000, 4000, 4900] {
            assert_eq!(show.carry(32_000 + wait), 0, "{kind:?}: not before the bound");
        }
        until(&mut show, 0, 9, 7);
        assert_eq!(show.carry(37_000), 1, "{kind:?}: at the bound");
        let step = show.log.tail().unwrap().clone();
        assert!(
            !step.discontinuity && step.entries(0)[0].held.is_some() && !step.entries(0)[0].gap
        );
        let entry = &step.entries(1)[0];
        if kind == Kind::Subtitles {
            assert_eq!((entry.held, entry.gap), (Some(empty_subtitles()), false));
            assert_eq!(entry.extension, "vtt");
        } else {
            assert!(
                entry.gap && entry.held.is_none() && entry.lines.contains(&"#EXT-X-GAP".into())
            );
        }
        // It comes back, with all that was missed but what has been passed over.
        for n in 10..13 {
            until(&mut show, 0, n, 99);
            show.carry(n * 4000);
        }
        let sources = show.sources(1);
        let (listed, video) = (&sources[before + 1..], &show.sources(0)[before + 1..]);
        assert_eq!(listed, video, "{kind:?}: the same moments");
        assert_eq!(show.numbers(0), show.numbers(1), "{kind:?}");
        let text = show.text(1);
        assert!(!text.contains("#EXT-X-DISCONTINUITY\n"), "{kind:?}: {text}");
        assert_eq!(text.matches("#EXT-X-GAP").count(), usize::from(kind == Kind::Audio), "{text}");
    }
}

#[test]
fn with_a_sibling_the_lane_splices() {
    let mut show = opened(Kind::Audio, true);
    until(&mut show, 0, 8, 7);
    until(&mut show, 1, 8, 99);
    assert_eq!(show.carry(32_900), 0);
    until(&mut show, 0, 9, 7);
    until(&mut show, 1, 9, 99);
    assert!(show.carry(36_000 + 100) >= 1, "{}", show.text(0));
    let splices: Vec<_> = show.log.steps().filter_map(|s| s.splice.clone()).collect();
    assert_eq!(splices.len(), 1);
    assert_eq!((splices[0].from.as_str(), splices[0].reason), ("a", SpliceReason::SegmentLost));
    for r in [0, 1] {
        assert!(!show.text(r).contains("#EXT-X-GAP"));
        assert_eq!(show.text(r).matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    }
    assert_eq!(show.sources(0), show.sources(1));
    assert_eq!(show.sources(0).concat(), (3..10).collect::<Vec<_>>(), "nothing lost or repeated");
}

/// Whatever the order of preference, however near the other is, and though it has the next segment
/// first.
#[test]
fn what_lacks_something_is_the_last_resort() {
    for (complete, behind) in [(true, 0), (true, 1500), (false, 0)] {
        let mut show = opened(Kind::Audio, false).with("b", &[Some("bv"), None]);
        if complete {
            show = show.with("c", &[Some("cv"), Some("ca")]);
        }
        for n in [7, 8] {
            show.shows(1, 0, n * 4000, &list(n - 5..n + 1, plain));
            show.carry(n * 4000);
            if n == 8 {
                show.fails(0, 32_100);
                show.carry(32_300);
            }
            let now = n * 4000 + behind;
            (0..usize::from(complete) * 2)
                .for_each(|r| show.shows(2, r, now, &list(n - 5..n + 1, plain)));
            show.carry(now.max(32_300));
        }
        let tail = show.log.tail().unwrap();
        assert_eq!(tail.packager.as_str(), if complete { "c" } else { "b" }, "{behind}");
        let splices = show.log.steps().filter(|s| s.splice.is_some()).count();
        assert_eq!((splices, tail.entries(1)[0].gap), (1, !complete), "{}", show.text(1));
        assert_eq!(show.numbers(0), show.numbers(1));
    }
}

/// What has all but does not come in time is waited for no longer than law 6 lets.
#[test]
fn what_has_all_is_not_waited_for_too_long() {
    let mut show = opened(Kind::Audio, false)
        .with("b", &[Some("bv"), None])
        .with("c", &[Some("cv"), Some("ca")]);
    for (p, r) in [(1, 0), (2, 0), (2, 1)] {
        show.shows(p, r, 28_000, &list(2..8, plain));
    }
    show.shows(1, 0, 32_000, &list(3..9, plain));
    show.fails(0, 31_000);
    assert_eq!(show.carry(31_900), 0, "c goes on");
    assert_eq!(show.carry(28_000 + 6000), 1);
    assert_eq!(show.log.tail().unwrap().packager.as_str(), "b");
}

/// It has no more than the lane's own packager, which may get well.
#[test]
fn a_sibling_without_the_rendition_that_stays_away_is_no_gain() {
    let mut show = opened(Kind::Audio, false).with("b", &[Some("bv"), None]);
    for n in 8..11 {
        until(&mut show, 0, n, 7);
        show.shows(1, 0, n * 4000, &list(n - 5..n + 1, plain));
        show.carry(n * 4000);
        show.carry(n * 4000 + 3900);
    }
    let tail = show.log.tail().unwrap();
    assert_eq!((tail.packager.as_str(), tail.entries(1)[0].gap), ("a", true));
    assert!(show.log.steps().all(|s| s.splice.is_none()));
}

/// The lane leaves for the one that lacks least, though the other is nearer.
#[test]
fn the_one_that_lacks_least_is_chosen() {
    let kinds = [Kind::Variant, Kind::Audio, Kind::Subtitles];
    let mut show = Show::of(&kinds, |_| {})
        .with("a", &[Some("av"), Some("aa"), Some("as")])
        .with("b", &[Some("bv"), None, None])
        .with("c", &[Some("cv"), Some("ca"), None]);
    for n in 5..9 {
        let text = list(n - 5..n + 1, plain);
        // `c` is 1.5 s behind.
        for (p, r, behind) in [(1, 0, 0), (2, 0, 1500), (2, 1, 1500)] {
            show.shows(p, r, n * 4000 - 4000 + behind, &list(n - 5..n, plain));
            show.shows(p, r, n * 4000 + behind, &text);
        }
        if n == 8 {
            show.fails(0, 32_100);
        } else {
            (0..3).for_each(|r| show.shows(0, r, n * 4000 + 100, &text));
        }
        show.carry(n * 4000 + 1700);
    }
    show.carry(28_000 + 1700 + 6000);
    let tail = show.log.tail().unwrap();
    assert_eq!(tail.packager.as_str(), "c");
    assert!(!tail.entries(1)[0].gap && tail.entries(2)[0].stands_in);
}
