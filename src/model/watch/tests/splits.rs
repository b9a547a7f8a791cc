//! Two URLs that give one number to two segments.

use super::*;
use crate::model::names::LaneId;

/// Segment `msn` has another name.
fn renamed(text: &str, msns: &[u64]) -> String {
    msns.iter().fold(text.to_owned(), |t, n| t.replace(&format!("/{n}-abc"), &format!("/{n}-xyz")))
}

/// Looks at both URLs every 4 s, at the second half a second later: what each look brought.
fn both(looks: impl IntoIterator<Item = (String, String)>) -> (Vec<Breach>, Vec<Split>, Observer) {
    let mut observer = Observer::default();
    let (mut breaches, mut over) = (Vec::new(), Vec::new());
    for (texts, ms) in looks.into_iter().zip((0..).step_by(4_000)) {
        for (url, text, at_ms) in [(0, &texts.0, ms), (1, &texts.1, ms + 500)] {
            let answer = Answer::Whole(text.as_bytes());
            let seen = observer.playlist(&place(url, "v0"), at(at_ms), answer);
            breaches.extend(seen.breaches);
            over.extend(seen.splits_over);
        }
    }
    (breaches, over, observer)
}

fn windows(to: u64, change: impl Fn(&str) -> String) -> impl Iterator<Item = (String, String)> {
    (100..=to).map(move |n| (good(n, &[]), change(&good(n, &[]))))
}

#[test]
fn a_split_is_one_breach_and_is_over_once_its_numbers_are_gone() {
    let split = [107, 108, 109];
    let (breaches, over, observer) = both(windows(109, |t| renamed(t, &split)));
    let [begun] = &breaches[..] else { panic!("{breaches:#?}") };
    assert_eq!((begun.rule, begun.msn), (Rule::Split, Some(107)));
    assert_eq!((&begun.place, begun.other.as_ref()), (&place(1, "v0"), Some(&place(0, "v0"))));
    assert!(begun.expected.contains("107-abc") && begun.found.contains("107-xyz"), "{begun:?}");
    // 109 is listed still.
    assert!(over.is_empty(), "{over:?}");
    let open: Vec<_> = observer.splits().collect();
    assert_eq!((open[0].first, open[0].last, open[0].over_at), (107, 109, None));

    let (breaches, over, observer) = both(windows(110, |t| renamed(t, &split)));
    assert_eq!(breaches.len(), 1);
    let [split] = &over[..] else { panic!("{over:?}") };
    assert_eq!((split.first, split.last, split.numbers), (107, 109, 3));
    assert_eq!((split.agree_from, split.between[0].url, split.between[1].url), (Some(110), 0, 1));
    // Seen at both at 8.52 s; gone from both when the second was looked at for the last time.
    assert_eq!(split.since, Duration::from_millis(2 * 4_000 + 520));
    assert_eq!(split.over_at, Some(Duration::from_millis(10 * 4_000 + 520)));
    assert_eq!(observer.splits().count(), 1);
}

#[test]
fn a_second_split_is_told_as_the_first() {
    let (breaches, over, _) = both(windows(125, |t| renamed(t, &[107, 118])));
    let told: Vec<_> = breaches.iter().map(|b| (b.rule, b.msn)).collect();
    assert_eq!(told, [(Rule::Split, Some(107)), (Rule::Split, Some(118))]);
    assert_eq!(
        over.iter().map(|s| (s.first, s.last)).collect::<Vec<_>>(),
        [(107, 107), (118, 118)]
    );
}

#[test]
fn two_that_differ_again_before_the_first_is_gone_are_one() {
    let (breaches, over, _) = both(windows(120, |t| renamed(t, &[107, 110])));
    assert_eq!(breaches.len(), 1);
    let [split] = &over[..] else { panic!("{over:?}") };
    assert_eq!((split.first, split.last, split.numbers), (107, 110, 2));
    assert_eq!(split.agree_from, Some(111));
}

