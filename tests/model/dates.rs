//! Dates over a splice: they go on by as much as the content does, whatever clocks say.

use segue::model::lane::SpliceMethod;
use segue::model::rendition::Kind;

use crate::show::{SECONDS, Show, date, list};

/// Two packagers with the same content at the same time, of which the first fails after segment 8;
/// `b` gives the lines of the other.
fn spliced(dates: bool, a: impl Fn(u64) -> String, b: impl Fn(u64) -> String) -> Show {
    let mut show = Show::of(&[Kind::Variant], |h| h.dates = dates)
        .with("a", &[Some("a")])
        .with("b", &[Some("b")]);
    for n in 5..12 {
        let now = n * 4000;
        if n <= 8 {
            show.shows(0, 0, now, &list(n - 5..n + 1, &a));
        } else {
            for retry in [1000, 2000] {
                let shown = show.packagers[0].1[0].as_mut().unwrap();
                shown.track.failed(crate::show::at(now - retry), false);
            }
        }
        show.shows(1, 0, now, &list(n - 5..n + 1, &b));
        show.carry(now);
        show.carry(now + 1100);
    }
    assert_eq!(show.log.steps().filter(|s| s.splice.is_some()).count(), 1, "{}", show.text(0));
    show
}

fn dates_of(show: &Show) -> Vec<String> {
    let body = show.body(0);
    body.into_iter().filter(|l| l.starts_with("#EXT-X-PROGRAM-DATE-TIME")).collect()
}

/// Segment `n` begins at 4n seconds, by a clock that is ahead by so much.
fn dated(ahead: u64) -> impl Fn(u64) -> String {
    move |n| format!("{}\n#EXTINF:4.0,", date(n * SECONDS * 1000 + ahead))
}

fn expected(show: &Show) -> Vec<String> {
    show.sources(0).concat().iter().map(|n| date(n * SECONDS * 1000)).collect()
}

#[test]
fn between_clocks_that_differ_the_date_goes_on_with_the_content() {
    let show = spliced(true, dated(0), dated(10_000));
    let splice = show.log.steps().find_map(|s| s.splice.clone()).unwrap();
    assert_eq!((splice.method, splice.gap_ms), (SpliceMethod::Arrival, 0));
    assert_eq!(show.sources(0).concat(), (3..12).collect::<Vec<_>>());
    assert_eq!(dates_of(&show), expected(&show));
}

/// One segment is lost between them: the date goes on by it.
#[test]
fn over_a_gap_the_date_goes_on_by_the_gap() {
    // The sibling's list has nothing before segment 10.
    let b = dated(10_000);
    let mut show = Show::of(&[Kind::Variant], |h| h.dates = true)
        .with("a", &[Some("a")])
        .with("b", &[Some("b")]);
    for n in 5..9 {
        show.shows(0, 0, n * 4000, &list(n - 5..n + 1, dated(0)));
        show.carry(n * 4000);
    }
    for retry in [33_000, 34_000] {
        show.packagers[0].1[0].as_mut().unwrap().track.failed(crate::show::at(retry), false);
    }
    for n in 10..13 {
        show.shows(1, 0, n * 4000, &list(10..n + 1, &b));
        show.carry(n * 4000);
        show.carry(n * 4000 + 1100);
    }
    let splice = show.log.steps().find_map(|s| s.splice.clone()).unwrap();
    assert_eq!(splice.method, SpliceMethod::Arrival);
    let sources = show.sources(0).concat();
    let first = *sources.iter().find(|n| **n > 8).unwrap();
    let dates = dates_of(&show);
    let moved = i64::try_from((first - 9) * 4000).unwrap();
    assert!(moved > 0 && splice.gap_ms.abs_diff(moved) <= 2000, "{} of {moved}", splice.gap_ms);
    let at = sources.iter().position(|n| *n == first).unwrap();
    let ends = u64::try_from(36_000 + splice.gap_ms).unwrap();
    assert_eq!(dates[at], date(ends), "{dates:?}");
    assert_eq!(dates[at + 1], date(ends + 4000), "{dates:?}");
}

#[test]
fn a_sibling_without_dates_is_given_them() {
    let show = spliced(true, dated(0), |_| "#EXTINF:4.0,".into());
    assert_eq!(dates_of(&show), expected(&show));
    assert!(dates_of(&show).len() >= 9);
}

/// RFC 8216bis, 6.2.1: all segments of a playlist have a date, or none.
#[test]
fn a_lane_without_dates_stays_without() {
    let range = |n: u64| {
        let start = date(n * 4000);
        let start = start.split_once(':').unwrap().1;
        format!(
            "#EXT-X-DATERANGE:ID=\"{n}\",START-DATE=\"{start}\"\n#EXT-X-CUE-OUT:{n}\n{}",
            dated(0)(n)
        )
    };
    let show = spliced(false, |_| "#EXTINF:4.0,".into(), range);
    let text = show.text(0);
    assert!(!text.contains("DATE"), "{text}");
    assert!(text.contains("#EXT-X-CUE-OUT:11"), "what is no date goes on: {text}");
}
