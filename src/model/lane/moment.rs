//! What of each rendition belongs to a step: that which is at the same moment as the reference's
//! segment. Renditions need not share borders: audio may be cut a little earlier, subtitles be
//! longer, and an I-frame playlist has several entries for one segment.

use std::ops::Range;
use std::time::Duration;

use super::meeting::Meeting;
use super::standing::{last_entry, proven, track_of};
use super::{Candidate, Seen, Situation, Step, Track};
use crate::model::names::UnixMs;
use crate::model::rendition::Kind;

/// Steps that are looked through for what is owed.
const LOOKED_BACK: usize = 32;

/// What of one rendition belongs to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// These places of its track: mostly one, none where it has nothing that begins there.
    Segments(Range<usize>),
    /// It is not listed yet.
    Late,
    /// This packager has no such rendition.
    Lacking,
}

/// Of each rendition of the header what belongs to a step.
pub(super) type Portions = Vec<Portion>;

/// The same moment in every rendition, where nothing of this run was before. Each begins nearest to
/// the segment at `at` of rendition `r`, or, where the lane has less or more of it than of that one,
/// to where it ended: long subtitles lag by up to one of theirs, which would be lost.
pub(super) fn moment(s: &Situation, c: &Candidate, r: usize, at: usize) -> Portions {
    moment_from(s, c, r, at, &[])
}

/// The same, where it is known by content at which segment a rendition goes on.
pub(super) fn moment_from(
    s: &Situation,
    c: &Candidate,
    r: usize,
    at: usize,
    meetings: &[Option<Meeting>],
) -> Portions {
    portions(s, c, r, at, |track, o, other| {
        if let Some(Some(meeting)) = meetings.get(o) {
            return Some((meeting.at, owed_ms(s, o)));
        }
        let longest = other.newest().map_or(0, |newest| ms(newest.duration()));
        // What is more was away, and does not come again.
        let owed = Some(owed_ms(s, o)).filter(|owed| owed.abs() <= longest);
        let begins = owed.and_then(|owed| Some((nearest(track, at, other, owed)?, owed)));
        begins.or_else(|| Some((same_moment(track, at, other)?, 0)))
    })
}

/// What follows the tail in every rendition, the segment at `at` in rendition `r`. Each goes on
/// where it stands, so that a clock that is not sure yet neither repeats nor skips a segment; only
/// where the tail did not carry a rendition is its moment looked for.
pub(super) fn succession(
    s: &Situation,
    c: &Candidate,
    tail: &Step,
    r: usize,
    at: usize,
) -> Portions {
    portions(s, c, r, at, |track, o, other| {
        let last = last_entry(s, o);
        if last.is_none()
            && tail.lists(o)
            && let Some(began) = began(s, track, r)
        {
            return Some((same_moment(track, began, other)?, owed_ms(s, o)));
        }
        let entry = last.filter(|e| e.listed() && !e.source.path.is_empty());
        let Some(entry) = entry.filter(|_| tail.lists(o)) else {
            return Some((same_moment(track, at, other)?, 0));
        };
        if proven(s, other, o) == Some(false) {
            return None;
        }
        match other.find(&entry.source) {
            Some(stands) => Some((stands + 1, owed_ms(s, o))),
            None => Some((same_moment(track, at, other)?, 0)),
        }
    })
}

/// Where the run that the lane is on began, in the reference.
fn began(s: &Situation, track: &Track, r: usize) -> Option<usize> {
    let splice = s.log.steps().rev().find(|step| step.splice.is_some())?;
    track.find(&splice.entries(r).first()?.source)
}

/// By how much less of a rendition the lane has than of the others, since the splice, milliseconds.
fn owed_ms(s: &Situation, o: usize) -> i64 {
    let mut owed = 0_i64;
    for step in s.log.steps().rev().take(LOOKED_BACK).take_while(|step| step.lists(o)) {
        let has = step.shares.get(o).map_or(Duration::ZERO, super::Share::duration);
        owed = owed.saturating_add(ms(step.duration())).saturating_sub(ms(has));
        if step.splice.is_some() {
            break;
        }
    }
    owed
}

