//! A simulated Wowza Streaming Engine: each fetch of the entry playlist gives a session id, each id whose
//! media playlist is asked for is a session until it has been idle, and `/connectioncounts` counts them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::admin::{Access, Door};
use super::http::{Request, Response};
use super::manner::{Asked, Manner, multivariant};

/// A session that nobody asks for ends.
const IDLE: Duration = Duration::from_secs(20);
/// Ids that are known at one time.
const SESSIONS_MAX: usize = 10_000;

/// A simulated Wowza with the application `live` and the stream `cam`.
#[derive(Debug)]
pub struct Wowza {
    /// Its admin port.
    pub door: Door,
    /// `httpOriginMode`: no sessions, and nothing is counted.
    origin_mode: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Ids by when their media playlist was last asked for.
    sessions: HashMap<u32, Instant>,
    /// Sessions since it was started.
    total: u64,
    /// Entry playlists that were fetched.
    entries: u64,
}

impl Wowza {
    /// A server whose admin port wants to be asked like this.
    #[must_use]
    pub fn new(access: Access, origin_mode: bool) -> Self {
        Self { door: Door::new(access), origin_mode, inner: Mutex::default() }
    }

    /// Sessions since it was started.
    #[must_use]
    pub fn sessions_total(&self) -> u64 {
        self.inner.lock().total
    }

    /// Entry playlists that were fetched.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.inner.lock().entries
    }

    /// The media playlist of this id is asked for: it is a session from now on.
    fn touch(&self, id: u32) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        inner.sessions.retain(|_, last| now - *last < IDLE);
        if inner.sessions.len() < SESSIONS_MAX && inner.sessions.insert(id, now).is_none() {
            inner.total += 1;
        }
    }

    fn counts(&self, flat: bool) -> String {
        let (current, total) = {
            let mut inner = self.inner.lock();
            let now = Instant::now();
            inner.sessions.retain(|_, last| now - *last < IDLE);
            (inner.sessions.len(), inner.total)
        };
        let mut text = "<?xml version=\"1.0\"?>\n<WowzaStreamingEngine>".to_owned();
        if flat {
            let _ = write!(
                text,
                "<Stream vhostName=\"_defaultVHost_\" applicationName=\"live\" \
                 appInstanceName=\"_definst_\" streamName=\"cam\" sessionsFlash=\"0\" \
                 sessionsCupertino=\"{current}\" sessionsSanJose=\"0\" sessionsSmooth=\"0\" \
                 sessionsRTSP=\"0\" sessionsMPEGDash=\"0\" sessionsTotal=\"{current}\" />"
            );
            return text + "</WowzaStreamingEngine>";
        }
        let six = format!(
            "<ConnectionsCurrent>{current}</ConnectionsCurrent><ConnectionsTotal>{total}</ConnectionsTotal>\
             <ConnectionsTotalAccepted>{total}</ConnectionsTotalAccepted>\
             <ConnectionsTotalRejected>0</ConnectionsTotalRejected>\
             <MessagesInBytesRate>0.0</MessagesInBytesRate><MessagesOutBytesRate>0.0</MessagesOutBytesRate>"
        );
        let running = "<TimeRunning>60.0</TimeRunning>";
        let _ = write!(
            text,
            "{six}<VHost><Name>_defaultVHost_</Name>{running}<ConnectionsLimit>0</ConnectionsLimit>{six}\
             <Application><Name>live</Name><Status>loaded</Status>{running}{six}\
             <ApplicationInstance><Name>_definst_</Name>{running}{six}\
             <Stream><Name>cam</Name><SessionsFlash>0</SessionsFlash>\
             <SessionsCupertino>{current}</SessionsCupertino><SessionsSanJose>0</SessionsSanJose>\
             <SessionsSmooth>0</SessionsSmooth><SessionsRTSP>0</SessionsRTSP>\
             <SessionsMPEGDash>0</SessionsMPEGDash><SessionsTotal>{current}</SessionsTotal></Stream>\
             </ApplicationInstance></Application></VHost>"
        );
        text + "</WowzaStreamingEngine>"
    }
}

