//! A packager that is taken out, or has lost content, and still carries on: its lane goes to a sibling at
//! a moment at which that one carries on as well, and stays where none does.

use super::leaving::{Found, found, has_all, nearer_comes, splice};
use super::patience::{gaps_after, leave_after, waited};
use super::standing::last_entry;
use super::{Candidate, Decision, Situation, SpliceMethod, SpliceReason, Step, Want};

/// What becomes of the lane.
pub(super) enum Draining {
    /// It leaves now.
    Leaves(Decision),
    /// A sibling will carry on in time: the packager's next segment is held back for so long.
    Waits(Vec<Want>),
    /// It stays for another segment. What a sibling could carry on with is fetched.
    Stays(Vec<Want>),
}

/// Nothing forces the lane to leave, so it goes only where nothing is lost by it: content that is
/// aligned, of every rendition that viewers have now. Without waiting it might never leave: a sibling
/// that is a little later in time lists what carries on only after the packager has listed its next.
pub(super) fn drain(s: &Situation, tail: &Step, reason: SpliceReason) -> Draining {
    let waited = waited(s, tail);
    let last_chance = waited >= leave_after(s);
    let away = away(s, tail);
    let mut wants = Vec::new();
    let mut pending = false;
    let own = |f: &Found| *f.c.id == tail.packager;
    for f in found(s, tail, reason, last_chance).into_iter().filter(|f| !own(f)) {
        if !good(&f, reason, away) {
            continue;
        }
        if f.ready.pending || f.ready.lagging {
            wants.extend(f.ready.wants);
            pending = true;
            break;
        }
        if f.ready.missing() <= away {
            return Draining::Leaves(splice(s, tail, reason, f));
        }
    }
    let comes = |c: &Candidate| has_all(s, tail, c) && nearer_comes(s, tail, c);
    let soon = !last_chance && s.candidates.iter().any(comes);
    if soon || (pending && waited < gaps_after(s)) {
        Draining::Waits(wants)
    } else {
        Draining::Stays(wants)
    }
}

/// It may carry on, once its bytes are there. What one packager has lost another must be known to have.
fn good(Found { c, place, ready, .. }: &Found, reason: SpliceReason, away: usize) -> bool {
    let aligned = match reason {
        SpliceReason::Drained => place.method != SpliceMethod::Newest,
        _ => place.method <= SpliceMethod::Pts && place.gap_ms == 0,
    };
    c.barred.is_none() && aligned && !ready.lost() && ready.lacking() <= away
}

/// Renditions that somebody asks for and that the packager does not have now either.
fn away(s: &Situation, tail: &Step) -> usize {
    let nothing = |r: usize| last_entry(s, r).is_some_and(|e| e.gap || e.stands_in);
    let asked = |r: &usize| s.wanted.get(*r) == Some(&true) && tail.lists(*r);
    (0..s.wanted.len()).filter(asked).filter(|r| nothing(*r)).count()
}
