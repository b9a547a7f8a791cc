//! Viewers are counted right: by table, and by pollers that ask as players do.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may"
)]

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::cmcd::{sid, sid_of_query};
use super::*;
use crate::model::names::{PackagerId, PoolName, StreamKey, UnixMs};

const LANE: LaneNumber = LaneNumber(1);
const LIMITS: CensusLimits = CensusLimits { exact: 1000, addresses: 1000 };

fn ms(seconds: f64) -> UnixMs {
    UnixMs(1_000_000_000 + (seconds * 1000.0) as u64)
}

fn tally(census: &mut Census, now: UnixMs, target: u32) -> Tally {
    let windows = HashMap::from([(LANE, Window::of_target(target))]);
    let mut tallies = HashMap::new();
    census.count(now, &windows, &mut tallies);
    tallies.get(&LANE).copied().unwrap_or_default()
}

#[test]
fn session_ids() {
    let cases = [
        ("sid=\"6e2fb550\"", Some("6e2fb550")),
        ("bl=21300,br=3200,sid=\"a-b\",v=1", Some("a-b")),
        ("cid=\"a,sid=\\\"x\\\"\",sid=\"right\"", Some("right")),
        ("bs,sid=\"a\"", Some("a")),
        ("bs, sid=\"a\"", Some("a")),
        ("sid=token", Some("token")),
        ("sid=\"\"", None),
        ("sid=\"never closed", None),
        ("xsid=\"a\"", None),
        ("sid", None),
        ("", None),
    ];
    for (list, expected) in cases {
        assert_eq!(sid(list), expected, "{list}");
    }
    assert_eq!(sid(&format!("sid=\"{}\"", "x".repeat(65))), None, "too long");
    let cases = [
        ("CMCD=sid%3D%226e2f%22", Some("6e2f")),
        ("DVR&CMCD=bl%3D1%2Csid%3D%22a%2Cb%22&x=1", Some("a,b")),
        ("CMCD=sid=\"plain\"", Some("plain")),
        ("cmcd=sid%3D%22a%22", None),
        ("CMCD=sid%3D%22%ff%22", None),
        ("CMCD=sid%3D%2", None),
        ("CMCD=", None),
        ("", None),
    ];
    for (query, expected) in cases {
        assert_eq!(sid_of_query(query).as_deref(), expected, "{query}");
    }
}

proptest! {
    #[test]
    fn no_query_is_too_much(text in "\\PC*", query in "(CMCD=|sid|%22|%3D|=|,|\"|&|\\\\|%|a)*") {
        let _ = (sid(&text), sid_of_query(&text), sid(&query));
        if let Some(found) = sid_of_query(&query) {
            prop_assert!(!found.is_empty() && found.len() <= cmcd::SID_BYTES_MAX);
        }
    }
}

/// Live players: each asks when the target duration is over, again after half of it where nothing is new.
struct Players {
    /// When each asks next, and which segment was the newest that it saw.
    next: Vec<(f64, u64)>,
    target: f64,
    /// Lengths of segments differ by this much.
    uneven: f64,
}

impl Players {
    fn new(count: usize, target: f64, uneven: f64) -> Self {
        // Spread over the target duration, as by chance.
        let next = (0..count).map(|n| ((n as f64 * 0.618).fract() * target, 0)).collect();
        Self { next, target, uneven }
    }

    /// The newest segment at `at`.
    fn newest(&self, at: f64) -> u64 {
        let number = (at / self.target) as u64;
        let late = if number.is_multiple_of(2) { self.uneven } else { 0.0 };
        if at - number as f64 * self.target < late { number.saturating_sub(1) } else { number }
    }

    /// All requests until `end`, in order; whether each has an ETag of what it knows is up to `f`.
    fn play(mut self, end: f64, mut f: impl FnMut(usize, f64, bool)) {
        loop {
            let Some((player, at)) = (0..self.next.len())
                .map(|n| (n, self.next[n].0))
                .filter(|(_, at)| *at < end)
                .min_by(|a, b| a.1.total_cmp(&b.1))
            else {
                return;
            };
            let newest = self.newest(at);
            let (next, seen) = &mut self.next[player];
            let new = newest != *seen || at < self.target;
            *seen = newest;
            // An answer takes a moment as well.
            *next = at + 0.01 + if new { self.target } else { self.target / 2.0 };
            f(player, at, new);
        }
    }
}