/// Whoever counts discontinuities in another way goes on doing so.
#[test]
fn another_discontinuity_number_is_a_split_that_does_not_end() {
    let (breaches, over, observer) =
        both(windows(120, |t| t.replace("-DISCONTINUITY-SEQUENCE:0", "-DISCONTINUITY-SEQUENCE:1")));
    assert_eq!(breaches.iter().map(|b| b.rule).collect::<Vec<_>>(), [Rule::Split]);
    assert!(breaches[0].sentence.contains("the discontinuity number 1 here"), "{breaches:?}");
    assert_eq!((over, observer.splits().count()), (vec![], 1));
}

#[test]
fn each_rendition_and_pair_of_urls_is_told_apart() {
    let mut observer = Observer::default();
    let mut told = Vec::new();
    for (url, rendition, text) in [
        (0, "v0", good(100, &[])),
        (0, "v1", good(100, &[])),
        (1, "v0", renamed(&good(100, &[]), &[103])),
        (1, "v1", good(100, &[])),
        (2, "v0", renamed(&good(100, &[]), &[103])),
    ] {
        let answer = Answer::Whole(text.as_bytes());
        let seen = observer.playlist(&place(url, rendition), at(0), answer);
        told.extend(seen.breaches.into_iter().filter(|b| b.rule == Rule::Split));
    }
    let told: Vec<_> =
        told.iter().map(|b| format!("{} {}", b.place, b.other.as_ref().unwrap())).collect();
    // The second and the third agree.
    assert_eq!(told, ["2/v0 1/v0", "3/v0 1/v0"]);
}

#[test]
fn the_bytes_of_a_split_are_no_other_breach() {
    let fetched = |n: u8| Answer::Whole(Fetched { hash: ContentHash::of(&[n]), length: 1 });
    let (_, _, mut observer) = both(windows(102, |t| renamed(t, &[107])));
    for (msn, wanted) in [(107, vec![]), (106, vec![Rule::OtherBytes])] {
        let mut rules = Vec::new();
        for url in [0, 1] {
            let place = place(url, "v0");
            let now = Duration::from_secs(9);
            let segment = observer.due(&place, msn, now).unwrap();
            let body = fetched(u8::try_from(url).unwrap());
            rules.extend(observer.segment(&place, now, &segment, body).iter().map(|b| b.rule));
        }
        assert_eq!(rules, wanted, "{msn}");
    }
}

#[test]
fn lists_of_two_lanes_are_not_compared() {
    let lane = |name: &str| Some(LaneId::new(name));
    for (lanes, apart) in [
        ([lane("a-1"), lane("b-1")], true),
        ([lane("a-1"), None], true),
        ([lane("a-1"), lane("a-1")], false),
        ([None, None], false),
    ] {
        let mut observer = Observer::default();
        assert_eq!(observer.is_of(&place(0, "v0"), lanes[0].clone()), []);
        assert_eq!(observer.is_of(&place(1, "a0"), lanes[0].clone()), [], "another rendition");
        let others = observer.is_of(&place(1, "v0"), lanes[1].clone());
        assert_eq!(others, if apart { vec![place(0, "v0")] } else { vec![] });
        let mut broken = look(&mut observer, &place(0, "v0"), 0, &good(100, &[]));
        let other = renamed(&good(98, &[]), &[103]).replace("DURATION:4", "DURATION:5");
        broken.extend(look(&mut observer, &place(1, "v0"), 9_000, &other));
        for url in [0, 1] {
            let wanted = Wanted { msn: 101, uri: "x".to_owned(), range: None };
            let hash = ContentHash::of(&[u8::try_from(url).unwrap()]);
            let answer = Answer::Whole(Fetched { hash, length: 1 });
            let at = Duration::from_secs(9);
            let found = observer.segment(&place(url, "v0"), at, &wanted, answer);
            broken.extend(found.iter().map(|b| b.rule));
        }
        broken.sort_unstable();
        let mut between =
            [Rule::OtherBytes, Rule::TargetDurationDiffers, Rule::Split, Rule::EdgesApart].to_vec();
        between.retain(|_| !apart);
        assert_eq!(broken, between, "{lanes:?}");
    }
}
