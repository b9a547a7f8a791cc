//! Where in another run the content goes on that the lane has ended with, told by what is in the
//! segments: the keyframe, and the frame of sound.

use super::patience::{gaps_after, waited};
use super::splice::Place;
use super::standing::{last_entry, reference, track_of};
use super::{Candidate, Cutting, Seen, Situation, SpliceMethod, Step, Track};
use crate::model::align::{Method, Relation};
use crate::model::media::{Content, Joint, Ticks, Video};

/// Where a segment that was not looked into begins is known so well, ticks: EXTINF is rounded.
const GUESS: i64 = Ticks::SECOND * 3 / 20;
/// Content that is further away is of another timeline, as behind a discontinuity that a packager marks.
const FAR: i64 = Ticks::SECOND * 6 * 3600;
/// The same of a keyframe to go on with.
const FAR_GAP: i64 = Ticks::SECOND * 60;
/// Sound that ends further from the pictures is cut with them.
const APART: i64 = Ticks::SECOND * 5;

/// Where a rendition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// The segment in [`Track::segments`].
    pub(super) at: usize,
    /// The tail of it. None: it was not looked into yet.
    pub(super) cutting: Option<Cutting>,
    /// Content lost (positive) or repeated (negative), ticks; 0 below half a frame.
    pub(super) gap: i64,
}

impl Meeting {
    /// The segment before, where the tail is of both.
    pub(super) fn before(&self) -> Option<usize> {
        self.cutting.filter(|cutting| cutting.with_before).and_then(|_| self.at.checked_sub(1))
    }
}

/// Of each rendition of the header where it goes on by content; none where that cannot be told.
pub(super) type Meetings = Vec<Option<Meeting>>;

/// What a run has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    /// This.
    At(Meeting),
    /// It is not listed yet.
    NotYet,
    /// Nothing can be told by content.
    Unknown,
}

/// Where candidate `c` goes on by content, placed by its reference; which rendition that is.
pub(super) fn meets(s: &Situation, c: &Candidate, tail: &Step) -> Option<(usize, Meets)> {
    let (r, _) = reference(s, c)?;
    // What stands in for a segment has no content, nor has a lane that goes on without this one.
    let listed = tail.entries(r).last().is_none_or(|entry| entry.media.is_some());
    listed.then(|| (r, meets_in(s, c, tail, r)))
}

/// The same in rendition `r`.
fn meets_in(s: &Situation, c: &Candidate, tail: &Step, r: usize) -> Meets {
    // A keyframe that fits is worth waiting for; in the end a little is shown again.
    let overlap = s.overlap || waited(s, tail) >= gaps_after(s);
    let ended = last_entry(s, r).and_then(|entry| Some(entry.media.as_ref()?.end));
    let known = ended.zip(exact(c)).zip(track_of(c, r));
    known.map_or(Meets::Unknown, |((end, relation), track)| {
        let wanted = Wanted::of(end, relation);
        wanted.map_or(Meets::Unknown, |wanted| wanted.find(track, overlap))
    })
}

/// Where each rendition goes on that viewers have been given.
pub(super) fn meetings(s: &Situation, c: &Candidate, tail: &Step) -> Meetings {
    let meeting = |r: usize| match meets_in(s, c, tail, r) {
        Meets::At(meeting) if tail.lists(r) => Some(meeting),
        _ => None,
    };
    (0..c.tracks.len()).map(meeting).collect()
}

/// The relation, if it is one by which content is cut: arrival tells only which border is nearest.
fn exact<'a>(c: &'a Candidate) -> Option<&'a Relation> {
    c.relation.as_ref().filter(|relation| relation.method != Method::Arrival)
}

/// The place of a meeting, for the ladder.
pub(super) fn placed(c: &Candidate, meeting: &Meeting) -> Option<Place> {
    let method = SpliceMethod::from(exact(c)?.method);
    Some(Place { at: meeting.at, gap_ms: Ticks::ms(meeting.gap), method })
}

