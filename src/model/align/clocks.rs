//! What dates and arrival say of a run's timeline, and of how two of them relate.

use std::collections::VecDeque;
use std::time::Duration;

use super::Method;
use crate::model::media::Ticks;
use crate::model::names::UnixMs;

/// Ticks in a millisecond.
const PER_MS: i64 = Ticks::SECOND / 1000;

/// Segments that a clock is read from.
const READ: usize = 32;

/// Relates a run's timeline to a clock that both sides share.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Media time less clock time, ticks, the newest last.
    offsets: VecDeque<i64>,
}

/// An offset between two runs, and by how much it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub offset: Ticks,
    pub within: Duration,
}

impl Clock {
    /// A segment begins at `begins`, which is `at` by the clock.
    pub(super) fn add(&mut self, begins: Ticks, at: Option<UnixMs>) {
        let Some(UnixMs(ms)) = at else { return };
        let ticks = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(PER_MS);
        if self.offsets.len() >= READ {
            self.offsets.pop_front();
        }
        self.offsets.push_back(begins.0.saturating_sub(ticks));
    }

    /// From ours to theirs; none where one of them has not been read.
    pub(super) fn offset_to(&self, theirs: &Self) -> Option<Offset> {
        let (ours, our_spread) = self.middle()?;
        let (theirs, their_spread) = theirs.middle()?;
        let offset = Ticks(theirs.saturating_sub(ours));
        Some(Offset { offset, within: duration(our_spread.saturating_add(their_spread)) })
    }

    /// How far two offsets are apart.
    pub(super) fn apart(a: Ticks, b: Ticks) -> Duration {
        duration(a.0.saturating_sub(b.0))
    }

    /// The median, and half of what the middle half spreads over.
    fn middle(&self) -> Option<(i64, i64)> {
        let mut sorted: Vec<i64> = self.offsets.iter().copied().collect();
        sorted.sort_unstable();
        let at = |part: usize| sorted.get(sorted.len() * part / 4).copied();
        let (low, high) = (at(1)?, at(3).or_else(|| sorted.last().copied())?);
        Some((at(2)?, high.saturating_sub(low) / 2))
    }
}

fn duration(ticks: i64) -> Duration {
    Duration::from_millis(ticks.unsigned_abs().div_ceil(PER_MS.unsigned_abs()))
}

/// How an offset moves over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Drift {
    seen: VecDeque<(UnixMs, i64)>,
    method: Option<Method>,
}

impl Drift {
    /// One look in so long is kept, so many of them: half an hour.
    const EVERY: Duration = Duration::from_secs(10);
    const KEPT: usize = 180;
    /// Before that an arrival's jitter is larger than any drift.
    const LEAST: Duration = Duration::from_secs(120);

    pub(super) fn note(&mut self, now: UnixMs, method: Method, offset: Ticks) {
        if self.method.replace(method) != Some(method) {
            self.seen.clear();
        }
        if self.seen.back().is_some_and(|(at, _)| now.since(*at) < Self::EVERY) {
            return;
        }
        if self.seen.len() >= Self::KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back((now, offset.0));
    }

    /// The slope of the line that is nearest to all looks, parts in a million.
    #[expect(clippy::cast_precision_loss, reason = "half an hour of ticks fits")]
    #[expect(clippy::cast_possible_truncation, reason = "it is rounded and bounded")]
    pub(super) fn ppm(&self) -> Option<i64> {
        let ((begun, first), (ended, _)) = (*self.seen.front()?, *self.seen.back()?);
        if ended.since(begun) < Self::LEAST {
            return None;
        }
        let points = self.seen.iter().map(|(at, offset)| {
            let ticks = at.since(begun).as_millis() as f64 * PER_MS as f64;
            (ticks, offset.saturating_sub(first) as f64)
        });
        let count = self.seen.len() as f64;
        let sums = points.fold([0.0; 4], |[x, y, xx, xy], (px, py)| {
            [x + px, y + py, px.mul_add(px, xx), px.mul_add(py, xy)]
        });
        let [x, y, xx, xy] = sums;
        let slope = (count * xy - x * y) / (count * xx - x * x);
        slope.is_finite().then(|| (slope * 1e6).round().clamp(-1e6, 1e6) as i64)
    }
}
