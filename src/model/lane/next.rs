//! The one decision: given the log, what each packager shows and the time, the next step.
//!
//! `next` is pure, so every proxy that sees the same decides the same, and the store lets only one
//! of those that see otherwise win.

use std::time::Duration;

use super::depth;
use super::draining::{Draining, drain};
use super::elsewhere::may_go_on;
use super::leaving::{Leaving, leave, overdue};
use super::looking::looks;
use super::making::{Making, append, append_all};
use super::moment::{Portion, Portions, moment, succession};
use super::patience::{gaps_after, leave_after, prefetch_after, wait, waited};
use super::readiness::{Fill, Readiness, readiness, wants};
use super::standing::{FAILING, Standing, failure, last_entry, reference, standing, track_of};
use super::{
    Action, Candidate, Decision, FORMAT, Situation, Splice, SpliceMethod, SpliceReason, Step,
    Track, Want,
};
use crate::model::media::Ticks;
use crate::model::names::UnixMs;
use crate::model::playlist::{Extent, Segment};

/// Decides the next step of a lane.
#[must_use]
pub fn next(s: &Situation) -> Decision {
    let mut decision = match s.log.tail() {
        None => opening(s),
        Some(tail) if tail.end => wait(s, "ended", Vec::new()),
        Some(tail) => going_on(s, tail),
    };
    // What may be needed one day comes after what is needed now.
    decision.wants.extend(looks(s));
    decision
}

/// The last three target durations of the first packager that can give them; all that it has,
/// where that is whole from the beginning. Who is taken out comes last.
fn opening(s: &Situation) -> Decision {
    let mut wants = Vec::new();
    let barred = |by: Option<SpliceReason>| s.candidates.iter().filter(move |c| c.barred == by);
    for c in barred(None).chain(barred(Some(SpliceReason::Drained))) {
        let Some((r, track)) = reference(s, c) else { continue };
        // It fails already: the next one may not.
        if track.unsure() {
            continue;
        }
        let young = s.now.since(s.log.header().opened_at) < s.log.header().target() / 2;
        if s.log.header().extent == Extent::Whole {
            return whole(s, c, r);
        }
        let Some(start) = opening_start(s, track) else { continue };
        let moments = (start..track.segments().len()).map(|at| moment(s, c, r, at));
        let all: Vec<Readiness> = moments.map(|m| readiness(s, c, r, &m, &[])).collect();
        let lagging = all.iter().any(|ready| ready.lagging);
        let missing: Vec<Want> = all.into_iter().flat_map(|ready| ready.wants).collect();
        if lagging && young {
            return wait(s, "opening", missing);
        }
        let begins = track.segments().get(start).is_some_and(|seen| seen.bytes.held.is_some());
        if missing.is_empty() && begins {
            return match depth::before(s, c, r, start) {
                Ok(deep) => open(s, c, r, start, deep),
                Err(missing) => wait(s, "opening", missing),
            };
        }
        wants = missing;
        break;
    }
    wait(s, "opening", wants)
}

/// The steps of the depth, then the first that is held.
fn open(s: &Situation, c: &Candidate, r: usize, start: usize, deep: Vec<Step>) -> Decision {
    let portions = moment(s, c, r, start);
    // A rendition that is not seen in time begins later.
    let begins = |fill| if fill == Fill::Whole { fill } else { Fill::Absent };
    let fills = readiness(s, c, r, &portions, &[]).fills.into_iter().map(begins).collect();
    let discontinuity = s.log.header().reopened();
    let splice = (discontinuity && deep.is_empty()).then(|| Splice {
        from: c.id.clone(),
        reason: SpliceReason::Resumed,
        method: SpliceMethod::Newest,
        gap_ms: 0,
    });
    let discontinuity = splice.is_some() || (!deep.is_empty() && marked(c, &portions));
    append(
        s,
        Making { c, r, portions, fills, discontinuity, splice, before: deep, meetings: vec![] },
    )
}

/// All lists of what is whole are waited for so long: players wait a little longer for an answer.
const WHOLE_WITHIN: Duration = Duration::from_secs(4);