#[test]
fn many_behind_one_address_are_told_from_how_often_they_ask() {
    for (count, target, uneven) in [
        (50, 2.0, 0.0),
        (50, 2.0, 0.2),
        (50, 6.0, 0.0),
        (50, 6.0, 0.5),
        (7, 2.0, 0.0),
        (400, 4.0, 0.1),
    ] {
        let window = Window::of_target(target as u32);
        let mut census = Census::new(LIMITS);
        let mut last = 0;
        Players::new(count, target, uneven).play(60.0, |_, at, _| {
            // Also what is not new: players rarely say what they know.
            census.asked(Who::Address(9), LANE, window, true, ms(at));
            last = tally(&mut census, ms(at), target as u32).viewers();
        });
        let error = (last as f64 - count as f64) / count as f64;
        assert!(
            error.abs() <= 0.15,
            "{last} of {count} every {target} s, uneven by {uneven}: {error:.2}"
        );
    }
}

#[test]
fn who_comes_counts_at_once_and_who_leaves_no_longer_than_a_window() {
    let window = Window::of_target(2);
    let mut census = Census::new(LIMITS);
    for n in 0..20 {
        census.arrived(Who::Address(9), LANE, window, ms(0.01 * f64::from(n)));
    }
    assert_eq!(tally(&mut census, ms(0.3), 2).viewers(), 0, "nobody watches yet");
    assert_eq!(tally(&mut census, ms(0.3), 2).admitted, 20_000);
    let mut seen = Vec::new();
    Players::new(20, 2.0, 0.0).play(30.0, |_, at, new| {
        census.asked(Who::Address(9), LANE, window, new, ms(at + 0.3));
        seen.push(tally(&mut census, ms(at + 0.3), 2).viewers());
    });
    assert!(seen.iter().all(|viewers| (17..=23).contains(viewers)), "{seen:?}");
    assert_eq!(tally(&mut census, ms(40.5), 2), Tally::default());
}

#[test]
fn one_address_with_one_player_is_one() {
    let window = Window::of_target(6);
    let mut census = Census::new(LIMITS);
    // At the pace of segments shorter than the target duration.
    for n in 0..20 {
        census.asked(Who::Address(1), LANE, window, true, ms(f64::from(n) * 3.5));
        assert_eq!(tally(&mut census, ms(f64::from(n) * 3.5), 6).viewers(), 1);
    }
}

#[test]
fn sessions_are_exact_and_follow_their_lane() {
    let window = Window::of_target(2);
    let mut census = Census::new(CensusLimits { exact: 30, addresses: 0 });
    for n in 0..30 {
        let who = if n < 10 { Who::Cmcd(n) } else { Who::Session(n) };
        assert!(census.arrived(who, LANE, window, ms(0.0)));
        assert!(!census.arrived(who, LANE, window, ms(0.0)));
        census.asked(who, LANE, window, true, ms(1.0));
        census.asked(who, LANE, window, true, ms(2.0));
    }
    let now = tally(&mut census, ms(3.0), 2);
    assert_eq!((now.sessions, now.cmcd, now.estimated, now.admitted), (20, 10, 0, 30_000));
    // One more than can be remembered is told from requests.
    for second in 0..13 {
        for n in 0..30 {
            census.asked(Who::Session(n), LANE, window, true, ms(f64::from(second)));
        }
        if second % 2 == 0 {
            census.asked(Who::Session(99), LANE, window, true, ms(f64::from(second)));
        }
    }
    assert_eq!(tally(&mut census, ms(12.5), 2).viewers(), 31);
    // Ten of them go on elsewhere, the others stop.
    for n in 0..10 {
        census.asked(Who::Session(n), LaneNumber(2), window, true, ms(13.0));
    }
    assert_eq!(
        tally(&mut census, ms(13.0), 2).viewers(),
        20 + 1,
        "who is on no lane that is known is gone"
    );
    assert_eq!(tally(&mut census, ms(30.0), 2).viewers(), 0);
}

proptest! {
    /// However requests come, sessions are as many as asked within the window.
    #[test]
    fn sessions_are_those_who_asked(asks in prop::collection::vec((0_u64..40, 0_u64..30_000), 0..300)) {
        let window = Window::of_target(2);
        let mut census = Census::new(LIMITS);
        let mut asks = asks;
        asks.sort_by_key(|(_, at)| *at);
        for (who, at) in &asks {
            census.asked(Who::Session(*who), LANE, window, true, UnixMs(*at));
        }
        let now = UnixMs(30_000);
        let within: std::collections::BTreeSet<u64> =
            asks.iter().filter(|(_, at)| now.0 - at <= 10_000).map(|(who, _)| *who).collect();
        prop_assert_eq!(tally(&mut census, now, 2).viewers(), within.len() as u64);
    }
}

