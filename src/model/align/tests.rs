//! Runs that are made up, and how they relate.

use std::time::Duration;

use super::{Agreement, Look, Method, Pair, Relation, Side};
use crate::model::media::{Keyframe, PictureHash, Ticks};
use crate::model::names::UnixMs;

const S: i64 = Ticks::SECOND;

/// A segment of two seconds, number `n` of the programme, at `clock` seconds of media time more.
struct Made {
    n: i64,
    clock: i64,
    picture: i64,
}

impl Made {
    fn keyframes(&self) -> Vec<Keyframe> {
        let key = |half: i64| {
            let pts = Ticks((self.n * 2 + half + self.clock) * S);
            let mut hash = [0; 16];
            hash[..8].copy_from_slice(&(self.picture * 2 + half).to_be_bytes());
            Keyframe { pts, dts: pts, hash: PictureHash(hash), closed: true }
        };
        vec![key(0), key(1)]
    }
}

fn at(seconds: i64, ms: i64) -> UnixMs {
    UnixMs((1_800_000_000_000 + seconds * 1000 + ms).unsigned_abs())
}

/// Segments 0 to 9 of a run; the clock, what each shows, and how late it is told of by date and arrival.
fn side(
    clock: i64,
    picture: impl Fn(i64) -> i64,
    date: Option<i64>,
    arrival: impl Fn(i64) -> Option<i64>,
) -> Side {
    let mut side = Side::default();
    for n in 0..10 {
        let made = Made { n, clock, picture: picture(n) };
        let keyframes = made.keyframes();
        side.looked(&Look {
            begins: keyframes[0].pts,
            keyframes: &keyframes,
            date: date.map(|ms| at(n * 2, ms)),
            arrival: arrival(n).map(|ms| at(n * 2, ms)),
        });
    }
    side
}

fn relate(ours: &Side, theirs: &Side) -> Option<(i64, Method, Duration)> {
    let Relation { offset, method, within, .. } =
        Pair::default().relate(at(20, 0), ours, theirs)?;
    Some((offset.0, method, within))
}

#[test]
fn the_same_pictures_prove_any_offset() {
    let ours = side(10, |n| n, None, |_| None);
    let theirs = side(5000, |n| n, None, |_| None);
    assert_eq!(relate(&ours, &theirs), Some((4990 * S, Method::Keyframe, Duration::ZERO)));
    assert_eq!(relate(&theirs, &ours), Some((-4990 * S, Method::Keyframe, Duration::ZERO)));
}

#[test]
fn equal_times_of_other_pictures_prove_nothing() {
    let ours = side(0, |n| n, None, |_| None);
    let theirs = side(0, |n| n + 1000, None, |_| None);
    assert_eq!(relate(&ours, &theirs), None);
    // They began five seconds apart, and both at 0.
    let ours = side(0, |n| n, None, |_| Some(100));
    let theirs = side(0, |n| n + 1000, None, |_| Some(5100));
    let (offset, method, _) = relate(&ours, &theirs).unwrap();
    assert_eq!((offset, method), (-5 * S, Method::Arrival));
}

#[test]
fn pictures_that_stand_still_are_no_proof() {
    let ours = side(0, |_| 7, None, |_| Some(0));
    let theirs = side(300, |_| 7, None, |_| Some(0));
    assert_eq!(relate(&ours, &theirs).unwrap().1, Method::Arrival);
    // A few of them among others do not hide the offset.
    let ours = side(0, |n| if n < 2 { 7 } else { n }, None, |_| Some(0));
    let theirs = side(300, |n| if n < 2 { 7 } else { n }, None, |_| Some(0));
    assert_eq!(relate(&ours, &theirs), Some((300 * S, Method::Keyframe, Duration::ZERO)));
}

/// A programme that comes round every twelve seconds.
#[test]
fn of_a_loop_the_round_is_told_by_arrival() {
    let ours = side(0, |n| n % 6, None, |_| Some(0));
    let theirs = side(300, |n| n % 6, None, |_| Some(1500));
    assert_eq!(relate(&ours, &theirs), Some((300 * S, Method::Keyframe, Duration::ZERO)));
    // A round that is so short might be a picture that stands still.
    let ours = side(0, |n| n % 2, None, |_| Some(0));
    let theirs = side(300, |n| n % 2, None, |_| Some(1500));
    assert_eq!(relate(&ours, &theirs).unwrap().1, Method::Arrival);
}

