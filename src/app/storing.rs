//! The store at the start, and how it fares: viewers are served also where it cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::parts;
use crate::config::Config;
use crate::model::names::UnixMs;
use crate::ops::Metrics;
use crate::store::{self, LaneStore, StoreError, StoreObserver};
use crate::stream::Clock;

/// How the store stands.
#[derive(Debug)]
pub struct Standing {
    clock: Clock,
    now: Mutex<(Option<String>, UnixMs)>,
}

impl Standing {
    /// Nothing is wrong, yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, now: Mutex::new((None, clock.now())) }
    }

    /// Since when it is up, or away and why.
    pub fn status(&self) -> serde_json::Value {
        let (cause, since) = self.now.lock().clone();
        let since_ms = self.clock.now().since(since).as_millis();
        let since_ms = u64::try_from(since_ms).unwrap_or(u64::MAX);
        serde_json::json!({ "up": cause.is_none(), "cause": cause, "since_ms": since_ms })
    }

    fn is(&self, cause: Option<&str>) {
        let mut now = self.now.lock();
        if now.0.is_none() != cause.is_none() {
            now.1 = self.clock.now();
        }
        now.0 = cause.map(str::to_owned);
    }
}

/// The configured store, and how it stands.
pub fn open(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: Clock,
) -> anyhow::Result<(Arc<dyn LaneStore>, Arc<Standing>)> {
    let standing = Arc::new(Standing::new(clock));
    let observer = Counted { metrics: metrics.clone(), standing: standing.clone() };
    let store = store::open(&parts::store(config), Arc::new(observer)).context("store")?;
    Ok((store, standing))
}

/// Counts what the store does, and remembers how it stands.
struct Counted {
    metrics: Arc<Metrics>,
    standing: Arc<Standing>,
}

impl StoreObserver for Counted {
    fn asked(&self, operation: &'static str, took: Duration, failed: bool) {
        self.metrics.store.asked(operation, took, failed);
    }
    fn up(&self) {
        self.metrics.store.up(true);
        self.standing.is(None);
    }
    fn down(&self, cause: &str) {
        self.metrics.store.up(false);
        self.standing.is(Some(cause));
    }
    fn missed(&self) {
        self.metrics.store.missed();
    }
}

/// What the store says at the start; none where it cannot be reached: then `without` is told. What it holds
/// and cannot be read ends the start.
pub fn if_reached<T>(
    answer: Result<T, StoreError>,
    without: &str,
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ StoreError::Unreachable(_)) => {
            tracing::warn!(%error, "{without}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
