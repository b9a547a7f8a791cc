//! Answers other proxies, on a listener of its own: who this one is, bytes by their hash, a lane's log. All of it from
//! what is held or carried here: nobody else is asked, so no question goes round. Whoever does not show that he is
//! of the fleet gets 401 and is hung up on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use pingora::apps::{HttpPersistentSettings, ReusedHttpStream, ServerApp};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::lane::{self, Wanted};
use super::{ANSWERED_BY, PREFIX, Peers, SIGNATURE, unix_s};
use crate::model::fleet::Verified;
use crate::model::lane::Held;
use crate::model::names::{ContentHash, LaneId, StreamKey};
use crate::segments::Segments;
use crate::store::StoredLane;
use crate::stream::Streams;

/// Connections at one time; one more is closed at once.
const CONNECTIONS_MAX: usize = 512;
/// Contents given at one time; beyond: 503.
const BODIES_MAX: usize = 64;
/// Logs given at one time; beyond: 503.
const LOGS_MAX: usize = 8;
/// The first question on a connection is here within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// The next one within this; longer than who asks keeps connections.
const NEXT_WITHIN: Duration = Duration::from_secs(75);
/// A piece of an answer is taken within this time.
const PIECE_WITHIN: Duration = Duration::from_secs(5);
/// And all of it within this one: nobody waits longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Bytes of such a piece.
const PIECE: usize = 256 << 10;
/// A longer question is none: that for a lane is the longest.
const TARGET_BYTES_MAX: usize = 16 << 10;
/// A log is here within this time, or is not carried.
const LOG_WITHIN: Duration = Duration::from_secs(2);

/// Who carries lanes.
#[async_trait]
pub trait Logs: Send + Sync {
    /// A lane's header and log as they stand here; none where it is not carried.
    async fn log(&self, stream: &StreamKey, lane: &LaneId) -> Option<StoredLane>;
}

#[async_trait]
impl Logs for Streams {
    async fn log(&self, stream: &StreamKey, lane: &LaneId) -> Option<StoredLane> {
        Self::log(self, stream, lane).await
    }
}

/// The service for other proxies.
pub struct Serving {
    peers: Arc<Peers>,
    segments: Arc<Segments>,
    lanes: Arc<dyn Logs>,
    open: AtomicUsize,
    bodies: Arc<Semaphore>,
    logs: Arc<Semaphore>,
}

/// An answer before it is written.
struct Reply {
    kind: &'static str,
    status: u16,
    content_type: &'static str,
    body: Bytes,
    signature: Option<String>,
    /// Held until all of it is written.
    room: Option<OwnedSemaphorePermit>,
}

impl Reply {
    fn line(kind: &'static str, status: u16, line: &str) -> Self {
        let body = format!("{line}\n").into();
        Self { kind, status, content_type: "text/plain", body, signature: None, room: None }
    }

    fn whole(kind: &'static str, content_type: &'static str, body: Bytes) -> Self {
        Self { kind, status: 200, content_type, body, signature: None, room: None }
    }
}

/// What is asked for.
enum Asked {
    /// Where who asks answers himself, if he tells.
    Hello(Option<SocketAddr>),
    Bytes(Held),
    Lane(Wanted),
    /// Of this kind, for metrics.
    Unknown(&'static str),
}

impl Asked {
    fn read(target: &str) -> Self {
        let short = Some(target).filter(|target| target.len() <= TARGET_BYTES_MAX);
        let what = short.and_then(|target| target.strip_prefix(PREFIX));
        let Some(what) = what else { return Self::Unknown("no") };
        let (what, query) = what.split_once('?').unwrap_or((what, ""));
        match what.split_once('/').unwrap_or((what, "")) {
            ("hello", "") if query.is_empty() => Self::Hello(None),
            ("hello", "") => match query.strip_prefix("at=").map(str::parse) {
                Some(Ok(at)) => Self::Hello(Some(at)),
                _ => Self::Unknown("hello"),
            },
            ("bytes", hash) => {
                let length = query.strip_prefix("length=").and_then(|l| l.parse().ok());
                match ContentHash::from_hex(hash).zip(length) {
                    Some((hash, length)) => Self::Bytes(Held { hash, length }),
                    None => Self::Unknown("bytes"),
                }
            }
            ("lanes", "") => match query.strip_prefix("of=").and_then(Wanted::read) {
                Some(wanted) => Self::Lane(wanted),
                None => Self::Unknown("lane"),
            },
            _ => Self::Unknown("no"),
        }
    }
}

impl Serving {
    /// Answers for `peers` from what these hold and carry.
    #[must_use]
    pub fn new(peers: Arc<Peers>, segments: Arc<Segments>, lanes: Arc<dyn Logs>) -> Self {
        Self {
            peers,
            segments,
            lanes,
            open: AtomicUsize::new(0),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
        }
    }

