//! The one decision: given the log, what each packager shows and the time, the next step.
//!
//! `next` is pure, so every proxy that sees the same decides the same, and the store lets only one
//! of those that see otherwise win.

use std::time::Duration;

use super::making::append;
use super::splice::{Offer, Place, place};
use super::standing::{
    FAILING, Standing, failure, moment, readiness, reference, standing, succession, track_of,
};
use super::{
    Action, Candidate, Decision, FORMAT, Seen, Situation, Splice, SpliceMethod, SpliceReason, Step,
    Track, Want,
};

/// Decides the next step of a lane.
#[must_use]
pub fn next(s: &Situation) -> Decision {
    match s.log.tail() {
        None => opening(s),
        Some(tail) if tail.end => wait(s, "ended", Vec::new()),
        Some(tail) => going_on(s, tail),
    }
}

/// The last three target durations of the first packager that can give them.
fn opening(s: &Situation) -> Decision {
    let mut wants = Vec::new();
    for c in s.candidates.iter().filter(|c| c.barred.is_none()) {
        let Some((r, track)) = reference(s, c) else { continue };
        let Some(start) = opening_start(s, track) else { continue };
        let ready = (start..track.segments().len()).map(|at| readiness(s, c, &moment(s, c, r, at)));
        // It fails already: the next one may not.
        if track.unsure() {
            continue;
        }
        let (lagging, missing) = ready.fold((false, Vec::new()), |(lagging, mut wants), ready| {
            wants.extend(ready.wants);
            (lagging | ready.lagging, wants)
        });
        // A rendition that is not seen in time begins later.
        if lagging && s.now.since(s.log.header().opened_at) < s.log.header().target() / 2 {
            return wait(s, "opening", missing);
        }
        let begins = track.segments().get(start).is_some_and(|seen| seen.bytes.held.is_some());
        if missing.is_empty() && begins {
            let discontinuity = s.log.header().reopened();
            let splice = discontinuity.then(|| Splice {
                from: c.id.clone(),
                reason: SpliceReason::Resumed,
                method: SpliceMethod::Newest,
                gap_ms: 0,
            });
            return append(s, c, r, &moment(s, c, r, start), discontinuity, splice);
        }
        wants = missing;
        break;
    }
    wait(s, "opening", wants)
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
        return leave(s, tail, SpliceReason::Drained, Vec::new());
    };
    match standing(s, c, tail) {
        Standing::Unseen => {
            overdue(s, tail, failure(c).unwrap_or(SpliceReason::Failed), Vec::new())
        }
        Standing::Prove(wants) => overdue(s, tail, SpliceReason::Failed, wants),
        Standing::Left(reason) => leave(s, tail, reason, Vec::new()),
        Standing::At(r, at) => follow(s, tail, c, r, at),
    }
}

/// The tail is in its packager's run: the segment after it is the direct successor.
fn follow(s: &Situation, tail: &Step, c: &Candidate, r: usize, at: usize) -> Decision {
    if c.barred == Some(SpliceReason::Drained)
        && let Some(d) = try_splice(s, tail, SpliceReason::Drained, &mut Vec::new())
    {
        return d;
    }
    let Some(track) = track_of(c, r) else { return wait(s, "no track", Vec::new()) };
    if at + 1 < track.segments().len() {
        let successor = succession(s, c, tail, r, at);
        let ready = readiness(s, c, &successor);
        if ready.lost {
            return leave(s, tail, SpliceReason::SegmentLost, Vec::new());
        }
        let marked = || {
            successor.iter().zip(&c.tracks).any(|(at, t)| {
                at.and_then(|a| t.as_ref()?.segments().get(a))
                    .is_some_and(|seen| seen.listed.segment.discontinuity)
            })
        };
        if ready.wants.is_empty() && !ready.lagging {
            return append(s, c, r, &successor, marked(), None);
        }
        let late = overdue(s, tail, SpliceReason::SegmentLost, ready.wants);
        // One rendition stays away and no sibling has it either: the others go on without it.
        let held = track.segments().get(at + 1).is_some_and(|seen| seen.bytes.held.is_some());
        let nothing_else = late.action == Action::Wait && late.wants.is_empty();
        let listed = track.listed_by(at + 1).is_some_and(|l| s.now.since(l) >= leave_after(s));
        if ready.lagging && held && nothing_else && listed && waited(s, tail) >= leave_after(s) {
            return append(s, c, r, &successor, marked(), None);
        }
        return late;
    }
    if let Some(reason) = failure(c) {
        return leave(s, tail, reason, Vec::new());
    }
    overdue(s, tail, SpliceReason::Stalled, Vec::new())
}

