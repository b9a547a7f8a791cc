//! The lane: what the tracks and the decision do where it is easy to go wrong, one case each.

use std::time::Duration;

use segue::model::lane::{
    Action, Candidate, Container, FORMAT, Header, Held, Listed, Log, Observed, Resource, Situation,
    Snapshot, Track, next,
};
use segue::model::names::{
    ContentHash, LaneId, OutputMsn, PackagerId, PackagerMsn, PoolName, RenditionId, StreamKey,
    UnixMs,
};
use segue::model::playlist::{Extent, Segment};
use segue::model::rendition::{Rendition, Traits};

const START: u64 = 1_800_000_000_000;

fn at(seconds: u64) -> UnixMs {
    UnixMs(START + seconds * 1000)
}

fn list(numbers: std::ops::Range<u64>) -> Snapshot {
    let listed = |n: u64| {
        let resource = Resource { path: format!("/live/cam-{n}.ts"), range: None };
        Listed {
            segment: Segment {
                msn: PackagerMsn(n),
                uri: format!("cam-{n}.ts"),
                duration: Duration::from_secs(4),
                discontinuity: false,
                gap: false,
                range: None,
                program_date_time: None,
                map: None,
                keys: [].into(),
                lines: vec!["#EXTINF:4.0,".into()],
            },
            resource,
            map: None,
            keys: [].into(),
            map_keys: [].into(),
        }
    };
    Snapshot {
        target_duration: 4,
        ended: false,
        skipped: 0,
        segments: numbers.map(listed).collect(),
    }
}

fn held(run: u64, n: u64) -> Held {
    Held { hash: ContentHash::of(format!("{run}/{n}").as_bytes()), length: 10 }
}

/// A track of run 1 whose segments are all held.
fn track(numbers: std::ops::Range<u64>) -> Track {
    let mut track = Track::default();
    track.observe(at(0), list(numbers.clone()), false);
    for n in numbers {
        track.fetched(1, PackagerMsn(n), Some(held(1, n)));
    }
    track
}

pub fn header() -> Header {
    Header {
        format: FORMAT,
        lane: LaneId::new("a-1"),
        stream: StreamKey {
            pool: PoolName::new("live"),
            path: "/live/cam.m3u8".into(),
            query: "".into(),
        },
        zone: String::new(),
        renditions: vec![Rendition { id: RenditionId::new("v0"), traits: Traits::default() }],
        multivariant: vec!["#EXTM3U\n".into(), "/v0/index.m3u8\n".into()],
        target_duration: 4,
        version: 3,
        container: Container::Plain,
        independent_segments: false,
        extent: Extent::Sliding,
        dates: false,
        start: None,
        resources: Vec::new(),
        window: Duration::from_secs(12),
        depth_held: Duration::MAX,
        first_msn: OutputMsn(START / 1000),
        first_discontinuity: 0,
        opened_at: at(0),
    }
}

fn decide(log: &Log, now: UnixMs, track: &Track) -> segue::model::lane::Decision {
    let id = PackagerId::new("a");
    let candidates = [Candidate {
        id: &id,
        barred: None,
        over_since: None,
        tracks: vec![Some(track)],
        lacks: vec![],
        relation: None,
        depth: vec![],
    }];
    let end_after = Duration::from_secs(60);
    next(&Situation {
        now,
        log,
        wanted: &[true],
        candidates: &candidates,
        carried_since: at(0),
        elsewhere: None,
        fleet: false,
        alone: false,
        end_after,
        overlap: false,
    })
}

#[test]
fn a_proof_says_nothing_of_a_doubt_that_came_later() {
    let mut track = track(0..5);
    assert_eq!(track.observe(at(4), list(1..6), true), Observed::Doubtful);
    let (first, resource) = track.proof().map(|(n, r)| (n, r.clone())).unwrap();
    assert_eq!(resource.path, "/live/cam-4.ts");
    // The packager restarted after that segment was fetched again: a second doubt.
    assert_eq!(track.observe(at(5), list(1..6), true), Observed::Doubtful);
    assert_eq!(track.proved(at(5), first, Some(held(1, 4).hash)), Observed::Same);
    assert_eq!(track.newest().unwrap().msn(), PackagerMsn(4), "not believed");
    let second = track.proof().unwrap().0;
    assert_eq!(track.proved(at(5), second, Some(held(2, 4).hash)), Observed::NewRun);
}

#[test]
fn a_proof_holds_though_the_next_refresh_came_before_it() {
    let mut track = track(0..5);
    track.observe(at(4), list(1..6), true);
    let (number, _) = track.proof().unwrap();
    // Held meanwhile: a newer segment that the list also shows.
    assert_eq!(track.observe(at(8), list(2..7), false), Observed::Doubtful);
    assert_eq!(track.proved(at(8), number, Some(held(1, 4).hash)), Observed::Grew);
    assert_eq!((track.run(), track.newest().unwrap().msn()), (1, PackagerMsn(6)));
}

#[test]
fn after_an_empty_list_a_run_must_prove_itself() {
    let mut track = track(0..5);
    assert_eq!(track.observe(at(4), list(0..0), false), Observed::Same);
    assert_eq!(track.observe(at(8), list(1..6), false), Observed::Doubtful);
}

#[test]
fn a_packager_that_refused_first_may_still_say_that_the_stream_is_gone() {
    let mut track = track(0..5);
    track.failed(at(4), false);
    assert_eq!(track.failing().unwrap().gone_since, None);
    track.failed(at(5), true);
    track.failed(at(6), true);
    assert_eq!(track.failing().unwrap().gone_since, Some(at(5)));
    track.failed(at(7), false);
    assert_eq!(track.failing().unwrap().gone_since, None);
}

#[test]
fn what_was_lost_is_not_asked_for_again() {
    let mut log = Log::new(header().into());
    let known = track(0..5);
    while let Action::Append(steps) = decide(&log, at(0), &known).action {
        steps.into_iter().for_each(|step| log.push(step).unwrap());
    }
    // The proxy begins anew and knows nothing of the packager: the tail must be proven.
    let mut fresh = Track::default();
    fresh.observe(at(1), list(0..5), false);
    for _ in 0..2 {
        assert_eq!(decide(&log, at(1), &fresh).wants.len(), 1, "the tail's bytes prove the run");
        fresh.fetched(1, PackagerMsn(4), None);
    }
    let decision = decide(&log, at(1), &fresh);
    assert_eq!((decision.action, decision.wants), (Action::Wait, vec![]));
}

#[test]
fn the_clock_of_a_packager_begins_again_after_its_feed_was_away() {
    let mut track = track(0..5);
    let tenth = Duration::from_millis(100);
    track.observe(at(4).minus(tenth * 2), list(0..5), false);
    track.observe(at(4), list(1..6), false);
    assert_eq!(track.ends_at(5), Some(at(4).minus(tenth)), "between the two refreshes");
    // Ten seconds without content, then the next segment.
    track.observe(at(18).minus(tenth * 2), list(1..6), false);
    track.observe(at(18), list(2..7), false);
    assert_eq!(track.ends_at(6), Some(at(18).minus(tenth)));
    assert!(track.arrival_watched());
}

/// A packager that restarts under the same names gives its new bytes for the old list.
#[test]
fn bytes_that_come_while_it_fails_are_not_believed() {
    let mut track = Track::default();
    track.observe(at(0), list(0..3), false);
    track.failed(at(4), true);
    track.fetched(1, PackagerMsn(0), Some(held(2, 0)));
    let bytes = track.segments().front().map(|seen| seen.bytes);
    assert_eq!(bytes.and_then(|b| b.held), None);
}
