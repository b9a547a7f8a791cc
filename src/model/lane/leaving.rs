//! Leaving: where a lane goes on when its packager does not carry it on, and for how long what is better
//! is waited for.

use std::time::Duration;

use super::making::{Making, append};
use super::meeting::{Meetings, Meets, meetings, meets, placed};
use super::moment::{Portions, moment, moment_from};
use super::next::end_after;
use super::patience::{gaps_after, leave_after, leave_exactly_after, prefetch_after, wait, waited};
use super::readiness::{Fill, Readiness, goes_on, readiness};
use super::splice::{Offer, Place, place};
use super::standing::{FAILING, Standing, reference, standing, track_of};
use super::{
    Action, Candidate, Decision, Seen, Situation, Splice, SpliceMethod, SpliceReason, Step, Track,
    Want,
};

/// Gaps that differ by less are alike, milliseconds: arrival is not more exact.
const ALIKE_MS: i64 = 500;

/// Why the lane leaves, and what it would take instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub reason: SpliceReason,
    /// So many renditions stay away and the others go on: a sibling that has no more is no gain.
    /// None: one that lacks something will do, once it is late.
    pub missing: Option<usize>,
}

impl Leaving {
    pub(super) const fn by(reason: SpliceReason) -> Self {
        Self { reason, missing: None }
    }
}

pub(super) fn leave(
    s: &Situation,
    tail: &Step,
    leaving: Leaving,
    mut wants: Vec<Want>,
) -> Decision {
    if let Some(d) = try_splice(s, tail, leaving, &mut wants) {
        return d;
    }
    if let Some(d) = over(s, tail) {
        return d;
    }
    wait(s, "no packager carries on", wants)
}

/// The packager is still the lane's, and it is late. From one target duration on a sibling's next
/// segment is fetched side by side; a quarter more and the lane leaves (ARCHITECTURE.md, law 6: the
/// next segment comes within 1.5 target durations).
pub(super) fn overdue(
    s: &Situation,
    tail: &Step,
    leaving: Leaving,
    mut wants: Vec<Want>,
) -> Decision {
    let waited = waited(s, tail);
    if waited >= leave_after(s) {
        return leave(s, tail, leaving, wants);
    }
    if waited >= prefetch_after(s) {
        // Mostly to have the bytes ready: the splice itself waits for its moment.
        let mut ahead = Vec::new();
        let ready = try_splice(s, tail, leaving, &mut ahead);
        if waited >= leave_exactly_after(s)
            && !s.alone
            && let Some(decision) = ready.filter(is_exact)
        {
            return decision;
        }
        wants.extend(ahead);
    }
    wait(s, "waiting for the packager", wants)
}

/// It goes on with the same pictures, where the last ones ended.
fn is_exact(decision: &Decision) -> bool {
    let Action::Append(steps) = &decision.action else { return false };
    let splices = || steps.iter().filter_map(|step| step.splice.as_ref());
    splices().count() > 0 && splices().all(|s| s.method <= SpliceMethod::Pts && s.gap_ms == 0)
}

/// What carries the lane on, and how ready it is.
pub(super) struct Found<'a> {
    pub(super) c: &'a Candidate<'a>,
    pub(super) r: usize,
    pub(super) place: Place,
    /// Where its renditions go on by content.
    pub(super) meetings: Meetings,
    pub(super) portions: Portions,
    pub(super) ready: Readiness,
}

impl Found<'_> {
    /// Taken out: for when nobody else carries on.
    fn last_resort(&self) -> bool {
        self.c.barred.is_some()
    }
}

/// The step that carries the lane on there.
pub(super) fn splice(s: &Situation, tail: &Step, reason: SpliceReason, f: Found) -> Decision {
    let Place { method, gap_ms, .. } = f.place;
    let splice = Some(Splice { from: tail.packager.clone(), reason, method, gap_ms });
    let Found { c, r, portions, meetings, ready: Readiness { fills, .. }, .. } = f;
    let before = Vec::new();
    append(s, Making { c, r, portions, fills, discontinuity: true, splice, before, meetings })
}

