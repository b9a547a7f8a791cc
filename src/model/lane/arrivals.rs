//! When a packager listed its segments, seen through polling: the content clock of a run.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::names::UnixMs;

/// How many arrivals the content clock looks at. Few, so that it follows a packager that drifts.
const ARRIVALS: usize = 16;

/// A listing: it came after a refresh that did not show the segment and not after the one that did. Both
/// are Unix milliseconds less the run's content up to its end.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    after: i64,
    by: i64,
    /// A refresh before did not show it.
    watched: bool,
}

/// The newest listings of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(VecDeque<Arrival>);

impl Arrivals {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A segment came to be listed while this was watched. What the first refresh of a run shows may have
    /// been listed up to a segment before.
    pub(super) fn watched(&self) -> bool {
        self.0.iter().any(|a| a.watched)
    }

    /// Between which moments content of that much since the run began was listed.
    pub(super) fn of(&self, content: Duration) -> Option<(UnixMs, UnixMs)> {
        let (after, by) = self.rhythm()?;
        Some((at_offset(after, content), at_offset(by, content)))
    }

    /// The middle of that.
    pub(super) fn middle_of(&self, content: Duration) -> Option<UnixMs> {
        let (after, by) = self.rhythm()?;
        Some(at_offset(after.midpoint(by), content))
    }

    /// What all arrivals leave possible: polling only ever delays, so each narrows it. Where a
    /// packager's own jitter makes them contradict each other, the earliest sight counts.
    fn rhythm(&self) -> Option<(i64, i64)> {
        let by = self.0.iter().map(|a| a.by).min()?;
        let after = self.0.iter().map(|a| a.after).max()?;
        Some((after.min(by), by))
    }

    /// The newest segment, which ends at `end` of the run's content, was listed between `before` and
    /// `now`. Without a refresh before, it was at most its own length ago, or the next one would be there.
    pub(super) fn note(
        &mut self,
        now: UnixMs,
        before: Option<UnixMs>,
        end: Duration,
        length: Duration,
    ) {
        // Late by more than a segment: its encoder or feed was away, and that time has no content.
        // The clock begins again, or siblings' content would be placed wrong by as much for long.
        let late = length * 3 / 2;
        let away = self.of(end).is_some_and(|(_, by)| now.since(by) > late);
        let least = now.minus(length);
        let after = before.map_or(least, |b| b.max(least));
        let arrival = Arrival {
            after: offset_of(after, end),
            by: offset_of(now, end),
            watched: before.is_some(),
        };
        if away {
            self.0.clear();
        }
        self.0.push_back(arrival);
        if self.0.len() > ARRIVALS {
            self.0.pop_front();
        }
    }
}

fn offset_of(at: UnixMs, content: Duration) -> i64 {
    let at = i64::try_from(at.0).unwrap_or(i64::MAX);
    at.saturating_sub(i64::try_from(content.as_millis()).unwrap_or(i64::MAX))
}

fn at_offset(base: i64, content: Duration) -> UnixMs {
    let ms = base.saturating_add(i64::try_from(content.as_millis()).unwrap_or(i64::MAX));
    UnixMs(u64::try_from(ms).unwrap_or(0))
}
