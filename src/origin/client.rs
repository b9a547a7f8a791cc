//! [`Origin`] over Pingora's HTTP connector, which pools connections and no more: names,
//! redirects, limits, content codings and the deadline of the whole are here.
//!
//! HTTP/1.1 is spoken, over TLS too: a packager's connections are few and long-lived, and with
//! HTTP/1.1 each playlist has one of its own, which is what makes `reconnected` a sign.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use http::header::LOCATION;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::protocols::http::client::HttpSession;
use tokio::time::timeout;

use super::body::{self, Framing};
use super::book::{self, Book, Entry, Kind};
use super::credentials::{Shows, headers_of_viewer};
use super::exchange::{Ask, Reply};
use super::location::{redirect_target, request_target};
use super::names::{Resolve, SystemNames};
use super::promise::{IDLE, Promises};
use super::{Endpoint, EndpointError, Origin, OriginError, PlaylistAnswer};
use crate::model::lane::ByteRange;
use crate::model::names::PackagerId;
use crate::model::shown::Shown;

/// Redirects that are followed for one request.
const REDIRECTS_MAX: usize = 3;
/// Kept connections, of all packagers, for playlists; as many again for segments.
const KEPT_MAX: usize = 2048;
/// Body bytes of an answer of no use that are read so that its connection can be kept.
const DRAIN_MAX: u64 = 64 << 10;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// The HTTP client of all packagers.
pub struct Client {
    book: ArcSwap<Book>,
    playlists: Connector,
    segments: Connector,
    promises: Promises,
    resolver: Arc<dyn Resolve>,
    serial: AtomicU64,
    meter: Option<Arc<dyn Meter>>,
}

/// Told how much comes from packagers: bytes between zones cost money.
pub trait Meter: Send + Sync {
    /// So many bytes of bodies came, as they were sent, whatever became of them.
    fn received(&self, packager: &PackagerId, bytes: u64);
}

/// What is fetched, and how.
#[derive(Clone, Copy)]
struct Call<'a> {
    kind: Kind,
    range: Option<ByteRange>,
    shows: Shows<'a>,
    deadline: Duration,
    /// Counts what comes.
    received: &'a AtomicU64,
}

/// What came of one request and its redirects.
struct Fetched {
    body: Bytes,
    reconnected: bool,
}

impl Client {
    /// A client of `endpoints`. Reads their files of authorities.
    pub fn new(
        endpoints: impl IntoIterator<Item = (PackagerId, Endpoint)>,
    ) -> Result<Self, EndpointError> {
        Self::with_names(endpoints, Arc::new(SystemNames))
    }

