//! Scripted packagers: an HTTP server each, which shows live streams by the clock and breaks in
//! every way that a test names.
//!
//! Any path `/STREAM/playlist.m3u8` is a stream. Without renditions it is a lone media playlist, as
//! nginx-rtmp writes it. Names begin again after a restart, so the same URL names other bytes.
//! What it writes is said in `script`, `lists` and `making`; `dialect` teaches it more.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::net::TcpSocket;
use tokio::task::{JoinHandle, JoinSet};

use crate::content::{Container, now_ms};
use crate::faults::Fault;
use crate::guard::Guard;
use crate::script::State;

/// Who answers, and of which stream.
#[derive(Clone, Debug)]
pub struct Source {
    pub id: String,
    pub stream: String,
    /// Where the content's beginning lies on its timeline, milliseconds.
    pub timeline_ms: u64,
}

pub struct Inner {
    pub id: String,
    /// It listens on 127.0.0.N.
    pub host: u8,
    pub port: u16,
    pub state: Mutex<State>,
    /// Holds the port while the packager is down.
    _reserved: TcpSocket,
}

/// A packager.
pub struct Packager {
    inner: Arc<Inner>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Packager {
    /// A packager of 1 s segments that is not up yet.
    pub fn fake(id: &str) -> Self {
        Self::fake_at(id, 1, 0)
    }

    /// The same on 127.0.0.N, for those that share a name and so a port.
    pub fn fake_at(id: &str, host: u8, port: u16) -> Self {
        let reserved = socket_at(host, port);
        let port = reserved.local_addr().unwrap().port();
        let state = Mutex::new(State::new());
        let inner = Inner { id: id.to_owned(), host, port, state, _reserved: reserved };
        Self { inner: Arc::new(inner), serving: Mutex::new(None) }
    }

    pub fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.inner.state.lock());
        self
    }

    /// Its borders lie `ms` after those of a packager that is not shifted.
    pub fn shifted(self, ms: u64) -> Self {
        self.with(|s| s.offset_ms = ms)
    }
    /// Its numbers are this much higher than those of others.
    pub fn numbered_from(self, number: u64) -> Self {
        self.with(|s| s.first_number = number)
    }
    /// Segments of `ms`, and the EXT-X-TARGETDURATION it writes.
    pub fn segments_of(self, ms: u64, target: u32) -> Self {
        self.with(|s| (s.segment_ms, s.target) = (ms, target))
    }
    /// Segments have this many packets of 188 bytes.
    pub fn packets(self, packets: usize) -> Self {
        self.with(|s| s.packets = packets)
    }
    /// Up, and live.
    pub fn live(self) -> Self {
        self.start();
        self
    }

    pub fn id(&self) -> &str {
        &self.inner.id
    }
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Listens, as it was when it was killed.
    pub fn start(&self) {
        let listener = socket_at(self.inner.host, self.inner.port).listen(1024).unwrap();
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move {
            // The connections end with the task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&inner);
                connections.spawn(async move { inner.serve(stream).await });
            }
        });
        *self.serving.lock() = Some(task);
    }

    /// Dies: connections are cut, new ones refused.
    pub async fn kill(&self) {
        let task = self.serving.lock().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Dies and comes back at once with other content, numbered from 0 again under the same names.
    pub async fn restart(&self) {
        self.kill().await;
        self.new_life(|s| {
            s.begun_ms = now_ms();
            if s.style.container == Container::Media {
                // It begins with a keyframe.
                s.begun_ms = s.begun_ms.next_multiple_of(1000);
            }
            s.offset_ms = s.begun_ms;
            s.first_number = 0;
        });
        self.start();
    }

    /// The same, but the new life lists as if it were the old: names and numbers go on. Only the
    /// cut connections and the bytes tell.
    pub async fn restart_unseen(&self) {
        self.kill().await;
        self.new_life(|_| {});
        self.start();
    }

    fn new_life(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.inner.state.lock();
        state.life += 1;
        state.frozen_ms = None;
        state.halted_ms.clear();
        change(&mut state);
    }

    /// Its feed is lost, its HTTP server lives: nothing new comes.
    pub fn freeze(&self) {
        self.inner.state.lock().frozen_ms = Some(now_ms());
    }
    /// What it missed is there at once.
    pub fn thaw(&self) {
        self.inner.state.lock().frozen_ms = None;
    }
    /// Writes EXT-X-ENDLIST.
    pub fn end(&self) {
        self.freeze();
        self.inner.state.lock().ended = true;
    }

    /// Nothing new comes in one rendition, by what it is.
    pub fn halt(&self, rendition: &str) {
        self.inner.state.lock().halted_ms.insert(rendition.to_owned(), now_ms());
    }

    /// From now on playlists of `stream`, or of one rendition of it (`stream/what`), are answered with `fault`.
    pub fn break_playlists(&self, stream: &str, fault: Fault) {
        self.inner.state.lock().playlists.insert(stream.to_owned(), fault);
    }
    /// From now on segments of `stream`, or of one rendition of it (`stream/what`), are answered with `fault`.
    pub fn break_segments(&self, stream: &str, fault: Fault) {
        self.inner.state.lock().segments.insert(stream.to_owned(), fault);
    }
    /// Nothing of `stream` is broken any more.
    pub fn mend(&self, stream: &str) {
        let mut state = self.inner.state.lock();
        state.playlists.remove(stream);
        state.segments.remove(stream);
    }

    pub fn with_guard<T>(&self, what: impl FnOnce(&mut Guard) -> T) -> T {
        what(self.inner.state.lock().guard.as_mut().expect("it is not guarded"))
    }

    /// Everything that was asked of it so far: when, and which path.
    pub fn requests(&self) -> Vec<(Instant, String)> {
        self.inner.state.lock().requests.clone()
    }
}

impl Drop for Packager {
    fn drop(&mut self) {
        if let Some(task) = self.serving.lock().take() {
            task.abort();
        }
    }
}

/// A bound socket that does not listen yet. While it lives, only who shares it gets its port.
pub fn socket(port: u16) -> TcpSocket {
    socket_at(1, port)
}

pub fn socket_at(host: u8, port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, host], port).into()).unwrap();
    socket
}
