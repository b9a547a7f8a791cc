//! How messages to webhooks fare.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::ops::make::Make;

/// Counters by the name of the hook.
pub struct Webhooks {
    messages: IntCounterVec,
    queued: IntGaugeVec,
}

impl Webhooks {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            messages: make.counters(
                "webhook_messages_total",
                "Messages to webhooks by what became of them: sent, failed (refused, or not taken for too long) or dropped (no room, or the end).",
                &["hook", "outcome"],
            )?,
            queued: make.gauges(
                "webhook_messages_queued",
                "Messages that wait for a webhook.",
                &["hook"],
            )?,
        })
    }

    /// One was taken.
    pub fn sent(&self, hook: &str) {
        self.messages.with_label_values(&[hook, "sent"]).inc();
    }

    /// One was refused, or not taken for too long.
    pub fn failed(&self, hook: &str) {
        self.messages.with_label_values(&[hook, "failed"]).inc();
    }

    /// So many were dropped.
    pub fn dropped(&self, hook: &str, messages: usize) {
        self.messages.with_label_values(&[hook, "dropped"]).inc_by(messages as u64);
    }

    /// So many wait now.
    pub fn queued(&self, hook: &str, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.queued.with_label_values(&[hook]).set(messages);
    }

    /// There is no such hook any more: nothing waits for it.
    pub fn gone(&self, hook: &str) {
        // One that never was is none either.
        let _ = self.queued.remove_label_values(&[hook]);
    }
}