    /// The same, with names resolved by `resolver`.
    pub fn with_names(
        endpoints: impl IntoIterator<Item = (PackagerId, Endpoint)>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, EndpointError> {
        readable_system_authorities()?;
        let promises = Promises::default();
        let evictions = promises.evictions();
        let mut options = ConnectorOptions::new(KEPT_MAX);
        options.keepalive_pool_callback = Some(Arc::new(move |_| {
            evictions.fetch_add(1, Ordering::Relaxed);
        }));
        let client = Self {
            book: ArcSwap::default(),
            playlists: Connector::new(Some(options)),
            segments: Connector::new(Some(ConnectorOptions::new(KEPT_MAX))),
            promises,
            resolver,
            serial: AtomicU64::new(0),
            meter: None,
        };
        client.reload(endpoints)?;
        Ok(client)
    }

    /// Tells `meter` of all that comes.
    #[must_use]
    pub fn metered_by(mut self, meter: Arc<dyn Meter>) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Replaces all endpoints, or none if one is wrong. Requests in flight end as they began.
    pub fn reload(
        &self,
        endpoints: impl IntoIterator<Item = (PackagerId, Endpoint)>,
    ) -> Result<(), EndpointError> {
        let book = book::build(&self.book.load(), endpoints, || self.next_serial())?;
        self.book.store(Arc::new(book));
        Ok(())
    }

    /// The addresses of a packager now, the last good one first.
    pub async fn addresses(&self, packager: &PackagerId) -> Result<Vec<SocketAddr>, OriginError> {
        self.resolve(&*self.known(packager)?).await
    }

    /// Asks the packager at one address on a connection of its own: the status of `path`, or
    /// none where only the TCP connection was tried. Counts towards no limit.
    pub async fn probe(
        &self,
        packager: &PackagerId,
        address: SocketAddr,
        path: Option<&str>,
        deadline: Duration,
    ) -> Result<Option<u16>, OriginError> {
        let entry = self.known(packager)?;
        let probe = async {
            let Some(path) = path else {
                let connected = tokio::net::TcpStream::connect(address).await;
                return connected.map(|_| None).map_err(|e| OriginError::Connect(e.to_string()));
            };
            let target = request_target(path)?;
            let ask = Ask {
                entry: &entry,
                connector: &self.segments,
                target: &target,
                range: None,
                shows: Shows::Own,
                group: self.fresh_group(),
                fresh_group: self.fresh_group(),
                deadline,
            };
            let mut reply = ask.head_at(address).await?;
            let status = reply.response_header().map(|h| h.status.as_u16());
            reply.shutdown().await;
            Ok(status)
        };
        timeout(deadline, probe).await.unwrap_or(Err(OriginError::Timeout(deadline)))
    }

    pub(super) fn known(&self, packager: &PackagerId) -> Result<Arc<Entry>, OriginError> {
        self.book.load().get(packager).cloned().ok_or(OriginError::Unknown)
    }

    pub(super) async fn resolve(&self, entry: &Entry) -> Result<Vec<SocketAddr>, OriginError> {
        let at = &entry.endpoint;
        let patience = at.limits.connect_timeout;
        entry.names.addresses(&self.resolver, &at.host, at.port, patience).await
    }

    /// The addresses of a host that is no packager's, asked for anew each time.
    pub(super) async fn lookup(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, OriginError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = self.resolver.lookup(host).await;
        let found =
            found.map_err(|e| OriginError::Connect(format!("{host} does not resolve: {e}")))?;
        Ok(found.addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// For connections that are closed after one answer.
    pub(super) const fn unkept(&self) -> &Connector {
        &self.segments
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn fresh_group(&self) -> u64 {
        group(self.next_serial(), "fresh")
    }

    /// Fetches within the deadline, the wait for a turn included.
    async fn fetch(
        &self,
        packager: &PackagerId,
        kind: Kind,
        path: &str,
        range: Option<ByteRange>,
        shows: Shows<'_>,
        deadline: Duration,
    ) -> Result<Fetched, OriginError> {
        let entry = self.known(packager)?;
        let received = AtomicU64::new(0);
        let work = async {
            let _turn = entry.turn(kind).await?;
            let target = request_target(path)?;
            let call = Call { kind, range, shows, deadline, received: &received };
            let mut fetched = self.follow(&entry, target, call).await?;
            // Packagers copy queries into what they list: from there ours would reach logs and viewers.
            if kind == Kind::Playlist {
                fetched.body = entry.credentials.taken_out(fetched.body);
            }
            Ok(fetched)
        };
        let result = timeout(deadline, work).await;
        if let Some(meter) = &self.meter {
            meter.received(packager, received.into_inner());
        }
        result.unwrap_or(Err(OriginError::Timeout(deadline)))
    }

    /// One request and its redirects.
    async fn follow(
        &self,
        entry: &Entry,
        mut target: String,
        call: Call<'_>,
    ) -> Result<Fetched, OriginError> {
        let Call { kind, range, shows, deadline, .. } = call;
        let mut reconnected = false;
        for _ in 0..=REDIRECTS_MAX {
            let (connector, group) = match kind {
                Kind::Playlist => (&self.playlists, group(entry.serial, &target)),
                Kind::Segment => (&self.segments, group(entry.serial, "")),
                // Each has a path of its own: with connections of its own it would push others out.
                Kind::Viewer => (&self.segments, group(entry.serial, "viewers")),
            };
            let ask = Ask {
                entry,
                connector,
                target: &target,
                range,
                shows,
                group,
                fresh_group: self.fresh_group(),
                deadline,
            };
            let promised = kind == Kind::Playlist && self.promises.take(group);
            let mut reply = ask.send(&self.resolve(entry).await?).await?;
            reconnected |= promised && !reply.reused;
            let status = reply.session.response_header().map_or(0, |h| h.status.as_u16());
            match status {
                200 | 206 => {
                    let body = whole(&mut reply, entry, status, call).await?;
                    self.keep(kind, group, connector, reply).await;
                    return Ok(Fetched { body, reconnected });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let header = reply.session.response_header();
                    let location = header.and_then(|h| h.headers.get(LOCATION));
                    let location = location.and_then(|l| l.to_str().ok()).unwrap_or_default();
                    target = redirect_target(&entry.endpoint, &target, location)?;
                    self.drain(group, connector, reply, call).await;
                }
                _ => {
                    self.drain(group, connector, reply, call).await;
                    return Err(OriginError::Status(status));
                }
            }
        }
        Err(OriginError::Redirect(format!("more than {REDIRECTS_MAX} times")))
    }

    /// Reads a short body of no use, so that the connection can be kept.
    async fn drain(
        &self,
        group: u64,
        connector: &Connector,
        mut reply: Reply,
        Call { kind, deadline, received, .. }: Call<'_>,
    ) {
        let framing = match reply.session.response_header() {
            Some(h) if matches!(h.status.as_u16(), 204 | 304) => Framing::Length(0),
            Some(h) => Framing::of(h),
            None => Framing::UntilClose,
        };
        if framing == Framing::UntilClose {
            return;
        }
        let read = body::read(&mut reply.session, framing, DRAIN_MAX, deadline, received);
        if matches!(timeout(DRAIN_TIME, read).await, Ok(Ok(_))) {
            self.keep(kind, group, connector, reply).await;
        }
    }

    /// Keeps the connection, and the promise if the packager gave one.
    async fn keep(&self, kind: Kind, group: u64, connector: &Connector, reply: Reply) {
        let Reply { session, peer, .. } = reply;
        let (session, promise) = match session {
            HttpSession::H1(mut h1) => {
                h1.respect_keepalive();
                // HTTP/1.0 servers that keep connections are too various to be relied on.
                let plain = h1.resp_header().is_some_and(|h| h.version == Version::HTTP_11);
                let promise =
                    (plain && h1.will_keepalive()).then(|| keep_alive_timeout(h1.resp_header()));
                (HttpSession::H1(h1), promise)
            }
            other => (other, None),
        };
        connector.release_http_session(session, &peer, Some(IDLE)).await;
        if let (Kind::Playlist, Some(limit)) = (kind, promise) {
            self.promises.give(group, limit);
        }
    }
}

/// Pingora's connector panics where the system's authorities cannot be read.
fn readable_system_authorities() -> Result<(), EndpointError> {
    let mut store = pingora::tls::RootCertStore::empty();
    pingora::tls::load_platform_certs_incl_env_into_store(&mut store).map_err(|e| {
        EndpointError::Authorities {
            path: "the system's authorities".to_owned(),
            cause: e.root_cause().to_string(),
        }
    })
}

/// Reads and checks the body of a 200 or 206.
async fn whole(
    reply: &mut Reply,
    entry: &Entry,
    status: u16,
    Call { kind, range, deadline, received, .. }: Call<'_>,
) -> Result<Bytes, OriginError> {
    let limits = &entry.endpoint.limits;
    let limit = match kind {
        Kind::Playlist | Kind::Viewer => limits.playlist_bytes_max,
        Kind::Segment => limits.segment_bytes_max,
    };
    let Some(header) = reply.session.response_header().cloned() else {
        return Err(OriginError::Protocol("no headers".to_owned()));
    };
    let framing = Framing::of(&header);
    if kind == Kind::Segment && framing == Framing::UntilClose {
        // A packager that is killed closes its connections as cleanly as one that is done.
        return Err(OriginError::Protocol("a segment without a length".to_owned()));
    }
    match (status, range) {
        (206, Some(range)) => {
            if !body::is_range(&header, range)
                || !matches!(body::coding(&header)?.as_str(), "" | "identity")
            {
                return Err(OriginError::Protocol("another range than was asked for".to_owned()));
            }
            let part = body::read(&mut reply.session, framing, limit, deadline, received).await?;
            if part.len() as u64 != range.length {
                return Err(OriginError::Truncated(part.len() as u64));
            }
            Ok(part)
        }
        (206, None) => Err(OriginError::Status(206)),
        (_, range) => {
            let all = body::read(&mut reply.session, framing, limit, deadline, received).await?;
            let all = body::decode(&header, all, limit)?;
            range.map_or(Ok(all.clone()), |range| body::cut(&all, range))
        }
    }
}

/// `Keep-Alive: timeout=5`, in seconds.
fn keep_alive_timeout(header: Option<&pingora::http::ResponseHeader>) -> Option<Duration> {
    let value = header?.headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|p| p.trim().strip_prefix("timeout="))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// The connections that requests of one entry, and one path where it has its own, may share.
fn group(serial: u64, path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (serial, path).hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Origin for Client {
    async fn playlist(
        &self,
        packager: &PackagerId,
        path: &str,
        deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        let fetched =
            self.fetch(packager, Kind::Playlist, path, None, Shows::Own, deadline).await?;
        Ok(PlaylistAnswer { body: fetched.body, reconnected: fetched.reconnected })
    }

    async fn segment(
        &self,
        packager: &PackagerId,
        path: &str,
        range: Option<ByteRange>,
        deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        if let Some(range) = range {
            let limit = self.known(packager)?.endpoint.limits.segment_bytes_max;
            if range.length > limit {
                return Err(OriginError::TooLarge(limit));
            }
            if range.length == 0 || range.offset.checked_add(range.length).is_none() {
                return Err(OriginError::Protocol("a range that is none".to_owned()));
            }
        }
        Ok(self.fetch(packager, Kind::Segment, path, range, Shows::Own, deadline).await?.body)
    }

    async fn entry(
        &self,
        packager: &PackagerId,
        path: &str,
        shown: &Shown,
        deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        let headers = headers_of_viewer(shown)?;
        let (path, shows) = (shown.on(path), Shows::Viewer(&headers));
        Ok(self.fetch(packager, Kind::Viewer, &path, None, shows, deadline).await?.body)
    }
}
