//! What a log here and the same log in the store differ by, after a split: proxies that could not reach the store
//! went on each for itself.
//!
//! What a proxy has printed under a number it prints until it leaves, so the two logs stay two in those numbers.
//! A step that is carried over from one to the other follows another step there: it may need an
//! EXT-X-DISCONTINUITY that it did not have, its discontinuity number is counted from what it follows, and so is
//! each rendition's own number. All of that is told by two steps: the tail here, and the one that stands for it
//! in the store.

use std::borrow::Cow;

use super::alike::{
    counts_alike, follows, goes_on, joins, jumps, same, same_numbers, says_nothing,
};
use super::{Entry, KeyUri, Log, Share, Step};
use crate::model::names::{ContentHash, OutputMsn};

/// Keys that are remembered by two names.
const RENAMED_MAX: usize = 64;

/// How far this proxy's copy of a lane's log has come apart from the store's. Kept for as long as the lane is
/// carried: after a restart the log is read from the store, and discontinuity numbers may be others than before.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    /// The step of the store that the tail here stands for, where that is counted or printed otherwise.
    pub(super) there: Option<Step>,
    /// What the store's step of this number follows there has left before it was compared.
    pub(super) unread: Option<OutputMsn>,
    /// The newest number at which the two are known to be printed otherwise.
    pub(super) differs_to: Option<OutputMsn>,
    /// Keys that have another name here than in the store.
    pub(super) renamed: Vec<Renamed>,
    /// The lane has ended in the store, and goes on here.
    pub(super) closed: bool,
}

/// Two keys were called by one name, each in one of the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renamed {
    pub(super) bytes: ContentHash,
    pub(super) here: String,
    pub(super) there: String,
}

impl Apart {
    /// The lane has ended in the store, and goes on here for who watches it already: nothing is appended there.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Numbers, borders or keys are others here than in the store.
    #[must_use]
    pub const fn is_apart(&self) -> bool {
        self.there.is_some()
    }

    /// `first`, a step of the store, follows another step there than the one before it here, or what stands for
    /// that: the store has lost steps, and others were written in their place. All of it has to be compared.
    #[must_use]
    pub fn strays(&self, log: &Log, first: &Step) -> bool {
        let before = OutputMsn(first.msn.0.saturating_sub(1));
        let there = self.there.as_ref().filter(|there| there.msn == before);
        there.or_else(|| log.get(before)).is_some_and(|before| !continues(before, first))
    }

    /// The next step of the store as it follows the log here.
    #[must_use]
    pub fn inward(&mut self, log: &Log, step: Step) -> Step {
        let Some(tail) = log.tail().filter(|tail| !tail.end) else {
            self.there = None;
            return step;
        };
        let unread = self.unread.take() == Some(step.msn);
        let copy = match &self.there {
            _ if unread => carried_over(&step, None, tail),
            None if continues(tail, &step) => return step,
            Some(there) if continues(there, &step) => carried_over(&step, Some(there), tail),
            // What it follows there is not what stood there once.
            _ => carried_over(&step, None, tail),
        };
        let copy = self.with_keys(copy, |renamed| (&renamed.there, &renamed.here));
        self.stands_for(&copy, step);
        copy
    }

    /// Steps that follow `tail`, the tail of the log here, as they follow the store's.
    #[must_use]
    pub fn outward<'a>(&self, tail: Option<&Step>, steps: &'a [Step]) -> Cow<'a, [Step]> {
        match &self.there {
            None => Cow::Borrowed(steps),
            onto => Cow::Owned(self.follow_on(tail, onto.as_ref(), steps.to_vec())),
        }
    }

    /// Steps that follow `before` here as they follow `onto` there; none: just as they are.
    pub(super) fn follow_on(
        &self,
        before: Option<&Step>,
        onto: Option<&Step>,
        steps: Vec<Step>,
    ) -> Vec<Step> {
        let Some(onto) = onto else { return steps };
        let mut out: Vec<Step> = Vec::with_capacity(steps.len());
        let mut before = before;
        for step in &steps {
            let copy = carried_over(step, before, out.last().unwrap_or(onto));
            out.push(self.with_keys(copy, |renamed| (&renamed.here, &renamed.there)));
            before = Some(step);
        }
        out
    }

    /// The store has taken `sent`, which stand for the steps of these numbers here.
    pub fn given(&mut self, log: &Log, sent: &[Step]) {
        for there in sent {
            match log.get(there.msn) {
                Some(here) if self.there.is_none() && here == there => {}
                Some(here) => self.stands_for(here, there.clone()),
                None => self.there = Some(there.clone()),
            }
        }
    }

    pub(super) fn stands_for(&mut self, here: &Step, there: Step) {
        if here.discontinuity != there.discontinuity && !here.end && !there.end {
            self.differs_to = self.differs_to.max(Some(here.msn));
        }
        let alike = same(here, &there) && same_numbers(here, &there);
        self.there = (!alike).then_some(there);
    }

    pub(super) fn remember(&mut self, renamed: Renamed) {
        if !self.renamed.contains(&renamed) {
            self.renamed.push(renamed);
        }
        if self.renamed.len() > RENAMED_MAX {
            self.renamed.remove(0);
        }
    }

    /// The step with its keys by the names of the other log.
    fn with_keys(&self, mut step: Step, names: impl Fn(&Renamed) -> (&String, &String)) -> Step {
        if self.renamed.is_empty() {
            return step;
        }
        for entry in step.shares.iter_mut().flat_map(|share| &mut share.entries) {
            for key in keys_of(entry) {
                if let KeyUri::Held { name, held } = &mut key.uri {
                    let known = |of: &&Renamed| of.bytes == held.hash && names(of).0 == name;
                    if let Some(renamed) = self.renamed.iter().find(known) {
                        names(renamed).1.clone_into(name);
                    }
                }
            }
        }
        step
    }
}

/// In one log: as far as can be told `next` was appended to `tail`.
fn continues(tail: &Step, next: &Step) -> bool {
    !tail.end && goes_on(tail, next) && !jumps(tail, next)
}

fn keys_of(entry: &mut Entry) -> impl Iterator<Item = &mut super::Key> {
    entry.keys.iter_mut().chain(entry.map.iter_mut().flat_map(|map| &mut map.keys))
}

/// `step`, which follows `before` in its log, as it follows `onto` in another. `before`: none where it is not
/// known.
pub(super) fn carried_over(step: &Step, before: Option<&Step>, onto: &Step) -> Step {
    let border = match before {
        // Nobody is given what is before it; but a rendition of which it holds nothing at all goes on behind it.
        Some(before) if says_nothing(onto) => !counts_alike(before, onto),
        Some(before) if says_nothing(before) => !joins(onto, step),
        Some(before) => !same(before, onto) && !follows(before, onto, step),
        None => true,
    };
    // A mark that stands because of a border in the other log alone is harmless here.
    let mark = !step.end && (step.discontinuity || border);
    let mut copy = step.clone();
    copy.discontinuity = mark;
    copy.discontinuity_number = onto.discontinuity_number.saturating_add(u64::from(mark));
    for (share, before) in copy.shares.iter_mut().zip(&onto.shares) {
        let entries = std::mem::take(&mut share.entries);
        *share = Share::after(Some(before), step.msn, mark, entries);
    }
    copy
}