fn ms(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

fn portions(
    s: &Situation,
    c: &Candidate,
    r: usize,
    at: usize,
    from: impl Fn(&Track, usize, &Track) -> Option<(usize, i64)>,
) -> Portions {
    let Some(track) = track_of(c, r) else { return Vec::new() };
    let renditions = s.log.header().renditions.iter().enumerate();
    let mut all: Portions = renditions
        .map(|(o, rendition)| match track_of(c, o) {
            _ if o == r => Portion::Segments(at..at + 1),
            _ if c.lacks.get(o) == Some(&true) => Portion::Lacking,
            None => Portion::Late,
            Some(other) => match from(track, o, other) {
                Some((from, owed)) => portion(track, at, other, from, owed, rendition.traits.kind),
                None => Portion::Late,
            },
        })
        .collect();
    within_segments(s, c, &mut all);
    all
}

/// I-frames are mostly byte ranges of the segments that they belong to: then the segments' names
/// tell better than any clock.
fn within_segments(s: &Situation, c: &Candidate, all: &mut Portions) {
    let names = |o: usize, range: &Range<usize>| -> Vec<&str> {
        let segments = track_of(c, o).into_iter().flat_map(|t| t.segments().range(range.clone()));
        segments.map(|seen| seen.listed.resource.path.as_str()).collect()
    };
    let kind = |o: usize| s.log.header().renditions.get(o).map(|r| r.traits.kind);
    let chosen: Vec<&str> = (all.iter().enumerate())
        .filter(|(o, _)| kind(*o) != Some(Kind::IFrames))
        .flat_map(|(o, p)| if let Portion::Segments(range) = p { names(o, range) } else { vec![] })
        .collect();
    for (o, portion) in all.iter_mut().enumerate().filter(|(o, _)| kind(*o) == Some(Kind::IFrames))
    {
        let Some(track) = track_of(c, o) else { continue };
        let is_in = |at: usize| {
            let seen = track.segments().get(at);
            seen.is_some_and(|seen| chosen.contains(&seen.listed.resource.path.as_str()))
        };
        if let Some(from) = (0..track.segments().len()).find(|&at| is_in(at)) {
            let to = (from..track.segments().len()).find(|&at| !is_in(at));
            *portion = Portion::Segments(from..to.unwrap_or(track.segments().len()));
        }
    }
}

/// What of `other`, from the place `from` on, belongs to the step of the reference's segment at
/// `at`. `owed_ms`: how much less of it there is before.
fn portion(
    reference: &Track,
    at: usize,
    other: &Track,
    from: usize,
    owed_ms: i64,
    kind: Kind,
) -> Portion {
    let one = || match other.segments().get(from) {
        Some(_) => Portion::Segments(from..from + 1),
        None => Portion::Late,
    };
    let clock = Clock::of(reference, at, other);
    // A clock that knows nothing yet must not count.
    let counted = kind == Kind::IFrames || !numbered_alike(reference, at, other, from);
    let step = reference.segments().get(at).map_or(Duration::ZERO, Seen::duration);
    let similar = kind != Kind::IFrames && similar(reference, other);
    if counted && !clock.is_sure(reference, other) && !similar {
        return by_length(other, from, owed_ms.saturating_add(ms(step)));
    }
    if !counted || !clock.is_sure(reference, other) {
        return one();
    }
    let Some(end) = clock.end(reference, at) else { return one() };
    let mut to = from;
    loop {
        let Some((begins, length)) = clock.begins(other, to) else { return Portion::Late };
        let bounds = Bounds { kind, similar, step, length };
        let (late, least) =
            if to == from { bounds.first(begins, end) } else { bounds.another(begins, end) };
        if !least {
            return Portion::Segments(from..to);
        }
        if to >= other.segments().len() {
            // It belongs here and is not listed yet; of several the last may come with the next.
            return if late { Portion::Late } else { Portion::Segments(from..to) };
        }
        to += 1;
    }
}

/// As many as make up for what is owed, when no clock tells yet.
fn by_length(other: &Track, from: usize, mut owed_ms: i64) -> Portion {
    let mut to = from;
    loop {
        let Some(next) = other.segments().get(to) else {
            let due = other.newest().is_none_or(|newest| owed_ms >= ms(newest.duration()));
            return if due { Portion::Late } else { Portion::Segments(from..to) };
        };
        if owed_ms.saturating_mul(2) < ms(next.duration()) {
            return Portion::Segments(from..to);
        }
        owed_ms = owed_ms.saturating_sub(ms(next.duration()));
        to += 1;
    }
}

/// Segments of both are about as long, taken all together.
fn similar(reference: &Track, other: &Track) -> bool {
    let mean = |track: &Track| -> Option<Duration> {
        let listed = track.segments().iter().skip(track.listed_from());
        let count = u32::try_from(listed.clone().count()).ok()?;
        listed.map(Seen::duration).sum::<Duration>().checked_div(count)
    };
    let both = mean(reference).zip(mean(other));
    both.is_none_or(|(a, b)| a * 4 <= b * 5 && b * 4 <= a * 5)
}

/// How far the clock is believed.
struct Bounds {
    kind: Kind,
    /// About as long as the step: one for each step, unless it is far from that.
    similar: bool,
    step: Duration,
    length: Duration,
}

impl Bounds {
    /// Whether the first one belongs to the step, and whether that is worth waiting for: it does
    /// unless it begins with the next.
    fn first(&self, begins: UnixMs, end: UnixMs) -> (bool, bool) {
        if self.similar {
            return (true, begins < end.plus(self.length / 2));
        }
        let early = begins.plus(self.step.min(self.length) / 4) <= end;
        // What is longer than the step comes when all of it is made.
        (begins.plus(self.length) <= end.plus(self.step / 4), early)
    }

    /// The same of one more: it does where it would else lag by all of itself.
    fn another(&self, begins: UnixMs, end: UnixMs) -> (bool, bool) {
        let least = match self.kind {
            Kind::IFrames => self.length / 2,
            _ if self.similar => self.length * 5 / 4,
            _ => self.length,
        };
        (begins.plus(self.length) <= end.plus(self.length / 4), begins.plus(least) <= end)
    }
}

/// The place `from` has the reference's number, near to it: as many segments, wherever their
/// borders lie. So every packager that cuts all renditions by one grid.
fn numbered_alike(reference: &Track, at: usize, other: &Track, from: usize) -> bool {
    if other.segments().get(from).is_some() {
        return same_number(reference, at, other) == Some(from);
    }
    // Not listed yet: the one before tells.
    let before = at.checked_sub(1).zip(from.checked_sub(1));
    before.is_some_and(|(at, from)| same_number(reference, at, other) == Some(from))
}

/// What two renditions of one packager are placed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// EXT-X-PROGRAM-DATE-TIME, which both have.
    Wall,
    /// When they were listed.
    Arrival,
}

