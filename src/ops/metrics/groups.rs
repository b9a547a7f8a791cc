//! Groups of packagers that come and go.

use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::model::names::PackagerId;
use crate::ops::make::Make;

/// One group, as asked for with every scrape.
#[derive(Clone, Debug)]
pub struct GroupGauge {
    /// Its name.
    pub group: PackagerId,
    /// Packagers that belong to it.
    pub packagers: usize,
    /// Those that have left and may still have lanes.
    pub leaving: usize,
    /// Those that the last answer named beyond `packagers_max`.
    pub refused: usize,
    /// Since the last good answer; none: there was none yet.
    pub answer_age: Option<Duration>,
}

/// What is told of groups.
pub(super) struct Grouped {
    lookups: IntCounterVec,
    packagers: IntGaugeVec,
    answer_age: IntGaugeVec,
}

impl Grouped {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            lookups: make.counters(
                "group_lookups_total",
                "Look-ups of groups of packagers by outcome.",
                &["group", "outcome"],
            )?,
            packagers: make.gauges(
                "group_packagers",
                "Packagers of a group: there, leaving, or refused since there are too many.",
                &["group", "state"],
            )?,
            answer_age: make.gauges(
                "group_answer_age_milliseconds",
                "Since a look-up of a group last brought an answer.",
                &["group"],
            )?,
        })
    }

    pub(super) fn looked_up(&self, group: &PackagerId, outcome: &str) {
        self.lookups.with_label_values(&[group.as_str(), outcome]).inc();
    }

    pub(super) fn set(&self, groups: &[GroupGauge]) {
        self.packagers.reset();
        self.answer_age.reset();
        for one in groups {
            let group = one.group.as_str();
            let counts =
                [("there", one.packagers), ("leaving", one.leaving), ("refused", one.refused)];
            for (state, count) in counts {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.packagers.with_label_values(&[group, state]).set(count);
            }
            if let Some(age) = one.answer_age {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                self.answer_age.with_label_values(&[group]).set(age);
            }
        }
    }
}
