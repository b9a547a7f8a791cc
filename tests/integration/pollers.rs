//! Players that do nothing but ask for playlists, as live players do: again after the target duration, or
//! after half of it where nothing was new.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::{self, Reply};

/// A crowd. They stop when it is dropped.
pub struct Pollers {
    _tasks: JoinSet<()>,
    asked: Arc<AtomicU64>,
}

/// What one of them sends.
#[derive(Clone, Debug, Default)]
pub struct Player {
    /// Header lines, each ended by CRLF.
    pub headers: String,
    /// A query, with its `?`.
    pub query: String,
}

impl Player {
    pub fn agent(name: &str) -> Self {
        Self { headers: format!("User-Agent: {name}\r\n"), query: String::new() }
    }
}

/// The path of the first media playlist in the answer to an entry request.
pub fn media_path(stream: &str, entry: &Reply) -> String {
    let text = entry.text();
    let uri = text.lines().find(|l| !l.starts_with('#') && !l.is_empty()).expect("a variant");
    format!("/{stream}/{uri}")
}

/// One who joins.
pub async fn join(port: u16, stream: &str, player: &Player) -> Reply {
    let path = format!("/{stream}/playlist.m3u8{}", player.query);
    http::get_from(port, &path, &player.headers).await.unwrap()
}

impl Pollers {
    /// All of `players` join `stream` now and ask every `every`.
    pub async fn join(port: u16, stream: &str, players: Vec<Player>, every: Duration) -> Self {
        let mut tasks = JoinSet::new();
        let asked = Arc::new(AtomicU64::new(0));
        let count = u32::try_from(players.len()).unwrap();
        for (n, player) in (0..).zip(players) {
            let entry = join(port, stream, &player).await;
            assert_eq!(entry.status, 200, "{}", entry.text());
            let path = media_path(stream, &entry) + &player.query;
            let asked = Arc::clone(&asked);
            tasks.spawn(async move {
                // Not in step with each other.
                tokio::time::sleep(every * n / count).await;
                poll(port, &path, &player.headers, every, &asked).await;
            });
        }
        Self { _tasks: tasks, asked }
    }

    /// Requests that were answered.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn poll(port: u16, path: &str, headers: &str, every: Duration, asked: &AtomicU64) {
    let mut known = Vec::new();
    let mut due = Instant::now();
    loop {
        let new = match http::get_from(port, path, headers).await {
            Ok(reply) if reply.status == 200 => {
                asked.fetch_add(1, Ordering::Relaxed);
                std::mem::replace(&mut known, reply.body.clone()) != reply.body
            }
            // Its proxy is being restarted, perhaps.
            _ => false,
        };
        due += if new { every } else { every / 2 };
        tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
    }
}
