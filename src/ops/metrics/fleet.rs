//! The other proxies, and what is copied from them.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec};

use super::SECONDS;
use crate::ops::make::Make;

/// What is told of the fleet.
pub struct Fleet {
    proxies: IntGaugeVec,
    requests: IntCounterVec,
    answers: IntCounterVec,
    bytes: IntCounterVec,
    splits: IntCounter,
    copied_seconds: Histogram,
    copied_late: IntCounter,
    copied_bytes: IntCounterVec,
}

impl Fleet {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            proxies: make.gauges(
                "fleet_proxies",
                "Other proxies of the fleet that answer, by their zone.",
                &["zone"],
            )?,
            requests: make.counters(
                "fleet_requests_total",
                "Requests to other proxies (hello, bytes, lane) by outcome: ok, missing, busy, refused, timeout, failed or wrong (not what was asked for).",
                &["kind", "outcome"],
            )?,
            answers: make.counters(
                "fleet_answers_total",
                "Requests of other proxies by status; kind no: not signed, or for nothing that there is.",
                &["kind", "status"],
            )?,
            bytes: make.counters(
                "fleet_bytes_total",
                "Bytes of segments between proxies: in or out.",
                &["direction"],
            )?,
            splits: make.counter(
                "splits_total",
                "Times a lane's log here became another than in the store, so that proxies listed other segments under the same numbers for a while.",
            )?,
            copied_seconds: make.histogram(
                "copied_seconds",
                "From hearing of another proxy's step until its bytes are held here.",
                &SECONDS,
            )?,
            copied_late: make.counter(
                "copied_late_total",
                "Steps of other proxies that were not held within half a target duration: listed without, and served through their holders.",
            )?,
            copied_bytes: make.counters(
                "copied_bytes_total",
                "Bytes of other proxies' steps by where they came from: held, packager or proxy.",
                &["from"],
            )?,
        })
    }

    /// Another proxy was asked.
    pub fn asked(&self, kind: &str, outcome: &str) {
        self.requests.with_label_values(&[kind, outcome]).inc();
    }

    /// Another proxy asked.
    pub fn answered(&self, kind: &str, status: u16) {
        self.answers.with_label_values(&[kind, status.to_string().as_str()]).inc();
    }

    /// Bytes of segments came from another proxy.
    pub fn received(&self, bytes: usize) {
        self.bytes.with_label_values(&["in"]).inc_by(bytes as u64);
    }

    /// Bytes of segments went to another proxy.
    pub fn sent(&self, bytes: usize) {
        self.bytes.with_label_values(&["out"]).inc_by(bytes as u64);
    }

    /// A lane's log here became another than in the store.
    pub fn split(&self) {
        self.splits.inc();
    }

    /// Another proxy's step is held here; none: not in time.
    pub fn copied(&self, took: Option<Duration>) {
        match took {
            Some(took) => self.copied_seconds.observe(took.as_secs_f64()),
            None => self.copied_late.inc(),
        }
    }

    /// Bytes of another proxy's step came from there.
    pub fn copied_from(&self, from: &str, bytes: usize) {
        self.copied_bytes.with_label_values(&[from]).inc_by(bytes as u64);
    }

    /// The zones of the proxies that answer, each as often as it has some.
    pub(super) fn set(&self, zones: &[String]) {
        self.proxies.reset();
        for zone in zones {
            self.proxies.with_label_values(&[zone.as_str()]).inc();
        }
    }
}
