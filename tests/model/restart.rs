//! A packager that begins again while a sibling has all of it.

use segue::model::lane::SpliceReason;
use segue::model::rendition::Kind;

use crate::show::{SECONDS, Show, date, list};

const STEP: u64 = SECONDS * 1000;

fn dated(n: u64) -> String {
    format!("{}\n#EXTINF:4.0,", date(n * STEP))
}

/// Up to second 52 both have listed all; then `a`, which the lane is on, begins again with two seconds of
/// content from second 54 on.
fn restarted() -> Show {
    let mut show = Show::of(&[Kind::Variant], |h| h.dates = true)
        .with("a", &[Some("a")])
        .with("b", &[Some("b")]);
    for n in 9..13 {
        for packager in [0, 1] {
            show.shows(packager, 0, (n + 1) * STEP, &list(n - 5..n + 1, dated));
        }
        show.carry((n + 1) * STEP);
    }
    let again = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n{}\n#EXTINF:2.0,\n0.ts\n",
        date(54_000)
    );
    show.packagers[0].1[0].as_mut().unwrap().life = 2;
    show.shows(0, 0, 56_000, &again);
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

/// `b` cuts two seconds off, so its list repeats as much.
#[test]
fn what_is_lost_is_worse_than_what_is_shown_twice() {
    let mut show = restarted();
    let off = |n: u64| format!("{}\n#EXTINF:4.0,", date(n * STEP - 2000));
    show.packagers[1].1[0].as_mut().unwrap().life = 2;
    show.shows(1, 0, 54_000, &list(1009..1014, off));
    let again = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n{}\n#EXTINF:3.0,\n0.ts\n",
        date(53_000)
    );
    show.packagers[0].1[0].as_mut().unwrap().life = 3;
    show.shows(0, 0, 56_000, &again);
    assert_eq!(show.carry(56_000), 1);
    assert_eq!(splices(&show), [("b".to_owned(), SpliceReason::Restarted, -2000)]);
}
