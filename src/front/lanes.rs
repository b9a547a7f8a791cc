//! What the front asks of the rest of Segue, as traits: the real thing is `stream` over
//! `segments`, and a test of the front stands in with lanes that never move.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::lane::{Header, Held};
use crate::model::names::{ContentHash, LaneId, OutputMsn, PoolName, RenditionId, StreamKey};
use crate::model::shown::Shown;
use crate::packagers::Pools;
use crate::segments::Segments;
use crate::stream::{Lane, Named, Printed, Recalled, Refusal, Streams, Whereabouts};

/// All lanes of this proxy and the bytes they list.
pub trait Lanes: Send + Sync + 'static {
    /// One lane.
    type Lane: ListedLane;

    /// The pool that carries `host` (lower case, without port).
    fn pool(&self, host: &str) -> Option<PoolName>;
    /// The zone that `host` (lower case, without port) names, if any: its packagers come first.
    fn zone(&self, host: &str) -> Option<Arc<str>> {
        let _ = host;
        None
    }
    /// Asks a packager whether a viewer is let in, by what he shows. Nobody is where this is not made.
    fn admit(
        &self,
        stream: &StreamKey,
        shown: &Shown,
    ) -> impl Future<Output = Result<(), Refusal>> + Send {
        let _ = (stream, shown);
        std::future::ready(Err(Refusal::NoPackager))
    }
    /// The lane that a new viewer joins. `zone`: whose packagers come first, where the host says so. May wait
    /// for packagers.
    fn join(
        &self,
        stream: &StreamKey,
        zone: Option<&str>,
    ) -> impl Future<Output = Result<Arc<Self::Lane>, Refusal>> + Send;
    /// The lane of a valid token. The front keeps only a weak reference: a lane that was let go
    /// is asked for again.
    fn lane(
        &self,
        stream: &StreamKey,
        lane: &LaneId,
    ) -> impl Future<Output = Result<Arc<Self::Lane>, Refusal>> + Send;
    /// Takes over what another process appended to the lane, if anything.
    fn newer(&self, stream: &StreamKey, lane: &LaneId) -> impl Future<Output = ()> + Send {
        let _ = (stream, lane);
        std::future::ready(())
    }
    /// A segment's bytes, if they are in memory.
    fn in_memory(&self, hash: ContentHash) -> Option<Bytes>;
    /// A segment's bytes, from memory or disk, verified.
    fn bytes(&self, held: Held) -> impl Future<Output = Option<Bytes>> + Send;
    /// The same from another proxy, for what no packager is asked for again: init segments and keys.
    fn bytes_elsewhere(&self, held: Held) -> impl Future<Output = Option<Bytes>> + Send {
        let _ = held;
        std::future::ready(None)
    }
    /// The bytes of a segment that is listed and not held, from a packager that has them.
    fn recall(
        &self,
        lane: &Self::Lane,
        rendition: &RenditionId,
        msn: OutputMsn,
    ) -> impl Future<Output = Recalled> + Send {
        let _ = (lane, rendition, msn);
        std::future::ready(None)
    }
}

/// A lane as this proxy lists it; the methods are those of [`Lane`].
pub trait ListedLane: Send + Sync + 'static {
    /// What was frozen when it opened.
    fn header(&self) -> &Header;
    /// The multivariant playlist for `token`.
    fn multivariant(&self, token: &str) -> String;
    /// The newest media playlist, if one is printed.
    fn printed(&self, rendition: &RenditionId) -> Option<Arc<Printed>>;
    /// The same, waiting for the first one.
    fn playlist(
        &self,
        rendition: &RenditionId,
    ) -> impl Future<Output = Result<Arc<Printed>, Refusal>> + Send;
    /// A listed segment.
    fn segment(
        &self,
        rendition: &RenditionId,
        msn: OutputMsn,
        short: &str,
    ) -> Result<Named, Refusal>;
    /// Where a number lies beside those that are known here.
    fn lies(&self, rendition: &RenditionId, msn: OutputMsn) -> Whereabouts;
    /// An init segment.
    fn init(&self, rendition: &RenditionId, short: &str) -> Result<Held, Refusal>;
    /// A key, or what the multivariant playlist names and is of no rendition.
    fn shared(&self, name: &str) -> Result<Held, Refusal> {
        let _ = name;
        Err(Refusal::NotListed)
    }
}

/// The real lanes.
#[derive(Clone)]
pub struct Live {
    /// Which hosts lead to which pool.
    pub pools: Arc<Pools>,
    /// The watched streams.
    pub streams: Arc<Streams>,
    /// The bytes that they list.
    pub segments: Arc<Segments>,
}

impl Lanes for Live {
    type Lane = Lane;

    fn pool(&self, host: &str) -> Option<PoolName> {
        self.pools.for_host(host).map(|pool| pool.name.clone())
    }
    fn zone(&self, host: &str) -> Option<Arc<str>> {
        self.pools.zone_of_host(host)
    }
    async fn admit(&self, stream: &StreamKey, shown: &Shown) -> Result<(), Refusal> {
        self.streams.admit(stream, shown).await
    }
    async fn join(&self, stream: &StreamKey, zone: Option<&str>) -> Result<Arc<Lane>, Refusal> {
        self.streams.join(stream, zone).await
    }
    async fn lane(&self, stream: &StreamKey, lane: &LaneId) -> Result<Arc<Lane>, Refusal> {
        self.streams.lane(stream, lane).await
    }
    async fn newer(&self, stream: &StreamKey, lane: &LaneId) {
        self.streams.newer(stream, lane).await;
    }
    fn in_memory(&self, hash: ContentHash) -> Option<Bytes> {
        self.segments.in_memory(hash)
    }
    async fn bytes(&self, held: Held) -> Option<Bytes> {
        self.segments.get(held).await
    }
    async fn bytes_elsewhere(&self, held: Held) -> Option<Bytes> {
        self.streams.bytes_elsewhere(held).await
    }
    async fn recall(&self, lane: &Lane, rendition: &RenditionId, msn: OutputMsn) -> Recalled {
        self.streams.recall(lane, rendition, msn).await
    }
}

impl ListedLane for Lane {
    fn header(&self) -> &Header {
        Lane::header(self)
    }
    fn multivariant(&self, token: &str) -> String {
        Lane::multivariant(self, token)
    }
    fn printed(&self, rendition: &RenditionId) -> Option<Arc<Printed>> {
        Lane::printed(self, rendition)
    }
    async fn playlist(&self, rendition: &RenditionId) -> Result<Arc<Printed>, Refusal> {
        Lane::playlist(self, rendition).await
    }
    fn segment(
        &self,
        rendition: &RenditionId,
        msn: OutputMsn,
        short: &str,
    ) -> Result<Named, Refusal> {
        Lane::segment(self, rendition, msn, short)
    }
    fn lies(&self, rendition: &RenditionId, msn: OutputMsn) -> Whereabouts {
        Lane::lies(self, rendition, msn)
    }
    fn shared(&self, name: &str) -> Result<Held, Refusal> {
        Lane::shared(self, name)
    }
    fn init(&self, rendition: &RenditionId, short: &str) -> Result<Held, Refusal> {
        Lane::init(self, rendition, short)
    }
}
