//! Which packagers new lanes go to.
//!
//! What a lane costs a packager does not depend on how many watch it, so it is lanes that are spread and
//! not viewers. First comes what a packager is (its rank), then how much of its share it carries.

use std::cmp::Ordering;

/// A packager as the choice sees it.
#[allow(clippy::struct_excessive_bools)] // each a fact of its own
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Not down, and proven where that is asked.
    pub usable: bool,
    /// An operator has taken it out.
    pub drained: bool,
    /// It stands in the zone that asks.
    pub near: bool,
    /// The stream has a lane there that a new viewer can join: that costs the packager nothing.
    pub joined: bool,
    /// What it carries, in the unit of its capacity; lanes, where it does not say.
    pub carried: u64,
    /// What it can carry, where that is configured.
    pub capacity: Option<u64>,
    /// Its share of new lanes against others; 0 is chosen last.
    pub weight: u32,
    /// How much of its share it takes by now, in thousandths: less than all while it starts slowly.
    pub started_permille: u32,
}

/// How good a packager is before anything is weighed: the lesser, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    unusable: bool,
    drained: bool,
    place: Place,
    weightless: bool,
}

/// Own zone first, until it is full: then the other, and the own again where that is full as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Near,
    Far,
    NearAndFull,
    FarAndFull,
}

impl Candidate {
    /// Its rank. `spill_permille`: from this part of its capacity on it counts as full.
    #[must_use]
    pub fn rank(&self, spill_permille: u32) -> Rank {
        let full = !self.joined && self.is_full(spill_permille);
        let place = match (self.near, full) {
            (true, false) => Place::Near,
            (false, false) => Place::Far,
            (true, true) => Place::NearAndFull,
            (false, true) => Place::FarAndFull,
        };
        Rank { unusable: !self.usable, drained: self.drained, place, weightless: self.weight == 0 }
    }

    fn is_full(&self, spill_permille: u32) -> bool {
        let carried = u128::from(self.carried) * 1000;
        self.capacity.is_some_and(|all| carried >= u128::from(all) * u128::from(spill_permille))
    }

    fn burden(&self, by_capacity: bool) -> Burden {
        let capacity = self.capacity.filter(|_| by_capacity).unwrap_or(1);
        let started = u128::from(self.started_permille.clamp(1, 1000));
        Burden {
            load: u128::from(self.carried.min(1 << 60)) + 1,
            // Below 2^62, so that nothing overflows.
            share: u128::from(self.weight.clamp(1, 1000))
                * started
                * u128::from(capacity.min(1 << 40)),
        }
    }
}

/// What a packager would carry with one lane more, and what is its share.
#[derive(Clone, Copy)]
struct Burden {
    load: u128,
    share: u128,
}

impl Burden {
    /// Load for share. Without fractions: both sides are multiplied by the other's share.
    fn cmp(self, other: Self) -> Ordering {
        (self.load * other.share).cmp(&(other.load * self.share))
    }
}

