//! A built-in packager: a live stream from a looping clip, that can be killed, frozen and
//! restarted like a real one. What it calls things, and what it says of itself, is a `Manner`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::clip::{Clip, UNIT};
use super::http::{Handler, Request, Response, serve};
use super::manner::{Asked, Manner};
use crate::model::names::PackagerId;

/// Units in a segment.
const SEGMENT_UNITS: u64 = 2;
/// Segments listed.
const LISTED: u64 = 6;
/// Segments kept, listed or not.
const KEPT: u64 = 14;
/// Units that had been made before the demo began, so that packagers begin with full lists.
const UNITS_BEFORE: u64 = 60;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 256;

/// What a packager does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Answers.
    Live,
    /// Accepts and never answers.
    Frozen,
    /// Refuses connections.
    Killed,
}

/// What can be done to a packager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Refuse connections from now on.
    Kill,
    /// Answer no more.
    Freeze,
    /// Answer again, as if nothing had happened.
    Thaw,
    /// A new process: answers again, numbers from 0.
    Restart,
}

impl Act {
    /// Its name in URLs.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "kill" => Self::Kill,
            "freeze" => Self::Freeze,
            "thaw" => Self::Thaw,
            "restart" => Self::Restart,
            _ => return None,
        })
    }
}

/// One life of a packager.
#[derive(Clone, Copy, Debug)]
struct Life {
    mode: Mode,
    /// The first unit of its segment 0.
    begin: u64,
    /// Restarts so far.
    restarts: u64,
}

/// What the page shows of a packager.
#[derive(Clone, Debug, Serialize)]
pub struct PackagerState {
    /// Its id.
    pub id: PackagerId,
    /// What it does.
    pub mode: Mode,
    /// Where it listens.
    pub address: SocketAddr,
    /// The newest number it has made in this life.
    pub newest: Option<u64>,
    /// Restarts so far.
    pub restarts: u64,
}

/// How a packager cuts and names.
#[derive(Clone)]
pub struct Shape {
    /// The unit of the first segment, so that two packagers have different borders and numbers.
    pub begin: u64,
    /// What it calls things.
    pub manner: Arc<dyn Manner>,
}