/// All of a playlist that has ended before anybody watched it.
fn whole(s: &Situation, c: &Candidate, r: usize) -> Decision {
    // What is not there now never comes: a rendition that is slow is waited for.
    let young = s.now.since(s.log.header().opened_at) < WHOLE_WITHIN;
    let failed = |t: &Track| t.failing().is_some_and(|f| f.count >= FAILING);
    let seen = |o: usize| track_of(c, o).is_some_and(|t| !t.segments().is_empty() || failed(t));
    let lacks = |o: usize| c.lacks.get(o) == Some(&true);
    if young && (0..c.tracks.len()).any(|o| !seen(o) && !lacks(o)) {
        return wait(s, "opening", Vec::new());
    }
    // One of each is held: by these a sibling proves that it has the same file.
    let firsts = (0..c.tracks.len()).filter(|&o| s.wanted.get(o) == Some(&true));
    let missing = firsts.filter_map(|o| Some(wants(c, o, track_of(c, o)?, 0)));
    let missing: Vec<Want> = missing.flatten().collect();
    if !missing.is_empty() {
        return wait(s, "opening", missing);
    }
    match depth::whole(s, c, r) {
        Ok(mut steps) => {
            let Some(last) = steps.last() else { return wait(s, "opening", Vec::new()) };
            let end = end_after(last, last.listed_at);
            steps.push(end);
            append_all(s, steps)
        }
        Err(missing) => wait(s, "opening", missing),
    }
}

/// The place in the reference track where a new lane begins: three target durations back, and
/// after anything that cannot be had.
fn opening_start(s: &Situation, track: &Track) -> Option<usize> {
    let enough = s.log.header().target() * 3;
    let mut content = Duration::ZERO;
    let mut start = None;
    for at in (track.listed_from()..track.segments().len()).rev() {
        let seen = track.segments().get(at)?;
        if seen.lost() || content >= enough {
            break;
        }
        content += seen.duration();
        start = Some(at);
    }
    start
}

fn going_on(s: &Situation, tail: &Step) -> Decision {
    let Some(c) = s.candidates.iter().find(|c| *c.id == tail.packager) else {
        return left(s, tail, None, Leaving::by(SpliceReason::Drained), Vec::new());
    };
    match standing(s, c, tail) {
        Standing::Unseen => {
            let reason = failure(c).unwrap_or(SpliceReason::Failed);
            overdue(s, tail, Leaving::by(reason), Vec::new())
        }
        Standing::Prove(wants) => overdue(s, tail, Leaving::by(SpliceReason::Failed), wants),
        Standing::Left(reason) => left(s, tail, Some(c), Leaving::by(reason), Vec::new()),
        Standing::At(r, at) => follow(s, tail, c, r, at),
    }
}

/// The tail is in its packager's run: the segment after it is the direct successor, unless a sibling
/// carries on and the packager is taken out, or has lost content.
fn follow(s: &Situation, tail: &Step, c: &Candidate, r: usize, at: usize) -> Decision {
    let departs = departs(s, c, r, at + 1);
    let unmarked = departs == Some(Departs::Unmarked);
    let reason = match c.barred {
        Some(SpliceReason::Drained) => Some(SpliceReason::Drained),
        _ if departs.is_some() => Some(SpliceReason::Restarted),
        _ => None,
    };
    // Alone nothing but a failure is a reason: others would leave at another step, or not at all.
    let Some(reason) = reason.filter(|_| failure(c).is_none() && !s.alone) else {
        return carry_on(s, tail, c, (r, at), unmarked);
    };
    // One segment is held back at the most, so that the lane does not fall behind.
    let newest = track_of(c, r).is_some_and(|track| at + 2 == track.segments().len());
    let (ahead, waits) = match drain(s, tail, reason) {
        Draining::Leaves(decision) => return decision,
        Draining::Waits(wants) => (wants, newest),
        Draining::Stays(wants) => (wants, false),
    };
    let mut decision = carry_on(s, tail, c, (r, at), unmarked);
    if waits {
        // Its own next is fetched meanwhile, for when the sibling is late after all.
        let why = match reason {
            SpliceReason::Drained => "drained: a sibling carries on soon",
            _ => "content is missing: a sibling that has it carries on soon",
        };
        decision = wait(s, why, decision.wants);
    } else if decision.action == Action::Wait && reason == SpliceReason::Drained {
        decision.why = "drained: no sibling carries on yet";
    }
    decision.wants.extend(ahead);
    decision
}

/// Pictures that begin further from where the last ended are of another run, marked or not.
const JUMP: i64 = Ticks::SECOND;

/// The segment at `at` does not begin where the lane's content ended: its packager goes on counting after
/// a restart (nginx-rtmp does, and marks it), or another took its place under the same names.
fn departs(s: &Situation, c: &Candidate, r: usize, at: usize) -> Option<Departs> {
    let seen = track_of(c, r)?.segments().get(at)?;
    let video = seen.content.as_ref()?.video.as_ref()?;
    let ended = last_entry(s, r)?.media.as_ref()?.end.video?;
    let apart = video.pts.first.since(ended).abs();
    let marked = seen.listed.segment.discontinuity && apart > video.frame.0;
    match () {
        () if marked => Some(Departs::Marked),
        () if apart > JUMP => Some(Departs::Unmarked),
        () => None,
    }
}

