//! The log of one lane: its steps from the oldest kept to the tail, without holes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Header, Step};
use crate::model::names::{OutputMsn, UnixMs};
use crate::model::playlist::Extent;

/// A step that does not follow the tail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Numbers go up by one (RFC 8216, 6.2.2).
    #[error("step {got} does not follow, {expected} would")]
    NotNext {
        /// The number that follows.
        expected: OutputMsn,
        /// The number that came.
        got: OutputMsn,
    },
    /// Nothing follows the step that ends the lane.
    #[error("the lane has ended")]
    Ended,
    /// One share per rendition of the header.
    #[error("{got} shares for {expected} renditions")]
    Shares {
        /// Renditions in the header.
        expected: usize,
        /// Shares in the step.
        got: usize,
    },
}

/// What a step counts for in the window at the least.
const LEAST: Duration = Duration::from_millis(100);

/// A lane's log.
#[derive(Clone, Debug)]
pub struct Log {
    header: Arc<Header>,
    steps: VecDeque<Step>,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(header: Arc<Header>) -> Self {
        Self { header, steps: VecDeque::new() }
    }

    /// What was frozen when the lane opened.
    #[must_use]
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// The newest step.
    #[must_use]
    pub fn tail(&self) -> Option<&Step> {
        self.steps.back()
    }

    /// The steps kept, oldest first.
    #[must_use]
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> + ExactSizeIterator {
        self.steps.iter()
    }

    /// The steps from `from` on.
    #[must_use]
    pub fn from(&self, from: OutputMsn) -> impl DoubleEndedIterator<Item = &Step> {
        let skip = self.first().map_or(0, |f| from.0.saturating_sub(f.0));
        self.steps.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// The oldest number kept.
    #[must_use]
    pub fn first(&self) -> Option<OutputMsn> {
        self.steps.front().map(|s| s.msn)
    }

    /// The number of the step to come.
    #[must_use]
    pub fn next_msn(&self) -> OutputMsn {
        self.tail().map_or(self.header.first_msn, |t| t.msn.next())
    }

    /// The step of that number, if it is kept.
    #[must_use]
    pub fn get(&self, msn: OutputMsn) -> Option<&Step> {
        let offset = msn.0.checked_sub(self.first()?.0)?;
        self.steps.get(usize::try_from(offset).ok()?)
    }

    /// The step that has the entry of that number of a rendition, and its place in the share.
    #[must_use]
    pub fn find(&self, rendition: usize, msn: OutputMsn) -> Option<(&Step, usize)> {
        let begins = |s: &Step| s.shares.get(rendition).is_some_and(|share| share.msn <= msn);
        // Steps of one number, where some have no entry: the last of them has it.
        let after = self.steps.partition_point(begins);
        let step = self.steps.get(after.checked_sub(1)?)?;
        let share = step.shares.get(rendition)?;
        let at = usize::try_from(msn.0.checked_sub(share.msn.0)?).ok()?;
        (at < share.entries.len()).then_some((step, at))
    }

    /// The discontinuity number of the tail; the header's where there is none.
    #[must_use]
    pub fn discontinuity_number(&self) -> u64 {
        self.tail().map_or(self.header.first_discontinuity, |t| t.discontinuity_number)
    }

    /// Adds the step after the tail. The first step of a log that was trimmed may have any number.
    ///
    /// # Errors
    /// [`LogError`] where it does not follow; the log stays as it was.
    pub fn push(&mut self, step: Step) -> Result<(), LogError> {
        if self.tail().is_some_and(|t| t.end) {
            return Err(LogError::Ended);
        }
        let expected = self.next_msn();
        let follows =
            if self.steps.is_empty() { step.msn >= expected } else { step.msn == expected };
        if !follows {
            return Err(LogError::NotNext { expected, got: step.msn });
        }
        let renditions = self.header.renditions.len();
        if !step.end && step.shares.len() != renditions {
            return Err(LogError::Shares { expected: renditions, got: step.shares.len() });
        }
        self.steps.push_back(step);
        Ok(())
    }

    /// The first step that a playlist printed at `now` lists: the head leaves by content (the
    /// window is full without it) and by time (it was listed for a window), so that a catch-up
    /// lengthens the list for a while (RFC 8216, 6.2.2: at least three target durations stay).
    /// `listed`: as much as the packager lists now, if that is what the window follows. `edge`: the newest
    /// step that is listed.
    #[must_use]
    pub fn window_first(
        &self,
        now: UnixMs,
        listed: Duration,
        edge: OutputMsn,
    ) -> Option<OutputMsn> {
        let window = self.header.window.max(listed);
        // Nothing leaves what only grows, or is whole (RFC 8216, 4.3.3.5).
        if self.header.extent != Extent::Sliding {
            return self.first();
        }
        let mut after = Duration::ZERO;
        let mut first = self.tail()?.msn.min(edge);
        for step in self.steps.iter().rev().skip_while(|step| step.msn > edge) {
            let full = after >= window;
            let listed_long = now.since(step.listed_at) >= window;
            if full && listed_long {
                break;
            }
            first = step.msn;
            // A packager may claim no length at all: the window ends all the same.
            after += step.duration().max(LEAST);
        }
        Some(first)
    }

    /// The first step whose bytes are to be held: what lies deeper than the header's depth is
    /// fetched when it is asked for. Where all of the window is held, all that is kept.
    #[must_use]
    pub fn held_first(&self) -> Option<OutputMsn> {
        let depth = self.header.depth_held;
        let mut content = Duration::ZERO;
        if depth < Duration::MAX {
            for step in self.steps.iter().rev() {
                content = content.saturating_add(step.duration().max(LEAST));
                if content > depth {
                    return Some(step.msn);
                }
            }
        }
        self.first()
    }

    /// Drops the steps after `last`: none of them was listed.
    pub fn cut_back(&mut self, last: OutputMsn) {
        while self.steps.back().is_some_and(|s| s.msn > last) {
            self.steps.pop_back();
        }
    }

    /// Drops the steps before `keep_from`. The tail always stays.
    pub fn trim(&mut self, keep_from: OutputMsn) {
        while self.steps.len() > 1 && self.steps.front().is_some_and(|s| s.msn < keep_from) {
            self.steps.pop_front();
        }
    }
}
