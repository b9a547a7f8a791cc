//! Stand-ins: lanes that never move, and a server over them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use segue::app::{lifecycle, listen};
use segue::front::access_log::AccessLog;
use segue::front::{Answered, Front, Lanes, ListedLane, Observer, Settings, Stage, Stages};
use segue::model::lane::{Container, FORMAT, Header, Held};
use segue::model::names::{
    ContentHash, LaneId, OutputMsn, PoolName, RenditionId, StreamKey, UnixMs,
};
use segue::model::playlist::Extent;
use segue::model::token::{Claims, Keyring};
use segue::stream::{Named, Printed, Refusal, Whereabouts};
use tokio::sync::Notify;

/// The one stream that plays.
pub const STREAM: &str = "/live/cam/playlist.m3u8";
/// Its lane.
pub const LANE: &str = "a-1";
/// The number of its first segment.
pub const FIRST: u64 = 1000;

/// Bytes that tell where in the segment they stand.
pub fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// A lane with one rendition `v0` and a segment of each given length.
pub struct StandLane {
    header: Header,
    segments: Vec<Held>,
    /// So many of the segments, the last, are announced by another proxy only.
    unheard: AtomicUsize,
    printed: Arc<Printed>,
}

/// The lane and the bytes of its segments.
pub struct StandLanes {
    lane: Arc<StandLane>,
    bytes: HashMap<ContentHash, Bytes>,
    /// Calls of `lane`: how often a token was not known.
    pub lane_calls: AtomicUsize,
    /// The next call of `lane` is to wait as well.
    pub holds_lane: AtomicBool,
    /// No packager has the stream any more.
    pub gone: AtomicBool,
    /// Calls of `newer`, and the one that brings what was not heard of.
    pub newer_calls: AtomicUsize,
    pub heard_at_call: AtomicUsize,
    /// No look ends while this is set.
    pub holds_looks: AtomicBool,
    /// What `/live/held.m3u8` waits for.
    pub release: Notify,
}

impl StandLanes {
    pub fn new(lengths: &[usize]) -> Arc<Self> {
        Self::listing(lengths, "#EXTM3U\n".repeat(100))
    }

    /// The same with that for a media playlist.
    pub fn listing(lengths: &[usize], text: String) -> Arc<Self> {
        let mut bytes = HashMap::new();
        let segments = lengths
            .iter()
            .map(|&length| {
                let body = pattern(length);
                let held = Held { hash: ContentHash::of(&body), length: length as u64 };
                bytes.insert(held.hash, body);
                held
            })
            .collect();
        let header = Header {
            format: FORMAT,
            lane: LaneId::new(LANE),
            stream: stream(),
            zone: String::new(),
            renditions: Vec::new(),
            multivariant: Vec::new(),
            target_duration: 8,
            version: 3,
            container: Container::Plain,
            independent_segments: false,
            extent: Extent::Sliding,
            dates: false,
            start: None,
            resources: Vec::new(),
            window: Duration::from_secs(24),
            depth_held: Duration::MAX,
            first_msn: OutputMsn(FIRST),
            first_discontinuity: 0,
            opened_at: UnixMs(0),
        };
        Arc::new(Self {
            lane: Arc::new(StandLane {
                header,
                segments,
                unheard: AtomicUsize::new(0),
                printed: Arc::new(Printed {
                    gzip: gzip(&text),
                    body: text.into(),
                    etag: "\"p1\"".into(),
                    etag_gzip: "\"p1-gz\"".into(),
                }),
            }),
            bytes,
            lane_calls: AtomicUsize::new(0),
            holds_lane: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            newer_calls: AtomicUsize::new(0),
            heard_at_call: AtomicUsize::new(usize::MAX),
            holds_looks: AtomicBool::new(false),
            release: Notify::new(),
        })
    }

    /// The last `count` segments are announced elsewhere, and heard of with the `call`-th look.
    pub fn hide(&self, count: usize, call: usize) {
        self.lane.unheard.store(count, Ordering::SeqCst);
        self.newer_calls.store(0, Ordering::SeqCst);
        self.heard_at_call.store(call, Ordering::SeqCst);
    }

    /// The URL path of segment `index` under `token`.
    pub fn segment_path(&self, token: &str, index: usize) -> String {
        let short = self.lane.segments[index].hash.short();
        format!("/live/cam/playlist~{token}/v0/{}-{short}.ts", FIRST + index as u64)
    }
}

