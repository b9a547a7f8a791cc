//! Connections before their first request: how many there may be, how long they may be silent,
//! and whether they speak HTTP/1.1 or, with prior knowledge, HTTP/2.
//!
//! Pingora tells the two apart by waiting for the 24 bytes of the HTTP/2 preface, without a time
//! limit. Three bytes are enough, and the wait has a limit here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;

use super::stage::Beginning;
use super::{Front, Hooks, Lanes, Settings};

/// How an HTTP/2 connection begins (RFC 9113, 3.4); no HTTP/1.1 method begins so.
const H2_BEGINS: [u8; 3] = *b"PRI";
/// Streams at one time on one HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 128;

/// Connections accepted last have this long to send their request once the listeners are closed.
/// Pingora would drop them, and idle ones, at once.
const LAST_REQUESTS_WITHIN: Duration = Duration::from_millis(500);

/// The viewers' connections.
pub struct Connections<L: Lanes> {
    proxy: Arc<HttpProxy<Hooks<L>>>,
    front: Arc<Front<L>>,
}

impl<L: Lanes> Connections<L> {
    /// Connections to `front`.
    pub fn new(conf: &Arc<ServerConf>, front: &Arc<Front<L>>) -> Self {
        let settings = front.settings();
        let mut proxy = http_proxy(conf, Hooks(Arc::clone(front)));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(settings.keepalive);
        proxy.server_options = Some(options);
        let mut h2 = H2Options::default();
        h2.max_concurrent_streams(H2_STREAMS_MAX);
        h2.max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX));
        proxy.h2_options = Some(h2);
        Self { proxy: Arc::new(proxy), front: Arc::clone(front) }
    }

    /// HTTP/1.1, one request after the other.
    async fn http1(&self, stream: Stream, limits: &Settings, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive((!*shutdown.borrow()).then_some(limits.keepalive.as_secs()));
        session.set_keepalive_reuses_remaining(Some(limits.keepalive_requests));
        // Its first bytes are here: not to be cut while the rest of its header comes.
        let begun = Beginning::begin(&self.front.stages);
        let mut reused = self.proxy.process_new_http(session, shutdown).await;
        drop(begun);
        while let Some((stream, settings)) = reused.map(ReusedHttpStream::consume) {
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            reused = self.proxy.process_new_http(session, shutdown).await;
        }
    }
}

#[async_trait]
impl<L: Lanes> ServerApp for Connections<L> {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let current = self.front.current();
        let limits = &current.settings;
        let _open = Open::count(&self.front.open, limits.connections_max)?;
        let mut first = [0; H2_BEGINS.len()];
        // Silent for too long, or gone already: nobody to answer.
        let peeked = tokio::time::timeout(limits.keepalive, stream.try_peek(&mut first)).await;
        peeked.ok()?.ok()?;
        if first == H2_BEGINS {
            return ServerApp::process_new(&self.proxy, stream, shutdown).await;
        }
        self.http1(stream, limits, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        tokio::time::sleep(LAST_REQUESTS_WITHIN).await;
        self.proxy.http_cleanup().await;
    }
}

/// One open connection; counted until dropped.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    /// None: there are as many as there may be.
    fn count(open: &'a AtomicUsize, connections_max: usize) -> Option<Self> {
        let before = open.fetch_add(1, Ordering::AcqRel);
        let counted = Self(open);
        (before < connections_max).then_some(counted)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