#[async_trait]
impl Manner for Wowza {
    async fn find(&self, request: &Request) -> Asked {
        let Some(name) = request.path.strip_prefix("/live/cam/") else { return Asked::nothing() };
        if name == "playlist.m3u8" {
            self.inner.lock().entries += 1;
            if self.origin_mode {
                return multivariant("chunklist.m3u8");
            }
            return multivariant(&format!("chunklist_w{}.m3u8", rand::random_range(1..u32::MAX)));
        }
        if self.origin_mode {
            return match name {
                "chunklist.m3u8" => Asked::Media { prefix: "media_".to_owned() },
                name => Asked::segment(name, "media_"),
            };
        }
        let id_of = |name: &str| name.parse::<u32>().ok();
        if let Some(id) = name.strip_prefix("chunklist_w").and_then(|n| n.strip_suffix(".m3u8")) {
            let Some(id) = id_of(id) else { return Asked::nothing() };
            self.touch(id);
            return Asked::Media { prefix: format!("media_w{id}_") };
        }
        let of = name.strip_prefix("media_w").and_then(|n| n.split_once('_'));
        match of.and_then(|(id, _)| id_of(id)) {
            Some(id) => Asked::segment(name, &format!("media_w{id}_")),
            None => Asked::nothing(),
        }
    }

    async fn admin(&self, request: &Request) -> Response {
        if request.path != "/connectioncounts" {
            return Response::not_found("no such provider");
        }
        let flat = request.query.split('&').any(|q| q == "flat");
        let good = || Response::ok("text/xml", self.counts(flat));
        self.door.answer(request, good).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load::Counts;

    async fn ask(wowza: &Wowza, path: &str) -> Asked {
        wowza.find(&Request { path: path.to_owned(), ..Request::default() }).await
    }

    async fn entry(wowza: &Wowza) -> String {
        let Asked::Answer(response) = ask(wowza, "/live/cam/playlist.m3u8").await else { panic!() };
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        format!("/live/cam/{}", text.lines().last().unwrap())
    }

    async fn counts(wowza: &Wowza, query: &str) -> Counts {
        let (path, query) = ("/connectioncounts".to_owned(), query.to_owned());
        let request = Request { path, query, ..Request::default() };
        Counts::read(&wowza.admin(&request).await.body).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_entry_playlist_is_a_session_once_it_is_used_until_it_is_idle() {
        let wowza = Wowza::new(Access::Open, false);
        let (one, two) = (entry(&wowza).await, entry(&wowza).await);
        assert_ne!(one, two);
        assert_eq!(counts(&wowza, "").await.connections, Some(0), "nobody has played yet");
        for media in [&one, &one, &two] {
            let Asked::Media { prefix } = ask(&wowza, media).await else { panic!("{media}") };
            let id = media.trim_start_matches("/live/cam/chunklist_w").trim_end_matches(".m3u8");
            assert_eq!(prefix, format!("media_w{id}_"));
            let segment = ask(&wowza, &format!("/live/cam/{prefix}17.ts")).await;
            assert!(matches!(segment, Asked::Segment(17)));
        }
        for query in ["", "flat"] {
            let counts = counts(&wowza, query).await;
            assert_eq!((counts.sessions(), counts.streams[0].path().as_str()), (2, "live/cam"));
        }
        tokio::time::advance(IDLE / 2).await;
        ask(&wowza, &one).await;
        tokio::time::advance(IDLE / 2).await;
        let counts = counts(&wowza, "").await;
        assert_eq!((counts.connections, counts.connections_total), (Some(1), 2));
    }

    #[tokio::test]
    async fn in_origin_mode_there_are_no_sessions() {
        let wowza = Wowza::new(Access::Open, true);
        let media = entry(&wowza).await;
        assert_eq!(media, "/live/cam/chunklist.m3u8");
        assert!(matches!(ask(&wowza, &media).await, Asked::Media { .. }));
        assert!(!counts(&wowza, "").await.counts());
    }
}