/// A splice that can be appended now. Else what it waits for is added to `wants`.
pub(super) fn try_splice(
    s: &Situation,
    tail: &Step,
    Leaving { reason, missing }: Leaving,
    wants: &mut Vec<Want>,
) -> Option<Decision> {
    let splice = |f: Found| splice(s, tail, reason, f);
    let last_chance = waited(s, tail) >= leave_after(s);
    let incomplete = missing.is_none();
    let (mut second, mut nearer_is_late) = (None, false);
    for f in found(s, tail, reason, last_chance) {
        let lacking = f.ready.lacking();
        if missing.is_some_and(|missing| lacking >= missing) {
            continue;
        }
        if f.last_resort() && !last_chance {
            wants.extend(f.ready.wants);
            continue;
        }
        if f.ready.lost() || f.ready.lagging || (lacking > 0 && complete_one_comes(s, tail)) {
            let comes = f.ready.lagging && !f.ready.lost() && !last_chance;
            nearer_is_late |= comes;
            // With a gap where something stays away: better than nothing, once it is late.
            let will_do = incomplete && f.ready.fills.get(f.r) == Some(&Fill::Whole);
            let due = incomplete && !will_do && waited(s, tail) >= prefetch_after(s);
            if comes || due {
                wants.extend(f.ready.wants.iter().cloned());
            }
            second = second.or(Some(f).filter(|_| will_do));
            continue;
        }
        if nearer_is_late && loses(f.place) {
            continue;
        }
        if !f.ready.pending {
            return Some(splice(f));
        }
        wants.extend(f.ready.wants);
        return None;
    }
    second.filter(|_| waited(s, tail) >= gaps_after(s)).map(splice)
}

/// Content that a sibling may still list in time is not given up before.
const fn loses(place: Place) -> bool {
    place.gap_ms > ALIKE_MS
}

impl Found<'_> {
    /// How bad it is to go on there, milliseconds. What is lost is worse than what is shown twice:
    /// players' buffers run dry by as much. The new run of a packager that was left may begin without
    /// a picture, and when it was listed is not well known.
    fn cost_ms(&self, s: &Situation, tail: &Step, reason: SpliceReason) -> i64 {
        let Place { gap_ms, .. } = self.place;
        let gap = if gap_ms > 0 { gap_ms.saturating_mul(4) } else { gap_ms.saturating_neg() };
        let again = matches!(reason, SpliceReason::Restarted | SpliceReason::Resumed)
            && *self.c.id == tail.packager;
        let target = i64::from(s.log.header().target_duration).saturating_mul(1000);
        gap.saturating_add(if again { target } else { 0 })
    }
}

/// All that carries the lane on now. First the one that lacks least, then the one that costs least;
/// where they are alike, the order of preference. Who is taken out is the last resort, and only once
/// the lane is late.
pub(super) fn found<'a>(
    s: &'a Situation,
    tail: &Step,
    reason: SpliceReason,
    last_chance: bool,
) -> Vec<Found<'a>> {
    let nearer_comes = !last_chance && s.candidates.iter().any(|c| nearer_comes(s, tail, c));
    let late = waited(s, tail) >= prefetch_after(s);
    let usable = s.candidates.iter().filter(|c| {
        let may = c.barred.is_none() || (c.barred == Some(SpliceReason::Drained) && late);
        may && (*c.id != tail.packager || reason != SpliceReason::Drained)
    });
    let mut found: Vec<Found> = usable
        .filter_map(|c| {
            let Offered { r, place, by_content } = offered(s, tail, c, last_chance)?;
            let meetings = if by_content { meetings(s, c, tail) } else { vec![] };
            let portions = moment_from(s, c, r, place.at, &meetings);
            let ready = readiness(s, c, r, &portions, &meetings);
            // What this one would lose a sibling may list in time.
            let waits = loses(place) && nearer_comes;
            (!waits).then_some(Found { c, r, place, meetings, portions, ready })
        })
        .collect();
    found.sort_by_key(|f| {
        let cost = f.cost_ms(s, tail, reason) / ALIKE_MS;
        (f.last_resort(), f.ready.lacking(), cost, *f.c.id == tail.packager)
    });
    found
}