/// The packager is still the lane's, and it is late. From one target duration on a sibling's next
/// segment is fetched side by side; a quarter more and the lane leaves (ARCHITECTURE.md, law 6: the
/// next segment comes within 1.5 target durations).
fn overdue(s: &Situation, tail: &Step, reason: SpliceReason, mut wants: Vec<Want>) -> Decision {
    let waited = waited(s, tail);
    if waited >= leave_after(s) {
        return leave(s, tail, reason, wants);
    }
    if waited >= prefetch_after(s) {
        // Only to have the bytes ready: the splice itself waits for its moment.
        let mut ahead = Vec::new();
        let _ = try_splice(s, tail, reason, &mut ahead);
        wants.extend(ahead);
    }
    wait(s, "waiting for the packager", wants)
}

fn leave(s: &Situation, tail: &Step, reason: SpliceReason, mut wants: Vec<Want>) -> Decision {
    if let Some(d) = try_splice(s, tail, reason, &mut wants) {
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
    reason: SpliceReason,
    wants: &mut Vec<Want>,
) -> Option<Decision> {
    let last_chance = waited(s, tail) >= leave_after(s);
    let mut offers: Vec<(&Candidate, usize, Place)> = s
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
    // The one that loses least; where they are alike to half a second, the order of preference.
    offers.sort_by_key(|(c, _, p)| (p.gap_ms.unsigned_abs() / 500, *c.id == tail.packager));
    for (c, r, p) in offers {
        let entries = moment(s, c, r, p.at);
        let ready = readiness(s, c, &entries);
        if ready.lost || ready.lagging {
            continue;
        }
        if ready.wants.is_empty() {
            let splice =
                Splice { from: tail.packager.clone(), reason, method: p.method, gap_ms: p.gap_ms };
            return Some(append(s, c, r, &entries, true, Some(splice)));
        }
        wants.extend(ready.wants);
        return None;
    }
    None
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
    let to = (at + 1..segments.len()).find(|&p| !readiness(s, c, &moment(s, c, r, p)).lost)?;
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
    let end = Step {
        format: FORMAT,
        msn: s.log.next_msn(),
        packager: tail.packager.clone(),
        discontinuity: false,
        discontinuity_number: tail.discontinuity_number,
        splice: None,
        entries: Vec::new(),
        listed_at: s.now,
        content_end: tail.content_end,
        wall_end: tail.wall_end,
        end: true,
    };
    all.then(|| Decision {
        action: Action::Append(Box::new(end)),
        wants: Vec::new(),
        wake: s.now,
        why: "every packager says it is over",
    })
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

pub(super) fn wait(s: &Situation, why: &'static str, wants: Vec<Want>) -> Decision {
    let due = s.log.tail().map(|t| {
        [prefetch_after(s), leave_after(s)].map(|d| t.listed_at.max(s.carried_since).plus(d))
    });
    let next_look = s.now.plus(s.log.header().target() / 2);
    let wake = due.into_iter().flatten().filter(|&d| d > s.now).fold(next_look, std::cmp::Ord::min);
    Decision { action: Action::Wait, wants, wake, why }
}
