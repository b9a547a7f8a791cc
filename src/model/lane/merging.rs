//! A lane's log here and the store's copy of it, brought together after one of them went on without the other:
//! what is missing there is given back, what is missing here is taken over, and where both have printed under the
//! same numbers each goes on with what it has printed.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::alike::{prints_same, same};
use super::apart::{Apart, Renamed};
use super::making::unlisted;
use super::{Entry, Log, Share, Step};
use crate::model::names::{ContentHash, OutputMsn};

/// Steps that are given to the store at once, at the most.
const GIVEN_MAX: usize = 4096;
/// Entries that stand for what nobody has, for each such step, at the most.
const ENTRIES_MAX: u64 = 16;

/// The store's copy of a log.
#[derive(Clone, Copy, Debug)]
pub struct There<'a> {
    /// The number that its header begins with; where not all is read, of no meaning.
    pub first_msn: OutputMsn,
    /// Its steps up to the tail.
    pub steps: &'a [Step],
    /// These are all of them, and not the newest alone.
    pub whole: bool,
}

/// What was found, and what is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The first and the last number that are printed here and are other steps in the store.
    pub split: Option<RangeInclusive<OutputMsn>>,
    /// Steps after this one were never listed here, and are others in the store: they go.
    pub keep: Option<OutputMsn>,
    /// What then.
    pub then: Then,
}

/// How the two become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// They are.
    Done,
    /// These steps of the store follow the log here, each by way of [`Apart::inward`].
    Take(Vec<Step>),
    /// What was read of the store does not reach back to where they are alike: all of it has to be read.
    Read,
    /// [`Apart::giving`] follows the log there.
    Give {
        /// The store's tail; none where it has no step.
        after: Option<OutputMsn>,
        /// The number that it takes next.
        next: OutputMsn,
    },
    /// What the store has begins after the end of the log here, or otherwise, and nothing was appended here: there is
    /// nothing to go on with but its log.
    Anew,
    /// What the store takes next comes after the end of the log here: nothing can be given to it yet.
    Ahead,
    /// What the store has is long past: it begins anew with the oldest step here, if its tail still is this one.
    Begin {
        /// See there; none where it has no step.
        after: Option<OutputMsn>,
    },
    /// The lane goes on here alone: it has ended in the store.
    Closed,
}

impl Apart {
    /// Brings `log` and the store's copy of it together. `printed_to`: the newest number that was listed here.
    #[must_use]
    pub fn merge(&mut self, log: &Log, printed_to: OutputMsn, there: There) -> Merged {
        let mut merged = Merged { split: None, keep: None, then: Then::Done };
        if !there.whole && !reaches_back(log, there.steps) {
            merged.then = Then::Read;
            return merged;
        }
        self.closed = false;
        let Some(tail) = log.tail() else {
            self.there = None;
            if !there.steps.is_empty() {
                merged.then = Then::Take(there.steps.to_vec());
            } else if there.first_msn != log.header().first_msn {
                merged.then = Then::Anew;
            }
            return merged;
        };
        let (Some(oldest), Some(newest)) = (there.steps.first(), there.steps.last()) else {
            self.there = None;
            merged.then = self.give(log, None, there.first_msn);
            return merged;
        };
        // An end gives way to what stands in its place: where that has left there is nothing to go on with.
        if oldest.msn > tail.msn.next() || (tail.end && oldest.msn > tail.msn) {
            merged.then = Then::Anew;
            return merged;
        }
        let listed = printed_to.min(tail.msn);
        let differ = self.differing(log, there.steps);
        let ends = |msn: OutputMsn| log.get(msn).is_some_and(|step| step.end);
        merged.split = split(differ.iter().copied().filter(|msn| *msn <= listed && !ends(*msn)));
        if let Some(split) = &merged.split {
            self.differs_to = self.differs_to.max(Some(*split.end()));
        }
        // What was never listed here gives way. So does an end, which names nothing: who goes on is right.
        let gives_way = differ.iter().find(|msn| **msn > listed || ends(**msn));
        let keep = gives_way.map_or(tail.msn, |msn| OutputMsn(msn.0.saturating_sub(1)));
        self.rename_keys(log, there.steps, &differ);
        self.meet(log, there.steps, keep.min(newest.msn));
        if newest.msn > keep {
            merged.keep = (keep < tail.msn).then_some(keep);
            let after = there.steps.iter().filter(|step| step.msn > keep);
            merged.then = Then::Take(after.cloned().collect());
        } else if newest.end && !ends(newest.msn) {
            self.closed = true;
            merged.then = Then::Closed;
        } else if newest.msn < tail.msn {
            merged.then = self.give(log, Some(newest.msn), newest.msn.next());
        }
        merged
    }

    fn give(&mut self, log: &Log, after: Option<OutputMsn>, next: OutputMsn) -> Then {
        // Of the lane nothing is left here but that it has ended.
        let over = log.steps().next().is_some_and(|oldest| oldest.end && oldest.msn > next);
        if over {
            return Then::Done;
        }
        if next > log.next_msn() {
            return Then::Ahead;
        }
        let missing = log.first().map_or(0, |first| first.0.saturating_sub(next.0));
        if missing > GIVEN_MAX as u64 {
            self.there = None;
            return Then::Begin { after };
        }
        Then::Give { after, next }
    }

