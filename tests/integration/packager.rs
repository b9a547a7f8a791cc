//! Scripted packagers: an HTTP server each, which shows live streams by the clock and breaks in
//! every way that a test names.
//!
//! Any path `/STREAM/playlist.m3u8` is a stream. Without variants it is a lone media playlist, as
//! nginx-rtmp writes it. Names begin again after a restart, so the same URL names other bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::content::{Label, now_ms};
use crate::faults::{Fault, answer, head};

/// A variant of the multivariant playlist.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its file name on this packager, without `.m3u8`.
    pub file: String,
    /// RESOLUTION, which says what it is.
    pub resolution: String,
    pub bandwidth: u32,
}

/// What a packager is like and what it does now.
struct State {
    /// The first moment of the life that is on, and its first number.
    begun_ms: u64,
    first_number: u64,
    life: u32,
    /// Borders of segments lie here, plus multiples of the duration.
    offset_ms: u64,
    segment_ms: u64,
    target: u32,
    listed: u64,
    /// Length of a segment, MPEG-TS packets.
    packets: usize,
    variants: Vec<Variant>,
    ended: bool,
    /// Nothing new comes after this moment.
    frozen_ms: Option<u64>,
    playlists: HashMap<String, Fault>,
    segments: HashMap<String, Fault>,
    requests: Vec<(Instant, String)>,
}

struct Inner {
    id: String,
    port: u16,
    state: Mutex<State>,
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
        let reserved = socket(0);
        let port = reserved.local_addr().unwrap().port();
        let state = State {
            begun_ms: 0,
            first_number: 0,
            life: 1,
            offset_ms: 0,
            segment_ms: 1000,
            target: 2,
            listed: 7,
            packets: 100,
            variants: Vec::new(),
            ended: false,
            frozen_ms: None,
            playlists: HashMap::new(),
            segments: HashMap::new(),
            requests: Vec::new(),
        };
        let inner =
            Inner { id: id.to_owned(), port, state: Mutex::new(state), _reserved: reserved };
        Self { inner: Arc::new(inner), serving: Mutex::new(None) }
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
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
    /// Streams are multivariant: file name, RESOLUTION, BANDWIDTH.
    pub fn variants(self, variants: &[(&str, &str, u32)]) -> Self {
        let variants = variants.iter().map(|&(file, resolution, bandwidth)| Variant {
            file: file.to_owned(),
            resolution: resolution.to_owned(),
            bandwidth,
        });
        self.with(|s| s.variants = variants.collect())
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
        let listener = socket(self.inner.port).listen(1024).unwrap();
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

    /// From now on playlists of `stream` are answered with `fault`.
    pub fn break_playlists(&self, stream: &str, fault: Fault) {
        self.inner.state.lock().playlists.insert(stream.to_owned(), fault);
    }
    /// From now on segments of `stream` are answered with `fault`.
    pub fn break_segments(&self, stream: &str, fault: Fault) {
        self.inner.state.lock().segments.insert(stream.to_owned(), fault);
    }
    /// Nothing of `stream` is broken any more.
    pub fn mend(&self, stream: &str) {
        let mut state = self.inner.state.lock();
        state.playlists.remove(stream);
        state.segments.remove(stream);
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
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], port).into()).unwrap();
    socket
}

impl Inner {
    async fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        loop {
            let Ok(Some(request)) = lines.next_line().await else { return };
            loop {
                match lines.next_line().await {
                    Ok(Some(line)) if line.is_empty() => break,
                    Ok(Some(_)) => {}
                    _ => return,
                }
            }
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            self.state.lock().requests.push((Instant::now(), path.clone()));
            if self.answer(&path, &mut write).await.is_err() {
                return;
            }
        }
    }

    /// An error ends the connection.
    async fn answer(&self, path: &str, write: &mut OwnedWriteHalf) -> Result<(), std::io::Error> {
        let path = path.split('?').next().unwrap_or_default();
        let (folder, file) = path.rsplit_once('/').unwrap_or_default();
        let stream = folder.trim_start_matches('/').to_owned();
        let (good, fault) = {
            let state = self.state.lock();
            if file.ends_with(".m3u8") {
                (state.playlist(file), state.playlists.get(&stream).cloned())
            } else {
                (state.segment(&self.id, &stream, file), state.segments.get(&stream).cloned())
            }
        };
        match (fault, good) {
            (Some(fault), good) => answer(&fault, good.unwrap_or_default(), write).await,
            (None, Some(body)) => {
                write.write_all(&head(200, &[], body.len())).await?;
                write.write_all(&body).await
            }
            (None, None) => write.write_all(&head(404, &[], 0)).await,
        }
    }
}

impl State {
    fn now_ms(&self) -> u64 {
        self.frozen_ms.unwrap_or_else(now_ms)
    }

    /// Segments of the life that is on are counted from 0 here.
    fn start_of(&self, k: u64, ms: u64) -> u64 {
        let before = self.begun_ms.saturating_sub(self.offset_ms).div_ceil(ms);
        self.offset_ms + (before + k) * ms
    }

    /// How many segments the life has made.
    fn made(&self, ms: u64) -> u64 {
        self.now_ms().saturating_sub(self.start_of(0, ms)) / ms
    }

    fn playlist(&self, file: &str) -> Option<Vec<u8>> {
        let name = file.strip_suffix(".m3u8")?;
        if name == "playlist" && !self.variants.is_empty() {
            let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n".to_owned();
            for Variant { file, resolution, bandwidth } in &self.variants {
                text += &format!(
                    "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={resolution}\n{file}.m3u8\n"
                );
            }
            return Some(text.into_bytes());
        }
        self.named(name)?;
        let made = self.made(self.segment_ms);
        let first = made.saturating_sub(self.listed);
        if made == 0 {
            return None;
        }
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            self.target,
            self.first_number + first
        );
        let seconds = self.segment_ms as f64 / 1000.0;
        for k in first..made {
            text += &format!("#EXTINF:{seconds:.3},\n{name}-{}.ts\n", self.first_number + k);
        }
        if self.ended {
            text += "#EXT-X-ENDLIST\n";
        }
        Some(text.into_bytes())
    }

    fn segment(&self, id: &str, stream: &str, file: &str) -> Option<Vec<u8>> {
        let (name, number) = file.strip_suffix(".ts")?.rsplit_once('-')?;
        let rendition = self.named(name)?;
        let number: u64 = number.parse().ok()?;
        let k = number.checked_sub(self.first_number)?;
        let made = self.made(self.segment_ms);
        let kept = k < made && k + self.listed + 4 >= made;
        let label = Label {
            packager: id.to_owned(),
            life: self.life,
            stream: stream.to_owned(),
            rendition,
            number,
            start_ms: self.start_of(k, self.segment_ms),
            duration_ms: self.segment_ms,
        };
        kept.then(|| label.bytes(self.packets))
    }

    /// What the rendition of that file name is.
    fn named(&self, name: &str) -> Option<String> {
        if self.variants.is_empty() {
            return (name == "playlist").then(|| "lone".to_owned());
        }
        let found = self.variants.iter().find(|v| v.file == name);
        found.map(|v| v.resolution.clone())
    }
}