/// The moments that are looked for, on the other run's timeline.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Where the pictures ended, or the sound where there are none.
    goal: Ticks,
    pictures: bool,
    sound: Option<Ticks>,
}

impl Wanted {
    fn of(end: Joint, relation: &Relation) -> Option<Self> {
        let there = |t: Ticks| t.plus(relation.offset.0);
        let (video, sound) = (end.video.map(there), end.audio.map(there));
        Some(Self { goal: video.or(sound)?, pictures: video.is_some(), sound })
    }

    fn find(self, track: &Track, overlap: bool) -> Meets {
        let listed = track.listed_from()..track.segments().len();
        for at in listed.clone() {
            let Some(span) = self.span(track, at) else { return Meets::Unknown };
            let left = span.end.since(self.goal);
            if left.abs() > FAR {
                return Meets::Unknown;
            }
            if left <= span.within {
                continue;
            }
            // It was not where it was thought to be: the one before it tells.
            let late = span.begin.since(self.goal) > span.within;
            let before = at.checked_sub(1).filter(|at| late && listed.contains(at));
            let unseen = |at: &usize| track.segments().get(*at).is_some_and(is_unseen);
            if let Some(at) = before.filter(unseen) {
                return Meets::At(Meeting { at, cutting: None, gap: 0 });
            }
            let Some(seen) = track.segments().get(at) else { return Meets::Unknown };
            let Some(content) = &seen.content else {
                // Bytes that tell nothing are spliced at borders.
                let unseen = is_unseen(seen);
                let meeting = Meeting { at, cutting: None, gap: 0 };
                return if unseen { Meets::At(meeting) } else { Meets::Unknown };
            };
            let found = if let Some(video) = content.video.as_ref().filter(|_| self.pictures) {
                self.keyframe(track, at, content, video, overlap)
            } else {
                self.frame(track, at, content)
            };
            match found {
                Some(meeting) if is_lost(track, &meeting) || meeting.gap.abs() > FAR_GAP => {
                    return Meets::Unknown;
                }
                Some(meeting) => return Meets::At(meeting),
                None => {}
            }
        }
        Meets::NotYet
    }

    /// The keyframe at the goal, or the nearest later one: none where the segment has none.
    fn keyframe(
        self,
        track: &Track,
        at: usize,
        content: &Content,
        video: &Video,
        overlap: bool,
    ) -> Option<Meeting> {
        let half = video.frame.0 / 2;
        let closed = || video.keyframes.iter().filter(|k| k.closed).map(|k| k.pts);
        let later = closed().find(|pts| pts.since(self.goal) >= -half);
        let fits = later.is_some_and(|pts| pts.since(self.goal) <= half);
        let earlier = || closed().rfind(|pts| pts.since(self.goal) < -half);
        let pts = if overlap && !fits { earlier().or(later)? } else { later? };
        let apart = pts.since(self.goal);
        let gap = if apart.abs() <= half { 0 } else { apart };
        // What was lost or is repeated, sound is as well.
        let sound = self.sound.filter(|_| gap == 0).map(|sound| sound.since(pts));
        let audio = sound.filter(|apart| apart.abs() <= APART).map(|apart| pts.plus(apart));
        let joint = Joint { video: Some(pts), audio };
        let first = video.keyframes.first().is_some_and(|k| k.pts == pts);
        let with_before = first && content.lacks_sound(&joint) && can_be_had(track, at);
        let cutting = track.segments().get(at).map(Seen::msn);
        let cutting = cutting.map(|msn| Cutting { msn, joint, with_before });
        Some(Meeting { at, cutting, gap })
    }