/// The track of a sibling that makes progress.
fn sibling<'a>(s: &Situation, tail: &Step, c: &'a Candidate) -> Option<&'a Track> {
    let (_, track) = reference(s, c).filter(|_| c.barred.is_none() && *c.id != tail.packager)?;
    let listed = track.progressed_at().filter(|_| track.failing().is_none())?;
    (s.now.since(listed) < leave_after(s)).then_some(track)
}

/// A sibling that has all that viewers have been given goes on, whether it has an offer now or not.
fn complete_one_comes(s: &Situation, tail: &Step) -> bool {
    s.candidates.iter().any(|c| has_all(s, tail, c) && sibling(s, tail, c).is_some())
}

/// It has all that viewers have been given.
pub(super) fn has_all(s: &Situation, tail: &Step, c: &Candidate) -> bool {
    let asked = |r: usize| s.wanted.get(r) == Some(&true) && tail.lists(r);
    let given = |r: usize| asked(r) || goes_on(s, r);
    (0..c.lacks.len()).all(|r| !(given(r) && c.lacks.get(r) == Some(&true)))
}

/// A sibling will list next what carries on from `tail`.
pub(super) fn nearer_comes(s: &Situation, tail: &Step, c: &Candidate) -> bool {
    sibling(s, tail, c).is_some_and(|track| match meets(s, c, tail) {
        Some((_, Meets::NotYet)) => true,
        Some((_, Meets::At(_))) => false,
        _ => place(tail, track, false) == Offer::NotYet,
    })
}

/// Where a candidate goes on, placed by rendition `r`.
struct Offered {
    r: usize,
    place: Place,
    /// By what is in the segments, and not by their borders.
    by_content: bool,
}

/// What candidate `c` offers after `tail`. Its own run, where the tail's segment is lost, offers
/// what comes after that.
fn offered(s: &Situation, tail: &Step, c: &Candidate, last_chance: bool) -> Option<Offered> {
    let at_border = |r, place| Offered { r, place, by_content: false };
    if *c.id == tail.packager
        && let Standing::At(r, at) = standing(s, c, tail)
    {
        return Some(at_border(r, after_lost(s, c, r, at, last_chance)?));
    }
    let (r, track) = reference(s, c)?;
    if track.failing().is_some_and(|f| f.count >= FAILING) {
        return None;
    }
    match meets(s, c, tail) {
        Some((r, Meets::At(meeting))) => {
            return Some(Offered { r, place: placed(c, &meeting)?, by_content: true });
        }
        // It will be listed soon: nothing else is as good.
        Some((_, Meets::NotYet)) if waited(s, tail) < gaps_after(s) => return None,
        _ => {}
    }
    match place(tail, track, last_chance) {
        Offer::Here(p) if p.method == SpliceMethod::Newest && !moves(s, track) => None,
        Offer::Here(p) => Some(at_border(r, p)),
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
    let to =
        (at + 1..segments.len()).find(|&p| !readiness(s, c, r, &moment(s, c, r, p), &[]).lost())?;
    let gap: Duration = segments.iter().take(to).skip(at + 1).map(Seen::duration).sum();
    (last_chance && to > at + 1).then(|| Place {
        at: to,
        gap_ms: i64::try_from(gap.as_millis()).unwrap_or(i64::MAX),
        method: SpliceMethod::Arrival,
    })
}

/// Every packager that may be used says that the stream is gone or ended, and has for long enough. Who
/// is taken out may be used at the last.
fn over(s: &Situation, tail: &Step) -> Option<Decision> {
    let may = |b: Option<SpliceReason>| b.is_none_or(|reason| reason == SpliceReason::Drained);
    let mut usable = s.candidates.iter().filter(|c| may(c.barred)).peekable();
    usable.peek()?;
    let all = usable.all(|c| c.over_since.is_some_and(|since| s.now.since(since) >= s.end_after));
    all.then(|| Decision {
        action: Action::Append(vec![end_after(tail, s.now)]),
        wants: Vec::new(),
        wake: s.now,
        why: "every packager says it is over",
    })
}

fn moves(s: &Situation, track: &Track) -> bool {
    track.progressed_at().is_some_and(|p| s.now.since(p) < s.log.header().target())
}
