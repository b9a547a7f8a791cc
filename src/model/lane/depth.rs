//! The depth of a long window, with which a lane opens: what its packager listed before the
//! steps that are held. It is listed as it stands there and fetched when somebody asks for it.

use std::ops::Range;
use std::time::Duration;

use super::making::{KeyNames, Maker, unlisted};
use super::moment::{Portion, moment};
use super::standing::track_of;
use super::{
    Candidate, Entry, FORMAT, Fetched, Listed, Seen, Share, Situation, Step, Track, Want, What,
};
use crate::model::names::UnixMs;

/// Init segments and keys that the depth may need: beyond, it is cut off there.
const ASSETS_MAX: usize = 64;

/// The steps before the one at `start` of rendition `r`. None where all of the window is held.
///
/// # Errors
/// What has to be fetched before: init segments and keys.
pub(super) fn before(
    s: &Situation,
    c: &Candidate,
    r: usize,
    start: usize,
) -> Result<Vec<Step>, Vec<Want>> {
    let header = s.log.header();
    if !header.is_deep() {
        return Ok(Vec::new());
    }
    let first = moment(s, c, r, start);
    // Back from where the held steps begin, in every rendition.
    let lists: Vec<Vec<Seen>> = first
        .iter()
        .enumerate()
        .map(|(o, portion)| match (portion, track_of(c, o)) {
            (Portion::Segments(range), Some(track)) => list(c, o, track, range.start),
            _ => Vec::new(),
        })
        .collect();
    let Some(reference) = lists.get(r) else { return Ok(Vec::new()) };
    let durations = |list: &[Seen]| list.iter().rev().map(Seen::duration).collect::<Vec<_>>();
    let back = durations(reference);
    let shares: Vec<Vec<Range<usize>>> = lists
        .iter()
        .map(|list| {
            let n = list.len();
            let ranges = pair(&back, &durations(list), false);
            ranges.into_iter().map(|p| n - p.end..n - p.start).rev().collect()
        })
        .collect();
    steps(s, c, r, &lists, &shares)
}

/// All steps of a playlist that is whole.
///
/// # Errors
/// What has to be fetched before: init segments and keys.
pub(super) fn whole(s: &Situation, c: &Candidate, r: usize) -> Result<Vec<Step>, Vec<Want>> {
    let lists: Vec<Vec<Seen>> = (0..s.log.header().renditions.len())
        .map(|o| track_of(c, o).map_or_else(Vec::new, |t| list(c, o, t, t.segments().len())))
        .collect();
    let Some(reference) = lists.get(r) else { return Ok(Vec::new()) };
    let durations = |list: &[Seen]| list.iter().map(Seen::duration).collect::<Vec<_>>();
    let on = durations(reference);
    let shares: Vec<_> = lists.iter().map(|list| pair(&on, &durations(list), true)).collect();
    steps(s, c, r, &lists, &shares)
}

/// What a rendition lists before the place `to` of its track, the part that the track does not
/// look at first.
fn list(c: &Candidate, o: usize, track: &Track, to: usize) -> Vec<Seen> {
    let from = track.listed_from().min(to);
    let old = c.depth.get(o).copied().unwrap_or_default();
    let old = old.iter().map(|listed| Seen {
        listed: listed.clone(),
        content_end: Duration::ZERO,
        wall_end: None,
        bytes: Fetched::default(),
        content: None,
        glimpse: None,
    });
    let mut all: Vec<Seen> = old.chain(track.segments().range(from..to).cloned()).collect();
    date(&mut all);
    all
}

/// Dates go on from the last one that the packager wrote.
fn date(all: &mut [Seen]) {
    let mut wall: Option<UnixMs> = None;
    for seen in all {
        let segment = &seen.listed.segment;
        let kept = wall.filter(|_| !segment.discontinuity);
        let begins = segment.program_date_time.map(UnixMs).or(kept);
        seen.wall_end = begins.map(|w| w.plus(segment.duration)).or(seen.wall_end);
        wall = seen.wall_end;
    }
}

