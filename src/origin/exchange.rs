//! One request and the head of its answer, over whichever address answers, on a connection that
//! was kept or on a new one.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, HOST, RANGE, USER_AGENT};
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::OriginError;
use super::book::Entry;
use super::credentials::Shows;
use crate::model::lane::ByteRange;

/// Bytes of an answer's headers. Pingora alone would take 1 MiB.
const HEADERS_MAX: usize = 64 << 10;
/// Informational answers before the real one.
const INFORMATIONAL_MAX: usize = 8;
/// Characters of a cause that an error repeats.
const CAUSE_MAX: usize = 160;

/// The head of an answer has come; the body has not been read.
pub(super) struct Reply {
    pub(super) session: HttpSession,
    /// Under this peer the connection is kept, once the body is read.
    pub(super) peer: HttpPeer,
    /// The connection had been kept from an earlier request.
    pub(super) reused: bool,
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) entry: &'a Entry,
    pub(super) connector: &'a Connector,
    pub(super) target: &'a str,
    pub(super) range: Option<ByteRange>,
    /// What it shows to be let in.
    pub(super) shows: Shows<'a>,
    /// The connections it may use.
    pub(super) group: u64,
    /// A group that nobody else has: forces a new connection.
    pub(super) fresh_group: u64,
    pub(super) deadline: Duration,
}

/// How one try ended.
enum Failure {
    /// The kept connection was closed: nothing is known of the packager yet.
    Gone,
    /// Not reached at this address.
    Unreached(OriginError),
    /// Reached, and of no use.
    Answered(OriginError),
}

impl Ask<'_> {
    /// Asks at each of `addresses` until one answers.
    pub(super) async fn send(&self, addresses: &[SocketAddr]) -> Result<Reply, OriginError> {
        let mut last = OriginError::Connect("no address".to_owned());
        for address in addresses {
            let peer = self.entry.peer(*address, self.group);
            let mut outcome = self.once(&peer).await;
            if matches!(outcome, Err(Failure::Gone)) {
                let mut fresh = peer.clone();
                fresh.group_key = self.fresh_group;
                outcome = self.once(&fresh).await;
            }
            match outcome {
                Ok((session, reused)) => {
                    self.entry.names.good(*address);
                    return Ok(Reply { session, peer, reused });
                }
                Err(Failure::Answered(e)) => return Err(e),
                Err(Failure::Unreached(e)) => last = e,
                Err(Failure::Gone) => last = OriginError::Connect("closed".to_owned()),
            }
        }
        Err(last)
    }

    /// Asks at one address only, on a new connection.
    pub(super) async fn head_at(&self, address: SocketAddr) -> Result<HttpSession, OriginError> {
        let peer = self.entry.peer(address, self.fresh_group);
        match self.once(&peer).await {
            Ok((session, _)) => Ok(session),
            Err(Failure::Answered(e) | Failure::Unreached(e)) => Err(e),
            Err(Failure::Gone) => Err(OriginError::Connect("closed".to_owned())),
        }
    }

    async fn once(&self, peer: &HttpPeer) -> Result<(HttpSession, bool), Failure> {
        let request =
            self.request().map_err(|e| Failure::Answered(OriginError::Protocol(brief(&e))))?;
        let (mut session, reused) = self
            .connector
            .get_http_session(peer)
            .await
            .map_err(|e| Failure::Unreached(OriginError::Connect(brief(&e))))?;
        // Each read and write; the deadline of the whole is the caller's.
        session.set_read_timeout(Some(self.deadline));
        session.set_write_timeout(Some(self.deadline));
        match head(&mut session, request).await {
            Ok(()) => {}
            Err(e) => return Err(self.failure(&e, reused)),
        }
        let size = session.response_header().map_or(0, header_bytes);
        if size > HEADERS_MAX {
            let text = format!("headers of {size} bytes");
            return Err(Failure::Answered(OriginError::Protocol(text)));
        }
        Ok((session, reused))
    }

    fn failure(&self, e: &Error, reused: bool) -> Failure {
        match e.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
                Failure::Answered(OriginError::Timeout(self.deadline))
            }
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => {
                if reused {
                    Failure::Gone
                } else {
                    Failure::Unreached(OriginError::Connect(brief(e)))
                }
            }
            _ => Failure::Answered(OriginError::Protocol(brief(e))),
        }
    }

    fn request(&self) -> pingora::Result<RequestHeader> {
        let target = self.shows.target(self.entry, self.target);
        let mut request = RequestHeader::build("GET", target.as_bytes(), Some(8))?;
        request.insert_header(HOST, self.entry.host.clone())?;
        request.insert_header(USER_AGENT, concat!("segue/", env!("CARGO_PKG_VERSION")))?;
        request.insert_header(ACCEPT_ENCODING, "identity")?;
        for (name, value) in &self.entry.headers {
            request.insert_header(name.clone(), value.clone())?;
        }
        let shown = self.shows.headers(self.entry);
        for (name, _) in shown {
            request.remove_header(name);
        }
        for (name, value) in shown {
            request.append_header(name.clone(), value.clone())?;
        }
        if let Some(range) = self.range {
            let last = range.offset.saturating_add(range.length.saturating_sub(1));
            request.insert_header(RANGE, format!("bytes={}-{last}", range.offset))?;
        }
        Ok(request)
    }
}

/// Writes the request and reads to the end of the headers of the answer proper.
async fn head(session: &mut HttpSession, request: RequestHeader) -> pingora::Result<()> {
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    for _ in 0..INFORMATIONAL_MAX {
        session.read_response_header().await?;
        let status = session.response_header().map(|h| h.status);
        if status.is_none_or(|s| !s.is_informational() || s == StatusCode::SWITCHING_PROTOCOLS) {
            return Ok(());
        }
    }
    Error::e_explain(ErrorType::InvalidHTTPHeader, "informational answers without end")
}

fn header_bytes(header: &ResponseHeader) -> usize {
    header.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// A cause in few words: Pingora's errors may hold the whole of what was received.
pub(super) fn brief(e: &Error) -> String {
    let root = e.root_cause();
    let text = if e.etype() == &ErrorType::InvalidHTTPHeader {
        "headers that are not HTTP".to_owned()
    } else {
        root.to_string()
    };
    text.trim().chars().filter(|c| !c.is_control()).take(CAUSE_MAX).collect()
}