    /// Numbers at which the two are printed otherwise, but for those that were told before.
    fn differing(&self, log: &Log, there: &[Step]) -> Vec<OutputMsn> {
        let new = there.iter().filter(|step| Some(step.msn) > self.differs_to);
        let both = new.filter_map(|step| Some((log.get(step.msn)?, step)));
        both.filter(|(here, there)| !prints_same(here, there)).map(|(here, _)| here.msn).collect()
    }

    /// The two go on from `at`, each from its own step.
    fn meet(&mut self, log: &Log, there: &[Step], at: OutputMsn) {
        let known = there.iter().find(|step| step.msn == at).cloned();
        match (log.get(at), known) {
            (Some(here), Some(there)) => self.stands_for(here, there),
            (None, known) => self.there = known,
            (Some(_), None) => (self.there, self.unread) = (None, Some(at.next())),
        }
    }

    /// The steps here from `next` on, as they follow those of the store. What nobody has any more, between its tail
    /// and the oldest here, is filled with steps that list nothing: readers of that log begin after them.
    #[must_use]
    pub fn giving(&self, log: &Log, next: OutputMsn) -> Vec<Step> {
        let Some(first) = log.from(next).next().filter(|first| first.msn >= next) else {
            return Vec::new();
        };
        let mut out = filling(self.there.as_ref(), first, next);
        let room = GIVEN_MAX.saturating_sub(out.len());
        let own: Vec<Step> = log.from(next).take(room).cloned().collect();
        let before = OutputMsn(next.0.saturating_sub(1));
        let onto = out.last().filter(|_| self.there.is_some()).or(self.there.as_ref());
        let own = self.follow_on(log.get(before), onto, own);
        out.extend(own);
        out
    }

    /// Where the two logs call different keys by one name, each calls the other's by another.
    fn rename_keys(&mut self, log: &Log, there: &[Step], differ: &[OutputMsn]) {
        let Some(from) = differ.first().copied() else { return };
        let here = key_names(log.from(from));
        let there = key_names(there.iter().filter(|step| step.msn >= from));
        for (name, bytes) in &there {
            let Some(other) = here.get(name).filter(|other| *other != bytes) else { continue };
            let mut free = format!("{name}s");
            while here.contains_key(free.as_str()) || there.contains_key(free.as_str()) {
                free.push('s');
            }
            let name = (*name).to_owned();
            self.remember(Renamed { bytes: *bytes, here: free.clone(), there: name.clone() });
            self.remember(Renamed { bytes: *other, here: name, there: free });
        }
    }
}

/// The first of the steps is the same here.
fn reaches_back(log: &Log, there: &[Step]) -> bool {
    let first = there.first().and_then(|first| Some((log.get(first.msn)?, first)));
    first.is_some_and(|(here, there)| same(here, there))
}

fn split(
    mut printed: impl DoubleEndedIterator<Item = OutputMsn>,
) -> Option<RangeInclusive<OutputMsn>> {
    let first = printed.next()?;
    Some(first..=printed.next_back().unwrap_or(first))
}

fn key_names<'a>(steps: impl Iterator<Item = &'a Step>) -> HashMap<&'a str, ContentHash> {
    let entries = steps.flat_map(|step| &step.shares).flat_map(|share| &share.entries);
    let held = entries.flat_map(Entry::all_keys).filter_map(super::Key::held);
    held.map(|(name, held)| (name, held.hash)).collect()
}

/// Steps from `next` on up to `first`, after `tail`, of which nothing is listed.
fn filling(tail: Option<&Step>, first: &Step, next: OutputMsn) -> Vec<Step> {
    let missing = first.msn.0.saturating_sub(next.0).min(GIVEN_MAX as u64);
    let before = first.discontinuity_number.saturating_sub(u64::from(first.discontinuity));
    let number = tail.map_or(before, |tail| tail.discontinuity_number);
    let of_share = |(r, share): (usize, &Share)| {
        let begins = tail.and_then(|tail| tail.shares.get(r)).map(Share::next_msn);
        let begins = begins.unwrap_or(OutputMsn(share.msn.0.saturating_sub(missing)));
        (begins, share.msn.0.saturating_sub(begins.0).min(missing * ENTRIES_MAX))
    };
    let spans: Vec<(OutputMsn, u64)> = first.shares.iter().enumerate().map(of_share).collect();
    let step = |at: u64| {
        let share = |(begins, entries): &(OutputMsn, u64)| {
            let upto = |steps: u64| entries * steps / missing;
            let here = upto(at)..upto(at + 1);
            let msn = OutputMsn(begins.0.saturating_add(here.start));
            Share { msn, tags: None, entries: here.map(|_| unlisted(first.duration())).collect() }
        };
        Step {
            msn: OutputMsn(next.0.saturating_add(at)),
            discontinuity: false,
            discontinuity_number: number,
            splice: None,
            shares: spans.iter().map(share).collect(),
            wall_end: None,
            end: false,
            holders: Vec::new(),
            ..first.clone()
        }
    };
    (0..missing).map(step).collect()
}