/// For each segment of the reference which of the other rendition's are at the same moment, both
/// counted from one common moment: those of which most lies within. `to_the_end`: the last takes
/// all that are left.
fn pair(reference: &[Duration], other: &[Duration], to_the_end: bool) -> Vec<Range<usize>> {
    let (mut end, mut reached, mut at) = (Duration::ZERO, Duration::ZERO, 0);
    let last = reference.len().saturating_sub(1);
    let pairs = reference.iter().enumerate().map(|(i, duration)| {
        end = end.saturating_add(*duration);
        let from = at;
        while let Some(next) = other.get(at) {
            let most = reached.saturating_add(*next / 2) < end;
            let rest = to_the_end && i == last;
            if !(most || rest) {
                break;
            }
            reached = reached.saturating_add(*next);
            at += 1;
        }
        from..at
    });
    pairs.collect()
}

/// The steps of these shares, oldest first, as far back as their init segments and keys are to be
/// had.
fn steps(
    s: &Situation,
    c: &Candidate,
    r: usize,
    lists: &[Vec<Seen>],
    shares: &[Vec<Range<usize>>],
) -> Result<Vec<Step>, Vec<Want>> {
    let count = shares.get(r).map_or(0, Vec::len);
    let from = assets(c, lists, shares, count)?;
    let header = s.log.header();
    let mut step_end = anchor(s, c, r, lists);
    let listed = lists.get(r).map_or(&[][..], Vec::as_slice);
    let total: Duration = listed.iter().skip(from).map(Seen::duration).sum();
    step_end = step_end.minus(total);
    let mut out: Vec<Step> = Vec::with_capacity(count.saturating_sub(from));
    let mut names = KeyNames::new(s, header.first_msn);
    for k in from..count {
        let Some(seen) = shares.get(r).and_then(|of| listed.get(of.get(k)?.start)) else {
            continue;
        };
        let msn = out.last().map_or(header.first_msn, |t| t.msn.next());
        names.at(msn);
        let begins = seen.wall_end.map(|e| e.minus(seen.duration())).filter(|_| header.dates);
        step_end = step_end.plus(seen.duration());
        let duration = seen.duration();
        let (before, opens, meetings) = (&[][..], false, &[][..]);
        let mut maker =
            Maker { s, c, before, names, shift_ms: 0, begins, duration, opens, meetings };
        let mut marked = false;
        let made = lists.iter().zip(shares).enumerate().map(|(o, (list, of))| {
            let range = of.get(k).cloned().unwrap_or_default();
            let before = out.last().and_then(|t| t.shares.get(o));
            let entries: Vec<Entry> = match (track_of(c, o), list.get(range)) {
                (Some(track), Some(part)) if !list.is_empty() => {
                    marked |= part.iter().any(|seen| seen.listed.segment.discontinuity);
                    part.iter().map(|seen| on_demand(&mut maker, seen, track)).collect()
                }
                _ => vec![unlisted(seen.duration())],
            };
            (before, entries)
        });
        let made: Vec<(Option<&Share>, Vec<Entry>)> = made.collect();
        // What the first of all follows left the list: nobody can tell it was marked.
        let marked = marked && k > from;
        let shares =
            made.into_iter().map(|(before, entries)| Share::after(before, msn, marked, entries));
        let shares = shares.collect();
        let number = out.last().map_or(header.first_discontinuity, |t| t.discontinuity_number);
        let step = Step {
            format: FORMAT,
            msn,
            packager: c.id.clone(),
            discontinuity: marked,
            discontinuity_number: number + u64::from(marked),
            splice: None,
            shares,
            listed_at: step_end,
            content_end: step_end,
            wall_end: seen.wall_end.filter(|_| header.dates),
            wall_shift_ms: 0,
            holders: Vec::new(),
            end: false,
        };
        names = maker.names;
        out.push(step);
    }
    Ok(out)
}

