//! A client that says exactly what it is told, and waits for conditions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// No test waits longer than this for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// A connection whose receive buffer is small, so that not reading is felt soon.
    pub fn connect_small(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(8192).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// GET with more header lines, each ending in CRLF.
    pub fn get(&mut self, path: &str, more: &str) -> Answer {
        self.ask("GET", path, more)
    }

    pub fn ask(&mut self, method: &str, path: &str, more: &str) -> Answer {
        self.send(
            format!("{method} {path} HTTP/1.1\r\nHost: media.example\r\n{more}\r\n").as_bytes(),
        );
        self.answer(method == "HEAD")
    }

    /// GET on a connection that may be closed instead of answered.
    pub fn try_get(&mut self, path: &str) -> Option<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: media.example\r\n\r\n");
        self.stream.write_all(request.as_bytes()).ok()?;
        (self.fill() > 0).then(|| self.answer(false))
    }

    /// Reads one answer.
    pub fn answer(&mut self, head_only: bool) -> Answer {
        let mut answer = self.head();
        let empty = head_only || matches!(answer.status, 204 | 304);
        let length =
            if empty { 0 } else { answer.header("content-length").unwrap().parse().unwrap() };
        while self.buffer.len() < length {
            assert!(self.fill() > 0, "cut off after {} of {length} bytes", self.buffer.len());
        }
        answer.body = self.buffer.drain(..length).collect();
        answer
    }

    /// Reads the header of an answer and leaves its body.
    pub fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill() > 0, "closed without an answer: {:?}", self.buffer);
        };
        let text = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Answer { status, headers, body: Vec::new() }
    }

    /// Reads what is there; 0 at the end.
    pub fn fill(&mut self) -> usize {
        let mut piece = [0; 65536];
        let n = match self.stream.read(&mut piece) {
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.buffer.extend_from_slice(&piece[..n]);
        n
    }

    /// Reads to the end of the connection; how many bytes were left.
    pub fn rest(&mut self) -> usize {
        while self.fill() > 0 {}
        self.buffer.len()
    }

    /// The other side has closed.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Ok(1..))
            && !matches!(&peeked, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// At most `length` bytes of a body, in pieces of the buffer's size.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            if self.fill() == 0 {
                break;
            }
        }
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length).collect()
    }
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str, more: &str) -> Answer {
    Client::connect(address).get(path, more)
}