/// A running packager. Ends when dropped.
pub struct Packager {
    id: PackagerId,
    address: SocketAddr,
    admin: SocketAddr,
    clock: Instant,
    life: Arc<watch::Sender<Life>>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for Packager {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Units made since the stream began.
fn units_made(clock: Instant) -> u64 {
    let made = clock.elapsed().as_secs_f64() / UNIT.as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
    let made = made as u64;
    UNITS_BEFORE + made
}

impl Packager {
    /// Starts on a free port of the loopback interface. Packagers with the same `clock` show the
    /// same content at the same moment.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub fn start(
        id: PackagerId,
        clip: Clip,
        shape: Shape,
        clock: Instant,
    ) -> std::io::Result<Self> {
        let bind = || {
            let socket = reserve(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let address = socket.local_addr()?;
            Ok::<_, std::io::Error>((socket.listen(BACKLOG)?, address))
        };
        let (listener, address) = bind()?;
        let (admin_listener, admin) = bind()?;
        let life = Life { mode: Mode::Live, begin: shape.begin, restarts: 0 };
        let life = Arc::new(watch::Sender::new(life));
        let stream = Arc::new(Stream { clip, shape, clock, life: life.subscribe() });
        let of_admin = Arc::clone(&stream);
        let streams: Handler = Arc::new(move |request| Arc::clone(&stream).answer(request).boxed());
        let admins: Handler =
            Arc::new(move |request| Arc::clone(&of_admin).answer_admin(request).boxed());
        let tasks = [(listener, address, streams), (admin_listener, admin, admins)]
            .map(|(l, at, handler)| tokio::spawn(live(l, at, handler, life.subscribe())));
        Ok(Self { id, address, admin, clock, life, tasks })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &PackagerId {
        &self.id
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it tells of itself, if its manner has something to tell.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// What it does now.
    #[must_use]
    pub fn state(&self) -> PackagerState {
        let life = *self.life.borrow();
        PackagerState {
            id: self.id.clone(),
            mode: life.mode,
            address: self.address,
            newest: newest(life, units_made(self.clock)),
            restarts: life.restarts,
        }
    }

    /// Does something to it.
    pub fn act(&self, act: Act) {
        let made = units_made(self.clock);
        self.life.send_modify(|life| match act {
            Act::Kill => life.mode = Mode::Killed,
            Act::Freeze if life.mode == Mode::Live => life.mode = Mode::Frozen,
            Act::Thaw if life.mode == Mode::Frozen => life.mode = Mode::Live,
            Act::Freeze | Act::Thaw => {}
            Act::Restart => {
                // The encoder's rhythm stays, so segments begin where they would have begun.
                let phase = life.begin % SEGMENT_UNITS;
                let begin = made + (made + phase) % SEGMENT_UNITS;
                *life = Life { mode: Mode::Live, begin, restarts: life.restarts + 1 };
            }
        });
    }
}

fn newest(life: Life, made: u64) -> Option<u64> {
    (made.checked_sub(life.begin)? / SEGMENT_UNITS).checked_sub(1)
}

/// A bound socket that does not listen refuses connections and keeps its port.
fn reserve(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves life after life.
async fn live(
    mut listener: TcpListener,
    address: SocketAddr,
    handler: Handler,
    mut life: watch::Receiver<Life>,
) {
    loop {
        let restarts = life.borrow().restarts;
        tokio::select! {
            () = serve(listener, Arc::clone(&handler)) => {}
            _ = life.wait_for(|l| l.mode == Mode::Killed || l.restarts != restarts) => {}
        }
        listener = loop {
            let Ok(socket) = reserve(address) else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if life.wait_for(|l| l.mode != Mode::Killed).await.is_err() {
                return;
            }
            if let Ok(listener) = socket.listen(BACKLOG) {
                break listener;
            }
        };
    }
}

/// What is served.
struct Stream {
    clip: Clip,
    shape: Shape,
    clock: Instant,
    life: watch::Receiver<Life>,
}

impl Stream {
    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let mut life = self.life.clone();
        // Frozen: the request is read and stays without an answer.
        let Ok(life) = life.wait_for(|l| l.mode != Mode::Frozen).await.map(|l| *l) else {
            return Response::not_found("gone");
        };
        let newest = newest(life, units_made(self.clock));
        let number = match self.shape.manner.find(&request).await {
            Asked::Answer(response) => return response,
            Asked::Media { prefix } => {
                let Some(newest) = newest else { return Response::not_found("not yet") };
                return Response::ok("application/vnd.apple.mpegurl", media(newest, &prefix));
            }
            Asked::Segment(number) => number,
        };
        match newest {
            Some(newest) if number <= newest && number + KEPT > newest => {
                let unit = life.begin + number * SEGMENT_UNITS;
                Response::ok("video/mp2t", self.clip.units(unit, SEGMENT_UNITS))
            }
            _ => Response::not_found("no such segment"),
        }
    }

    async fn answer_admin(self: Arc<Self>, request: Request) -> Response {
        let mut life = self.life.clone();
        if life.wait_for(|l| l.mode != Mode::Frozen).await.is_err() {
            return Response::not_found("gone");
        }
        self.shape.manner.admin(&request).await
    }
}

/// A media playlist up to the segment `newest`; names begin with `prefix`.
fn media(newest: u64, prefix: &str) -> String {
    let first = (newest + 1).saturating_sub(LISTED);
    let seconds = SEGMENT_UNITS * UNIT.as_secs();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n\
         #EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for n in first..=newest {
        let _ = writeln!(text, "#EXTINF:{seconds}.000,\n{prefix}{n}.ts");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::manner::Plain;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    fn shape(begin: u64) -> Shape {
        let manner = Arc::new(Plain { playlist: "index.m3u8", prefix: "seg-" });
        Shape { begin, manner }
    }

    fn start() -> Packager {
        let shape = shape(31);
        Packager::start(PackagerId::new("b"), Clip::b().unwrap(), shape, Instant::now()).unwrap()
    }

    async fn ask(connection: &mut TcpStream, path: &str) {
        let request = format!("GET /live/cam/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
    }

    async fn answer(connection: &mut TcpStream) -> String {
        let mut head = vec![0; 4096];
        let length = connection.read(&mut head).await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    }

    #[tokio::test]
    async fn it_lists_a_full_window_from_the_beginning() {
        let packager = start();
        let mut connection = TcpStream::connect(packager.address).await.unwrap();
        ask(&mut connection, "index.m3u8").await;
        let list = answer(&mut connection).await;
        assert!(list.contains("MEDIA-SEQUENCE:8\n") && list.ends_with("seg-13.ts\n"), "{list}");
        ask(&mut connection, "seg-14.ts").await;
        assert!(answer(&mut connection).await.starts_with("HTTP/1.1 404"), "not made yet");
    }

    #[tokio::test]
    async fn frozen_it_accepts_and_answers_once_thawed() {
        let packager = start();
        packager.act(Act::Freeze);
        let mut connection = TcpStream::connect(packager.address).await.unwrap();
        ask(&mut connection, "index.m3u8").await;
        packager.act(Act::Thaw);
        assert!(answer(&mut connection).await.starts_with("HTTP/1.1 200"));
        assert_eq!(packager.state().restarts, 0);
    }

    #[test]
    fn frozen_it_leaves_requests_without_an_answer() {
        let shape = shape(0);
        for (mode, answers) in [(Mode::Live, true), (Mode::Frozen, false)] {
            let life = watch::Sender::new(Life { mode, begin: 0, restarts: 0 });
            let (clip, life) = (Clip::a().unwrap(), life.subscribe());
            let stream =
                Arc::new(Stream { clip, shape: shape.clone(), clock: Instant::now(), life });
            let path = "/live/cam/index.m3u8".to_owned();
            let answer =
                stream.answer(Request { method: "GET".to_owned(), path, ..Request::default() });
            assert_eq!(answer.now_or_never().is_some(), answers, "{mode:?}");
        }
    }

    #[tokio::test]
    async fn killed_it_refuses_and_restarted_it_numbers_from_0_at_the_same_address() {
        let packager = start();
        let mut connection = TcpStream::connect(packager.address).await.unwrap();
        ask(&mut connection, "playlist.m3u8").await;
        assert!(answer(&mut connection).await.starts_with("HTTP/1.1 200"));
        packager.act(Act::Kill);
        assert_eq!(connection.read(&mut [0]).await.unwrap_or(0), 0, "open connections end");
        while TcpStream::connect(packager.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        packager.act(Act::Restart);
        let mut connection = loop {
            if let Ok(connection) = TcpStream::connect(packager.address).await {
                break connection;
            }
            tokio::task::yield_now().await;
        };
        ask(&mut connection, "index.m3u8").await;
        assert!(answer(&mut connection).await.starts_with("HTTP/1.1 404"), "nothing made yet");
        assert_eq!((packager.state().newest, packager.state().restarts), (None, 1));
    }

    #[test]
    fn a_life_counts_whole_segments_from_its_own_beginning() {
        let life = Life { mode: Mode::Live, begin: 31, restarts: 0 };
        let table =
            [(30, None), (31, None), (32, None), (33, Some(0)), (34, Some(0)), (35, Some(1))];
        for (made, number) in table {
            assert_eq!(newest(life, made), number, "{made}");
        }
    }
}