fn gzip(text: &str) -> Bytes {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap().into()
}

pub fn stream() -> StreamKey {
    StreamKey { pool: PoolName::new("live"), path: STREAM.into(), query: "".into() }
}

pub fn keyring() -> Keyring {
    Keyring::new([[7_u8; 32]]).unwrap()
}

/// A token for the stand-in lane.
pub fn token() -> String {
    keyring().sign(&claims())
}

pub fn claims() -> Claims {
    Claims { stream: stream(), lane: LaneId::new(LANE), viewer: None, expires_unix_s: None }
}

/// What the front is given: shared, so that a test can look in.
pub struct Behind(pub Arc<StandLanes>);

impl Lanes for Behind {
    type Lane = StandLane;

    fn pool(&self, host: &str) -> Option<PoolName> {
        match host {
            "unknown.example" => None,
            "other.example" => Some(PoolName::new("other")),
            _ => Some(PoolName::new("live")),
        }
    }
    async fn join(&self, stream: &StreamKey, _: Option<&str>) -> Result<Arc<StandLane>, Refusal> {
        match &*stream.path {
            STREAM => Ok(Arc::clone(&self.0.lane)),
            "/live/held.m3u8" => {
                self.0.release.notified().await;
                Ok(Arc::clone(&self.0.lane))
            }
            "/live/down.m3u8" => Err(Refusal::NoPackager),
            "/live/full.m3u8" => Err(Refusal::Limit("limits.streams")),
            _ => Err(Refusal::NoStream),
        }
    }
    async fn lane(&self, _: &StreamKey, lane: &LaneId) -> Result<Arc<StandLane>, Refusal> {
        self.0.lane_calls.fetch_add(1, Ordering::SeqCst);
        assert_eq!(lane.as_str(), LANE, "the front asked for a lane that no token names");
        if self.0.gone.load(Ordering::SeqCst) {
            return Err(Refusal::NoStream);
        }
        if self.0.holds_lane.swap(false, Ordering::SeqCst) {
            self.0.release.notified().await;
        }
        Ok(Arc::clone(&self.0.lane))
    }
    async fn newer(&self, _: &StreamKey, _: &LaneId) {
        let calls = self.0.newer_calls.fetch_add(1, Ordering::SeqCst) + 1;
        while self.0.holds_looks.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if calls >= self.0.heard_at_call.load(Ordering::SeqCst) {
            self.0.lane.unheard.store(0, Ordering::SeqCst);
        }
    }
    fn in_memory(&self, hash: ContentHash) -> Option<Bytes> {
        // The first byte of the hash decides, so that both ways are walked.
        if hash.0[0] % 2 == 0 { self.0.bytes.get(&hash).cloned() } else { None }
    }
    async fn bytes(&self, held: Held) -> Option<Bytes> {
        self.0.bytes.get(&held.hash).cloned()
    }
}

impl StandLane {
    fn heard(&self) -> usize {
        self.segments.len() - self.unheard.load(Ordering::SeqCst)
    }
}

impl ListedLane for StandLane {
    fn header(&self) -> &Header {
        &self.header
    }
    fn multivariant(&self, token: &str) -> String {
        format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nplaylist~{token}/v0/index.m3u8\n")
    }
    fn printed(&self, rendition: &RenditionId) -> Option<Arc<Printed>> {
        (rendition.as_str() == "v0").then(|| Arc::clone(&self.printed))
    }
    async fn playlist(&self, _: &RenditionId) -> Result<Arc<Printed>, Refusal> {
        Err(Refusal::NoRendition)
    }
    fn segment(&self, _: &RenditionId, msn: OutputMsn, short: &str) -> Result<Named, Refusal> {
        let index = usize::try_from(msn.0.wrapping_sub(FIRST)).unwrap_or(usize::MAX);
        let held = self.segments.get(index).filter(|_| index < self.heard());
        let held = held.ok_or(Refusal::NotListed)?;
        if held.hash.short() == short { Ok(Named::Bytes(*held)) } else { Err(Refusal::NotListed) }
    }
    fn lies(&self, _: &RenditionId, msn: OutputMsn) -> Whereabouts {
        let heard = self.heard() as u64;
        match msn.0.checked_sub(FIRST) {
            None => Whereabouts::Left,
            Some(n) if n < heard => Whereabouts::Listed,
            Some(n) if n < heard + 4 => Whereabouts::Next,
            Some(_) => Whereabouts::Beyond,
        }
    }
    /// The last segment stands for an init segment as well.
    fn init(&self, _: &RenditionId, short: &str) -> Result<Held, Refusal> {
        let held = self.segments.last().filter(|held| held.hash.short() == short);
        let heard = self.heard() == self.segments.len();
        held.filter(|_| heard).copied().ok_or(Refusal::NotListed)
    }
}

