//! EXT-X-PROGRAM-DATE-TIME against EXTINF, against earlier looks and against the time that passed.

use std::time::Duration;

use super::observer::Polled;
use super::shown::{Listed, Shown};
use super::track::{Known, Track};
use super::{Finding, Rule};

/// What a date may be off by beyond rounding. Packagers that stamp by the wall clock are off by
/// how unevenly frames reach them, some hundred milliseconds; a wrong clock is off by more.
const OFF_MS: i64 = 500;

/// Looks after a discontinuity in which its dates are held against the time that passed: later,
/// clocks may have drifted.
const LOOKS_MAX: u32 = 10;
/// Looks that make it known how late a timeline's content comes.
const LOOKS_MIN: u32 = 3;

/// How late content was listed, counted from its end: at the best, on the timeline that goes on
/// now, and on the one before it. Milliseconds of a scale of our own: only differences say
/// something.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    before: Option<i64>,
    now: Option<i64>,
    looks: u32,
    told: bool,
}

impl Track {
    /// Dates go on by EXTINF, and over a discontinuity by no more than content can.
    pub(super) fn dates(&mut self, polled: Polled, shown: &Shown, found: &mut Vec<Finding>) {
        let last = self.last;
        let new = |s: &Listed| last.is_none_or(|last| s.msn > last);
        let pairs = shown.segments.iter().zip(shown.segments.iter().skip(1));
        for (before, now) in pairs.filter(|(_, now)| new(now)) {
            let (Some(told), Some(end)) = (now.moment.filter(|_| now.date.is_some()), before.end())
            else {
                continue;
            };
            let off = told.since(end);
            if !now.discontinuity && off.abs() > OFF_MS {
                found.push(goes_on(now, off));
            }
            // A splice may repeat a segment, and says so truthfully.
            let repeated = milliseconds(shown.target);
            if now.discontinuity && -off > repeated + OFF_MS {
                let sentence = format!(
                    "the date falls by {} ms over the discontinuity at segment {}, more than a \
                     target duration",
                    -off, now.msn
                );
                let expected = format!("back by {repeated} ms at most");
                let rule = Rule::DateJumps;
                found.push(Finding::new(rule, Some(now.msn), expected, -off, sentence));
            }
        }
        self.arrived(polled, shown, found);
    }

    /// Content cannot be made faster than time passes: dates that run ahead of it over a
    /// discontinuity are another clock's.
    fn arrived(&mut self, polled: Polled, shown: &Shown, found: &mut Vec<Finding>) {
        let Some(last) = self.last else { return }; // listed before the watch began: came whenever
        let new = shown.from(last.saturating_add(1));
        let arrivals = &mut self.arrivals;
        if new.iter().any(|s| s.discontinuity) {
            let known = arrivals.now.filter(|_| arrivals.looks >= LOOKS_MIN);
            *arrivals = Arrivals { before: known.or(arrivals.before), ..Arrivals::default() };
        }
        let Some(newest) = new.last() else { return };
        let Some(end) = newest.end().map(|m| m.ms.cast_signed()) else { return };
        let late = milliseconds(polled.received).saturating_sub(end);
        let best = arrivals.now.map_or(late, |best| best.min(late));
        arrivals.now = Some(best);
        arrivals.looks = arrivals.looks.saturating_add(1);
        // Two packagers may be a segment apart, and polls a target duration.
        let ahead = arrivals.before.map_or(0, |before| before.saturating_sub(best));
        let judged = arrivals.looks <= LOOKS_MAX && !arrivals.told;
        if judged && ahead > 2 * milliseconds(shown.target) + OFF_MS {
            arrivals.told = true;
            let sentence = format!(
                "the date of segment {} is {ahead} ms ahead of the time that passed since the \
                 discontinuity before it",
                newest.msn
            );
            let rule = Rule::DateJumps;
            found.push(Finding::new(rule, Some(newest.msn), "as time passed", ahead, sentence));
        }
    }

    /// A segment keeps its date, also where only the head of the list says one. Told once a look.
    pub(super) fn same_dates(&self, shown: &Shown, found: &mut Vec<Finding>) {
        for now in &shown.segments {
            let Some(Known { listed: was, .. }) = self.history.get(&now.msn) else { continue };
            let (Some(then), Some(moment)) = (was.moment, now.moment) else { continue };
            let off = moment.since(then);
            // Two dates that were told are held against each other to the letter elsewhere.
            let both_told = was.date.is_some() && now.date.is_some();
            if !both_told && off.abs() > OFF_MS {
                found.push(goes_on(now, off));
                return;
            }
        }
    }
}

fn goes_on(now: &Listed, off: i64) -> Finding {
    let side = if off < 0 { "before" } else { "after" };
    let sentence = format!(
        "the date of segment {} is {} ms {side} the end of the segment before it, counted by EXTINF",
        now.msn,
        off.abs()
    );
    let expected = format!("within {OFF_MS} ms");
    Finding::new(Rule::DateNotContinuous, Some(now.msn), expected, off, sentence)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