fn stream(name: &str) -> StreamKey {
    StreamKey {
        pool: PoolName::new("live"),
        path: format!("/{name}.m3u8").into(),
        query: "".into(),
    }
}

fn counts(of: &[(&str, u64)]) -> Counts {
    let total = of.iter().map(|(_, viewers)| viewers).sum();
    Counts {
        streams: of.iter().map(|(name, viewers)| (stream(name), *viewers)).collect(),
        groups: BTreeMap::from([
            (Group::All, total),
            (Group::Pool(PoolName::new("live")), total),
            (Group::Packager(PackagerId::new("a")), total),
        ]),
    }
}

fn gap(_: &PoolName) -> Duration {
    Duration::from_secs(600)
}

fn kept(ledger: &mut Ledger, rows: &mut BTreeMap<String, Kept>) {
    for (name, row) in ledger.changed() {
        match row {
            Some(row) => drop(rows.insert(name.to_string(), row)),
            None => drop(rows.remove(&name.to_string())),
        }
    }
}

#[test]
fn peaks_and_events_outlive_a_restart() {
    let mut rows = BTreeMap::new();
    let mut ledger = Ledger::default();
    for (second, viewers) in [(0, 3), (1, 8), (2, 5)] {
        ledger.update(UnixMs(second * 1000), &counts(&[("cam", viewers)]), &gap);
    }
    kept(&mut ledger, &mut rows);
    assert_eq!(
        rows.keys().collect::<Vec<_>>(),
        ["viewers/all", "viewers/packager/a", "viewers/pool/live", "viewers/stream/live/cam.m3u8"]
    );
    let mut ledger = Ledger::from_kept(rows.values().cloned());
    assert_eq!(ledger.group(&Group::All), (0, Peak { viewers: 8, at: UnixMs(1000) }));
    // Within the gap it is the same event.
    ledger.update(UnixMs(500_000), &counts(&[("cam", 2)]), &gap);
    let (_, now, peak, event) = ledger.streams().next().unwrap();
    assert_eq!((now, peak.viewers, event.unwrap().began), (2, 8, UnixMs(0)));
    // Beyond it another begins, and the first ended when somebody was last seen.
    ledger.update(UnixMs(1_100_000), &counts(&[("cam", 4)]), &gap);
    kept(&mut ledger, &mut rows);
    let mut ledger = Ledger::from_kept(rows.values().cloned());
    let past: Vec<_> = ledger.past().collect();
    assert_eq!((past.len(), past[0].began, past[0].ended), (1, UnixMs(0), UnixMs(500_000)));
    assert_eq!(past[0].peak, Peak { viewers: 8, at: UnixMs(1000) });
    let (_, _, peak, event) = ledger.streams().next().unwrap();
    assert_eq!((peak.viewers, event.unwrap().peak.viewers), (8, 4));
    // A process that was away ends what ended meanwhile.
    ledger.update(UnixMs(9_000_000), &Counts::default(), &gap);
    assert_eq!(ledger.past().next().unwrap().ended, UnixMs(1_100_000));
    assert_eq!(ledger.streams().next().unwrap().3, None);
    // What could not be kept is told again.
    let lost = ledger.changed();
    assert_eq!(lost.len(), 2);
    ledger.not_kept(lost.clone());
    assert_eq!(ledger.changed(), lost);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut rows = BTreeMap::new();
    let mut ledger = Ledger::default();
    for round in 0..115_u64 {
        let names: Vec<String> = (0..100).map(|n| format!("s{}", round * 100 + n)).collect();
        let of: Vec<_> = names.iter().map(|name| (name.as_str(), round + 1)).collect();
        ledger.update(UnixMs(round * 700_000), &counts(&of), &gap);
        kept(&mut ledger, &mut rows);
    }
    kept(&mut ledger, &mut rows);
    assert!(ledger.streams().count() <= 10_000);
    assert_eq!(ledger.past().count(), 1000);
    assert!(rows.len() <= 11_003, "{}", rows.len());
    assert!(rows.contains_key("viewers/stream/live/s11499.m3u8"));
    let picture = Picture::of(&ledger, &BTreeMap::new(), &|_| 170);
    assert_eq!((picture.streams.len(), picture.events.len()), (1000, 100));
    assert_eq!(picture.streams[0].viewers.now, 115);
    assert_eq!(picture.streams[0].people, 196);
}

#[test]
fn people_are_more_than_viewers() {
    for (viewers, hundredths, expected) in
        [(0, 170, 0), (1, 170, 2), (10, 170, 17), (3, 100, 3), (3, 250, 8)]
    {
        assert_eq!(people(viewers, hundredths), expected);
    }
}
