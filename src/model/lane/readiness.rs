//! Whether a step can be made of what a packager shows: what of it is held, and what has to be
//! fetched first.

use super::cutting::{is_made, tail_wants};
use super::meeting::Meeting;
use super::moment::{Portion, Portions};
use super::standing::{comes, track_of};
use super::{Candidate, Situation, Track, Want, What};

/// What a step has of one rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// All that belongs to it, held.
    Whole,
    /// Bytes are on their way, or are not listed yet.
    Waits,
    /// Bytes cannot be had.
    Lost,
    /// This packager has nothing of the kind.
    Lacking,
    /// Nobody asks for it, and its list goes on without its bytes: of a long window.
    OnDemand,
    /// Nobody waits for it: its playlist begins later.
    Absent,
}

/// Whether a step can be made of these portions.
pub(super) struct Readiness {
    /// Bytes that are missing.
    pub(super) wants: Vec<Want>,
    /// Some of them are worth waiting for.
    pub(super) pending: bool,
    /// Per rendition.
    pub(super) fills: Vec<Fill>,
    /// A rendition that viewers have been given does not list its part yet.
    pub(super) lagging: bool,
}

impl Readiness {
    /// A rendition that viewers have been given cannot be had.
    pub(super) fn lost(&self) -> bool {
        self.fills.contains(&Fill::Lost)
    }
    /// Nothing is left to wait for.
    pub(super) fn whole(&self) -> bool {
        !self.pending && !self.lagging && !self.lost()
    }
    /// Renditions that viewers have been given and that are not held now.
    pub(super) fn missing(&self) -> usize {
        let away = |f: &&Fill| matches!(f, Fill::Waits | Fill::Lost | Fill::Lacking);
        self.fills.iter().filter(away).count()
    }
    /// Renditions that viewers have been given and that this packager does not have.
    pub(super) fn lacking(&self) -> usize {
        self.fills.iter().filter(|f| **f == Fill::Lacking).count()
    }
}

/// Of the portions at a moment, placed by rendition `by`. `meetings`: of which renditions it begins with
/// the tail of a segment.
pub(super) fn readiness(
    s: &Situation,
    c: &Candidate,
    by: usize,
    portions: &Portions,
    meetings: &[Option<Meeting>],
) -> Readiness {
    let mut out =
        Readiness { wants: Vec::new(), pending: false, fills: Vec::new(), lagging: false };
    let fresh = fresh(s, c, portions);
    for (r, portion) in portions.iter().enumerate() {
        let wanted = s.wanted.get(r) == Some(&true);
        let fill = if wanted || goes_on(s, r) {
            let meeting = meetings.get(r).copied().flatten();
            let place = Place { r, leads: r == by, wanted, fresh, meeting };
            fill(s, c, place, portion, &mut out)
        } else {
            Fill::Absent
        };
        out.fills.push(fill);
    }
    out
}

/// Nobody asks for this rendition now, but whoever does, does so for hours of it: a step without it
/// would end its list. I-frames are not even refreshed then.
pub(super) fn goes_on(s: &Situation, r: usize) -> bool {
    let header = s.log.header();
    let played = header.renditions.get(r).is_some_and(|r| r.traits.kind.is_played());
    header.is_deep() && played && s.log.tail().is_some_and(|t| t.lists(r))
}

/// The step's first segment was listed a moment ago: what else belongs to it may be on its way.
/// Told by the listing and not by the lane, so that waiting never adds up.
fn fresh(s: &Situation, c: &Candidate, portions: &Portions) -> bool {
    let listed = portions.iter().enumerate().filter_map(|(r, portion)| match portion {
        Portion::Segments(range) if !range.is_empty() => track_of(c, r)?.listed_by(range.start),
        _ => None,
    });
    listed.min().is_some_and(|at| s.now.since(at) < s.log.header().target() / 2)
}

/// Which rendition is looked at.
#[derive(Clone, Copy)]
struct Place {
    r: usize,
    /// The others are placed by it.
    leads: bool,
    /// Its bytes are to be held; else only what its list names beside them.
    wanted: bool,
    fresh: bool,
    meeting: Option<Meeting>,
}

fn fill(
    s: &Situation,
    c: &Candidate,
    Place { r, leads, wanted, fresh, meeting }: Place,
    portion: &Portion,
    out: &mut Readiness,
) -> Fill {
    // A rendition that nobody has been given yet holds up nobody, nor does one that is away.
    let carried = s.log.tail().is_none_or(|t| t.lists(r));
    let waited_for = carried && wanted && (leads || comes(s, r));
    let or_absent = |fill| if carried { fill } else { Fill::Absent };
    let (track, range) = match (track_of(c, r), portion) {
        (_, Portion::Lacking) => return or_absent(Fill::Lacking),
        (Some(track), Portion::Segments(range)) => (track, range.clone()),
        (track, _) => {
            // It is refreshed apart from the others, and would lose every race against them.
            let near = || track.is_some_and(|t| t.failing().is_none() && !t.segments().is_empty());
            out.lagging |= waited_for || (fresh && near());
            return or_absent(Fill::Waits);
        }
    };
    let mut lost = false;
    let mut whole = true;
    for at in range {
        let Some(seen) = track.segments().get(at) else { continue };
        let assets = || seen.listed.assets().map(|a| track.asset(a.resource));
        lost |= seen.lost() || assets().any(|a| a.lost());
        let bytes = seen.bytes.held.is_some() || (!wanted && !track.unsure());
        let meeting = meeting.filter(|meeting| wanted && meeting.at == at);
        whole &= bytes && assets().all(|a| a.held.is_some());
        whole &= meeting.is_none_or(|meeting| is_made(track, &meeting));
        if track.unsure() && seen.bytes.held.is_none() {
            out.lagging |= waited_for;
            continue;
        }
        let mut missing = match meeting {
            Some(meeting) => tail_wants(c, r, track, &meeting),
            None => wants(c, r, track, at),
        };
        // A tail that is not there and that nothing is missing for does not come.
        lost |= missing.is_empty() && meeting.is_some_and(|meeting| !is_made(track, &meeting));
        missing.retain(|want| wanted || matches!(want.what, What::Asset { .. }));
        // What stays away is asked for all the same: it comes back by that.
        out.pending |= !missing.is_empty() && (waited_for || fresh);
        out.wants.extend(missing);
    }
    match (whole, lost) {
        (true, _) if !wanted => Fill::OnDemand,
        (true, _) => Fill::Whole,
        (_, true) if waited_for => Fill::Lost,
        _ => or_absent(Fill::Waits),
    }
}

/// What is missing of the segment at `at`. What was lost is not asked for again: a refusal comes
/// back at once, and so would the next.
pub(super) fn wants(c: &Candidate, r: usize, track: &Track, at: usize) -> Vec<Want> {
    let Some(seen) = track.segments().get(at).filter(|seen| !seen.lost()) else {
        return Vec::new();
    };
    let want = |what| Want { packager: c.id.clone(), rendition: r, run: track.run(), what };
    let encrypted = seen.listed.segment.keys.iter().any(|k| k.whole_segment);
    let segment =
        || want(What::Segment { msn: seen.msn(), at: seen.listed.resource.clone(), encrypted });
    let mut wants: Vec<Want> = seen.bytes.held.is_none().then(segment).into_iter().collect();
    for asset in seen.listed.assets() {
        let known = track.asset(asset.resource);
        if known.held.is_none() && !known.lost() {
            let (at, key_of_16) = (asset.resource.clone(), asset.key_of_16);
            wants.push(want(What::Asset { at, key_of_16 }));
        }
    }
    wants
}