fn on_demand(maker: &mut Maker, seen: &Seen, track: &Track) -> Entry {
    let begins = seen.wall_end.map(|end| end.minus(seen.duration()));
    let mut entry = maker.entry(seen, track, &seen.listed.segment.lines, begins);
    entry.gap = seen.listed.segment.gap;
    entry.on_demand = entry.held.is_none() && !entry.gap;
    entry
}

/// When, by arrival, the newest of the reference's segments here ended.
fn anchor(s: &Situation, c: &Candidate, r: usize, lists: &[Vec<Seen>]) -> UnixMs {
    let newest = lists.get(r).and_then(|list| list.last());
    let at = newest.and_then(|seen| track_of(c, r)?.position(seen.msn()));
    at.and_then(|at| track_of(c, r)?.listed_by(at)).unwrap_or(s.log.header().opened_at)
}

/// The first step from which on every init segment and key is held.
fn assets(
    c: &Candidate,
    lists: &[Vec<Seen>],
    shares: &[Vec<Range<usize>>],
    count: usize,
) -> Result<usize, Vec<Want>> {
    let mut missing: Vec<Want> = Vec::new();
    let mut known = 0;
    let mut last: Vec<Option<&Listed>> = vec![None; lists.len()];
    for k in (0..count).rev() {
        for (o, (list, of)) in lists.iter().zip(shares).enumerate() {
            let Some(track) = track_of(c, o) else { continue };
            for seen in of.get(k).and_then(|range| list.get(range.clone())).unwrap_or_default() {
                // Mostly the same as the one before.
                let same = |l: &&Listed| {
                    l.map == seen.listed.map
                        && l.keys == seen.listed.keys
                        && l.map_keys == seen.listed.map_keys
                };
                let slot = last.get_mut(o);
                if slot.as_ref().is_some_and(|slot| slot.as_ref().is_some_and(same)) {
                    continue;
                }
                let unknown = |r| track.asset(r).held.is_none();
                let lost = seen.listed.assets().any(|a| track.asset(a.resource).lost());
                known += seen.listed.assets().count();
                if lost || known > ASSETS_MAX {
                    return if missing.is_empty() { Ok(k + 1) } else { Err(missing) };
                }
                for a in seen.listed.assets().filter(|a| unknown(a.resource)) {
                    missing.push(Want {
                        packager: c.id.clone(),
                        rendition: o,
                        run: track.run(),
                        what: What::Asset { at: a.resource.clone(), key_of_16: a.key_of_16 },
                    });
                }
                if let Some(slot) = slot {
                    *slot = Some(&seen.listed);
                }
            }
        }
    }
    if missing.is_empty() { Ok(0) } else { Err(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(all: &[u64]) -> Vec<Duration> {
        all.iter().map(|s| Duration::from_secs(*s)).collect()
    }

    #[test]
    fn renditions_are_paired_by_where_most_of_them_lies() {
        let pairs = |a: &[u64], b: &[u64], end| {
            let ranges = pair(&seconds(a), &seconds(b), end);
            ranges.iter().map(|r| (r.start, r.end)).collect::<Vec<_>>()
        };
        assert_eq!(pairs(&[4, 4], &[4, 4], false), [(0, 1), (1, 2)]);
        assert_eq!(pairs(&[4, 4], &[2, 2, 2, 2], false), [(0, 2), (2, 4)]);
        assert_eq!(pairs(&[4, 4, 4], &[12], false), [(0, 0), (0, 1), (1, 1)]);
        assert_eq!(pairs(&[8, 8, 8, 8], &[6, 6, 6, 6, 6], false), [(0, 1), (1, 3), (3, 4), (4, 5)]);
        assert_eq!(pairs(&[4, 4], &[4, 4, 4], true), [(0, 1), (1, 3)]);
        assert_eq!(pairs(&[4], &[], true), [(0, 0)]);
    }
}
