//! When a packager's playlist is asked for again: near the moment its next segment is due, and
//! never more than three times per segment duration.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::model::lane::{Seen, Track};
use crate::model::names::{PackagerMsn, UnixMs};

/// Requests per segment duration at the most.
const REQUESTS: usize = 3;
/// So many since the newest segment came in vain, one in the middle and one near the moment, leave one.
const LAST: usize = 2;
/// How long after a segment is due its list is asked for: it takes a packager a moment to write it.
const AFTER_DUE: Duration = Duration::from_millis(60);
/// A listing moment known this well is known well enough.
const KNOWN: Duration = Duration::from_millis(160);
/// Never faster than this, whatever durations a packager claims.
const LEAST: Duration = Duration::from_millis(200);

/// The pace of one playlist's refreshes.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the last few were started.
    started: VecDeque<UnixMs>,
    /// When the next is due.
    due: UnixMs,
    /// The run and the number of the newest segment, and the refreshes begun since it came.
    newest: Option<(u32, PackagerMsn)>,
    since: usize,
}

impl Pace {
    /// When the next refresh is due. The first is due at once.
    pub const fn due(&self) -> UnixMs {
        self.due
    }

    /// A refresh starts now.
    pub fn start(&mut self, now: UnixMs) {
        self.started.push_back(now);
        self.since += 1;
        while self.started.len() > REQUESTS {
            self.started.pop_front();
        }
    }

    /// A refresh brought something: plans the next. `target` is the playlist's target duration.
    pub fn plan(&mut self, now: UnixMs, track: &Track, target: Duration, rng: &mut StdRng) {
        let duration =
            track.newest().map_or(target, Seen::duration).clamp(LEAST * 3, Duration::from_secs(30));
        let third = duration / 3;
        let newest = track.newest().map(|newest| (track.run(), newest.msn()));
        if newest != self.newest {
            (self.newest, self.since) = (newest, 0);
        }
        // The last that is allowed before a lane would leave is not spent a moment too early.
        let after_due = match self.since {
            ..LAST => AFTER_DUE,
            // Where it was asked for in time, and in vain, it is late.
            _ if self.asked_since(track) => Duration::ZERO,
            _ => AFTER_DUE + duration / 12,
        };
        let soon = match track.next_due() {
            // Once in the middle, so that a packager that died is found before it is missed.
            Some((from, _)) if from > now.plus(third * 2) => now.plus(duration / 2),
            // When it comes is not known well yet: halving tells.
            Some((from, by)) if self.since < LAST && by.since(from.max(now)) > KNOWN => {
                from.max(now).plus(by.since(from.max(now)) / 2)
            }
            Some((_, by)) if by.plus(after_due) > now => by.plus(after_due),
            // It is late. Once more before the lane would leave (ARCHITECTURE.md, law 6).
            Some((_, by)) if by.plus(duration / 5) > now => by.plus(duration / 5),
            _ => now.plus(third + jitter(third / 10, rng)),
        };
        self.due = soon.max(self.allowed(duration));
    }

    /// The last refresh began when the next segment was due.
    fn asked_since(&self, track: &Track) -> bool {
        let due = track.next_due().map(|(_, by)| by);
        due.zip(self.started.back()).is_some_and(|(due, started)| *started >= due)
    }

    /// A refresh failed, the `count`-th in a row: again at once the first time, then with back-off and
    /// jitter, up to the target duration.
    pub fn back_off(&mut self, now: UnixMs, count: u32, target: Duration, rng: &mut StdRng) {
        let wait = match count {
            0 | 1 => Duration::ZERO,
            n => (LEAST * (1 << n.min(6))).min(target.max(LEAST)),
        };
        self.due = now.plus(wait + jitter(wait / 4, rng));
    }

    /// Three starts within one segment duration are enough.
    fn allowed(&self, duration: Duration) -> UnixMs {
        match self.started.front() {
            Some(&first) if self.started.len() == REQUESTS => first.plus(duration),
            _ => UnixMs(0),
        }
    }
}

fn jitter(upto: Duration, rng: &mut StdRng) -> Duration {
    let ms = u64::try_from(upto.as_millis()).unwrap_or(0);
    Duration::from_millis(rng.random_range(0..=ms))
}
