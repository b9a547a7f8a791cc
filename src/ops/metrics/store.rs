//! How the store fares.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::SECONDS;
use crate::ops::make::Make;

/// What is told of the store.
pub struct Store {
    up: IntGauge,
    seconds: HistogramVec,
    failures: IntCounterVec,
    missed: IntCounter,
}

impl Store {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            up: make.gauge("store_up", "The store can be reached: 1, else 0.")?,
            seconds: make.histograms(
                "store_seconds",
                "What the store is asked, until its answer.",
                &["operation"],
                &SECONDS,
            )?,
            failures: make.counters(
                "store_operation_failures_total",
                "What the store was asked while it could not be reached or read.",
                &["operation"],
            )?,
            missed: make.counter(
                "store_changes_missed_total",
                "How often all lanes were looked at, since changes may have been missed.",
            )?,
        })
    }

    /// An operation ended.
    pub fn asked(&self, operation: &str, took: Duration, failed: bool) {
        self.seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
        if failed {
            self.failures.with_label_values(&[operation]).inc();
        }
    }

    /// It can be reached from now on, or cannot.
    pub fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Changes may have been missed.
    pub fn missed(&self) {
        self.missed.inc();
    }
}
