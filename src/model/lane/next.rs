//! The one decision: given the log, what each packager shows and the time, the next step.
//!
//! `next` is pure, so every proxy that sees the same decides the same, and the store lets only one
//! of those that see otherwise win.

use std::time::Duration;

use super::depth;
use super::making::{Making, append, append_all};
use super::moment::{Portion, Portions, moment, succession};
use super::readiness::{Fill, Readiness, goes_on, readiness, wants};
use super::splice::{Offer, Place, place};
use super::standing::{FAILING, Standing, failure, reference, standing, track_of};
use super::{
    Action, Candidate, Decision, FORMAT, Seen, Situation, Splice, SpliceMethod, SpliceReason, Step,
    Track, Want,
};
use crate::model::names::UnixMs;
use crate::model::playlist::{Extent, Segment};

/// Decides the next step of a lane.
#[must_use]
pub fn next(s: &Situation) -> Decision {
    match s.log.tail() {
        None => opening(s),
        Some(tail) if tail.end => wait(s, "ended", Vec::new()),
        Some(tail) => going_on(s, tail),
    }
}

/// The last three target durations of the first packager that can give them; all that it has,
/// where that is whole from the beginning.
fn opening(s: &Situation) -> Decision {
    let mut wants = Vec::new();
    for c in s.candidates.iter().filter(|c| c.barred.is_none()) {
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
        let all: Vec<Readiness> = moments.map(|m| readiness(s, c, r, &m)).collect();
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
    let fills = readiness(s, c, r, &portions).fills.into_iter().map(begins).collect();
    let discontinuity = s.log.header().reopened();
    let splice = (discontinuity && deep.is_empty()).then(|| Splice {
        from: c.id.clone(),
        reason: SpliceReason::Resumed,
        method: SpliceMethod::Newest,
        gap_ms: 0,
    });
    let discontinuity = splice.is_some() || (!deep.is_empty() && marked(c, &portions));
    append(s, Making { c, r, portions, fills, discontinuity, splice, before: deep })
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
        return leave(s, tail, Leaving::by(SpliceReason::Drained), Vec::new());
    };
    match standing(s, c, tail) {
        Standing::Unseen => {
            let reason = failure(c).unwrap_or(SpliceReason::Failed);
            overdue(s, tail, Leaving::by(reason), Vec::new())
        }
        Standing::Prove(wants) => overdue(s, tail, Leaving::by(SpliceReason::Failed), wants),
        Standing::Left(reason) => leave(s, tail, Leaving::by(reason), Vec::new()),
        Standing::At(r, at) => follow(s, tail, c, r, at),
    }
}

