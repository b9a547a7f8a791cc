//! From single checks to a verdict: thresholds of one address, and the packager above them.

/// What a packager's checks say. `Unknown` counts as usable: checks have not come round yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// No verdict yet.
    Unknown,
    /// It came while the proxy ran, and has yet to pass `rise` checks in a row.
    New,
    /// Usable.
    Up,
    /// Failed its checks.
    Down,
}

impl Health {
    /// May be given lanes.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Down | Self::New)
    }

    /// The health of a packager from that of its addresses: one that is up is enough. Without
    /// addresses nothing is known.
    #[must_use]
    pub fn of_any(addresses: impl IntoIterator<Item = Self>) -> Self {
        let mut any = None;
        for health in addresses {
            any = Some(match (any, health) {
                (Some(Self::Up), _) | (_, Self::Up) => Self::Up,
                (Some(Self::Unknown), _) | (_, Self::Unknown) => Self::Unknown,
                (Some(Self::New), _) | (_, Self::New) => Self::New,
                _ => Self::Down,
            });
        }
        any.unwrap_or(Self::Unknown)
    }
}

/// How many checks in a row change a verdict. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Good checks after which what was down is up.
    pub rise: usize,
    /// Failed checks after which what was up, or not known, is down.
    pub fall: usize,
}

/// The checks of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    health: Health,
    against: usize,
    /// What `against` counts, of one that is new: good checks rather than failed ones.
    good: bool,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { health: Health::Unknown, against: 0, good: false }
    }
}

impl Gauge {
    /// Of an address that must prove itself first.
    #[must_use]
    pub const fn unproven() -> Self {
        Self { health: Health::New, against: 0, good: false }
    }

    /// The verdict so far.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Takes the result of one check. The first good check of an address makes it up at once;
    /// otherwise a verdict changes only by checks in a row.
    pub fn observe(&mut self, good: bool, thresholds: Thresholds) {
        let (agrees, needed, verdict) = match (self.health, good) {
            (Health::Up, true) | (Health::Down, false) => (true, 0, self.health),
            (Health::Unknown, true) => (false, 1, Health::Up),
            (Health::New | Health::Down, true) => (false, thresholds.rise, Health::Up),
            (Health::New | Health::Unknown | Health::Up, false) => {
                (false, thresholds.fall, Health::Down)
            }
        };
        if self.health == Health::New && self.good != good {
            self.against = 0;
        }
        self.good = good;
        if agrees {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against >= needed {
            self.health = verdict;
            self.against = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{Down, New, Unknown, Up};
    use super::*;

    #[test]
    fn verdicts() {
        let thresholds = Thresholds { rise: 2, fall: 3 };
        for (name, checks, want) in [
            ("none yet", "", Unknown),
            ("first good", "+", Up),
            ("two failed", "--", Unknown),
            ("three failed", "---", Down),
            ("good between", "+--+--", Up),
            ("falls", "+---", Down),
            ("one good is not enough", "---+", Down),
            ("rises", "---++", Up),
            ("in a row only", "---+-+", Down),
            ("and falls again", "---++---", Down),
        ] {
            let mut gauge = Gauge::default();
            for check in checks.chars() {
                gauge.observe(check == '+', thresholds);
            }
            assert_eq!(gauge.health(), want, "{name}");
        }
    }

    #[test]
    fn who_is_new_proves_itself() {
        let thresholds = Thresholds { rise: 2, fall: 3 };
        for (name, checks, want) in [
            ("none yet", "", New),
            ("one good is not enough", "+", New),
            ("rises", "++", Up),
            ("in a row only", "+-+", New),
            ("in a row only, after failures", "--++", Up),
            ("two failed", "--", New),
            ("falls", "---", Down),
            ("failures in a row only", "--+--", New),
            ("rises again", "---++", Up),
            ("and is like any then", "++---", Down),
        ] {
            let mut gauge = Gauge::unproven();
            for check in checks.chars() {
                gauge.observe(check == '+', thresholds);
            }
            assert_eq!(gauge.health(), want, "{name}");
        }
    }

    #[test]
    fn zero_counts_as_one() {
        let mut gauge = Gauge::default();
        gauge.observe(false, Thresholds { rise: 0, fall: 0 });
        assert_eq!(gauge.health(), Down);
    }

    #[test]
    fn one_address_up_is_enough() {
        for (addresses, want) in [
            (&[][..], Unknown),
            (&[Down, Up], Up),
            (&[Up, Down, Unknown], Up),
            (&[Down, Unknown], Unknown),
            (&[Unknown, Down], Unknown),
            (&[Down, Down], Down),
            (&[Down, New], New),
            (&[Unknown, New], Unknown),
        ] {
            assert_eq!(Health::of_any(addresses.iter().copied()), want, "{addresses:?}");
        }
    }
}
