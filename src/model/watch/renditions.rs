//! Renditions of one stream: the same moment has the same discontinuity number in each.
//!
//! Borders of segments need not be shared: audio and subtitles have lengths of their own, I-frames
//! have an entry each, and then numbers drift apart by right. So moments are compared, where both
//! sides have dates; and numbers only where both have gone on in step.

use std::collections::BTreeSet;
use std::time::Duration;

use super::observer::Polled;
use super::shown::Listed;
use super::track::{Dated, Known, Track};
use super::{Finding, Place, Rule};

/// Segments that one rendition may have gained since another was looked at, where their lists
/// have none in common.
const NEWER: u64 = 3;
/// The newest segments of a list that are compared: a window may hold thousands.
const COMPARED: usize = 200;

type Sides<'a> = [(&'a Place, &'a Track); 2];

/// Which pairs have been seen out of step: their numbers say nothing of each other any more.
#[derive(Debug, Default)]
pub(super) struct Steps {
    out_of_step: BTreeSet<(Place, Place)>,
}

impl Steps {
    /// The two have had segments of one length and edges at one number since the watch began.
    pub fn look(&mut self, sides: Sides<'_>, pair: &(Place, Place), polled: Polled) -> bool {
        if self.out_of_step.contains(pair) {
            return false;
        }
        let together = together(sides, polled);
        if !together {
            self.out_of_step.insert(pair.clone());
        }
        together
    }
}

fn together([(one, this), (two, other)]: Sides<'_>, polled: Polled) -> bool {
    if this.iframes_only || other.iframes_only || !alike(this, other) {
        return false;
    }
    // Variants of one encoder share their numbers (law 7): what differs there is the breach.
    if one.letter() == 'v' && two.letter() == 'v' {
        return true;
    }
    let looked = other.looked_at.unwrap_or_default();
    let target = this.target.unwrap_or_default();
    let close = polled.received.saturating_sub(looked) <= target / 2;
    let apart = this.last.unwrap_or_default().abs_diff(other.last.unwrap_or_default());
    !close || apart <= 1
}

/// Segments of one length: a tenth is what borders at frames of another rate differ by.
fn alike(this: &Track, other: &Track) -> bool {
    let near = |one: Duration, two: Duration| one.abs_diff(two) * 10 <= one.max(two);
    let first = this.first.max(other.first);
    let mut common = 0;
    for listed in newest(this).take_while(|l| l.msn >= first) {
        let Some(Known { listed: theirs, .. }) = other.history.get(&listed.msn) else { continue };
        common += 1;
        if !near(listed.duration, theirs.duration) {
            return false;
        }
    }
    let mean = |track: &Track| {
        let (mut sum, mut count) = (Duration::ZERO, 0);
        for listed in newest(track) {
            sum += listed.duration;
            count += 1;
        }
        sum / count.max(1)
    };
    common > 0 || near(mean(this), mean(other))
}

/// The breach between two renditions; none where nothing can be said.
pub(super) fn disagree(sides: Sides<'_>, in_step: bool, polled: Polled) -> Option<Finding> {
    let [(_, this), (whom, other)] = sides;
    if this.dated == Dated::All && other.dated == Dated::All {
        let base = if in_step { base(sides, polled) } else { None };
        return base.or_else(|| moments(this, other, whom));
    }
    if !in_step {
        return None;
    }
    base(sides, polled).or_else(|| numbers(sides))
}

/// The segments listed last, newest first.
fn newest(track: &Track) -> impl Iterator<Item = &Listed> {
    let last = track.last.unwrap_or(track.first).max(track.first);
    track.history.range(track.first..=last).rev().take(COMPARED).map(|(_, k)| &k.listed)
}

/// Where dates say which moment a segment shows: its discontinuity number must be that of the
/// moment. Splices lie up to a segment apart where borders do, so only moments count that no
/// discontinuity of this list is near.
fn moments(this: &Track, other: &Track, whom: &Place) -> Option<Finding> {
    let near = u64::try_from((this.target?.max(other.target?)).as_millis()).ok()?;
    let (ours, theirs) = (spans(this), spans(other));
    let mut judged = None;
    for (listed, from, to) in &ours {
        if judged == Some(listed.discontinuity_number) {
            continue; // one moment of each timeline is enough
        }
        let moment = from.midpoint(*to);
        let close = |f: u64, t: u64| f < moment + near && t + near > moment;
        let mut around = ours.iter().filter(|(_, f, t)| close(*f, *t));
        if around.any(|(l, ..)| l.discontinuity_number != listed.discontinuity_number) {
            continue;
        }
        let mut there = theirs.iter().filter(|(_, f, t)| *f <= moment && moment < *t).peekable();
        let Some((first, ..)) = there.peek().copied() else { continue };
        judged = Some(listed.discontinuity_number);
        if there.all(|(l, ..)| l.discontinuity_number != listed.discontinuity_number) {
            return Some(finding(listed, first, whom));
        }
    }
    None
}

/// The segments with a date, newest first: where each begins and ends, Unix milliseconds.
fn spans(track: &Track) -> Vec<(&Listed, u64, u64)> {
    newest(track).filter_map(|l| Some((l, l.moment?.ms, l.end()?.ms))).collect()
}

/// MSN n is the same moment in each rendition, and so is discontinuity n (law 7).
fn numbers([(one, this), (whom, other)]: Sides<'_>) -> Option<Finding> {
    let last = this.last?.min(other.last?);
    let at =
        |track: &'_ Track, msn: u64| track.history.get(&msn).map(|k| k.listed.discontinuity_number);
    let strict = one.letter() == 'v' && whom.letter() == 'v';
    let (ours, theirs) = (this.history.get(&last)?, other.history.get(&last)?);
    // Between kinds a splice may lie a segment off.
    let near = last.saturating_sub(1);
    let steady = at(this, near) == at(this, last) && at(other, near) == at(other, last);
    let (ours, theirs) = (&ours.listed, &theirs.listed);
    let differ = ours.discontinuity_number != theirs.discontinuity_number;
    (differ && (strict || steady)).then(|| finding(ours, theirs, whom))
}

fn finding(ours: &Listed, theirs: &Listed, whom: &Place) -> Finding {
    let (here, there) = (ours.discontinuity_number, theirs.discontinuity_number);
    let also =
        if ours.msn == theirs.msn { String::new() } else { format!(", there {},", theirs.msn) };
    let sentence = format!(
        "segment {}{also} has the discontinuity number {here} here and {there} in {whom}",
        ours.msn
    );
    Finding::new(Rule::RenditionsDisagree, Some(ours.msn), there, here, sentence)
}

/// Variants whose lists have no number in common.
fn base([(one, this), (whom, other)]: Sides<'_>, polled: Polled) -> Option<Finding> {
    if one.letter() != 'v' || whom.letter() != 'v' {
        return None;
    }
    let (first, last) = (this.first.max(other.first), this.last?.min(other.last?));
    // Just short of meeting: a rendition that begins at the edge, seen after the others were.
    if first <= last.saturating_add(NEWER) {
        return None;
    }
    // Two looks far apart in time may well show lists that do not meet.
    let close = polled.received.saturating_sub(other.looked_at?) <= this.target?;
    close.then(|| {
        let range = |t: &Track| format!("{} to {}", t.first, t.last.unwrap_or(t.first));
        let (ours, theirs) = (range(this), range(other));
        let sentence = format!(
            "segments {ours} are listed here and {theirs} in {whom}: the numbers have no common base"
        );
        Finding::new(Rule::RenditionsDisagree, Some(this.first), theirs, ours, sentence)
    })
}
