//! A lane's log and the store's, after one went on without the other: case by case.

use std::time::Duration;

use segue::model::lane::{
    Apart, Container, Entry, FORMAT, Header, Held, Key, KeyUri, Log, Merged, Share, Source, Step,
    Then, There, print,
};
use segue::model::names::{ContentHash, OutputMsn, PackagerId, PackagerMsn, RenditionId, UnixMs};
use segue::model::rendition::{Kind, Rendition, Traits};

use crate::judge::read;

/// The first number of the lane.
pub const FIRST: u64 = 100;

/// Two renditions: the second has an entry for every third segment of the first.
pub fn header() -> Header {
    let rendition = |id: &str, kind| Rendition {
        id: RenditionId::new(id),
        traits: Traits { kind, ..Traits::default() },
    };
    Header {
        renditions: vec![rendition("v0", Kind::Variant), rendition("s0", Kind::Subtitles)],
        container: Container::Plain,
        first_msn: OutputMsn(FIRST),
        ..crate::lane::header()
    }
}

/// An entry of segment `n` of a packager, in its `run`.
fn entry(packager: &str, run: u32, r: usize, n: u64) -> Entry {
    let name = format!("{packager}{run}-{r}-{n}");
    Entry {
        source: Source { msn: PackagerMsn(n), path: format!("/{name}.ts"), range: None },
        duration: Duration::from_secs(4),
        lines: vec![format!("#X:{name}"), "#EXTINF:4.000,".into()],
        extension: "ts".into(),
        held: Some(held(&name)),
        gap: false,
        stands_in: false,
        on_demand: false,
        map: None,
        keys: vec![],
        media: None,
        cut: None,
    }
}

fn held(name: &str) -> Held {
    Held { hash: ContentHash::of(name.as_bytes()), length: 10 }
}

/// The step of segment `n` of a packager after `log`, marked or not.
pub fn made(log: &Log, packager: &str, run: u32, n: u64, discontinuity: bool) -> Step {
    let tail = log.tail();
    let msn = log.next_msn();
    let number = log.discontinuity_number() + u64::from(discontinuity);
    let share = |r: usize, entries| {
        Share::after(tail.and_then(|t| t.shares.get(r)), msn, discontinuity, entries)
    };
    let third = n.is_multiple_of(3).then(|| entry(packager, run, 1, n / 3));
    Step {
        format: FORMAT,
        msn,
        packager: PackagerId::new(packager),
        discontinuity,
        discontinuity_number: number,
        splice: None,
        shares: vec![
            share(0, vec![entry(packager, run, 0, n)]),
            share(1, third.into_iter().collect()),
        ],
        listed_at: UnixMs(n * 4000),
        content_end: UnixMs(n * 4000),
        wall_end: None,
        wall_shift_ms: 0,
        end: false,
        holders: vec![],
    }
}

pub fn end(log: &Log) -> Step {
    let tail = log.tail().unwrap().clone();
    Step { msn: tail.msn.next(), discontinuity: false, shares: vec![], end: true, ..tail }
}

/// A log of these segments: `a5` is the fifth of `a`, `|` marks what follows, `.` ends the lane.
fn log(segments: &str) -> Log {
    on(Log::new(header().into()), segments)
}

fn on(mut log: Log, segments: &str) -> Log {
    let mut marked = false;
    for word in segments.split_whitespace() {
        let step = match word {
            "|" => {
                marked = true;
                continue;
            }
            "." => end(&log),
            _ => made(&log, &word[..1], 1, word[1..].parse().unwrap(), marked),
        };
        marked = false;
        log.push(step).unwrap();
    }
    log
}

/// As it is written above.
fn told(log: &Log) -> String {
    let mut words = Vec::new();
    for step in log.steps() {
        if step.discontinuity {
            words.push("|".to_owned());
        }
        let of = step.entries(0).first();
        let listed =
            of.filter(|e| e.listed()).map(|e| format!("{}{}", step.packager, e.source.msn));
        words.push(if step.end { ".".into() } else { listed.unwrap_or_else(|| "_".into()) });
    }
    words.join(" ")
}

fn steps(log: &Log) -> Vec<Step> {
    log.steps().cloned().collect()
}