    /// The frame of sound at the goal. A little that is left of a segment goes with the next, so that as
    /// many segments as of pictures go on.
    fn frame(self, track: &Track, at: usize, content: &Content) -> Option<Meeting> {
        let sound = content.audio.first()?;
        let end = content.end().audio?;
        let (left, length) = (end.since(self.goal), end.since(sound.pts.first));
        let next = at + 1 < track.segments().len();
        let little = left.saturating_mul(4) < length;
        if little && !next {
            return None;
        }
        let with_before = little && can_be_had(track, at + 1);
        let at = if with_before { at + 1 } else { at };
        let seen = track.segments().get(at)?;
        if with_before && is_unseen(seen) {
            return Some(Meeting { at, cutting: None, gap: 0 });
        }
        let begin = seen.content.as_ref()?.audio.first()?.pts.first;
        let begin = if with_before { sound.pts.first } else { begin };
        let late = begin.since(self.goal);
        let gap = if late > sound.frame.0 / 2 { late } else { 0 };
        let audio = Some(begin.plus(self.goal.since(begin).max(0)));
        let joint = Joint { video: None, audio };
        let cutting = Some(Cutting { msn: seen.msn(), joint, with_before });
        Some(Meeting { at, cutting, gap })
    }

    /// Where the segment at `at` lies: by its content, or by that of the nearest that was looked into.
    fn span(self, track: &Track, at: usize) -> Option<Span> {
        let looked = |at: usize| {
            let seen = track.segments().get(at)?;
            match &seen.content {
                Some(content) => self.of_content(content),
                None => self.of_glimpse(seen),
            }
        };
        if let Some(span) = looked(at) {
            return Some(span);
        }
        let nearest = (0..track.segments().len()).filter(|o| looked(*o).is_some());
        let nearest = nearest.min_by_key(|o| o.abs_diff(at))?;
        let between = |from: usize, to: usize| -> i64 {
            let segments = track.segments().range(from..to.max(from));
            segments.map(|seen| Ticks::of(seen.duration())).sum()
        };
        let known = looked(nearest)?;
        let begin = if nearest < at {
            known.end.plus(between(nearest + 1, at))
        } else {
            known.begin.plus(-between(at, nearest))
        };
        Some(Span { begin, end: begin.plus(between(at, at + 1)), within: GUESS })
    }

    /// Segments begin with their first keyframe, mostly.
    fn of_glimpse(self, seen: &Seen) -> Option<Span> {
        let begin = seen.keyframes().first().filter(|_| self.pictures)?.pts;
        Some(Span { begin, end: begin.plus(Ticks::of(seen.duration())), within: GUESS })
    }

    fn of_content(self, content: &Content) -> Option<Span> {
        if !self.pictures {
            let sound = content.audio.first()?;
            let within = sound.frame.0 / 2;
            return Some(Span { begin: sound.pts.first, end: content.end().audio?, within });
        }
        let video = content.video.as_ref()?;
        let within = video.frame.0 / 2;
        Some(Span { begin: video.pts.first, end: content.end().video?, within })
    }
}

/// Of a segment, on its run's timeline.
struct Span {
    begin: Ticks,
    end: Ticks,
    /// How well that is known.
    within: i64,
}

/// It was not looked into, and can be.
fn is_unseen(seen: &Seen) -> bool {
    seen.content.is_none() && seen.bytes.held.is_none() && !seen.lost()
}

/// The segment before the one at `at` is held, or can be asked for.
fn can_be_had(track: &Track, at: usize) -> bool {
    let before = at.checked_sub(1);
    let seen = before.and_then(|before| track.segments().get(before)).filter(|seen| !seen.lost());
    let same =
        |seen: &Seen| track.segments().get(at).is_some_and(|s| s.listed.map == seen.listed.map);
    seen.is_some_and(|seen| {
        same(seen) && (seen.bytes.held.is_some() || before >= Some(track.listed_from()))
    })
}

/// The tail could not be made.
fn is_lost(track: &Track, meeting: &Meeting) -> bool {
    meeting.cutting.is_some_and(|cutting| track.tail_of(&cutting).lost())
}