/// Whether the packager says so itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departs {
    Marked,
    Unmarked,
}

/// The segment after the tail, in its packager's run: the tail stands at `at` of rendition `r`.
/// `unmarked`: it is of another run, though its packager does not say so.
fn carry_on(
    s: &Situation,
    tail: &Step,
    c: &Candidate,
    (r, at): (usize, usize),
    unmarked: bool,
) -> Decision {
    let Some(track) = track_of(c, r) else { return wait(s, "no track", Vec::new()) };
    if at + 1 < track.segments().len() {
        let portions = succession(s, c, tail, r, at + 1);
        let mut ready = readiness(s, c, r, &portions, &[]);
        let discontinuity = unmarked || marked(c, &portions);
        let declared = declared(c, &portions);
        let go_on = |fills| {
            let making = Making {
                c,
                r,
                portions,
                fills,
                discontinuity,
                splice: None,
                before: vec![],
                meetings: vec![],
            };
            append(s, making)
        };
        if ready.whole() {
            // What is away is asked for all the same: by that it comes back.
            let wants = std::mem::take(&mut ready.wants);
            return Decision { wants, ..go_on(ready.fills) };
        }
        // What the packager says itself that it does not have is no reason to stop. What the
        // others are placed by is waited for, unless it is lost.
        let leads = ready.fills.get(r).copied();
        let others = ready.fills.contains(&Fill::Whole) && leads == Some(Fill::Lost);
        let some = leads == Some(Fill::Whole) || others || declared;
        let missing = some.then(|| ready.missing().max(1));
        let leaving = Leaving { reason: SpliceReason::SegmentLost, missing };
        let wants = std::mem::take(&mut ready.wants);
        let late = if ready.lost() {
            left(s, tail, Some(c), leaving, wants)
        } else {
            overdue(s, tail, leaving, wants)
        };
        // One rendition stays away and no sibling has it either: the others go on, and it has a
        // gap. Whoever fetches still may be waited for no longer than a sibling would be.
        let nothing_else = late.action == Action::Wait;
        let listed = track.listed_by(at + 1).is_some_and(|l| s.now.since(l) >= leave_after(s));
        let patience = if ready.lost() { prefetch_after(s) } else { gaps_after(s) };
        if some && nothing_else && (listed || ready.lost()) && waited(s, tail) >= patience {
            let wants = late.wants;
            return Decision { wants, ..go_on(ready.fills) };
        }
        return late;
    }
    if let Some(reason) = failure(c) {
        // What its health check says is no standstill yet.
        if s.alone && c.barred.is_some() {
            return overdue(s, tail, Leaving::by(reason), Vec::new());
        }
        return left(s, tail, Some(c), Leaving::by(reason), Vec::new());
    }
    overdue(s, tail, Leaving::by(SpliceReason::Stalled), Vec::new())
}

/// As far as is seen here the lane has to leave: at once, unless another proxy may carry it on.
fn left(
    s: &Situation,
    tail: &Step,
    c: Option<&Candidate>,
    leaving: Leaving,
    wants: Vec<Want>,
) -> Decision {
    if may_go_on(s, tail, c) {
        return overdue(s, tail, leaving, wants);
    }
    leave(s, tail, leaving, wants)
}

/// The packager marked one of these with EXT-X-DISCONTINUITY.
fn marked(c: &Candidate, portions: &Portions) -> bool {
    any(c, portions, |segment| segment.discontinuity)
}

/// The packager marked one of these with EXT-X-GAP.
fn declared(c: &Candidate, portions: &Portions) -> bool {
    any(c, portions, |segment| segment.gap)
}

fn any(c: &Candidate, portions: &Portions, is: impl Fn(&Segment) -> bool) -> bool {
    portions.iter().zip(&c.tracks).any(|(portion, track)| {
        let (Portion::Segments(range), Some(track)) = (portion, track) else { return false };
        let mut segments = range.clone().filter_map(|at| track.segments().get(at));
        segments.any(|seen| is(&seen.listed.segment))
    })
}

/// EXT-X-ENDLIST.
pub(super) fn end_after(tail: &Step, listed_at: UnixMs) -> Step {
    Step {
        format: FORMAT,
        msn: tail.msn.next(),
        packager: tail.packager.clone(),
        discontinuity: false,
        discontinuity_number: tail.discontinuity_number,
        splice: None,
        shares: Vec::new(),
        listed_at,
        content_end: tail.content_end,
        wall_end: tail.wall_end,
        wall_shift_ms: tail.wall_shift_ms,
        holders: Vec::new(),
        end: true,
    }
}