fn merge(apart: &mut Apart, log: &Log, there: &Log, printed_to: Option<u64>) -> Merged {
    let printed_to = printed_to.or(log.tail().map(|t| t.msn.0)).map_or(OutputMsn(0), OutputMsn);
    let steps = steps(there);
    apart.merge(
        log,
        printed_to,
        There { first_msn: there.header().first_msn, steps: &steps, whole: true },
    )
}

/// Both logs afterwards, as they are told, and the split.
fn merged(here: &Log, there: &Log, printed_to: Option<u64>) -> (Log, Log, Option<(u64, u64)>) {
    let (mut here, mut there, mut apart) = (here.clone(), there.clone(), Apart::default());
    let done = merge(&mut apart, &here, &there, printed_to);
    if let Some(keep) = done.keep {
        here.cut_back(keep);
    }
    match done.then {
        Then::Take(steps) => {
            for step in steps {
                let step = apart.inward(&here, step);
                here.push(step).unwrap();
            }
        }
        Then::Give { after, next } => {
            assert_eq!(after, there.tail().map(|t| t.msn));
            assert_eq!(next, there.next_msn());
            let given = apart.giving(&here, next);
            given.iter().for_each(|step| there.push(step.clone()).unwrap());
            apart.given(&here, &given);
        }
        Then::Done | Then::Read | Then::Anew | Then::Ahead | Then::Begin { .. } | Then::Closed => {}
    }
    counted(&here);
    counted(&there);
    (here, there, done.split.map(|s| (s.start().0, s.end().0)))
}

/// From wherever it is printed, every entry has the same discontinuity number, and so many as there are marks.
pub fn counted(log: &Log) {
    for r in 0..2 {
        let mut known = std::collections::BTreeMap::new();
        for step in log.steps().filter(|step| !step.end) {
            let Some(list) = print(log, r, step.msn).and_then(|text| read(&text)) else { continue };
            let mut number = list.discontinuity_sequence;
            for mut item in list.segments {
                number += item.lines.iter().filter(|l| *l == "#EXT-X-DISCONTINUITY").count() as u64;
                item.number = number;
                let number = *known.entry(item.msn).or_insert(item.number);
                assert_eq!(number, item.number, "rendition {r}, {} of {}", item.uri, told(log));
            }
        }
    }
}