/// Remembers what it is told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Answered>>);

impl Observer for Told {
    fn answered(&self, answered: Answered) {
        self.0.lock().unwrap().push(answered);
    }
}

/// A free port, held by a socket that is bound and never listens: nobody else is given it, and a
/// server that sets SO_REUSEADDR can listen on it.
pub struct Port {
    _socket: tokio::net::TcpSocket,
    pub address: SocketAddr,
}

impl Port {
    pub fn reserve() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { _socket: socket, address }
    }
}

/// A server over stand-in lanes, in this process, until the process ends.
pub struct Serving {
    pub front: Arc<Front<Behind>>,
    pub lanes: Arc<StandLanes>,
    pub stages: Arc<Stages>,
    pub told: Arc<Told>,
    pub address: SocketAddr,
    _port: Port,
}

struct Never;

#[async_trait]
impl ShutdownSignalWatch for Never {
    async fn recv(&self) -> ShutdownSignal {
        std::future::pending().await
    }
}

impl Serving {
    pub fn start(settings: Settings, lengths: &[usize]) -> Self {
        Self::start_with(settings, lengths, None)
    }

    /// Over a lane with that media playlist.
    pub fn listing(text: &str) -> Self {
        Self::over(Settings::default(), StandLanes::listing(&[1000], text.to_owned()), None)
    }

    pub fn start_with(settings: Settings, lengths: &[usize], log: Option<AccessLog>) -> Self {
        Self::over(settings, StandLanes::new(lengths), log)
    }

    fn over(settings: Settings, lanes: Arc<StandLanes>, log: Option<AccessLog>) -> Self {
        let port = Port::reserve();
        let stages = Arc::new(Stages::default());
        let told = Arc::new(Told::default());
        let dir = tempfile::tempdir().unwrap();
        let process = process_settings(dir.path(), Duration::ZERO, false);
        let mut server = lifecycle::server(&process).unwrap();
        let front = add_front(
            &mut server,
            Arc::clone(&lanes),
            &stages,
            settings,
            port.address,
            Some(Arc::clone(&told) as Arc<dyn Observer>),
            log,
        );
        server.bootstrap();
        stages.reach(Stage::Serving);
        std::thread::spawn(move || server.run(RunArgs { shutdown_signal: Box::new(Never) }));
        super::client::wait_for("the server", || {
            std::net::TcpStream::connect(port.address).is_ok()
        });
        Self { front, lanes, stages, told, address: port.address, _port: port }
    }
}

/// Settings of a process that runs in `dir`.
pub fn process_settings(
    dir: &std::path::Path,
    drain_delay: Duration,
    upgrade: bool,
) -> lifecycle::Settings {
    lifecycle::Settings {
        threads: 2,
        drain_delay,
        grace_period: Duration::from_secs(60),
        upgrade_sock: dir.join("run/upgrade.sock"),
        pid_file: Some(dir.join("run/segue.pid")),
        upgrade,
    }
}

/// Adds the viewers' service, and returns what it is over.
pub fn add_front(
    server: &mut Server,
    lanes: Arc<StandLanes>,
    stages: &Arc<Stages>,
    settings: Settings,
    address: SocketAddr,
    observer: Option<Arc<dyn Observer>>,
    log: Option<AccessLog>,
) -> Arc<Front<Behind>> {
    let mut front = Front::new(Behind(lanes), keyring(), settings, Arc::clone(stages));
    if let Some(observer) = observer {
        front = front.observed_by(observer);
    }
    if let Some(log) = log {
        front = front.logging_to(log);
    }
    let front = Arc::new(front);
    server.add_service(listen::viewers(&server.configuration, &front, &[address.to_string()]));
    front
}
