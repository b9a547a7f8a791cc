//! Where a lane's tail stands in what its packager shows now.

use super::elsewhere::not_seen_yet;
use super::moment::same_moment;
use super::readiness::wants;
use super::{Candidate, Entry, Seen, Situation, SpliceReason, Step, Track, Want};

/// A packager that fails this many refreshes in a row has failed.
pub(super) const FAILING: u32 = 2;

/// Where the tail stands in what its packager shows now.
pub(super) enum Standing {
    /// At this place of the track of this rendition.
    At(usize, usize),
    /// These bytes, fetched again, will tell.
    Prove(Vec<Want>),
    /// The packager has not been seen since this process knows the lane.
    Unseen,
    /// The run is over.
    Left(SpliceReason),
}

pub(super) fn standing(s: &Situation, c: &Candidate, tail: &Step) -> Standing {
    // What viewers have been given tells best where the tail stands.
    let given = (0..c.tracks.len()).find_map(|r| {
        let (entry, track) = (tail.entries(r).last()?, track_of(c, r)?);
        (entry.held.is_some() && track.find(&entry.source).is_some()).then_some((r, track))
    });
    let Some((r, track)) = given.or_else(|| reference(s, c)) else { return Standing::Unseen };
    let found = tail.entries(r).last().and_then(|e| track.find(&e.source));
    let Some(at) = found.or_else(|| tail_by_other(c, tail, r, track)) else {
        // The renditions that the tail names may not be shown here yet.
        let named = |o: usize| tail.entries(o).last().is_some_and(|e| !e.source.path.is_empty());
        let shown = |o: usize| track_of(c, o).is_some_and(|t| !t.segments().is_empty());
        if !(0..c.tracks.len()).any(|o| named(o) && shown(o)) {
            return Standing::Unseen;
        }
        if not_seen_yet(s, c, tail, r) {
            return Standing::Unseen;
        }
        // In the first run that this process saw the tail never stood: it was away for long.
        let away = track.run() <= 1;
        return Standing::Left(if away { SpliceReason::Resumed } else { SpliceReason::Restarted });
    };
    match proven(s, track, r) {
        Some(true) => Standing::At(r, at),
        Some(false) => Standing::Left(SpliceReason::Restarted),
        // What cannot be had again cannot be proven.
        None if track.segments().get(at).is_none_or(Seen::lost) => {
            Standing::Left(SpliceReason::Restarted)
        }
        // Bytes of now prove nothing about a list of before.
        None if track.unsure() => Standing::Unseen,
        None => Standing::Prove(wants(c, r, track, at)),
    }
}

/// The reference was not held when the tail was appended (nobody had asked for it): its place is
/// that of the same moment in a rendition that was.
pub(super) fn tail_by_other(c: &Candidate, tail: &Step, r: usize, track: &Track) -> Option<usize> {
    c.tracks.iter().enumerate().filter(|(o, _)| *o != r).find_map(|(o, other)| {
        let other = other.as_ref()?;
        let at = other.find(&tail.entries(o).last()?.source)?;
        same_moment(other, at, track)
    })
}

/// The newest step of the tail's run whose bytes both the log and the track know tells whether
/// it is one run: same names are not enough, since they start again after a restart.
pub(super) fn proven(s: &Situation, track: &Track, r: usize) -> Option<bool> {
    for step in s.log.steps().rev() {
        if let Some(entry) = step.entries(r).last()
            && let Some(seen) = track.find(&entry.source).and_then(|at| track.segments().get(at))
            && let (Some(logged), Some(held)) = (entry.whole(), seen.bytes.held)
        {
            return Some(logged == held);
        }
        if step.splice.is_some() {
            break;
        }
    }
    // Nothing of this rendition was held before: there is nothing to contradict.
    let in_run = s.log.steps().rev().take_while(|st| st.splice.is_none());
    let any = in_run.chain(s.log.steps().rev().find(|st| st.splice.is_some()));
    let held_before = any.into_iter().any(|st| st.entries(r).iter().any(|e| e.held.is_some()));
    (!held_before).then_some(true)
}

/// The newest entry of a rendition in the tail's run: the tail itself may have none of it.
pub(super) fn last_entry<'a>(s: &Situation<'a>, r: usize) -> Option<&'a Entry> {
    for step in s.log.steps().rev() {
        if let Some(entry) = step.entries(r).last() {
            return Some(entry);
        }
        if step.splice.is_some() {
            break;
        }
    }
    None
}

/// Viewers have been given this rendition, and it is there: not only something that stands in.
pub(super) fn comes(s: &Situation, r: usize) -> bool {
    !last_entry(s, r).is_some_and(|e| e.stands_in)
}

pub(super) fn failure(c: &Candidate) -> Option<SpliceReason> {
    // Who is taken out has not failed by that.
    if let Some(reason) = c.barred.filter(|reason| *reason != SpliceReason::Drained) {
        return Some(reason);
    }
    let tracks = || c.tracks.iter().flatten();
    if tracks().any(|t| t.failing().is_some_and(|f| f.count >= FAILING)) {
        return Some(SpliceReason::Failed);
    }
    tracks().any(|t| t.ended_since().is_some()).then_some(SpliceReason::Ended)
}

/// The rendition that the others are aligned by: the first wanted one that this packager shows.
pub(super) fn reference<'a>(s: &Situation, c: &Candidate<'a>) -> Option<(usize, &'a Track)> {
    let shown = |r: usize| track_of(c, r).filter(|t| !t.segments().is_empty());
    let wanted = (0..c.tracks.len()).filter(|&r| s.wanted.get(r) == Some(&true));
    wanted.chain(0..c.tracks.len()).find_map(|r| Some((r, shown(r)?)))
}

pub(super) fn track_of<'a>(c: &Candidate<'a>, r: usize) -> Option<&'a Track> {
    c.tracks.get(r).copied().flatten()
}