#[test]
fn two_logs_become_one() {
    // here, there, printed to, here afterwards, there afterwards, split
    let cases: [(&str, &str, &str, Option<u64>, &str, &str, Option<(u64, u64)>); 21] = [
        ("alike", "a1 a2", "a1 a2", None, "a1 a2", "a1 a2", None),
        ("it misses some", "a1 a2 a3 a4", "a1 a2", None, "a1 a2 a3 a4", "a1 a2 a3 a4", None),
        ("others went on", "a1 a2", "a1 a2 a3 | b4", None, "a1 a2 a3 | b4", "a1 a2 a3 | b4", None),
        ("it is empty", "a1 a2 a3", "", None, "a1 a2 a3", "a1 a2 a3", None),
        ("nothing is here", "", "a1 a2", Some(0), "a1 a2", "a1 a2", None),
        // Both appended, each what it saw.
        ("one number each", "a1 a2", "a1 | b2", None, "a1 a2", "a1 | b2", Some((101, 101))),
        (
            "the store's is longer",
            "a1 a2 a3",
            "a1 a2 | b3 b4 b5",
            None,
            "a1 a2 a3 | b4 b5",
            "a1 a2 | b3 b4 b5",
            Some((102, 102)),
        ),
        (
            "ours is longer",
            "a1 a2 a3 a4 a5",
            "a1 a2 | b3",
            None,
            "a1 a2 a3 a4 a5",
            "a1 a2 | b3 | a4 a5",
            Some((102, 102)),
        ),
        (
            "both came back to one packager",
            "a1 a2 | b3 | a4 a5",
            "a1 a2 a3 a4 a5 a6",
            None,
            "a1 a2 | b3 | a4 a5 a6",
            "a1 a2 a3 a4 a5 a6",
            Some((102, 103)),
        ),
        (
            "one has lost a segment",
            "a1 a2 | a4",
            "a1 a2 a3 a4 a5",
            None,
            "a1 a2 | a4 | a4 a5",
            "a1 a2 a3 a4 a5",
            Some((102, 102)),
        ),
        (
            "it is marked there anyway",
            "a1 a2 a3",
            "a1 a2 | b3 | a4",
            None,
            "a1 a2 a3 | a4",
            "a1 a2 | b3 | a4",
            Some((102, 102)),
        ),
        // What was not listed here is no split.
        ("unlisted", "a1 a2 a3", "a1 a2 | b3", Some(101), "a1 a2 | b3", "a1 a2 | b3", None),
        (
            "listed in part",
            "a1 a2 a3 a4",
            "a1 | b2 b3 b4 b5",
            Some(101),
            "a1 a2 | b3 b4 b5",
            "a1 | b2 b3 b4 b5",
            Some((101, 101)),
        ),
        (
            "unlisted, and the store's is shorter",
            "a1 a2 a3 a4",
            "a1 | b2",
            Some(101),
            "a1 a2 a3 a4",
            "a1 | b2 | a3 a4",
            Some((101, 101)),
        ),
        // Ends.
        ("both ended", "a1 a2 .", "a1 a2 .", None, "a1 a2 .", "a1 a2 .", None),
        ("it is told of the end", "a1 a2 .", "a1 a2", None, "a1 a2 .", "a1 a2 .", None),
        ("it has ended", "a1 a2", "a1 a2 .", None, "a1 a2 .", "a1 a2 .", None),
        ("it goes on", "a1 a2 .", "a1 a2 a3 a4", None, "a1 a2 a3 a4", "a1 a2 a3 a4", None),
        ("later ends", "a1 a2 .", "a1 a2 a3 .", None, "a1 a2 a3 .", "a1 a2 a3 .", None),
        ("this goes on", "a1 a2 a3", "a1 a2 .", None, "a1 a2 a3", "a1 a2 .", Some((102, 102))),
        (
            "apart, then it ends",
            "a1 a2",
            "a1 | b2 .",
            None,
            "a1 a2 .",
            "a1 | b2 .",
            Some((101, 101)),
        ),
    ];
    for (name, here, there, printed_to, here_after, there_after, split) in cases {
        let (h, t, s) = merged(&log(here), &log(there), printed_to);
        assert_eq!(
            (told(&h).as_str(), told(&t).as_str(), s),
            (here_after, there_after, split),
            "{name}"
        );
    }
}

fn trimmed(mut log: Log, keep_from: u64) -> Log {
    log.trim(OutputMsn(keep_from));
    log
}

/// A store that was emptied: another proxy has opened the lane there again, with its own oldest step.
fn reopened(segments: &str, first: u64) -> Log {
    let whole = log(segments);
    let kept: Vec<Step> = whole.steps().filter(|s| s.msn.0 >= first).cloned().collect();
    let mut log = Log::new(Header { first_msn: OutputMsn(first), ..header() }.into());
    kept.into_iter().for_each(|step| log.push(step).unwrap());
    log
}

#[test]
fn a_log_that_was_opened_again_begins_elsewhere() {
    let all = "a1 a2 a3 a4 a5 a6 a7";
    // The header's first is higher than the oldest here.
    let (h, t, s) = merged(&log(all), &reopened("a1 a2 a3 a4", 102), None);
    assert_eq!((told(&h).as_str(), told(&t).as_str(), s), (all, "a3 a4 a5 a6 a7", None));
    let (_, t, _) = merged(&log(all), &reopened("", 102), None);
    assert_eq!(told(&t), "a3 a4 a5 a6 a7");
    // It is lower, and nobody has yet given what it begins with, or ever will.
    let here = trimmed(log(all), 104);
    let (_, t, s) = merged(&here, &reopened("", 102), None);
    assert_eq!((told(&t).as_str(), s), ("_ _ a5 a6 a7", None));
    let numbers: Vec<u64> = t.steps().flat_map(|s| s.shares[1].numbered().map(|n| n.0.0)).collect();
    assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{numbers:?}");
    // The store's tail is below the oldest here.
    let (h, t, s) = merged(&here, &log("a1 a2"), None);
    assert_eq!(
        (told(&h).as_str(), told(&t).as_str(), s),
        ("a5 a6 a7", "a1 a2 _ _ | a5 a6 a7", None)
    );
    // What stands for nothing is no other step, whoever has it.
    let (h, t, s) = merged(&log("a1 a2 a3 a4"), &t, None);
    assert_eq!((told(&h).as_str(), s), ("a1 a2 a3 a4 | a5 a6 a7", None));
    assert_eq!(told(&t), "a1 a2 _ _ | a5 a6 a7");
}

