//! A packager that names its segments otherwise in each session.

use segue::model::lane::{Observed, Resource};
use segue::model::names::ContentHash;

use crate::show::{Shown, at, list};

fn named(session: &str, numbers: std::ops::Range<u64>) -> String {
    let text = list(numbers.clone(), |_| "#EXTINF:4.0,".to_owned());
    numbers.fold(text, |text, n| {
        text.replace(&format!("\n{n}.ts\n"), &format!("\nmedia_{session}_{n}.ts\n"))
    })
}

/// A track that holds the segments 3 to 6 of the session `w1`, and what it makes of this list.
fn after(text: &str) -> (Shown, Observed) {
    let mut shown = Shown::new("live");
    shown.shows(20_000, &named("w1", 3..7));
    let snapshot = shown.listed(text);
    let seen = shown.track.observe(at(24_000), snapshot, false);
    (shown, seen)
}

fn paths(shown: &Shown) -> Vec<String> {
    shown.track.segments().iter().map(|s| s.listed.resource.path.clone()).collect()
}

#[test]
fn another_session_is_the_same_run_once_bytes_prove_it() {
    let (mut shown, seen) = after(&named("w22", 4..8));
    assert_eq!(seen, Observed::Doubtful);
    let (doubt, resource) = shown.track.proof().unwrap();
    // Of what both lists name and is held, the newest, under its name of now.
    let resource: Resource = resource.clone();
    assert_eq!(resource.path, "/live/media_w22_6.ts");
    let held = ContentHash::of(b"1 /live/media_w1_6.ts None");
    assert_eq!(shown.track.proved(at(24_100), doubt, Some(held)), Observed::Grew);
    assert_eq!(shown.track.run(), 1);
    let want = ["w1_3", "w22_4", "w22_5", "w22_6", "w22_7"];
    assert_eq!(paths(&shown), want.map(|name| format!("/live/media_{name}.ts")));
    // It is believed from then on.
    let next = shown.listed(&named("w22", 5..9));
    assert_eq!(shown.track.observe(at(28_000), next, false), Observed::Grew);
}

#[test]
fn other_bytes_are_another_run() {
    for found in [None, Some(ContentHash::of(b"something else"))] {
        let (mut shown, _) = after(&named("w22", 4..8));
        let (doubt, _) = shown.track.proof().unwrap();
        assert_eq!(shown.track.proved(at(24_100), doubt, found), Observed::NewRun);
        assert_eq!(shown.track.run(), 2);
    }
}

#[test]
fn other_names_are_another_run_without_a_question() {
    for text in [named("x22", 4..8), named("w22_b", 4..8), named("w22", 0..3)] {
        let (shown, seen) = after(&text);
        assert_eq!(seen, Observed::NewRun, "{text}");
        assert_eq!(shown.track.run(), 2);
    }
}