/// The tail is in its packager's run: the segment after it is the direct successor.
fn follow(s: &Situation, tail: &Step, c: &Candidate, r: usize, at: usize) -> Decision {
    if c.barred == Some(SpliceReason::Drained)
        && let Some(d) = try_splice(s, tail, Leaving::by(SpliceReason::Drained), &mut Vec::new())
    {
        return d;
    }
    let Some(track) = track_of(c, r) else { return wait(s, "no track", Vec::new()) };
    if at + 1 < track.segments().len() {
        let portions = succession(s, c, tail, r, at + 1);
        let mut ready = readiness(s, c, r, &portions);
        let discontinuity = marked(c, &portions);
        let declared = declared(c, &portions);
        let go_on = |fills| {
            let making =
                Making { c, r, portions, fills, discontinuity, splice: None, before: vec![] };
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
            leave(s, tail, leaving, wants)
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
        return leave(s, tail, Leaving::by(reason), Vec::new());
    }
    overdue(s, tail, Leaving::by(SpliceReason::Stalled), Vec::new())
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

/// The packager is still the lane's, and it is late. From one target duration on a sibling's next
/// segment is fetched side by side; a quarter more and the lane leaves (ARCHITECTURE.md, law 6: the
/// next segment comes within 1.5 target durations).
fn overdue(s: &Situation, tail: &Step, leaving: Leaving, mut wants: Vec<Want>) -> Decision {
    let waited = waited(s, tail);
    if waited >= leave_after(s) {
        return leave(s, tail, leaving, wants);
    }
    if waited >= prefetch_after(s) {
        // Only to have the bytes ready: the splice itself waits for its moment.
        let mut ahead = Vec::new();
        let _ = try_splice(s, tail, leaving, &mut ahead);
        wants.extend(ahead);
    }
    wait(s, "waiting for the packager", wants)
}

/// Why the lane leaves, and what it would take instead.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    reason: SpliceReason,
    /// So many renditions stay away and the others go on: a sibling that has no more is no gain.
    /// None: one that lacks something will do, once it is late.
    missing: Option<usize>,
}

impl Leaving {
    const fn by(reason: SpliceReason) -> Self {
        Self { reason, missing: None }
    }
}

fn leave(s: &Situation, tail: &Step, leaving: Leaving, mut wants: Vec<Want>) -> Decision {
    if let Some(d) = try_splice(s, tail, leaving, &mut wants) {
        return d;
    }
    if let Some(d) = over(s, tail) {
        return d;
    }
    wait(s, "no packager carries on", wants)
}

/// A splice that can be appended now. Else what it waits for is added to `wants`.
fn try_splice(
    s: &Situation,
    tail: &Step,
    Leaving { reason, missing }: Leaving,
    wants: &mut Vec<Want>,
) -> Option<Decision> {
    let last_chance = waited(s, tail) >= leave_after(s);
    let offers: Vec<(&Candidate, usize, Place)> = s
        .candidates
        .iter()
        .filter(|c| {
            c.barred.is_none() && (*c.id != tail.packager || reason != SpliceReason::Drained)
        })
        .filter_map(|c| {
            let (r, place) = offered(s, tail, c, last_chance)?;
            Some((c, r, place))
        })
        .collect();
    // The one that lacks least, then the one that loses least; where they are alike to half a
    // second, the order of preference.
    let mut ready: Vec<_> = offers
        .into_iter()
        .map(|(c, r, place)| {
            let portions = moment(s, c, r, place.at);
            let ready = readiness(s, c, r, &portions);
            (c, r, place, portions, ready)
        })
        .collect();
    ready.sort_by_key(|(c, _, p, _, ready)| {
        (ready.lacking(), p.gap_ms.unsigned_abs() / 500, *c.id == tail.packager)
    });
    let splice = |p: Place| {
        let from = tail.packager.clone();
        Some(Splice { from, reason, method: p.method, gap_ms: p.gap_ms })
    };
    let incomplete = missing.is_none();
    let mut second = None;
    for (c, r, p, portions, ready) in ready {
        if missing.is_some_and(|missing| ready.lacking() >= missing) {
            continue;
        }
        if ready.lost() || ready.lagging || (ready.lacking() > 0 && another_may_come(s, tail)) {
            // With a gap where something stays away: better than nothing, once it is late.
            if incomplete && ready.fills.get(r) == Some(&Fill::Whole) {
                second = second.or(Some((c, r, p, portions, ready.fills)));
            } else if incomplete && waited(s, tail) >= prefetch_after(s) {
                wants.extend(ready.wants);
            }
            continue;
        }
        if !ready.pending {
            let making = Making {
                c,
                r,
                portions,
                fills: ready.fills,
                discontinuity: true,
                splice: splice(p),
                before: vec![],
            };
            return Some(append(s, making));
        }
        wants.extend(ready.wants);
        return None;
    }
    let (c, r, p, portions, fills) = second.filter(|_| waited(s, tail) >= gaps_after(s))?;
    Some(append(
        s,
        Making { c, r, portions, fills, discontinuity: true, splice: splice(p), before: vec![] },
    ))
}

/// A sibling that has all that viewers have been given goes on, whether it has an offer now or not.
fn another_may_come(s: &Situation, tail: &Step) -> bool {
    let asked = |r: usize| s.wanted.get(r) == Some(&true) && tail.lists(r);
    let given = |r: usize| asked(r) || goes_on(s, r);
    s.candidates.iter().filter(|c| c.barred.is_none() && *c.id != tail.packager).any(|c| {
        let all = (0..c.lacks.len()).all(|r| !(given(r) && c.lacks.get(r) == Some(&true)));
        let listed = |t: &Track| t.progressed_at().filter(|_| t.failing().is_none());
        let listed = reference(s, c).and_then(|(_, track)| listed(track));
        all && listed.is_some_and(|at| s.now.since(at) < leave_after(s))
    })
}

/// What candidate `c` offers after `tail`. Its own run, where the tail's segment is lost, offers
/// what comes after that.
fn offered(s: &Situation, tail: &Step, c: &Candidate, last_chance: bool) -> Option<(usize, Place)> {
    if *c.id == tail.packager
        && let Standing::At(r, at) = standing(s, c, tail)
    {
        return Some((r, after_lost(s, c, r, at, last_chance)?));
    }
    let (r, track) = reference(s, c)?;
    if track.failing().is_some_and(|f| f.count >= FAILING) {
        return None;
    }
    match place(tail, track, last_chance) {
        Offer::Here(p) if p.method == SpliceMethod::Newest && !moves(s, track) => None,
        Offer::Here(p) => Some((r, p)),
        Offer::NotYet | Offer::Nothing => None,
    }
}

/// No sibling carries on, and a segment of the lane's own run cannot be had: the one after it.
fn after_lost(
    s: &Situation,
    c: &Candidate,
    r: usize,
    at: usize,
    last_chance: bool,
) -> Option<Place> {
    let segments = track_of(c, r)?.segments();
    let to = (at + 1..segments.len()).find(|&p| !readiness(s, c, r, &moment(s, c, r, p)).lost())?;
    let gap: Duration = segments.iter().take(to).skip(at + 1).map(Seen::duration).sum();
    (last_chance && to > at + 1).then(|| Place {
        at: to,
        gap_ms: i64::try_from(gap.as_millis()).unwrap_or(i64::MAX),
        method: SpliceMethod::Arrival,
    })
}

/// Every packager that may be used says that the stream is gone or ended, and has for long enough.
fn over(s: &Situation, tail: &Step) -> Option<Decision> {
    let mut usable = s.candidates.iter().filter(|c| c.barred.is_none()).peekable();
    usable.peek()?;
    let all = usable.all(|c| c.over_since.is_some_and(|since| s.now.since(since) >= s.end_after));
    all.then(|| Decision {
        action: Action::Append(vec![end_after(tail, s.now)]),
        wants: Vec::new(),
        wake: s.now,
        why: "every packager says it is over",
    })
}

/// EXT-X-ENDLIST.
fn end_after(tail: &Step, listed_at: UnixMs) -> Step {
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
        end: true,
    }
}

