//! A TCP server that plays a script: one list of acts for each connection, in the order in which
//! they come. A connection whose acts are done stays open and silent.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Clone)]
pub enum Act {
    /// Reads a request, writes this.
    Answer(Vec<u8>),
    /// Reads a request and says nothing.
    Hear,
    /// Closes.
    Close,
    /// Closes with a reset.
    Reset,
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Server {
    pub async fn play(script: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::play_on(listener, script)
    }

    /// One connection, which is closed after its one answer.
    pub async fn once(answer: impl Into<Vec<u8>>) -> Self {
        Self::play(vec![vec![Act::Answer(answer.into()), Act::Close]]).await
    }

    pub fn play_on(listener: TcpListener, script: Vec<Vec<Act>>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // The connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            let mut script = script.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                told.lock().connections += 1;
                connections.spawn(act(
                    stream,
                    script.next().unwrap_or_default(),
                    Arc::clone(&told),
                ));
            }
        });
        Self { port, seen, task }
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().connections
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().requests.clone()
    }

    /// Ends, with all connections, and gives up its port.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn act(mut stream: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Seen>>) {
    for act in acts {
        match act {
            Act::Answer(bytes) => {
                let Ok(head) = request(&mut stream).await else {
                    return;
                };
                seen.lock().requests.push(head);
                // The client may hang up in the middle: that is for the test to judge.
                let _ = stream.write_all(&bytes).await;
            }
            Act::Hear => {
                let Ok(head) = request(&mut stream).await else {
                    return;
                };
                seen.lock().requests.push(head);
            }
            Act::Close => return,
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Reads one request to the end of its headers.
pub async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A 200 with Content-Length.
pub fn ok(body: &str) -> Vec<u8> {
    head("200 OK", &[("Content-Length", &body.len().to_string())], body)
}

pub fn head(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    [out.as_bytes(), body.as_ref()].concat()
}
