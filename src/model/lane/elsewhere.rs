//! What other proxies' steps tell of a packager that looks otherwise from here. Proxies have different views
//! of the packagers (one may be cut off from one that the others reach), and a lane follows the best of them.

use std::time::Duration;

use super::patience::{leave_after, leave_exactly_after, waited};
use super::standing::track_of;
use super::{Candidate, Situation, SpliceReason, Step, Track};
use crate::model::names::UnixMs;

/// A list that came this soon after a step was heard of may have been asked for before.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// It may well be that another proxy carries the lane on in its packager's run, whatever is seen here: that is
/// waited for, for as long as one waits for a packager that is late.
pub(super) fn may_go_on(s: &Situation, tail: &Step, c: Option<&Candidate>) -> bool {
    let early = s.fleet && waited(s, tail) < leave_exactly_after(s);
    early || goes_on(s, c)
}

/// Another proxy has appended a step of the run since it began to look bad from here.
fn goes_on(s: &Situation, c: Option<&Candidate>) -> bool {
    let Some(heard) = s.elsewhere.filter(|heard| s.now.since(*heard) < leave_after(s)) else {
        return false;
    };
    let Some(c) = c.filter(|c| c.barred.is_none_or(|by| by == SpliceReason::Drained)) else {
        return true;
    };
    bad_since(c).is_none_or(|bad| bad < heard)
}

fn bad_since(c: &Candidate) -> Option<UnixMs> {
    let of = |t: &&Track| t.failing().map(|f| f.since).or(t.ended_since()).or(t.run_since);
    c.tracks.iter().flatten().filter_map(of).max()
}

/// The tail is another proxy's, and what is seen of its packager here is older than the tail, or lags behind
/// it: that it does not stand there tells nothing.
pub(super) fn not_seen_yet(s: &Situation, c: &Candidate, tail: &Step, r: usize) -> bool {
    let (Some(heard), Some(track)) = (s.elsewhere, track_of(c, r)) else { return false };
    let looked = track.refreshed_at().is_some_and(|at| at > heard.plus(UNDER_WAY));
    let ahead = tail.entries(r).last().zip(track.newest());
    let ahead = ahead.is_some_and(|(entry, newest)| entry.source.msn > newest.msn());
    let same_run = track.run_since.is_some_and(|since| since < heard);
    !looked || (ahead && same_run)
}

/// Another proxy has seen the packager make progress after it was last seen here. Whoever sees more of it
/// decides sooner.
pub(super) fn is_blind(s: &Situation) -> bool {
    let (Some(heard), Some(tail)) = (s.elsewhere, s.log.tail()) else { return false };
    let c = s.candidates.iter().find(|c| *c.id == tail.packager);
    let tracks = c.iter().flat_map(|c| c.tracks.iter().flatten());
    tracks.filter_map(|t| t.progressed_at()).max().is_none_or(|at| at < heard)
}
