//! A fault proxy before a packager: it passes requests through until it is told otherwise, and
//! keeps a log of all that reach the packager.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::http::{self, Answer};
use crate::process::now_ms;

/// What goes wrong with the answers to one kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This status, and a page that is no playlist.
    Status(u16),
    /// 200, and bytes that are no playlist and no media.
    Garbage,
    /// 200 with an empty body.
    Empty,
    /// The connection is closed without an answer.
    NoAnswer,
    /// Content-Length is true, half of the body comes, then the end.
    Short,
    /// Half of the body comes, then nothing more while the connection stays open.
    Stall,
    /// A whole answer of half the body: a playlist cut off in the middle.
    Cut,
}

/// The kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Playlist,
    Segment,
}

impl Kind {
    fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let playlist = Path::new(path).extension().is_some_and(|e| e == "m3u8");
        if playlist { Self::Playlist } else { Self::Segment }
    }
}

/// A request that reached the packager.
#[derive(Clone, Debug)]
pub struct Request {
    pub at_ms: u64,
    pub path: String,
    pub kind: Kind,
}

/// The proxy. Ends with the value.
pub struct FaultProxy {
    /// `host:port`.
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<String>,
    /// Connections of the proxy under test.
    open: Mutex<Vec<TcpStream>>,
    playlists: Mutex<Fault>,
    segments: Mutex<Fault>,
    log: Mutex<Vec<Request>>,
    ended: AtomicBool,
}

impl FaultProxy {
    /// A proxy before `upstream` (`127.0.0.1:port`).
    pub fn before(upstream: String) -> Self {
        Self::at("127.0.0.1", upstream)
    }

    /// The same at another address of this machine.
    pub fn at(host: &str, upstream: String) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            open: Mutex::default(),
            playlists: Mutex::new(Fault::None),
            segments: Mutex::new(Fault::None),
            log: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        });
        let inner = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if inner.ended.load(Ordering::SeqCst) {
                    return;
                }
                inner.open.lock().unwrap().push(client.try_clone().unwrap());
                let inner = Arc::clone(&inner);
                thread::spawn(move || {
                    let _ = serve(&client, &inner);
                    inner.forget(&client);
                });
            }
        });
        Self { address, shared }
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `kind` fails so.
    pub fn set(&self, kind: Kind, fault: Fault) {
        *self.shared.slot(kind).lock().unwrap() = fault;
    }

    /// Another process answers from now on under the same address, as after a restart: what was
    /// connected is closed.
    pub fn switch_to(&self, upstream: String) {
        let mut now = self.shared.upstream.lock().unwrap();
        *now = upstream;
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn forget(&self, client: &TcpStream) {
        let peer = client.peer_addr().ok();
        let mut open = self.open.lock().unwrap();
        open.retain(|s| s.peer_addr().ok().is_some_and(|p| Some(p) != peer));
        let _ = client.shutdown(Shutdown::Both);
    }

    const fn slot(&self, kind: Kind) -> &Mutex<Fault> {
        match kind {
            Kind::Playlist => &self.playlists,
            Kind::Segment => &self.segments,
        }
    }
}

/// Serves one connection of the proxy under test, request after request.
fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(Duration::from_secs(90)))?;
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let head = http::read_head(&mut reader)?;
        if shared.ended.load(Ordering::SeqCst) {
            return Ok(());
        }
        let path = head.first().and_then(|l| l.split(' ').nth(1)).unwrap_or("/").to_owned();
        let kind = Kind::of(&path);
        let fault = *shared.slot(kind).lock().unwrap();
        let request = Request { at_ms: now_ms(), path: path.clone(), kind };
        shared.log.lock().unwrap().push(request);
        if fault == Fault::NoAnswer {
            return client.shutdown(Shutdown::Both);
        }
        // A packager that is gone or silent is passed on as just that.
        let url = format!("http://{}{path}", shared.upstream.lock().unwrap());
        let extra: Vec<(&str, &str)> = head
            .iter()
            .skip(1)
            .filter_map(|l| l.split_once(':'))
            .filter(|(n, _)| n.eq_ignore_ascii_case("range"))
            .map(|(n, v)| (n, v.trim()))
            .collect();
        let Ok(answer) = http::get_with(&url, &extra, Duration::from_secs(60)) else {
            return client.shutdown(Shutdown::Both);
        };
        if !answer_with(client, &answer, fault, shared)? {
            return client.shutdown(Shutdown::Both);
        }
    }
}

/// Answers; false where the connection is to be closed.
fn answer_with(
    client: &TcpStream,
    answer: &Answer,
    fault: Fault,
    shared: &Shared,
) -> io::Result<bool> {
    let (status, body) = match fault {
        Fault::Status(status) => (status, b"<html>the packager is not well</html>".to_vec()),
        Fault::Garbage => (200, (0_u8..=255).cycle().take(4096).collect()),
        Fault::Empty => (200, Vec::new()),
        Fault::Cut => (200, answer.body[..answer.body.len() / 2].to_vec()),
        _ => (answer.status, answer.body.clone()),
    };
    let mut head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len());
    for name in ["content-type", "content-range", "access-control-allow-origin", "cache-control"] {
        if let Some(value) = answer.header(name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    let mut client = client;
    client.write_all(head.as_bytes())?;
    match fault {
        Fault::Short => {
            client.write_all(&body[..body.len() / 2])?;
            Ok(false)
        }
        Fault::Stall => {
            client.write_all(&body[..body.len() / 2])?;
            while !shared.ended.load(Ordering::SeqCst) && still_open(client) {
                thread::sleep(Duration::from_millis(100));
            }
            Ok(false)
        }
        _ => {
            client.write_all(&body)?;
            Ok(true)
        }
    }
}

/// The other side has not closed.
fn still_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).ok();
    let mut byte = [0];
    let seen = stream.peek(&mut byte);
    stream.set_nonblocking(false).ok();
    !matches!(seen, Ok(0)) && !matches!(&seen, Err(e) if e.kind() != io::ErrorKind::WouldBlock)
}
