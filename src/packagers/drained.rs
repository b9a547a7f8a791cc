//! A packager that an operator has taken out.

use std::time::Duration;

use crate::model::names::{LaneId, UnixMs};

/// It gets no new lanes, and those that are on it leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Since when.
    pub since: UnixMs,
    /// Its lanes leave within this time, each when its turn comes: all at once would keep its siblings'
    /// lanes waiting for their next segments.
    pub spread: Duration,
}

impl Drained {
    /// The lane's turn has come: by the random part of its name, so that nobody has to keep count.
    #[must_use]
    pub fn turn(&self, lane: &LaneId, now: UnixMs) -> bool {
        let waited = now.since(self.since);
        if waited >= self.spread {
            return true;
        }
        let random = lane.as_str().rsplit('-').next().unwrap_or_default();
        let random = u32::from_str_radix(random, 16).unwrap_or(0);
        self.spread.as_millis() * u128::from(random) / u128::from(u32::MAX) <= waited.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_leave_one_after_another() {
        let drained = Drained { since: UnixMs(1000), spread: Duration::from_secs(10) };
        for (random, turn) in [("00000000", 0), ("40000000", 2500), ("ffffffff", 10_000)] {
            let lane = LaneId::new(format!("az1-a-{random}"));
            assert!(turn == 0 || !drained.turn(&lane, UnixMs(1000 + turn - 1)), "{random}");
            assert!(drained.turn(&lane, UnixMs(1000 + turn)), "{random}");
        }
        let none = Drained { spread: Duration::ZERO, ..drained };
        assert!(none.turn(&LaneId::new("a-ffffffff"), UnixMs(1000)));
        assert!(drained.turn(&LaneId::new("nonsense"), UnixMs(1000)));
    }
}
