//! How many viewers stand behind requests that do not say who they are from: an address with several
//! behind it, or whatever was too much to remember one by one.
//!
//! A live player asks for its media playlist about once per target duration (RFC 8216, 6.3.4), so
//! that requests in a window, divided by what one viewer asks for in it, are viewers. One who came only now
//! has not asked as often as the others yet: his arrival makes up for what is missing.

use std::time::Duration;

use crate::model::names::UnixMs;

/// Parts of a window. More cost memory, fewer make what is told later.
const PARTS: usize = 8;
/// One more than that: the part that is not over yet counts for nothing.
const SLOTS: usize = PARTS + 1;
/// Up to so many thousandths of what one viewer asks for is one: a player that finds nothing new asks again
/// after half the time, and some ask at the pace of segments shorter than the target duration.
const ONE_MAX: u64 = 2200;
/// The shortest window, so that a viewer of short segments may pause as long as one of longer ones.
const WINDOW_MIN_MS: u64 = 10_000;
/// Target durations in a window.
const WINDOW_TARGETS: u64 = 3;

/// Within what a viewer of a lane must have asked to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    target_ms: u64,
    length_ms: u64,
}

impl Window {
    /// The window of a lane with this EXT-X-TARGETDURATION, seconds: three times that, 10 s at the least.
    #[must_use]
    pub fn of_target(seconds: u32) -> Self {
        let target_ms = u64::from(seconds.max(1)) * 1000;
        Self { target_ms, length_ms: (target_ms * WINDOW_TARGETS).max(WINDOW_MIN_MS) }
    }

    /// Its length.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_millis(self.length_ms)
    }

    /// What was last heard `at` is within it.
    #[must_use]
    pub const fn holds(self, at: UnixMs, now: UnixMs) -> bool {
        now.0.saturating_sub(at.0) <= self.length_ms
    }

    fn part(self, now: UnixMs) -> u64 {
        now.0 / (self.length_ms / PARTS as u64).max(1)
    }
}

/// Requests and arrivals of the last window, by parts of it.
#[derive(Clone, Debug)]
pub struct Polls {
    /// The part that is not over yet.
    part: u64,
    requests: [u32; SLOTS],
    arrivals: [u16; SLOTS],
}

impl Polls {
    /// Nothing so far.
    #[must_use]
    pub fn new(window: Window, now: UnixMs) -> Self {
        Self { part: window.part(now), requests: [0; SLOTS], arrivals: [0; SLOTS] }
    }

    /// A media playlist that was new to whoever asked.
    pub fn asked(&mut self, window: Window, now: UnixMs) {
        let at = self.slot(window, now);
        if let Some(slot) = self.requests.get_mut(at) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Somebody came.
    pub fn arrived(&mut self, window: Window, now: UnixMs) {
        let at = self.slot(window, now);
        if let Some(slot) = self.arrivals.get_mut(at) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Thousandths of viewers, from nothing but how often was asked.
    pub fn thousandths(&mut self, window: Window, now: UnixMs) -> u64 {
        let (rate, missing) = self.rate(window, now);
        rate + missing
    }

    /// The same where all come from one address with one player: one at the least, and one as well where
    /// what is asked for may be one's own doing.
    pub fn thousandths_of_one_address(&mut self, window: Window, now: UnixMs) -> u64 {
        let (rate, missing) = self.rate(window, now);
        let came: u32 = self.arrivals.iter().map(|n| u32::from(*n)).sum();
        if came < 2 && rate <= ONE_MAX { 1000 } else { (rate + missing).max(1000) }
    }

    /// What was asked for, and what those who came within the window would have asked for besides.
    fn rate(&mut self, window: Window, now: UnixMs) -> (u64, u64) {
        let current = self.slot(window, now);
        let (mut requests, mut missing) = (0, 0);
        for age in 0..SLOTS {
            let slot = (current + SLOTS - age) % SLOTS;
            if age > 0 {
                requests += u64::from(self.requests.get(slot).copied().unwrap_or(0));
            }
            // In the middle of its part, so that half a part is not told of yet.
            let lacks =
                if age == 0 { 1000 } else { (2 * (PARTS - age) as u64 + 1) * 500 / PARTS as u64 };
            missing += u64::from(self.arrivals.get(slot).copied().unwrap_or(0)) * lacks;
        }
        (requests * 1000 * window.target_ms / window.length_ms.max(1), missing)
    }

    /// The slot of `now`; what lies more than a window back is forgotten.
    fn slot(&mut self, window: Window, now: UnixMs) -> usize {
        let part = window.part(now);
        // Another length, as after a turn to another lane: what was counted means nothing in it.
        let ahead = part.saturating_sub(self.part).min(SLOTS as u64);
        if part.abs_diff(self.part) >= SLOTS as u64 {
            *self = Self { part, requests: [0; SLOTS], arrivals: [0; SLOTS] };
        }
        for skipped in 1..=ahead {
            let slot = slot_of(self.part.saturating_add(skipped).min(part));
            if let Some(requests) = self.requests.get_mut(slot) {
                *requests = 0;
            }
            if let Some(arrivals) = self.arrivals.get_mut(slot) {
                *arrivals = 0;
            }
        }
        self.part = self.part.max(part);
        slot_of(self.part)
    }
}

fn slot_of(part: u64) -> usize {
    usize::try_from(part % SLOTS as u64).unwrap_or(0)
}