#[test]
fn what_begins_after_the_end_of_the_other() {
    let mut apart = Apart::default();
    let far = reopened("a1 a2 a3 a4 a5", 104);
    assert_eq!(merge(&mut apart, &log("a1 a2 a3"), &far, None).then, Then::Anew);
    // Opened, and nothing is appended yet.
    let empty = reopened("", 104);
    assert_eq!(merge(&mut apart, &log("a1 a2 a3"), &empty, None).then, Then::Ahead);
    assert!(matches!(merge(&mut apart, &log("a1 a2 a3 a4"), &empty, None).then, Then::Give { .. }));
    // Opened at both, and nothing is appended at either.
    assert_eq!(merge(&mut apart, &log(""), &empty, None).then, Then::Anew);
    assert_eq!(merge(&mut apart, &log(""), &log(""), None).then, Then::Done);
    // What it follows there has left: it may have been another.
    let (h, ..) = merged(&log("a1 a2 a3"), &reopened("a1 a2 a3 a4", 103), None);
    assert_eq!(told(&h), "a1 a2 a3 | a4");
}

#[test]
fn what_is_long_past_is_begun_anew() {
    let mut here = Log::new(header().into());
    here.push(Step { msn: OutputMsn(FIRST + 10_000), ..made(&here, "a", 1, 9000, false) }).unwrap();
    let mut apart = Apart::default();
    let (past, empty) = (log("a1 a2"), log(""));
    for (there, tail) in [(&past, past.tail().map(|t| t.msn)), (&empty, None)] {
        assert_eq!(merge(&mut apart, &here, there, None).then, Then::Begin { after: tail });
        assert!(!apart.is_closed() && !apart.is_apart());
    }
    // Who goes on with the old one takes the new one over.
    let mut anew = Log::new(Header { first_msn: OutputMsn(FIRST + 10_000), ..header() }.into());
    assert_eq!(merge(&mut apart, &past, &anew, None).then, Then::Ahead);
    anew.push(here.tail().unwrap().clone()).unwrap();
    assert_eq!(merge(&mut apart, &past, &anew, None).then, Then::Anew);
}

/// The store loses its last writes, and others are written in their place while this proxy thinks that it has
/// given all.
#[test]
fn what_was_rewritten_is_noticed() {
    let here = log("a1 a2 a3");
    let apart = Apart::default();
    let next = |of: &str| steps(&log(of)).pop().unwrap();
    assert!(!apart.strays(&here, &next("a1 a2 a3 a4")));
    assert!(!apart.strays(&here, &next("a1 a2 a3 | b4")));
    assert!(apart.strays(&here, &next("a1 a2 | b3 b4")), "another packager, unmarked");
    assert!(apart.strays(&here, &next("a1 a2 | b3 | a4")), "a mark more than here");
    assert!(apart.strays(&here, &next("a1 a3 a4 a5")), "a segment is left out");
}

