//! The other proxies of the fleet, as streams see them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::lane::Held;
use crate::model::names::{LaneId, ProxyId, StreamKey};
use crate::store::StoredLane;

/// Whom else a stream's bytes and logs can be had from. The real thing is `peers/`; none of it goes further than
/// one proxy: who is asked answers from what it holds.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// What this proxy is called in steps; none where there is no fleet.
    fn own_id(&self) -> Option<&ProxyId>;

    /// Returns once those that are known were asked whether they are there: at once but in the first second of
    /// the process, and after that second at the latest.
    async fn met(&self) {}

    /// Other proxies that answer now.
    fn others(&self) -> usize;

    /// The proxy of this one's zone that fetches a stream's segments for all of the zone; none: this one does,
    /// or each for itself.
    fn fetcher(&self, stream: &StreamKey) -> Option<ProxyId>;

    /// Bytes that another proxy holds, of the right length and hash: `holders` are asked first, then the others.
    /// None where nobody gives them in time.
    async fn bytes(&self, held: Held, holders: &[ProxyId], deadline: Duration) -> Option<Bytes>;

    /// A lane as another proxy carries it: for when the store cannot be reached, or has lost it. The longest of
    /// what they answer within `deadline`.
    async fn lane(
        &self,
        stream: &StreamKey,
        lane: &LaneId,
        deadline: Duration,
    ) -> Option<StoredLane>;
}

/// No other proxy.
pub struct Alone;

#[async_trait]
impl Fleet for Alone {
    fn own_id(&self) -> Option<&ProxyId> {
        None
    }
    fn others(&self) -> usize {
        0
    }
    fn fetcher(&self, _stream: &StreamKey) -> Option<ProxyId> {
        None
    }
    async fn bytes(&self, _: Held, _: &[ProxyId], _: Duration) -> Option<Bytes> {
        None
    }
    async fn lane(&self, _: &StreamKey, _: &LaneId, _: Duration) -> Option<StoredLane> {
        None
    }
}
