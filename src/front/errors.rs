//! Everything that can go wrong with a request, and the one table that says how it is answered.
//!
//! What the viewer did wrong is a 4xx; what is ours or a packager's is 503 with Retry-After, and
//! never 404, 502 or 504: players and CDNs come back after a 503.

use crate::model::route::RouteError;
use crate::model::token::TokenError;
use crate::stream::Refusal;

/// Why a request gets no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Neither GET nor HEAD nor OPTIONS.
    #[error("method not allowed")]
    Method,
    /// No host, several, or one that cannot be read.
    #[error("bad host")]
    Host,
    /// A host that leads to no pool.
    #[error("unknown host")]
    UnknownHost,
    /// The URI is over the limit.
    #[error("URI too long")]
    UriTooLong,
    /// The headers are over the limit.
    #[error("headers too large")]
    HeadersTooLarge,
    /// A path that no honest client writes: dot segments, encoded slashes, control characters.
    #[error("bad path")]
    Path,
    /// A path that names nothing here.
    #[error("not found")]
    NotFound,
    /// Not a token at all.
    #[error("malformed token")]
    TokenMalformed,
    /// Not signed by us, or signed for another stream.
    #[error("token not valid")]
    TokenForged,
    /// Signed by us, but over.
    #[error("token expired")]
    TokenExpired,
    /// It did not come through the CDN.
    #[error("not through the CDN")]
    Gate,
    /// The streams refuse.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Too many requests wait already.
    #[error("too many requests wait")]
    Waiting,
    /// Listed, but its bytes are not to be had: the fault is ours.
    #[error("segment not available")]
    SegmentLost,
    /// Another proxy may have announced it; this one has not heard of it.
    #[error("not announced here")]
    Unheard,
    /// The range lies outside of the segment, which has this many bytes.
    #[error("range not satisfiable")]
    Range(u64),
    /// The process is not ready, or on its way out.
    #[error("not ready")]
    NotReady,
}

impl Failure {
    /// The status and the reason given to the viewer: the table.
    #[must_use]
    pub fn answer(&self) -> (u16, &'static str) {
        match self {
            Self::Path => (400, "bad path"),
            Self::Host => (400, "bad host"),
            Self::TokenMalformed => (400, "malformed token"),
            Self::TokenForged => (403, "token not valid"),
            Self::TokenExpired => (403, "token expired"),
            Self::Gate => (403, "not allowed"),
            Self::NotFound => (404, "not found"),
            Self::Method => (405, "method not allowed"),
            Self::UriTooLong => (414, "URI too long"),
            Self::Range(_) => (416, "range not satisfiable"),
            Self::UnknownHost => (421, "unknown host"),
            Self::HeadersTooLarge => (431, "headers too large"),
            Self::Waiting => (503, "too many requests wait"),
            Self::SegmentLost => (503, "segment not available"),
            Self::Unheard => (503, "not announced here"),
            Self::NotReady => (503, "not ready"),
            Self::Refused(refusal) => match refusal {
                Refusal::NotAllowed => (403, "not allowed"),
                Refusal::NoStream => (404, "no such stream"),
                Refusal::NoRendition => (404, "no such rendition"),
                Refusal::NotListed => (404, "not announced"),
                Refusal::NoPackager => (503, "stream not available"),
                Refusal::Limit(_) => (503, "at capacity"),
                Refusal::Unsupported(_) => (503, "stream cannot be carried"),
                Refusal::Stale => (503, "stream stands still"),
                Refusal::NotReady => (503, "not ready"),
            },
        }
    }
}

impl Failure {
    /// The key of the limit that was reached, for operators.
    #[must_use]
    pub const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Refused(Refusal::Limit(key)) => Some(key),
            Self::Waiting => Some("limits.waiting_requests"),
            _ => None,
        }
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::TooLong => Self::UriTooLong,
            RouteError::Malformed | RouteError::Dots | RouteError::Encoding => Self::Path,
            RouteError::Unknown => Self::NotFound,
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::TokenMalformed,
            TokenError::UnknownKey | TokenError::Forged => Self::TokenForged,
            TokenError::Expired => Self::TokenExpired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_faults_are_503_and_tell_nothing_of_the_inside() {
        let ours = [
            Failure::Waiting,
            Failure::SegmentLost,
            Failure::Unheard,
            Failure::NotReady,
            Failure::Refused(Refusal::NoPackager),
            Failure::Refused(Refusal::Limit("segments.memory")),
            Failure::Refused(Refusal::Unsupported("http://10.0.0.1/secret".into())),
            Failure::Refused(Refusal::Stale),
            Failure::Refused(Refusal::NotReady),
        ];
        for failure in ours {
            let (status, reason) = failure.answer();
            assert_eq!(status, 503, "{failure}");
            assert!(!reason.contains("10.0.0.1") && !reason.contains("memory"), "{reason}");
        }
    }
}