impl Clock {
    fn of(reference: &Track, at: usize, other: &Track) -> Self {
        let wall = |seen: Option<&Seen>| seen.is_some_and(|seen| seen.wall_end.is_some());
        let both = wall(reference.segments().get(at)) && wall(other.newest());
        if both { Self::Wall } else { Self::Arrival }
    }
    /// An arrival that was not watched may be wrong by a segment.
    fn is_sure(self, reference: &Track, other: &Track) -> bool {
        self == Self::Wall || (reference.arrival_watched() && other.arrival_watched())
    }
    /// When the segment at `at` begins and how long it is; of the one after the newest what it is
    /// to be, if it is as long.
    fn begins(self, track: &Track, at: usize) -> Option<(UnixMs, Duration)> {
        if let Some(seen) = track.segments().get(at) {
            return Some((self.end(track, at)?.minus(seen.duration()), seen.duration()));
        }
        let last = at.checked_sub(1)?;
        Some((self.end(track, last)?, track.segments().get(last)?.duration()))
    }
    fn end(self, track: &Track, at: usize) -> Option<UnixMs> {
        match self {
            Self::Wall => track.segments().get(at)?.wall_end,
            Self::Arrival => track.ends_at(at),
        }
    }
}

/// The place in `other` of the reference's number, if that is near: all packagers that are known
/// number renditions alike that have as many segments; a list seen for the first time may have
/// been written up to a segment before.
fn same_number(reference: &Track, at: usize, other: &Track) -> Option<usize> {
    let seen = reference.segments().get(at)?;
    let start = reference.starts_at(at)?;
    let place = other.position(seen.msn()).filter(|_| similar(reference, other))?;
    let apart = other.starts_at(place)?.signed_since(start).unsigned_abs();
    (Duration::from_millis(apart) <= seen.duration() * 3 / 2).then_some(place)
}

/// The segment of `other` at the same moment as the one at `at` in `reference`: the same number
/// where a packager numbers its renditions alike, else the nearest by PROGRAM-DATE-TIME, else by
/// arrival. It may be the one after the newest, which is not listed yet.
#[must_use]
pub fn same_moment(reference: &Track, at: usize, other: &Track) -> Option<usize> {
    nearest(reference, at, other, 0)
}

/// The same, `owed_ms` before that moment.
fn nearest(reference: &Track, at: usize, other: &Track, owed_ms: i64) -> Option<usize> {
    if let Some(place) = same_number(reference, at, other) {
        return Some(place);
    }
    let seen = reference.segments().get(at)?;
    let clock = Clock::of(reference, at, other);
    let sure = clock.is_sure(reference, other);
    // One segment off is as good as none, unless the borders are other ones anyway.
    if !sure && similar(reference, other) {
        return None;
    }
    let start = clock.end(reference, at)?.minus(seen.duration());
    let distance = |o: usize| -> Option<u64> {
        let begins = clock.begins(other, o)?.0.signed_since(start);
        Some(begins.saturating_add(owed_ms).unsigned_abs())
    };
    // The next to come is one of them, where it is known when that is.
    let listed = other.listed_from()..other.segments().len() + usize::from(sure);
    let nearest = listed.filter(|&o| distance(o).is_some()).min_by_key(|&o| distance(o))?;
    let longer = clock.begins(other, nearest)?.1.max(seen.duration());
    let half = u64::try_from(longer.as_millis() / 2).unwrap_or(u64::MAX);
    (distance(nearest)? <= half.max(500)).then_some(nearest)
}
