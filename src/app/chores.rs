//! What runs beside requests: old segments and lanes go, streams look again when a packager's health
//! changes, packagers that were taken out by another process are followed, and the store has the token key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::drains::Drains;
use super::keys::KeyKeeper;
use crate::packagers::Pools;
use crate::segments::Segments;
use crate::store::LaneStore;
use crate::stream::{Clock, Streams};

/// How often segments are swept.
const SWEEP: Duration = Duration::from_secs(5);
/// Lanes are expired once in so many sweeps.
const EXPIRE_EVERY: u32 = 60;

pub struct Chores {
    pub drains: Arc<Drains>,
    pub streams: Arc<Streams>,
    pub pools: Arc<Pools>,
    pub segments: Arc<Segments>,
    pub store: Arc<dyn LaneStore>,
    pub clock: Clock,
    /// A lane whose last step is older than so many seconds is dropped from the store.
    pub lane_expires_s: Arc<AtomicU64>,
    /// Where no keys are configured.
    pub key_keeper: Option<KeyKeeper>,
}

impl Chores {
    fn lane_expires(&self) -> Duration {
        Duration::from_secs(self.lane_expires_s.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl BackgroundService for Chores {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut health = self.pools.subscribe();
        let mut sweeps = 0_u32;
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let now = self.clock.now();
                    self.segments.sweep(now);
                    if let Err(error) = self.drains.follow().await {
                        tracing::debug!(%error, "who is drained is not known anew");
                    }
                    if let Some(keeper) = &self.key_keeper {
                        keeper.put_back(&*self.store).await;
                    }
                    if sweeps.is_multiple_of(EXPIRE_EVERY)
                        && let Err(error) = self.store.expire(now.minus(self.lane_expires())).await
                    {
                        tracing::warn!(%error, "lanes that are long over are not dropped from the store yet");
                    }
                    sweeps = sweeps.wrapping_add(1);
                }
                changed = health.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.streams.look();
                }
            }
        }
    }
}
