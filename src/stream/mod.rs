//! Watched streams: refresh, fetch, append, list. A stream is watched while somebody asks for it.
//!
//! Sees packagers, the clock and the store through traits and knows no Pingora type, so that the
//! simulation runs it unchanged.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::lane::{Header, Held};
use crate::model::names::{LaneId, OutputMsn, RenditionId, StreamKey};

/// All streams of this proxy: what the front asks.
pub struct Streams {}

/// Why an entry or a lane cannot be had now. The front turns each into a status in one table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Every packager that answers says that there is no such stream.
    #[error("no such stream")]
    NoStream,
    /// No packager of the pool has the stream in a state to be joined.
    #[error("no packager has this stream now")]
    NoPackager,
    /// A limit of the configuration is reached: its key.
    #[error("at the limit {0}")]
    Limit(&'static str),
    /// What the packager shows cannot be carried (yet): why.
    #[error("cannot be carried: {0}")]
    Unsupported(String),
    /// The lane's last good playlist is too old to be shown.
    #[error("the stream has stood still for too long")]
    Stale,
    /// No such rendition in this lane.
    #[error("no such rendition")]
    NoRendition,
    /// This was never announced, or left the window long ago.
    #[error("not announced")]
    NotListed,
    /// The process is too busy or its store does not answer.
    #[error("not ready")]
    NotReady,
}

/// A media playlist, printed once for all who ask.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The text.
    pub body: Bytes,
    /// The same, gzipped.
    pub gzip: Bytes,
    /// A strong validator, with its quotes. The gzipped form's ends in `-gz"`.
    pub etag: String,
    /// See `etag`.
    pub etag_gzip: String,
}

impl Streams {
    /// An entry request: the lane that a new viewer joins. Waits for packagers where nothing is
    /// known of the stream, for 5 s at most.
    pub async fn join(&self, _stream: &StreamKey) -> Result<Arc<Lane>, Refusal> {
        todo!()
    }
    /// The lane of a valid token: known, loaded from the store, or opened anew.
    pub async fn lane(&self, _stream: &StreamKey, _lane: &LaneId) -> Result<Arc<Lane>, Refusal> {
        todo!()
    }
}

/// A lane as this proxy lists it.
pub struct Lane {}

impl Lane {
    /// What was frozen when it opened.
    pub fn header(&self) -> &Header {
        todo!()
    }
    /// The multivariant playlist for `token`.
    pub fn multivariant(&self, _token: &str) -> String {
        todo!()
    }
    /// The newest media playlist, at once where one is printed. Keeps the rendition wanted.
    pub fn printed(&self, _rendition: &RenditionId) -> Option<Arc<Printed>> {
        todo!()
    }
    /// The same, waiting at most 5 s for the first one.
    pub async fn playlist(&self, _rendition: &RenditionId) -> Result<Arc<Printed>, Refusal> {
        todo!()
    }
    /// The bytes of a listed segment by its number and the first 8 hex digits of its hash.
    pub fn segment(&self, _rendition: &RenditionId, _msn: OutputMsn, _short: &str) -> Result<Held, Refusal> {
        todo!()
    }
    /// The bytes of an init segment by the first 8 hex digits of its hash.
    pub fn init(&self, _rendition: &RenditionId, _short: &str) -> Result<Held, Refusal> {
        todo!()
    }
}
