//! One URL behind which now one proxy answers and now another.

use super::*;

/// What is broken, and what is told besides.
fn watched(balanced: bool, texts: &[String]) -> (Vec<Rule>, Vec<String>) {
    let mut observer = Observer::new(balanced);
    let (mut broken, mut notes) = (Vec::new(), Vec::new());
    for (text, ms) in texts.iter().zip((0..).step_by(2_000)) {
        let answer = Answer::Whole(text.as_bytes());
        let seen = observer.playlist(&place(0, "v0"), at(ms), answer);
        broken.extend(seen.breaches.iter().map(|b| b.rule));
        notes.extend(seen.notes);
    }
    (broken, notes)
}

/// Two proxies in turn. The second begins and ends `behind` segments earlier.
fn in_turn(behind: u64) -> Vec<String> {
    (100..110).flat_map(|n| [good(n, &[105]), good(n - behind, &[105])]).collect()
}

#[test]
fn lists_of_two_proxies_may_differ_by_a_segment() {
    let (broken, notes) = watched(true, &in_turn(1));
    assert_eq!(broken, []);
    let told = [
        "proxies list from 100 and from 99 on, which is no breach",
        "proxies list up to 105 and up to 104, which is no breach",
    ];
    assert_eq!(notes, told, "each once");
    let (broken, notes) = watched(false, &in_turn(1));
    assert!(broken.contains(&Rule::FirstMsnFell) && broken.contains(&Rule::LastMsnFell));
    assert!(notes.is_empty());
}

#[test]
fn edges_that_are_further_apart_are_a_breach() {
    assert!(watched(true, &in_turn(2)).0.contains(&Rule::LastMsnFell));
}

/// A proxy that began with the lane later lists less of what is old.
#[test]
fn heads_may_be_further_apart() {
    let texts: Vec<_> =
        (100..110).flat_map(|n| [window(n + 3, 6, &[]), window(n, 9, &[])]).collect();
    let (broken, notes) = watched(true, &texts);
    assert_eq!((broken, notes.len()), (vec![], 1), "{notes:?}");
}

#[test]
fn what_is_a_breach_at_one_proxy_is_one_at_two() {
    let mut other = in_turn(1);
    later(&mut other, 7, "107-abc", "107-xyz");
    other.truncate(8);
    assert_eq!(watched(true, &other).0, [Rule::OtherUri]);
    let anew = [good(100, &[]), good(101, &[]), good(10, &[])];
    assert_eq!(watched(true, &anew).0, [Rule::FirstMsnFell, Rule::LastMsnFell]);
    let still = vec![good(100, &[]); 6];
    assert_eq!(watched(true, &still).0, [Rule::EdgeStale]);
    assert_eq!(watched(true, &still[..5]).0, [], "2 target durations");
}

#[test]
fn the_end_is_not_heard_of_everywhere_at_once() {
    let end = good(101, &[]) + "#EXT-X-ENDLIST\n";
    let texts = [good(100, &[]), end.clone(), good(101, &[]), end, good(102, &[])];
    assert_eq!(watched(true, &texts[..4]).0, []);
    assert_eq!(watched(true, &texts).0, [Rule::EndedThenMore]);
}
