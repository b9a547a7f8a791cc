//! Asking packagers. `stream/` sees only the trait, so that the simulation can stand in.
//!
//! `client` the trait over Pingora's connector; `endpoint` what is configured for one packager;
//! `book` the endpoints in force, with their limits; `names` the addresses of a packager's name, and
//! `resolver` who is asked for them; `exchange` one request and the head of its answer; `credentials` what it
//! shows to be let in; `body` the bytes, decoded and checked; `location` paths
//! and redirects; `page` what a packager says of itself; `promise` the sign that it may have restarted.

mod body;
mod book;
mod client;
mod credentials;
mod endpoint;
mod exchange;
mod location;
mod names;
mod page;
mod promise;
mod resolver;

pub use client::{Client, Meter};
pub use credentials::Credentials;
pub use endpoint::{Endpoint, EndpointError, Limits};
pub use names::{Resolve, ResolveError, Resolved, SystemNames};
pub use page::{AdminPlace, Page, PageAsk};
pub use resolver::NameServers;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::lane::ByteRange;
use crate::model::names::PackagerId;
use crate::model::shown::Shown;

/// A playlist as it came.
#[derive(Clone, Debug)]
pub struct PlaylistAnswer {
    /// The body, decompressed, within the limit.
    pub body: Bytes,
    /// The connection that the packager had promised to keep was gone, and a new one had to be
    /// made: it may have restarted between two refreshes.
    pub reconnected: bool,
}

/// Why a packager gave nothing of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No such packager is configured (any more).
    #[error("no such packager")]
    Unknown,
    /// Its name does not resolve, or it refuses, resets or fails TLS.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No whole answer within the deadline.
    #[error("no whole answer in {0:?}")]
    Timeout(Duration),
    /// An answer other than 200 (or 206 where a range was asked).
    #[error("answered {0}")]
    Status(u16),
    /// A redirect to another host, or too many.
    #[error("redirects elsewhere: {0}")]
    Redirect(String),
    /// More bytes than the limit, compressed or not.
    #[error("over the limit of {0} bytes")]
    TooLarge(u64),
    /// The body ended before its Content-Length or its last chunk.
    #[error("cut off after {0} bytes")]
    Truncated(u64),
    /// Not HTTP, or a content encoding that is not known.
    #[error("not understood: {0}")]
    Protocol(String),
    /// The packager has as many requests outstanding as it is allowed.
    #[error("too many requests wait for this packager")]
    Busy,
}

impl OriginError {
    /// The packager says that the resource does not exist: 404 or 410.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Status(404 | 410))
    }
}

/// Fetches from packagers, with limits and deadlines. Paths are absolute, with query.
#[async_trait]
pub trait Origin: Send + Sync {
    /// A playlist, multivariant or media.
    async fn playlist(
        &self,
        packager: &PackagerId,
        path: &str,
        deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError>;
    /// A whole segment or init segment, or the part `range` of one. Never a part of what was asked.
    async fn segment(
        &self,
        packager: &PackagerId,
        path: &str,
        range: Option<ByteRange>,
        deadline: Duration,
    ) -> Result<Bytes, OriginError>;
    /// An entry playlist as a viewer asks for it: with what he shows and without our own
    /// credentials. Each is a request of its own. `path` comes without what he shows.
    async fn entry(
        &self,
        packager: &PackagerId,
        path: &str,
        shown: &Shown,
        deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        let _ = (packager, path, shown, deadline);
        Err(OriginError::Unknown)
    }
}