/// A packager may tell each proxy another path, and each measures for itself.
#[test]
fn what_is_only_reckoned_is_no_other_step() {
    let here = log("a1 a2 a3");
    let mut there = Log::new(header().into());
    for mut step in steps(&here) {
        step.listed_at = step.listed_at.plus(Duration::from_millis(70));
        step.content_end = step.content_end.plus(Duration::from_millis(300));
        step.wall_end = Some(step.content_end);
        step.holders = vec![segue::model::names::ProxyId::new("other")];
        for entry in step.shares.iter_mut().flat_map(|share| &mut share.entries) {
            entry.source.path.push_str("?session=2");
        }
        there.push(step).unwrap();
    }
    let mut apart = Apart::default();
    let merged = merge(&mut apart, &here, &there, None);
    assert_eq!(merged, Merged { split: None, keep: None, then: Then::Done });
    assert!(!apart.is_apart());
    // Bytes, lines and marks are not.
    let other = |change: fn(&mut Step)| {
        let mut there = Log::new(header().into());
        for mut step in steps(&here) {
            change(&mut step);
            there.push(step).unwrap();
        }
        merge(&mut Apart::default(), &here, &there, None).split.map(|s| (s.start().0, s.end().0))
    };
    let all = Some((100, 102));
    assert_eq!(other(|s| s.shares[0].entries[0].lines[0].push('x')), all);
    assert_eq!(other(|s| s.shares[0].entries[0].extension = "aac".into()), all);
    assert_eq!(other(|s| s.shares[0].entries[0].held = None), None, "not asked for there");
    assert_eq!(other(|s| s.packager = PackagerId::new("b")), all);
    let bytes = |s: &mut Step| s.shares[0].entries[0].held = Some(held("other"));
    assert_eq!(other(bytes), all);
}

/// Told once, and numbers stay apart by what the split has left.
#[test]
fn a_split_is_told_once() {
    let (mut here, mut apart) = (log("a1 a2 a3"), Apart::default());
    let there = log("a1 a2 | b3 b4");
    let first = merge(&mut apart, &here, &there, None);
    assert!(first.split.is_some());
    let Then::Take(steps) = first.then else { panic!("{first:?}") };
    for step in steps {
        let step = apart.inward(&here, step);
        here.push(step).unwrap();
    }
    assert!(apart.is_apart() || here.discontinuity_number() == there.discontinuity_number());
    let again = merge(&mut apart, &here, &there, None);
    assert_eq!(again, Merged { split: None, keep: None, then: Then::Done });
    // What is appended here from now on stands in the store as it counts there.
    let next = made(&here, "b", 1, 5, false);
    let sent = apart.outward(here.tail(), std::slice::from_ref(&next)).into_owned();
    assert_eq!(sent[0].discontinuity_number, there.discontinuity_number());
    assert_eq!(sent[0].shares[1].msn, there.tail().unwrap().shares[1].next_msn());
}

/// Each called its new key by the number of the step that it came with.
#[test]
fn two_keys_of_one_name_get_two() {
    let with_key = |log: &Log, bytes: &str, name: &str| {
        let key = Key {
            format: "identity".into(),
            before: "METHOD=AES-128,URI=\"".into(),
            uri: KeyUri::Held { name: name.into(), held: held(bytes) },
            after: "\"".into(),
        };
        let mut out = Log::new(log.header().clone());
        for mut step in steps(log) {
            if step.msn.0 > FIRST {
                step.shares[0].entries[0].keys = vec![key.clone()];
            }
            out.push(step).unwrap();
        }
        out
    };
    let (mut here, mut apart) = (with_key(&log("a1 a2 a3"), "one", "101-0"), Apart::default());
    let there = with_key(&log("a1 | b2 b3 b4"), "two", "101-0");
    let Then::Take(foreign) = merge(&mut apart, &here, &there, None).then else { panic!() };
    for step in foreign {
        let step = apart.inward(&here, step);
        here.push(step).unwrap();
    }
    let text = print(&here, 0, OutputMsn(FIRST)).unwrap();
    let named: Vec<&str> = text.lines().filter(|l| l.starts_with("#EXT-X-KEY")).collect();
    assert!(named.len() == 2 && named[0].contains("key-101-0\""), "{named:?}");
    assert!(named[1].contains("key-101-0s\""), "{named:?}");
    // The next is decided here, by the names here, and stands there by those there.
    let mut next = made(&here, "b", 1, 5, false);
    next.shares[0].entries[0].keys = here.tail().unwrap().shares[0].entries[0].keys.clone();
    let sent = apart.outward(here.tail(), std::slice::from_ref(&next)).into_owned();
    assert_eq!(sent[0].shares[0].entries[0].keys, there.tail().unwrap().shares[0].entries[0].keys);
}
