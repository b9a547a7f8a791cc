//! A small HTTP/1.1 client that hides nothing: one connection for each request, and a body
//! that is shorter than promised is told.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer takes longer: the proxy holds a request for 5 s at most.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What Content-Length promised.
    pub promised: Option<usize>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn is_whole(&self) -> bool {
        self.promised.is_none_or(|n| n == self.body.len())
    }
}

/// GET `path` from the server at `port` of this machine.
pub async fn get(port: u16, path: &str) -> Result<Reply, String> {
    get_from(port, path, "").await
}

/// The same, asked of `host`.
pub async fn get_at(port: u16, host: &str, path: &str) -> Result<Reply, String> {
    get_from(port, path, &format!("Host: {host}\r\n")).await
}

/// The same with more header lines, each ended by CRLF.
pub async fn get_from(port: u16, path: &str, headers: &str) -> Result<Reply, String> {
    let host =
        if headers.to_ascii_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
    let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
    send(port, request.as_bytes()).await
}

/// Sends `request` as it is and reads the answer to its end.
pub async fn send(port: u16, request: &[u8]) -> Result<Reply, String> {
    let exchange = async {
        let mut stream =
            TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| format!("connect: {e}"))?;
        // The server may answer and close before it has read all: what it says counts.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes).await;
        read(&bytes).ok_or_else(|| format!("no answer, {} bytes: {end:?}", bytes.len()))
    };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no answer in time".to_owned())?
}

fn read(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.to_owned(), v.trim().to_owned()))
        .collect();
    let mut reply = Reply { status, headers, body: bytes[end + 4..].to_vec(), promised: None };
    reply.promised = reply.header("content-length").and_then(|v| v.parse().ok());
    if let Some(promised) = reply.promised {
        reply.body.truncate(promised);
    }
    if reply.header("transfer-encoding") == Some("chunked") {
        reply.body = unchunked(&reply.body)?;
    }
    Some(reply)
}

/// As caches send what they unzip. None where the last chunk has not come.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        let chunk = rest.get(end + 2..end + 2 + length)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + length..)?;
    }
}
