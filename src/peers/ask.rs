//! One question to another proxy, and its answer: signed, within a limit of bytes, and never waited for longer than
//! is said. HTTP/1.1 on Pingora's connector, which keeps connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use super::{PREFIX, SIGNATURE, unix_s};
use crate::model::fleet::{FleetKeys, Request, SignatureError, Verified};
use crate::model::names::ProxyId;

/// A connection is kept for the next question for so long: less than who answers keeps it.
const IDLE: Duration = Duration::from_secs(30);
/// Characters of a refusal's reason that are repeated.
const REASON_MAX: usize = 160;

/// Why another proxy gave nothing of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("refuses connections")]
    Refused,
    /// It cannot be reached, or broke off.
    #[error("cannot be asked: {0}")]
    Broken(String),
    /// Not whole in time.
    #[error("no answer in time")]
    Timeout,
    /// Another status than 200, and what it says.
    #[error("answers {0}: {1}")]
    Status(u16, String),
    /// Other bytes than were asked for: more, fewer, or with another hash.
    #[error("gives other bytes than were asked for")]
    Wrong,
    /// The answer is not from a proxy of this fleet.
    #[error("its answer is not believed: {0}")]
    Signature(#[from] SignatureError),
}

impl AskError {
    /// One word, for metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused | Self::Broken(_) => "failed",
            Self::Timeout => "timeout",
            Self::Status(404, _) => "missing",
            Self::Status(503, _) => "busy",
            Self::Status(..) => "refused",
            Self::Wrong | Self::Signature(_) => "wrong",
        }
    }
}

/// How long what may take, and how much may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within {
    /// For all of it.
    pub whole: Duration,
    /// For a connection, and for each piece.
    pub piece: Duration,
    /// Bytes of a body.
    pub bytes: u64,
}

/// A body, and what its signature is held against.
pub(super) struct Answer {
    pub body: Bytes,
    pub asked: Verified,
    pub signature: Option<String>,
}

/// Asks other proxies.
pub(super) struct Asker {
    connector: Connector,
    own: ProxyId,
    keys: ArcSwap<FleetKeys>,
    /// Which key each signs and verifies with, where it is not the first: while keys are exchanged, one proxy after
    /// the other has the new one.
    key_of: Mutex<HashMap<SocketAddr, usize>>,
}

impl Asker {
    pub fn new(own: ProxyId, keys: FleetKeys) -> Self {
        Self {
            connector: Connector::new(None),
            own,
            keys: ArcSwap::from_pointee(keys),
            key_of: Mutex::default(),
        }
    }

    /// Other keys from now on.
    pub fn reload(&self, keys: FleetKeys) {
        self.keys.store(Arc::new(keys));
        self.key_of.lock().clear();
    }

    pub fn keys(&self) -> Arc<FleetKeys> {
        self.keys.load_full()
    }

    /// Asks for what stands behind the prefix; `began` is set with the first byte of a body.
    pub async fn get(
        &self,
        at: SocketAddr,
        what: &str,
        within: Within,
        began: &AtomicBool,
    ) -> Result<Answer, AskError> {
        let work = self.ask(at, what, within, began);
        timeout(within.whole, work).await.unwrap_or(Err(AskError::Timeout))
    }

    /// The same, and only what a proxy of the fleet has signed.
    pub async fn get_signed(
        &self,
        at: SocketAddr,
        what: &str,
        within: Within,
    ) -> Result<(ProxyId, Bytes), AskError> {
        let answer = self.get(at, what, within, &AtomicBool::new(false)).await?;
        let keys = self.keys.load();
        let by = keys.verify_answer(answer.signature.as_deref(), &answer.asked, &answer.body)?;
        Ok((by, answer.body))
    }

