//! A packager that begins again while a sibling has all of it.

use segue::model::lane::SpliceReason;
use segue::model::rendition::Kind;

use crate::show::{SECONDS, Show, date, list};

const STEP: u64 = SECONDS * 1000;

fn dated(n: u64) -> String {
    format!("{}\n#EXTINF:4.0,", date(n * STEP))
}

/// Up to second 52 both have listed all of each rendition; the lane is on `a`.
fn both_until_52(kinds: &[Kind]) -> Show {
    let folders = |all: &[&'static str]| all.iter().map(|f| Some(*f)).collect::<Vec<_>>();
    let mut show = Show::of(kinds, |h| h.dates = true)
        .with("a", &folders(&["av", "aa"][..kinds.len()]))
        .with("b", &folders(&["bv", "ba"][..kinds.len()]));
    for n in 9..13 {
        for (packager, r) in [0, 1].into_iter().flat_map(|p| (0..kinds.len()).map(move |r| (p, r)))
        {
            show.shows(packager, r, (n + 1) * STEP, &list(n - 5..n + 1, dated));
        }
        show.carry((n + 1) * STEP);
    }
    show
}

/// Then `a` begins again with two seconds of content from second 54 on.
fn restarted() -> Show {
    let mut show = both_until_52(&[Kind::Variant]);
    show.packagers[0].1[0].as_mut().unwrap().life = 2;
    show.shows(0, 0, 56_000, &again(54_000, 56_000));
    show
}

fn splices(show: &Show) -> Vec<(String, SpliceReason, i64)> {
    let spliced = show.log.steps().filter_map(|s| Some((s, s.splice.as_ref()?)));
    spliced.map(|(s, splice)| (s.packager.to_string(), splice.reason, splice.gap_ms)).collect()
}

#[test]
fn what_its_new_run_has_lost_is_taken_from_a_sibling_that_lists_it_in_time() {
    let mut show = restarted();
    assert_eq!(show.carry(56_000), 0, "nothing is lost yet");
    show.shows(1, 0, 56_100, &list(8..14, dated));
    assert_eq!(show.carry(56_100), 1);
    assert_eq!(splices(&show), [("b".to_owned(), SpliceReason::Restarted, 0)]);
}

#[test]
fn what_no_sibling_lists_in_time_is_lost() {
    let mut show = restarted();
    assert_eq!(show.carry(56_900), 0);
    // A target duration and a quarter after second 52.
    assert_eq!(show.carry(57_000), 1);
    assert_eq!(splices(&show), [("a".to_owned(), SpliceReason::Restarted, 2000)]);
}

/// What `a` lists when it begins again: one segment, from `begins` to `ends` ms.
fn again(begins: u64, ends: u64) -> String {
    let (seconds, ms) = ((ends - begins) / 1000, (ends - begins) % 1000);
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n{}\n#EXTINF:{seconds}.{ms:03},\n0.ts\n",
        date(begins)
    )
}

/// `b` cuts two seconds off, so its list repeats as much.
#[test]
fn what_is_lost_is_worse_than_what_is_shown_twice() {
    for begins in [53_000, 51_000] {
        let mut show = both_until_52(&[Kind::Variant]);
        let off = |n: u64| format!("{}\n#EXTINF:4.0,", date(n * STEP - 2000));
        show.packagers[1].1[0].as_mut().unwrap().life = 2;
        show.shows(1, 0, 54_000, &list(1009..1014, off));
        // It loses a second; or it repeats one, and is a run that has just begun.
        show.packagers[0].1[0].as_mut().unwrap().life = 2;
        show.shows(0, 0, 55_000, &again(begins, 55_000));
        assert_eq!(show.carry(55_000), 1);
        assert_eq!(splices(&show), [("b".to_owned(), SpliceReason::Restarted, -2000)], "{begins}");
    }
}

#[test]
fn what_a_sibling_has_not_listed_of_one_rendition_is_waited_for() {
    let mut show = both_until_52(&[Kind::Variant, Kind::Audio]);
    for r in [0, 1] {
        show.packagers[0].1[r].as_mut().unwrap().life = 2;
        show.shows(0, r, 56_000, &again(54_000, 56_000));
    }
    show.shows(1, 0, 56_000, &list(8..14, dated));
    assert_eq!(show.carry(56_000), 0, "the sound comes in a moment");
    show.shows(1, 1, 56_100, &list(8..14, dated));
    assert_eq!(show.carry(56_100), 1);
    assert_eq!(splices(&show), [("b".to_owned(), SpliceReason::Restarted, 0)]);
}
