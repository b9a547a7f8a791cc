//! Clocks of proxies differ. What another proxy writes into a step is told by its clock; here it is told by
//! ours, so that nobody leaves a packager because another's clock is behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Step;
use crate::model::names::{ProxyId, UnixMs};

/// So many of the last steps of each proxy tell how far its clock is off.
const HEARD: usize = 32;
/// Proxies that are remembered.
const PROXIES: usize = 64;

/// How far the clocks of other proxies are behind ours, milliseconds, each by the steps heard last. The
/// quickest message tells best: what it took is less than the clocks differ by, or does not matter.
#[derive(Clone, Debug, Default)]
pub struct Skew {
    heard: BTreeMap<ProxyId, VecDeque<i64>>,
}

impl Skew {
    /// A step that was heard of at `now`, a moment after it was appended, told by our clock.
    #[must_use]
    pub fn by_our_clock(&mut self, now: UnixMs, mut step: Step) -> Step {
        let Some(writer) = step.holders.first() else { return step };
        if self.heard.len() >= PROXIES && !self.heard.contains_key(writer) {
            self.heard.clear();
        }
        let heard = self.heard.entry(writer.clone()).or_default();
        heard.push_back(now.signed_since(step.listed_at));
        if heard.len() > HEARD {
            heard.pop_front();
        }
        let behind = heard.iter().copied().min().unwrap_or_default();
        step.listed_at = moved(step.listed_at, behind);
        step.content_end = moved(step.content_end, behind);
        step
    }
}

fn moved(at: UnixMs, by_ms: i64) -> UnixMs {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms < 0 { at.minus(by) } else { at.plus(by) }
}
