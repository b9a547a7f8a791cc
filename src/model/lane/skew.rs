//! Clocks of proxies differ. What another proxy writes into a step is told by its clock; here it is told by
//! ours, so that nobody leaves a packager because another's clock is behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Step;
use crate::model::names::{ProxyId, UnixMs};

/// So many of the last steps of each proxy tell how far its clock is off.
const HEARD: usize = 8;
/// A message that seems to have taken longer has not: the clock of a process that was started again is another
/// one. And where it has, it does no harm to take the step for younger than it is.
const TOOK_MS: i64 = 500;
/// Proxies that are remembered.
const PROXIES: usize = 64;

/// How far the clocks of other proxies are behind ours, milliseconds, each by the steps heard last. The
/// quickest message tells best: what it took is less than the clocks differ by, or does not matter.
#[derive(Clone, Debug, Default)]
pub struct Skew {
    heard: BTreeMap<ProxyId, VecDeque<i64>>,
}

impl Skew {
    /// A step that was heard of at `now`, a moment after it was appended, told by our clock.
    #[must_use]
    pub fn by_our_clock(&mut self, now: UnixMs, mut step: Step) -> Step {
        let Some(writer) = step.holders.first() else { return step };
        if self.heard.len() >= PROXIES && !self.heard.contains_key(writer) {
            self.heard.clear();
        }
        let heard = self.heard.entry(writer.clone()).or_default();
        let last = now.signed_since(step.listed_at);
        heard.push_back(last);
        if heard.len() > HEARD {
            heard.pop_front();
        }
        let quickest = heard.iter().copied().min().unwrap_or(last);
        let behind = quickest.max(last.saturating_sub(TOOK_MS));
        step.listed_at = moved(step.listed_at, behind);
        step.content_end = moved(step.content_end, behind);
        step
    }
}

/// Of a log that is read nothing tells how long ago its steps were heard of, but that none was listed later than
/// `now`: those of a writer whose clock is ahead are moved back, all by the same.
pub fn none_ahead(now: UnixMs, steps: &mut [Step]) {
    let mut ahead: BTreeMap<Option<ProxyId>, i64> = BTreeMap::new();
    for step in steps.iter() {
        let by = ahead.entry(step.holders.first().cloned()).or_default();
        *by = step.listed_at.signed_since(now).max(*by);
    }
    for step in steps {
        let by = ahead.get(&step.holders.first().cloned()).copied().unwrap_or_default();
        step.listed_at = moved(step.listed_at, -by);
        step.content_end = moved(step.content_end, -by);
    }
}

fn moved(at: UnixMs, by_ms: i64) -> UnixMs {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms < 0 { at.minus(by) } else { at.plus(by) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lane::FORMAT;
    use crate::model::names::{OutputMsn, PackagerId};

    fn step(by: &str, listed_at: u64) -> Step {
        Step {
            format: FORMAT,
            msn: OutputMsn(1),
            packager: PackagerId::new("a"),
            discontinuity: false,
            discontinuity_number: 0,
            splice: None,
            shares: Vec::new(),
            listed_at: UnixMs(listed_at),
            content_end: UnixMs(listed_at - 100),
            wall_end: None,
            wall_shift_ms: 0,
            end: false,
            holders: vec![ProxyId::new(by)],
        }
    }

    /// (by our clock when heard, by theirs when listed, by ours when listed, as told)
    fn told(skew: &mut Skew, cases: &[(u64, u64, u64)]) {
        for (now, theirs, want) in cases {
            let step = skew.by_our_clock(UnixMs(*now), step("p", *theirs));
            assert_eq!(step.listed_at, UnixMs(*want), "heard at {now}, listed at {theirs}");
            assert_eq!(step.content_end, UnixMs(*want - 100));
        }
    }

    #[test]
    fn the_quickest_message_tells_how_far_a_clock_is_off() {
        let mut skew = Skew::default();
        // Three seconds behind; messages take 200, 20 and 300 ms.
        told(
            &mut skew,
            &[(10_200, 7_000, 10_200), (12_020, 9_000, 12_020), (14_300, 11_000, 14_020)],
        );
    }

    #[test]
    fn a_process_that_was_started_again_has_another_clock() {
        let mut skew = Skew::default();
        told(&mut skew, &[(10_020, 13_000, 10_020), (12_020, 15_000, 12_020)]);
        // It was three seconds ahead, and is two behind: not five seconds on the way.
        told(&mut skew, &[(14_020, 12_000, 13_520)]);
        // And the other way round.
        told(&mut skew, &[(16_020, 19_000, 16_020)]);
    }

    #[test]
    fn a_step_that_names_nobody_stays_as_it_is() {
        let mut step = step("p", 5_000);
        step.holders.clear();
        assert_eq!(Skew::default().by_our_clock(UnixMs(9_000), step.clone()), step);
    }

    #[test]
    fn a_log_that_is_read_was_not_listed_later_than_now() {
        // Who is behind may have listed nothing since; who is ahead has not.
        let mut steps =
            vec![step("a", 5_000), step("b", 200_000), step("b", 206_000), step("a", 9_000)];
        none_ahead(UnixMs(10_000), &mut steps);
        let told: Vec<(u64, u64)> =
            steps.iter().map(|s| (s.listed_at.0, s.content_end.0)).collect();
        assert_eq!(told, [(5_000, 4_900), (4_000, 3_900), (10_000, 9_900), (9_000, 8_900)]);
        none_ahead(UnixMs(10_000), &mut []);
    }
}