fn moves(s: &Situation, track: &Track) -> bool {
    track.progressed_at().is_some_and(|p| s.now.since(p) < s.log.header().target())
}

/// How late the lane is: since its tail was listed.
fn waited(s: &Situation, tail: &Step) -> Duration {
    s.now.since(tail.listed_at.max(s.carried_since))
}

fn prefetch_after(s: &Situation) -> Duration {
    s.log.header().target()
}

/// A quarter after the next segment is due, which is a target duration after the last, or as long
/// after it as that one was: rounding leaves up to half a second more (RFC 8216, 4.3.3.1).
fn leave_after(s: &Situation) -> Duration {
    let target = s.log.header().target();
    let last = s.log.tail().map_or(target, Step::duration);
    target.max(last.min(target * 9 / 8)) + target / 4
}

/// What is complete is waited for a little longer: a gap stays.
fn gaps_after(s: &Situation) -> Duration {
    leave_after(s) + s.log.header().target() * 3 / 20
}

pub(super) fn wait(s: &Situation, why: &'static str, wants: Vec<Want>) -> Decision {
    let due = s.log.tail().map(|t| {
        [prefetch_after(s), leave_after(s), gaps_after(s)]
            .map(|d| t.listed_at.max(s.carried_since).plus(d))
    });
    let next_look = s.now.plus(s.log.header().target() / 2);
    let wake = due.into_iter().flatten().filter(|&d| d > s.now).fold(next_look, std::cmp::Ord::min);
    Decision { action: Action::Wait, wants, wake, why }
}
