//! A simulated Web Call Server: a lone media playlist, whose first subscriber waits while the edge fetches
//! the stream from its origin, and statistics as lines of `key=value`.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::admin::{Access, Door};
use super::http::{Request, Response};
use super::manner::{Asked, Manner};

/// A stream that nobody asks for is no longer fetched from the origin.
const KEPT: Duration = Duration::from_secs(30);

/// How an edge answers while it does not have the stream yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cold {
    /// It keeps subscribers waiting for so long.
    Waits(Duration),
    /// It says 404 for so long after the first request.
    NotFound(Duration),
}

/// A simulated Web Call Server edge with the stream `cam`.
#[derive(Debug)]
pub struct Wcs {
    /// Its admin port.
    pub door: Door,
    cold: Option<Cold>,
    /// Those who wait are woken when it is there.
    woken: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the stream was first and last asked for, if it is fetched.
    fetched: Option<(Instant, Instant)>,
    /// It is there, however cold it was.
    arrived: bool,
    playlists: u64,
    degraded_percent: u32,
}

impl Wcs {
    /// An edge; none: the stream is there at once.
    #[must_use]
    pub fn new(access: Access, cold: Option<Cold>) -> Self {
        Self { door: Door::new(access), cold, woken: Notify::new(), inner: Mutex::default() }
    }

    /// So many of its streams in a hundred are degraded.
    pub fn degrade(&self, percent: u32) {
        self.inner.lock().degraded_percent = percent;
    }

    /// The stream is there from now on.
    pub fn arrive(&self) {
        self.inner.lock().arrived = true;
        self.woken.notify_waiters();
    }

    /// Requests for playlists so far.
    #[must_use]
    pub fn playlists(&self) -> u64 {
        self.inner.lock().playlists
    }

    /// The first of these subscribers makes the edge fetch the stream. When it is there.
    fn subscribe(&self) -> Option<Instant> {
        let mut inner = self.inner.lock();
        inner.playlists += 1;
        let now = Instant::now();
        let fetched = inner.fetched.filter(|(_, last)| now - *last < KEPT);
        let since = fetched.map_or(now, |(since, _)| since);
        inner.fetched = Some((since, now));
        let (Cold::Waits(cold) | Cold::NotFound(cold)) = self.cold?;
        Some(since + cold).filter(|there| *there > now && !inner.arrived)
    }

    fn stat(&self, params: &str) -> String {
        let (viewers, degraded) = {
            let inner = self.inner.lock();
            let now = Instant::now();
            let watched = inner.fetched.is_some_and(|(_, last)| now - last < KEPT);
            (u32::from(watched), inner.degraded_percent)
        };
        let all = [
            ("connections", viewers + 1),
            ("connections_rtmfp", 0),
            ("connections_websocket", 1),
            ("connections_hls", viewers),
            ("ports_media_free", 998),
            ("ports_media_busy", 2),
            ("ports_media_quarantine", 0),
            ("streams_webrtc_in", 1),
            ("streams_webrtc_out", 0),
            ("streams_viewers", viewers),
            ("native_resources", 0),
            ("core_threads", 100),
            ("core_java_threads", 90),
            ("core_java_threads_blocked", 0),
            ("degraded_streams_percent", degraded),
        ];
        let mut text = String::new();
        for (key, value) in all {
            if params.is_empty() || params.split(',').any(|p| p == key) {
                let _ = writeln!(text, "{key}={value}");
            }
        }
        text
    }
}

#[async_trait]
impl Manner for Wcs {
    async fn find(&self, request: &Request) -> Asked {
        let Some(name) = request.path.strip_prefix("/cam/") else { return Asked::nothing() };
        if name != "cam.m3u8" {
            return Asked::segment(name, "cam_");
        }
        let woken = self.woken.notified();
        if let Some(there) = self.subscribe() {
            if let Some(Cold::NotFound(_)) = self.cold {
                return Asked::nothing();
            }
            tokio::select! {
                () = tokio::time::sleep_until(there) => {}
                () = woken => {}
            }
        }
        Asked::Media { prefix: "cam_".to_owned() }
    }

    async fn admin(&self, request: &Request) -> Response {
        let mut queries = request.query.split('&').filter_map(|q| q.split_once('='));
        let of = |name: &str| queries.clone().find(|(n, _)| *n == name).map(|(_, value)| value);
        if request.path != "/" || of("action") != Some("stat") {
            return Response::not_found("no such action");
        }
        let params = queries.find(|(n, _)| *n == "params").map_or("", |(_, value)| value);
        let good = || Response::ok("text/plain", self.stat(params));
        self.door.answer(request, good).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load::Stats;

    async fn playlist(wcs: &Wcs) -> bool {
        let request = Request { path: "/cam/cam.m3u8".to_owned(), ..Request::default() };
        matches!(wcs.find(&request).await, Asked::Media { .. })
    }

    async fn stats(wcs: &Wcs, query: &str) -> Stats {
        let (path, query) = ("/".to_owned(), query.to_owned());
        Stats::read(&wcs.admin(&Request { path, query, ..Request::default() }).await.body).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_subscriber_waits_and_the_rest_do_not() {
        let cold = Duration::from_secs(5);
        let wcs = Wcs::new(Access::Open, Some(Cold::Waits(cold)));
        let began = Instant::now();
        assert!(playlist(&wcs).await);
        assert_eq!(began.elapsed(), cold);
        assert!(playlist(&wcs).await);
        assert_eq!(began.elapsed(), cold);
        // Nobody asks: it is cold again.
        tokio::time::advance(KEPT).await;
        let again = Instant::now();
        assert!(playlist(&wcs).await);
        assert_eq!(again.elapsed(), cold);

        let wcs = Wcs::new(Access::Open, Some(Cold::NotFound(cold)));
        assert!(!playlist(&wcs).await);
        tokio::time::advance(cold).await;
        assert!(playlist(&wcs).await);
    }

    #[tokio::test(start_paused = true)]
    async fn statistics() {
        let wcs = Wcs::new(Access::Open, None);
        assert_eq!(stats(&wcs, "action=stat").await.count("connections_hls"), Some(0));
        playlist(&wcs).await;
        wcs.degrade(50);
        let all = stats(&wcs, "action=stat").await;
        assert_eq!(
            (all.count("connections_hls"), all.count("streams_viewers")),
            (Some(1), Some(1))
        );
        assert_eq!(all.count("degraded_streams_percent"), Some(50));
        let one = stats(&wcs, "action=stat&params=connections_hls").await;
        assert_eq!(one.values().len(), 1);
    }
}