    /// One question; the connection, if another may follow on it.
    async fn one(
        &self,
        session: &mut ServerSession,
        within: Duration,
        shutdown: &ShutdownWatch,
    ) -> Option<()> {
        if !timeout(within, session.read_request()).await.ok()?.ok()? {
            return None;
        }
        let closing = *shutdown.borrow();
        session.set_keepalive((!closing).then_some(NEXT_WITHIN.as_secs()));
        session.set_read_timeout(Some(PIECE_WITHIN));
        session.set_write_timeout(Some(PIECE_WITHIN));
        let request = session.req_header();
        let method = request.method.as_str().to_owned();
        let target = request.uri.path_and_query().map_or("", |t| t.as_str()).to_owned();
        let shown = request.headers.get(SIGNATURE).and_then(|v| v.to_str().ok());
        let keys = self.peers.asker.keys();
        let (reply, known) = match keys.verify(shown, &method, &target, unix_s()) {
            Err(why) => (Reply::line("no", 401, &why.to_string()), false),
            Ok(_) if method != "GET" => (Reply::line("no", 405, "GET alone is answered"), false),
            Ok(by) => {
                let asked = Asked::read(&target);
                let at = if let Asked::Hello(at) = asked { at } else { None };
                self.peers.asked_by(&by.by, at);
                (self.answer(asked, &by).await, true)
            }
        };
        // What nobody reads stands between this question and the next.
        let goes_on = known && session.is_body_empty();
        if !goes_on {
            session.set_keepalive(None);
        }
        self.peers.meter.answered(reply.kind, reply.status);
        self.write(session, reply, known).await?;
        goes_on.then_some(())
    }

    async fn answer(&self, asked: Asked, by: &Verified) -> Reply {
        match asked {
            Asked::Hello(_) => {
                let body = serde_json::to_vec(&self.peers.hello()).unwrap_or_default();
                self.signed("hello", body, by)
            }
            Asked::Bytes(held) => self.bytes(held).await,
            Asked::Lane(wanted) => self.lane(wanted, by).await,
            Asked::Unknown(kind) => Reply::line(kind, 404, "there is no such thing"),
        }
    }

    fn signed(&self, kind: &'static str, body: Vec<u8>, by: &Verified) -> Reply {
        let signature = self.peers.asker.keys().sign_answer(by, &self.peers.settings.id, &body);
        let reply = Reply::whole(kind, "application/json", body.into());
        Reply { signature: Some(signature), ..reply }
    }

    async fn bytes(&self, held: Held) -> Reply {
        let Ok(room) = Arc::clone(&self.bodies).try_acquire_owned() else {
            return Reply::line("bytes", 503, "too many ask at once");
        };
        match self.segments.get(held).await {
            Some(body) => {
                let reply = Reply::whole("bytes", "application/octet-stream", body);
                Reply { room: Some(room), ..reply }
            }
            None => Reply::line("bytes", 404, "not held"),
        }
    }

    async fn lane(&self, wanted: Wanted, by: &Verified) -> Reply {
        let Ok(room) = Arc::clone(&self.logs).try_acquire_owned() else {
            return Reply::line("lane", 503, "too many ask at once");
        };
        let log = timeout(LOG_WITHIN, self.lanes.log(&wanted.stream, &wanted.lane)).await;
        let Some(log) = log.ok().flatten() else {
            return Reply::line("lane", 404, "not carried");
        };
        // A long window is megabytes of text: not on a thread that serves others.
        match tokio::task::spawn_blocking(move || lane::write(&log)).await {
            Ok(text) => Reply { room: Some(room), ..self.signed("lane", text, by) },
            Err(_) => Reply::line("lane", 404, "not carried"),
        }
    }

    async fn write(&self, session: &mut ServerSession, reply: Reply, known: bool) -> Option<()> {
        let head = ResponseHeader::build(reply.status, Some(8)).and_then(|mut head| {
            head.insert_header(header::CONTENT_TYPE, reply.content_type)?;
            head.insert_header(header::CONTENT_LENGTH, reply.body.len())?;
            head.insert_header(header::CACHE_CONTROL, "no-store")?;
            if reply.status == 503 {
                head.insert_header(header::RETRY_AFTER, "1")?;
            }
            if known {
                head.insert_header(ANSWERED_BY, self.peers.settings.id.as_str())?;
            }
            if let Some(signature) = reply.signature {
                head.insert_header(SIGNATURE, signature)?;
            }
            Ok(head)
        });
        session.write_response_header(Box::new(head.ok()?)).await.ok()?;
        let counts = reply.kind == "bytes" && reply.status == 200;
        let mut rest = reply.body;
        // In pieces, each with its time: whoever reads nothing is not waited for.
        let pieces = async {
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(PIECE));
                let bytes = piece.len();
                session.write_response_body(piece, rest.is_empty()).await.ok()?;
                if counts {
                    self.peers.meter.sent(bytes);
                }
            }
            Some(())
        };
        let written = timeout(ANSWER_WITHIN, pieces).await.ok().flatten();
        drop(reply.room);
        written
    }
}

#[async_trait]
impl ServerApp for Serving {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let _open = Open::count(&self.open)?;
        let mut session = ServerSession::new_http1(stream);
        let mut within = FIRST_WITHIN;
        loop {
            self.one(&mut session, within, shutdown).await?;
            let settings = HttpPersistentSettings::for_session(&session);
            let reusable = session.finish().await.ok()??;
            let (stream, settings) =
                ReusedHttpStream::from_reusable_stream(reusable, settings).consume();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            within = NEXT_WITHIN;
        }
    }
}

/// One open connection; counted until dropped.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    /// None: there are as many as there may be.
    fn count(open: &'a AtomicUsize) -> Option<Self> {
        let before = open.fetch_add(1, Ordering::AcqRel);
        let counted = Self(open);
        (before < CONNECTIONS_MAX).then_some(counted)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
