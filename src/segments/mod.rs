//! The segment store: bytes by content hash, in memory and in a directory. Written before a step
//! is appended, so that a restarted process still has what a dead packager announced.

use bytes::Bytes;

use crate::model::lane::Held;
use crate::model::names::{ContentHash, UnixMs};

/// Bytes by content hash.
pub struct Segments {}

/// No room: nothing that is listed is ever evicted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentsError {
    /// Memory or disk is at its limit.
    #[error("the segment store is full ({0})")]
    Full(&'static str),
    /// The directory cannot be written or read.
    #[error("the segment directory: {0}")]
    Io(String),
}

impl Segments {
    /// Takes `bytes`, kept at least until `keep_until`. On disk when this returns, where there is a directory.
    pub async fn put(&self, _bytes: Bytes, _keep_until: UnixMs) -> Result<Held, SegmentsError> {
        todo!()
    }
    /// These bytes are held.
    pub fn has(&self, _hash: ContentHash) -> bool {
        todo!()
    }
    /// The bytes, if they are in memory. No I/O: the front's fast way.
    pub fn in_memory(&self, _hash: ContentHash) -> Option<Bytes> {
        todo!()
    }
    /// The bytes, from memory or disk, verified against length and hash.
    pub async fn get(&self, _held: Held) -> Option<Bytes> {
        todo!()
    }
    /// Keeps these until `keep_until` at least.
    pub fn keep(&self, _hashes: &[ContentHash], _keep_until: UnixMs) {
        todo!()
    }
    /// Drops what nobody keeps any longer.
    pub fn sweep(&self, _now: UnixMs) {
        todo!()
    }
    /// There is room for another stream: less than nine tenths of each limit is in use.
    pub fn admits_stream(&self) -> bool {
        todo!()
    }
    /// Bytes in memory, bytes on disk.
    pub fn usage(&self) -> (u64, u64) {
        todo!()
    }
}