/// MPEG-TS begins to count again every 26 hours.
#[test]
fn a_timeline_that_begins_again_goes_on() {
    let round = (1_i64 << 33) / S;
    let ours = side(0, |n| n, None, |_| None);
    let theirs = side(round - 10, |n| n, None, |_| None);
    let (offset, method, _) = relate(&ours, &theirs).unwrap();
    assert_eq!((offset, method), (-10 * S - (1_i64 << 33) % S, Method::Keyframe));
}

#[test]
fn few_pictures_must_agree_with_arrival() {
    let ours = side(0, |n| n, None, |_| Some(0));
    let few = |arrival: i64| {
        let mut few = Side::default();
        let made = Made { n: 5, clock: 300, picture: 5 };
        let keyframes = made.keyframes();
        let (begins, arrival) = (keyframes[0].pts, Some(at(10, arrival)));
        few.looked(&Look { begins, keyframes: &keyframes, date: None, arrival });
        few
    };
    assert_eq!(relate(&ours, &few(0)).unwrap().1, Method::Keyframe);
    // A test picture that comes again an hour later.
    assert_eq!(relate(&ours, &few(3_600_000)).unwrap().1, Method::Arrival);
}

#[test]
fn two_encoders_that_began_with_the_same_black_are_two() {
    let ours = side(0, |n| n, None, |_| Some(0));
    let theirs = side(300, |n| if n < 4 { n } else { n + 1000 }, None, |_| Some(0));
    assert_eq!(relate(&ours, &theirs).unwrap().1, Method::Arrival);
    let offset = Ticks(300 * S);
    assert_eq!(ours.agreement(&theirs, offset), Agreement { equal: 8, compared: 20 });
    assert_eq!(ours.agreement(&theirs, Ticks(301 * S)).compared, 19);
    assert_eq!(ours.agreement(&theirs, Ticks(300 * S + 4500)).compared, 0);
}

#[test]
fn dates_are_believed_where_arrival_agrees() {
    let late = |ms: i64| move |n: i64| Some(ms + n % 3 * 40);
    let ours = side(0, |n| n, Some(0), late(100));
    let theirs = side(90, |n| n + 1000, Some(0), late(1900));
    assert_eq!(relate(&ours, &theirs), Some((90 * S, Method::ProgramDateTime, Duration::ZERO)));
    // Their clock is a minute wrong.
    let theirs = side(90, |n| n + 1000, Some(60_000), late(1900));
    let (offset, method, within) = relate(&ours, &theirs).unwrap();
    assert_eq!(method, Method::Arrival);
    assert!((offset - (90 * S - 1800 * 90)).abs() <= 80 * 90, "{offset}");
    assert!(within <= Duration::from_millis(80), "{within:?}");
}

#[test]
fn what_was_proven_stays_true() {
    let (ours, theirs) = (side(10, |n| n, None, |_| None), side(20, |n| n, None, |_| None));
    let mut pair = Pair::default();
    let first = pair.relate(at(20, 0), &ours, &theirs).unwrap();
    assert_eq!(first.method, Method::Keyframe);
    let later = pair.relate(at(200, 0), &ours, &Side::default()).unwrap();
    assert_eq!((later.offset, later.method), (first.offset, Method::Pts));
}

#[test]
fn two_clocks_that_run_differently_drift() {
    let mut pair = Pair::default();
    let mut drift = None;
    for minute in 0..10 {
        // 50 parts in a million: 3 ms in a minute.
        let ours = side(0, |n| n, Some(0), |_| None);
        let theirs = side(0, |n| n + 1000, Some(-3 * minute), |_| None);
        drift = pair.relate(at(minute * 60, 0), &ours, &theirs).unwrap().drift_ppm;
        assert_eq!(drift.is_some(), minute >= 2);
    }
    assert_eq!(drift, Some(50));
}
