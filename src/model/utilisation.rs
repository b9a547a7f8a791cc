//! How much of what there is is in use: the numbers that operators scale by. 0 is idle, 1 is full, more is
//! too much.

/// One packager, as far as it counts here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackagerUse {
    /// Its checks do not say that it is down, and nobody has taken it out.
    pub usable: bool,
    /// How much it carries: what it says itself, or lanes.
    pub carried: u64,
    /// How much it can carry, in the same unit.
    pub capacity: Option<u64>,
}

/// The load of a pool's usable packagers against their capacity. None where no usable one has a
/// capacity that is known; with packagers but none that is usable, 1: more are wanted.
#[must_use]
pub fn of_pool(packagers: &[PackagerUse]) -> Option<f64> {
    if !packagers.is_empty() && !packagers.iter().any(|p| p.usable) {
        return Some(1.0);
    }
    let (mut load, mut capacity) = (0, 0);
    for packager in packagers.iter().filter(|p| p.usable) {
        if let Some(most) = packager.capacity.filter(|most| *most > 0) {
            load += packager.carried;
            capacity += most;
        }
    }
    (capacity > 0).then(|| ratio(load, capacity))
}

/// The fullest of what a proxy has limits for: `(used, limit)` each; one without a limit counts for
/// nothing.
#[must_use]
pub fn of_proxy(uses: &[(u64, Option<u64>)]) -> f64 {
    let ratios = uses.iter().filter_map(|(used, limit)| Some(ratio(*used, (*limit)?)));
    ratios.fold(0.0, f64::max)
}

/// A limit of 0 that is used is as good as full.
#[allow(clippy::cast_precision_loss)] // a ratio of a few digits is all that is wanted
fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { f64::from(u8::from(used > 0)) } else { used as f64 / limit as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(usable: bool, carried: u64, capacity: Option<u64>) -> PackagerUse {
        PackagerUse { usable, carried, capacity }
    }

    #[test]
    fn pools() {
        let full = used(true, 100, Some(100));
        let idle = used(true, 0, Some(100));
        let cases: &[(&str, &[PackagerUse], Option<f64>)] = &[
            ("nobody", &[], None),
            ("no capacity is known", &[used(true, 5, None)], None),
            ("half", &[full, idle], Some(0.5)),
            ("one that is down counts for nothing", &[full, used(false, 0, Some(100))], Some(1.0)),
            ("all are down", &[used(false, 3, Some(100))], Some(1.0)),
            ("lanes where it says nothing", &[used(true, 3, Some(4))], Some(0.75)),
            ("beyond", &[used(true, 30, Some(20))], Some(1.5)),
            ("one without a capacity counts for nothing", &[idle, used(true, 9, None)], Some(0.0)),
            ("a capacity of none", &[used(true, 9, Some(0))], None),
        ];
        for (what, packagers, expected) in cases {
            assert_eq!(of_pool(packagers), *expected, "{what}");
        }
    }

    #[test]
    fn proxies() {
        type Uses = &'static [(u64, Option<u64>)];
        let cases: &[(Uses, f64)] = &[
            (&[], 0.0),
            (&[(5, None)], 0.0),
            (&[(5, Some(10)), (9, Some(12)), (900, None)], 0.75),
            (&[(5, Some(0))], 1.0),
            (&[(0, Some(0))], 0.0),
            (&[(20, Some(10))], 2.0),
        ];
        for (uses, expected) in cases {
            assert!((of_proxy(uses) - expected).abs() < 1e-9, "{uses:?}");
        }
    }
}
