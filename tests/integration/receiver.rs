//! A receiver of webhooks, which keeps what it is sent and answers as it is told.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::packager::socket;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Message {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: String,
    /// What it was answered; 0 for nothing yet.
    pub answered: u16,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    pub fn event(&self) -> String {
        self.json()["event"].as_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct State {
    came: Vec<Message>,
    /// What the next requests are answered, the first first; then 200.
    answers: Vec<u16>,
}

/// A receiver.
pub struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
    /// It hears and says nothing.
    hangs: Arc<watch::Sender<bool>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// One that takes everything.
    pub fn start() -> Self {
        let socket = socket(0);
        let port = socket.local_addr().unwrap().port();
        let listener = socket.listen(1024).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let hangs = Arc::new(watch::Sender::new(false));
        let (shared, hanging) = (Arc::clone(&state), Arc::clone(&hangs));
        let serving = tokio::spawn(async move {
            // The connections end with the task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared), hanging.subscribe()));
            }
        });
        Self { port, state, hangs, serving }
    }

    /// It answers these first.
    pub fn answering(self, statuses: &[u16]) -> Self {
        self.state.lock().answers = statuses.to_vec();
        self
    }

    /// It hears and says nothing.
    pub fn hanging(self) -> Self {
        self.hangs.send_replace(true);
        self
    }
    /// It answers what it has heard, and goes on.
    pub fn goes_on(&self) {
        self.hangs.send_replace(false);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=url-secret", self.port)
    }
    /// What it is called where no name is set.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All that came so far, taken or not.
    pub fn came(&self) -> Vec<Message> {
        self.state.lock().came.clone()
    }
    /// What it has taken, in order.
    pub fn taken(&self) -> Vec<Message> {
        self.came().into_iter().filter(|m| m.answered == 200).collect()
    }
    /// The names of what it has taken.
    pub fn events(&self) -> Vec<String> {
        self.taken().iter().map(Message::event).collect()
    }
    /// Those of one name that it has taken.
    pub fn of(&self, event: &str) -> Vec<Value> {
        self.taken().iter().map(Message::json).filter(|m| m["event"] == event).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, mut hangs: watch::Receiver<bool>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(message) = hear(&mut read).await {
        let (at, status) = {
            let mut state = state.lock();
            let status = if state.answers.is_empty() { 200 } else { state.answers.remove(0) };
            state.came.push(message);
            (state.came.len() - 1, status)
        };
        if hangs.wait_for(|hangs| !hangs).await.is_err() {
            return;
        }
        state.lock().came[at].answered = status;
        let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 3\r\n\r\nso\n");
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn hear(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<Message> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let request = lines.first()?;
    assert!(request.starts_with("POST "), "{request}");
    let path = request.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .iter()
        .skip(1)
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.to_owned(), v.trim().to_owned()))
        .collect();
    let mut message = Message { path, headers, body: String::new(), answered: 0 };
    let length: usize = message.header("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.ok()?;
    message.body = String::from_utf8(body).ok()?;
    Some(message)
}
