//! How two runs of one stream relate: at which time of theirs the content is shown that is shown at a
//! time of ours.
//!
//! It is estimated while both live, so that at a failover it is looked up and not learnt. The best
//! that is known counts: `keyframes` proves by coded pictures, `clocks` guesses by dates and arrival.

mod clocks;
mod keyframes;

use std::time::Duration;

use crate::model::media::{Keyframe, Ticks};
use crate::model::names::UnixMs;

pub use clocks::Clock;
pub use keyframes::{Agreement, Keyframes};

/// One run, as far as it was looked into.
#[derive(Clone, Debug, Default)]
pub struct Side {
    keyframes: Keyframes,
    dates: Clock,
    arrivals: Clock,
}

/// A segment of a run that was looked into.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// When its first picture is shown.
    pub begins: Ticks,
    /// Its keyframes, or the first ones.
    pub keyframes: &'a [Keyframe],
    /// When it begins by EXT-X-PROGRAM-DATE-TIME.
    pub date: Option<UnixMs>,
    /// When it began to be made, by when it was listed.
    pub arrival: Option<UnixMs>,
}

impl Side {
    /// One more segment.
    pub fn looked(&mut self, look: &Look<'_>) {
        self.keyframes.add(look.keyframes);
        self.dates.add(look.begins, look.date);
        self.arrivals.add(look.begins, look.arrival);
    }

    /// What pictures say of an offset to another run, however it was found.
    #[must_use]
    pub fn agreement(&self, theirs: &Self, offset: Ticks) -> Agreement {
        self.keyframes.agreement(&theirs.keyframes, offset)
    }
}

/// How the offset was found, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The same coded pictures are in both.
    Keyframe,
    /// They were, and no picture has been compared since a while.
    Pts,
    /// Both write dates, and arrival does not contradict.
    ProgramDateTime,
    /// When their segments were listed.
    Arrival,
}

/// How two runs relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// What is shown at `t` of ours is shown at `t + offset` of theirs.
    pub offset: Ticks,
    /// How that was found.
    pub method: Method,
    /// By how much it may be off, either way.
    pub within: Duration,
    /// By how many parts in a million their clock runs fast; none until it has been watched for long.
    pub drift_ppm: Option<i64>,
}

/// What is remembered of two runs.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    proven: Option<Proven>,
    /// Offsets by dates or arrival over time, for their drift.
    drift: clocks::Drift,
}

/// An offset that pictures have proven.
#[derive(Clone, Copy, Debug)]
struct Proven {
    offset: Ticks,
    at: UnixMs,
}

/// A proof is taken for one of now for so long.
const FRESH: Duration = Duration::from_secs(60);

/// Dates are believed where arrival places the content so near: packaging takes its time.
const AGREES: Duration = Duration::from_secs(10);

impl Pair {
    /// Compares what both sides show now. None while nothing relates them.
    pub fn relate(&mut self, now: UnixMs, ours: &Side, theirs: &Side) -> Option<Relation> {
        let arrival = ours.arrivals.offset_to(&theirs.arrivals);
        let expected = arrival.map(|arrival| arrival.offset);
        if let Some(offset) = ours.keyframes.offset_to(&theirs.keyframes, expected) {
            self.proven = Some(Proven { offset, at: now });
        }
        if let Some(Proven { offset, at }) = self.proven {
            let method = if now.since(at) <= FRESH { Method::Keyframe } else { Method::Pts };
            return Some(Relation { offset, method, within: Duration::ZERO, drift_ppm: Some(0) });
        }
        let dates = ours
            .dates
            .offset_to(&theirs.dates)
            .filter(|dates| arrival.is_none_or(|a| Clock::apart(a.offset, dates.offset) <= AGREES));
        let (found, method) = dates
            .map(|found| (found, Method::ProgramDateTime))
            .or_else(|| arrival.map(|found| (found, Method::Arrival)))?;
        self.drift.note(now, method, found.offset);
        let (clocks::Offset { offset, within }, drift_ppm) = (found, self.drift.ppm());
        Some(Relation { offset, method, within, drift_ppm })
    }
}

#[cfg(test)]
mod tests;
