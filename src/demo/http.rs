//! A tiny HTTP/1.1 server for loopback: GET and POST without bodies, keep-alive, no TLS. It can break off
//! in the middle of an answer, since packagers do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// All header lines of a request together, bytes.
const HEAD_MAX: usize = 16 << 10;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` or another method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// What follows the `?`; empty where nothing does.
    pub query: String,
    /// The Authorization header; empty where there is none.
    pub authorization: String,
    /// No other request follows on this connection.
    pub last: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Content-Type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// WWW-Authenticate.
    pub challenge: Option<String>,
    /// Half of the body is sent, then the connection is closed.
    pub cut: bool,
}

impl Response {
    /// A 200.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type, body: body.into(), challenge: None, cut: false }
    }
    /// A 404 with a reason.
    pub fn not_found(why: &str) -> Self {
        Self { status: 404, ..Self::ok("text/plain", Bytes::copy_from_slice(why.as_bytes())) }
    }
}

/// Answers requests.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// Serves until dropped; all connections end with it.
pub async fn serve(listener: TcpListener, handler: Handler) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(connection(stream, Arc::clone(&handler)));
            }
            Ok(_) => {}
            // Out of file descriptors, most likely: do not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, handler: Handler) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        let head_only = request.method == "HEAD";
        let last = request.last;
        let response = handler(request).await;
        let challenge = response.challenge.map(|c| format!("WWW-Authenticate: {c}\r\n"));
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Access-Control-Allow-Origin: *\r\n{}\r\n",
            response.status,
            if response.status == 200 { "OK" } else { "No" },
            response.content_type,
            response.body.len(),
            challenge.unwrap_or_default(),
        );
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes()).await.ok()?;
        if response.cut {
            let half = response.body.get(..response.body.len() / 2).unwrap_or_default();
            let _ = stream.write_all(half).await;
            return None;
        }
        if !head_only {
            stream.write_all(&response.body).await.ok()?;
        }
        if last {
            return None;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = None;
    let mut authorization = String::new();
    let mut last = false;
    let mut size = 0;
    loop {
        let mut line = Vec::new();
        let mut limited = tokio::io::AsyncReadExt::take(&mut *stream, HEAD_MAX as u64);
        limited.read_until(b'\n', &mut line).await.ok()?;
        size += line.len();
        if size > HEAD_MAX || !line.ends_with(b"\n") {
            return None;
        }
        let line = String::from_utf8(line).ok()?;
        match line.trim_end() {
            "" => break,
            line if first.is_none() => first = Some(line.to_owned()),
            line => {
                last |= line.eq_ignore_ascii_case("connection: close");
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("authorization")
                {
                    value.trim().clone_into(&mut authorization);
                }
            }
        }
    }
    let first = first?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), authorization, last })
}