/// The places of `candidates`, best first, each with its rank: by rank, then by load against weight
/// and capacity (lanes against weight, unless the capacity of all is known), then as they stand.
#[must_use]
pub fn preference(candidates: &[Candidate], spill_permille: u32) -> Vec<(usize, Rank)> {
    let by_capacity = candidates.iter().all(|c| c.capacity.is_some());
    let weighed = |(i, c): (usize, &Candidate)| (i, c.rank(spill_permille), c.burden(by_capacity));
    let mut order: Vec<(usize, Rank, Burden)> =
        candidates.iter().enumerate().map(weighed).collect();
    // Stable, so that equals keep the order of the configuration.
    order.sort_by(|(_, rank, a), (_, other, b)| rank.cmp(other).then_with(|| a.cmp(*b)));
    order.into_iter().map(|(i, rank, _)| (i, rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn c(usable: bool, near: bool, carried: u64, weight: u32) -> Candidate {
        Candidate {
            usable,
            drained: false,
            near,
            joined: false,
            carried,
            capacity: None,
            weight,
            started_permille: 1000,
        }
    }

    const fn of(capacity: u64, c: Candidate) -> Candidate {
        Candidate { capacity: Some(capacity), ..c }
    }

    fn order(candidates: &[Candidate]) -> Vec<usize> {
        preference(candidates, 750).into_iter().map(|(i, _)| i).collect()
    }

    #[test]
    fn drained_goes_last_but_before_down() {
        let drained = |c: Candidate| Candidate { drained: true, ..c };
        let candidates = [
            drained(c(false, true, 0, 1)),
            c(false, true, 0, 1),
            drained(c(true, true, 0, 1)),
            c(true, false, 9, 0),
        ];
        assert_eq!(order(&candidates), [3, 2, 1, 0]);
    }

    #[test]
    fn orders() {
        for (name, candidates, want) in [
            ("none", &[][..], &[][..]),
            ("as configured", &[c(true, true, 0, 1), c(true, true, 0, 1)], &[0, 1]),
            ("down goes last", &[c(false, true, 0, 1), c(true, false, 9, 1)], &[1, 0]),
            ("all down keep their order", &[c(false, true, 0, 1), c(false, true, 0, 1)], &[0, 1]),
            ("own zone first", &[c(true, false, 0, 1), c(true, true, 9, 1)], &[1, 0]),
            ("fewer lanes first", &[c(true, true, 2, 1), c(true, true, 1, 1)], &[1, 0]),
            ("lanes against weight", &[c(true, true, 2, 1), c(true, true, 5, 3)], &[1, 0]),
            ("with one more each", &[c(true, true, 1, 1), c(true, true, 5, 3)], &[0, 1]),
            (
                "weight 0 last in its zone",
                &[c(true, true, 0, 0), c(true, true, 50, 1), c(true, false, 0, 1)],
                &[1, 0, 2],
            ),
            (
                "no overflow",
                &[
                    of(u64::MAX, c(true, true, u64::MAX, u32::MAX)),
                    of(u64::MAX, c(true, true, 0, u32::MAX)),
                ],
                &[1, 0],
            ),
            (
                "three ways",
                &[
                    c(true, false, 0, 1),
                    c(false, true, 0, 1),
                    c(true, true, 3, 1),
                    c(true, true, 1, 1),
                ],
                &[3, 2, 0, 1],
            ),
            (
                "load against capacity",
                &[of(100, c(true, true, 40, 1)), of(1000, c(true, true, 300, 1))],
                &[1, 0],
            ),
            (
                "capacity counts only where that of all is known",
                &[of(100, c(true, true, 40, 1)), c(true, true, 50, 1)],
                &[0, 1],
            ),
            (
                "a full zone spills",
                &[of(100, c(true, true, 75, 1)), of(100, c(true, false, 74, 1))],
                &[1, 0],
            ),
            (
                "where both are full the own is first",
                &[of(100, c(true, false, 80, 1)), of(100, c(true, true, 90, 1))],
                &[1, 0],
            ),
            (
                "one below the mark is not full",
                &[of(100, c(true, true, 74, 1)), of(100, c(true, false, 0, 1))],
                &[0, 1],
            ),
        ] {
            assert_eq!(order(candidates), want, "{name}");
        }
    }

    #[test]
    fn who_watches_what_is_there_already_does_not_spill() {
        let full = of(100, c(true, true, 99, 1));
        let joined = Candidate { joined: true, ..full };
        let far = of(100, c(true, false, 0, 1));
        assert_eq!(order(&[full, far]), [1, 0]);
        assert_eq!(order(&[joined, far]), [0, 1]);
    }

    #[test]
    fn one_that_starts_slowly_takes_a_part_of_its_share() {
        let slow = |carried| Candidate { started_permille: 100, ..c(true, true, carried, 1) };
        // Of ten lanes and one it would have its tenth.
        assert_eq!(order(&[c(true, true, 9, 1), slow(0)]), [0, 1]);
        assert_eq!(order(&[c(true, true, 10, 1), slow(0)]), [1, 0]);
        assert_eq!(order(&[c(true, true, 10, 1), slow(1)]), [0, 1]);
    }
}
