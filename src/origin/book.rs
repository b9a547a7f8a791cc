//! The endpoints in force. Replaced as a whole on reload; a packager whose endpoint did not
//! change keeps its connections, its known addresses and its count of requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OriginError;
use super::credentials::{Ready, Viewers};
use super::endpoint::{Authorities, Endpoint, EndpointError, Headers, authorities};
use super::names::Names;
use super::promise::IDLE;
use crate::model::names::PackagerId;

/// All packagers by id.
pub(super) type Book = HashMap<PackagerId, Arc<Entry>>;

/// One packager in force.
pub(super) struct Entry {
    pub(super) endpoint: Endpoint,
    pub(super) host: HeaderValue,
    pub(super) headers: Headers,
    /// What our own requests show.
    pub(super) credentials: Ready,
    pub(super) names: Arc<Names>,
    /// Never used twice, so that a changed endpoint shares no connection with what was before:
    /// Pingora's own key leaves out the authorities.
    pub(super) serial: u64,
    ca: Option<(Authorities, Vec<Vec<u8>>)>,
    turns: Turns,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A playlist.
    Playlist,
    /// A segment.
    Segment,
    /// An entry playlist in the name of a viewer.
    Viewer,
}

/// A request's place among those outstanding.
pub(super) struct Turn {
    _viewers: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
    _segments: Option<OwnedSemaphorePermit>,
}

struct Turns {
    viewers: Viewers,
    all: Arc<Semaphore>,
    segments: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Builds the book of `endpoints`, taking over from `old` what did not change.
pub(super) fn build(
    old: &Book,
    endpoints: impl IntoIterator<Item = (PackagerId, Endpoint)>,
    mut serial: impl FnMut() -> u64,
) -> Result<Book, EndpointError> {
    let mut book = Book::new();
    for (id, endpoint) in endpoints {
        let ca = endpoint.ca_file.as_deref().map(authorities).transpose()?;
        let kept = old.get(&id).filter(|e| {
            let ders =
                |ca: &Option<(Authorities, Vec<Vec<u8>>)>| ca.as_ref().map(|(_, d)| d.clone());
            e.endpoint == endpoint && ders(&e.ca) == ders(&ca)
        });
        let entry = match kept {
            Some(entry) => Arc::clone(entry),
            None => Arc::new(Entry::new(endpoint, ca, serial())?),
        };
        book.insert(id, entry);
    }
    Ok(book)
}

impl Entry {
    fn new(
        endpoint: Endpoint,
        ca: Option<(Authorities, Vec<Vec<u8>>)>,
        serial: u64,
    ) -> Result<Self, EndpointError> {
        let requests = endpoint.limits.requests_max.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            host: endpoint.host_value()?,
            headers: endpoint.header_values()?,
            credentials: Ready::new(&endpoint.credentials)?,
            names: Arc::default(),
            serial,
            ca,
            turns: Turns {
                viewers: Viewers::new(requests, endpoint.limits.waiting_max),
                all: Arc::new(Semaphore::new(requests)),
                segments: Arc::new(Semaphore::new(requests - requests / 4)),
                waiting: AtomicUsize::new(0),
                waiting_max: endpoint.limits.waiting_max,
            },
            endpoint,
        })
    }

    /// The same packager at another endpoint: its authorities count there as well.
    pub(super) fn at(&self, endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::new(endpoint, self.ca.clone(), self.serial)
    }

    /// The peer at `address`, in the connection group `group`, with every timeout set.
    pub(super) fn peer(&self, address: SocketAddr, group: u64) -> HttpPeer {
        let sni = if self.endpoint.tls { self.endpoint.server_name() } else { String::new() };
        let mut peer = HttpPeer::new(address, self.endpoint.tls, sni);
        let connect = self.endpoint.limits.connect_timeout;
        peer.group_key = group;
        peer.options.connection_timeout = Some(connect);
        peer.options.total_connection_timeout = Some(connect * 2);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.ca = self.ca.as_ref().map(|(ca, _)| Arc::clone(ca));
        peer
    }

    /// Waits for a place among the requests outstanding.
    pub(super) async fn turn(&self, kind: Kind) -> Result<Turn, OriginError> {
        let viewers = match kind {
            Kind::Viewer => Some(self.turns.viewers.take().await?),
            Kind::Playlist | Kind::Segment => None,
        };
        let segments = match kind {
            Kind::Playlist => None,
            Kind::Segment | Kind::Viewer => Some(self.turns.take(&self.turns.segments).await?),
        };
        let all = self.turns.take(&self.turns.all).await?;
        Ok(Turn { _viewers: viewers, _all: all, _segments: segments })
    }
}

impl Turns {
    async fn take(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(place);
        }
        let waiter = Waiter(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return Err(OriginError::Busy);
        }
        let place = Arc::clone(places).acquire_owned().await.map_err(|_| OriginError::Busy);
        drop(waiter);
        place
    }
}

/// Counts a waiting request down, also when it is given up.
pub(super) struct Waiter<'a>(pub(super) &'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
