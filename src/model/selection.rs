//! The order in which packagers are tried for new lanes.

/// A packager as the choice sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Not down.
    pub usable: bool,
    /// An operator has taken it out.
    pub drained: bool,
    /// It stands in the zone that asks.
    pub near: bool,
    /// Lanes that it carries now.
    pub lanes: usize,
    /// Its share of new lanes against others; 0 is chosen last.
    pub weight: u32,
}

/// The indices of `candidates`, best first: usable before down, of these the drained last, own zone
/// first, then by lanes against weight, then as they stand.
#[must_use]
pub fn preference(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<(usize, Candidate)> = candidates.iter().copied().enumerate().collect();
    // Stable, so that equals keep the order of the configuration.
    order.sort_by(|(_, a), (_, b)| {
        let rank = |c: &Candidate| (!c.usable, c.drained, !c.near, c.weight == 0);
        rank(a).cmp(&rank(b)).then_with(|| load(a, b).cmp(&load(b, a)))
    });
    order.into_iter().map(|(i, _)| i).collect()
}

/// The lanes of `a` against those of `b`, without fractions.
fn load(a: &Candidate, b: &Candidate) -> u128 {
    // usize has at most 64 bits on all targets.
    (a.lanes as u128) * u128::from(b.weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn c(usable: bool, near: bool, lanes: usize, weight: u32) -> Candidate {
        Candidate { usable, drained: false, near, lanes, weight }
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
        assert_eq!(preference(&candidates), [3, 2, 1, 0]);
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
            ("equal load", &[c(true, true, 2, 1), c(true, true, 6, 3)], &[0, 1]),
            (
                "weight 0 last in its zone",
                &[c(true, true, 0, 0), c(true, true, 50, 1), c(true, false, 0, 1)],
                &[1, 0, 2],
            ),
            (
                "no overflow",
                &[c(true, true, usize::MAX, u32::MAX), c(true, true, 0, u32::MAX)],
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
        ] {
            assert_eq!(preference(candidates), want, "{name}");
        }
    }
}
