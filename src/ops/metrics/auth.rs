//! What is counted of authorisation.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec};

use super::SECONDS;
use crate::model::names::PackagerId;
use crate::ops::make::Make;
use crate::stream::Verdict;

/// Metrics of who is let in.
pub struct Auth {
    verdicts: IntCounterVec,
    seconds: HistogramVec,
    not_through_cdn: IntCounter,
}

impl Auth {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            verdicts: make.counters(
                "admissions_total",
                "Packagers asked whether a viewer is let in, by what they said.",
                &["packager", "verdict"],
            )?,
            seconds: make.histograms(
                "admission_seconds",
                "How long packagers take to say whether a viewer is let in.",
                &["packager"],
                &SECONDS,
            )?,
            not_through_cdn: make.counter(
                "requests_not_through_cdn_total",
                "Requests refused since they do not show origin_secret_header.",
            )?,
        })
    }

    /// A packager was asked whether a viewer is let in.
    pub fn admission(&self, packager: &PackagerId, verdict: Verdict, took: Duration) {
        self.verdicts.with_label_values(&[packager.as_str(), verdict.as_str()]).inc();
        self.seconds.with_label_values(&[packager.as_str()]).observe(took.as_secs_f64());
    }

    /// A request did not show that it came through the CDN.
    pub fn not_through_cdn(&self) {
        self.not_through_cdn.inc();
    }
}