    async fn ask(
        &self,
        at: SocketAddr,
        what: &str,
        within: Within,
        began: &AtomicBool,
    ) -> Result<Answer, AskError> {
        let target = format!("{PREFIX}{what}");
        let key = self.key_of.lock().get(&at).copied().unwrap_or(0);
        let request = Request { method: "GET", target: &target, by: &self.own, unix_s: unix_s() };
        let (text, asked) = self.keys.load().sign(key, &request).ok_or(SignatureError::Key)?;
        let mut peer = HttpPeer::new(at, false, String::new());
        peer.options.connection_timeout = Some(within.piece);
        peer.options.total_connection_timeout = Some(within.piece);
        let mut session = loop {
            let (mut session, reused) =
                self.connector.get_http_session(&peer).await.map_err(|e| failure(&e))?;
            session.set_read_timeout(Some(within.piece));
            session.set_write_timeout(Some(within.piece));
            match head(&mut session, at, &target, &text).await {
                Ok(()) => break session,
                // It may close a kept connection at any time.
                Err(e) if reused && !is_timeout(&e) => {}
                Err(e) => return Err(failure(&e)),
            }
        };
        let header = session.response_header().ok_or_else(|| broken("no header"))?;
        let status = header.status.as_u16();
        let line = |name: &str| header.headers.get(name).and_then(|v| v.to_str().ok());
        let signature = line(SIGNATURE).map(str::to_owned);
        let length = line(CONTENT_LENGTH.as_str()).and_then(|v| v.parse::<u64>().ok());
        let Some(length) = length else { return Err(broken("a body without a length")) };
        if status != 200 {
            return Err(self.refusal(at, status, key, &mut session).await);
        }
        if length > within.bytes {
            return Err(AskError::Wrong);
        }
        let body = body(&mut session, length, began).await?;
        self.connector.release_http_session(session, &peer, Some(IDLE)).await;
        Ok(Answer { body, asked, signature })
    }

    /// What it says where it does not give what was asked. One that does not know the key is asked with the next
    /// one from now on.
    async fn refusal(
        &self,
        at: SocketAddr,
        status: u16,
        key: usize,
        session: &mut HttpSession,
    ) -> AskError {
        let said = session.read_response_body().await.ok().flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.trim().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
        if status == 401 {
            self.key_of.lock().insert(at, (key + 1) % self.keys.load().count().max(1));
        }
        AskError::Status(status, said)
    }

    /// Only these may still be asked.
    pub fn forget_others(&self, known: impl Fn(&SocketAddr) -> bool) {
        self.key_of.lock().retain(|at, _| known(at));
    }
}

/// Writes the question and reads the answer's header.
async fn head(
    session: &mut HttpSession,
    at: SocketAddr,
    target: &str,
    signature: &str,
) -> pingora::Result<()> {
    let mut request = RequestHeader::build("GET", target.as_bytes(), Some(4))?;
    request.insert_header(HOST, at.to_string())?;
    request.insert_header(USER_AGENT, concat!("segue/", env!("CARGO_PKG_VERSION")))?;
    request.insert_header(SIGNATURE, signature)?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await
}

/// The body, exactly as long as was promised.
async fn body(
    session: &mut HttpSession,
    length: u64,
    began: &AtomicBool,
) -> Result<Bytes, AskError> {
    let length = usize::try_from(length).map_err(|_| AskError::Wrong)?;
    let mut body = BytesMut::with_capacity(length);
    while let Some(piece) = session.read_response_body().await.map_err(|e| failure(&e))? {
        began.store(true, Ordering::Relaxed);
        if body.len() + piece.len() > length {
            return Err(AskError::Wrong);
        }
        body.extend_from_slice(&piece);
    }
    if body.len() < length {
        return Err(broken("cut off"));
    }
    Ok(body.freeze())
}

fn broken(why: &str) -> AskError {
    AskError::Broken(why.to_owned())
}

fn is_timeout(e: &Error) -> bool {
    use ErrorType::{ConnectTimedout, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    matches!(e.etype(), ConnectTimedout | ReadTimedout | TLSHandshakeTimedout | WriteTimedout)
}

fn failure(e: &Error) -> AskError {
    match e.etype() {
        ErrorType::ConnectRefused => AskError::Refused,
        _ if is_timeout(e) => AskError::Timeout,
        other => broken(other.as_str()),
    }
}
