//! Viewers from a CDN's log: behind one that caches playlists Segue sees a request for each cached copy, and
//! the CDN one for each viewer.
//!
//! `line` reads a line of CloudFront's standard or real-time log; `minutes` counts distinct viewers, in
//! whatever order lines come; [`Report`] is what is sent to the proxy.

mod line;
mod minutes;

use serde::{Deserialize, Serialize};

pub use line::{LineError, Reader, Request};
pub use minutes::{Minutes, StreamCount};

use crate::model::names::UnixMs;

/// Streams in one report at the most.
pub const REPORT_STREAMS_MAX: usize = 20_000;

/// What a log said, for the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Length of the time that was counted, seconds.
    pub window_seconds: u64,
    /// When it began, Unix milliseconds.
    pub at: UnixMs,
    /// By host, stream and lane.
    pub streams: Vec<Reported>,
}

/// Viewers of one lane of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// The host that viewers asked; empty where the log does not say.
    #[serde(default)]
    pub host: String,
    /// The path of the entry playlist.
    pub stream: String,
    /// The lane, as its token names it.
    pub lane: String,
    /// Distinct viewers.
    pub viewers: u64,
}

#[cfg(test)]
mod tests;
