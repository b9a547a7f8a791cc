//! One proxy asks another, both as they are, over loopback.

use futures_util::FutureExt as _;
use pingora::apps::ServerApp;
use pingora::protocols::l4::stream::Stream as Tcp;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use super::super::serve::Logs;
use super::*;
use crate::model::fleet::Request;
use crate::segments::{Segments, Settings as SegmentSettings};

/// Carries one lane, or none.
struct Carries(Option<StoredLane>);

#[async_trait]
impl Logs for Carries {
    async fn log(&self, stream: &StreamKey, lane: &LaneId) -> Option<StoredLane> {
        let wanted = |l: &&StoredLane| l.header.stream == *stream && l.header.lane == *lane;
        self.0.as_ref().filter(wanted).cloned()
    }
}

/// A proxy that answers.
struct Answers {
    at: SocketAddr,
    segments: Arc<Segments>,
    task: JoinHandle<()>,
    _shutdown: watch::Sender<bool>,
}

impl Answers {
    async fn start(id: &str, carries: Option<StoredLane>) -> Self {
        let settings = Settings { id: ProxyId::new(id), ..settings() };
        let keys = FleetKeys::new([[1; 32]]);
        let own = Arc::new(Peers::new(settings, keys, Clock::system(), Arc::<Counted>::default()));
        let limits = SegmentSettings { dir: None, memory: 1 << 30, disk: 0 };
        let segments = Arc::new(Segments::open(limits, UnixMs(0)).unwrap());
        let serving =
            Arc::new(Serving::new(own, Arc::clone(&segments), Arc::new(Carries(carries))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (shutdown, watch) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, watch) = (Arc::clone(&serving), watch.clone());
                connections.spawn(async move {
                    serving.process_new(Box::new(Tcp::from(stream)), &watch).await
                });
            }
        });
        Self { at, segments, task, _shutdown: shutdown }
    }

    async fn holds(&self, bytes: &[u8]) -> Held {
        self.segments.put(Bytes::copy_from_slice(bytes), UnixMs(u64::MAX)).await.unwrap()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn asks(who: &[&Answers]) -> Arc<Peers> {
    let keys = FleetKeys::new([[1; 32]]);
    let peers = Arc::new(Peers::new(settings(), keys, Clock::system(), Arc::<Counted>::default()));
    peers.found(&who.iter().map(|one| one.at).collect::<Vec<_>>());
    for one in who {
        peers.heard(one.at, peers.ask_who(one.at).await);
    }
    peers
}

#[tokio::test]
async fn bytes_come_from_whoever_has_them() {
    let (one, two) = (Answers::start("p1", None).await, Answers::start("p2", None).await);
    let held = two.holds(BODY).await;
    let empty = one.holds(b"").await;
    let peers = asks(&[&one, &two]).await;
    assert_eq!(peers.others(), 2);
    for _ in 0..3 {
        let got = peers.bytes(held, &[ProxyId::new("p1")], SOON).await;
        assert_eq!(got.as_deref(), Some(BODY));
    }
    assert_eq!(peers.bytes(empty, &[], SOON).await.as_deref(), Some(&b""[..]));
    let nobody_s = Held { hash: ContentHash::of(b"nobody's"), length: 8 };
    assert_eq!(peers.bytes(nobody_s, &[], SOON).await, None);
    // As it comes from the wire, in many pieces.
    let large: Vec<u8> =
        (0..900_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let held = one.holds(&large).await;
    assert_eq!(peers.bytes(held, &[], SOON).await.as_deref(), Some(large.as_slice()));
}

fn lane(steps: std::ops::Range<u64>) -> StoredLane {
    let header = json!({
        "format": 2, "lane": "a-1", "stream": { "pool": "live", "path": "/cam" },
        "renditions": [], "multivariant": [], "target_duration": 2, "version": 3,
        "container": "plain", "independent_segments": true,
        "window": { "secs": 6, "nanos": 0 }, "first_msn": 100, "first_discontinuity": 0,
        "opened_at": 5,
    });
    let step = |msn: u64| {
        json!({
            "format": 2, "msn": msn, "packager": "a", "discontinuity": false,
            "discontinuity_number": 0, "shares": [], "listed_at": 7, "content_end": 7,
        })
    };
    StoredLane {
        header: serde_json::from_value(header).unwrap(),
        steps: steps.map(|msn| serde_json::from_value(step(msn)).unwrap()).collect(),
    }
}

#[tokio::test]
async fn the_longest_log_is_taken() {
    let short = Answers::start("p1", Some(lane(100..105))).await;
    let long = Answers::start("p2", Some(lane(103..109))).await;
    let none = Answers::start("p3", None).await;
    let holes = StoredLane {
        steps: lane(100..102).steps.into_iter().chain(lane(110..120).steps).collect(),
        ..lane(0..0)
    };
    let holes = Answers::start("p4", Some(holes)).await;
    let peers = asks(&[&short, &long, &none, &holes]).await;
    let stream = lane(0..0).header.stream;
    let got = peers.lane(&stream, &LaneId::new("a-1"), SOON).await;
    assert_eq!(got, Some(lane(103..109)));
    assert_eq!(peers.lane(&stream, &LaneId::new("a-2"), SOON).await, None);
    let other = StreamKey { path: "/other".into(), ..stream };
    assert_eq!(peers.lane(&other, &LaneId::new("a-1"), SOON).await, None);
}

#[test]
fn of_a_log_that_is_too_long_the_newest_steps_are_sent() {
    let whole = lane(100..200_000);
    let wanted = Wanted { stream: whole.header.stream.clone(), lane: LaneId::new("a-1") };
    let text = lane::write(&whole);
    assert!(text.len() as u64 <= lane::BYTES_MAX);
    let read = lane::read(&text, &wanted).unwrap();
    assert_eq!(read.steps.last(), whole.steps.last());
    assert!((40_000..150_000).contains(&read.steps.len()), "{}", read.steps.len());
}

#[test]
fn of_a_log_that_is_a_little_too_long_most_is_sent() {
    let step = serde_json::to_vec(&lane(100..101).steps).unwrap().len() as u64;
    let many = 100 + lane::BYTES_MAX / step * 11 / 10;
    let whole = lane(100..many);
    let wanted = Wanted { stream: whole.header.stream.clone(), lane: LaneId::new("a-1") };
    let text = lane::write(&whole);
    assert!(text.len() as u64 <= lane::BYTES_MAX);
    let read = lane::read(&text, &wanted).unwrap();
    assert_eq!(read.steps.last(), whole.steps.last());
    assert!(read.steps.len() * 4 > whole.steps.len() * 3, "{}", read.steps.len());
}

/// The only thread that could read it is busy, so that who reads it himself is seen.
#[test]
fn a_long_log_is_read_beside_what_is_served() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let wanted = Wanted { stream: lane(0..0).header.stream, lane: LaneId::new("a-1") };
        let wanted = Arc::new(wanted);
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || waits.recv());
        let (short, long) = (lane(100..110), lane(100..2000));
        let read = lane::read_aside(lane::write(&short).into(), &wanted);
        assert_eq!(read.now_or_never(), Some(Some(short)));
        let mut read = Box::pin(lane::read_aside(lane::write(&long).into(), &wanted));
        assert!(read.as_mut().now_or_never().is_none(), "it is read at once");
        go_on.send(()).unwrap();
        assert_eq!(read.await, Some(long));
        busy.await.unwrap().unwrap();
    });
}

/// Asks for `held` and reads nothing.
async fn reads_nothing(at: SocketAddr, held: Held) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    let target = format!("{PREFIX}bytes/{}?length={}", held.hash.to_hex(), held.length);
    let by = ProxyId::new("slow");
    let request = Request { method: "GET", target: &target, by: &by, unix_s: unix_s() };
    let (text, _) = FleetKeys::new([[1; 32]]).sign(0, &request).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {text}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn status_of(stream: &mut TcpStream) -> String {
    let mut head = [0; 12];
    match stream.read_exact(&mut head).await {
        Ok(_) => String::from_utf8_lossy(&head).into_owned(),
        Err(_) => "closed".to_owned(),
    }
}

#[tokio::test]
async fn who_reads_nothing_takes_one_of_some_places_and_not_for_long() {
    let answers = Answers::start("p1", None).await;
    // More than what lies between two sockets.
    let held = answers.holds(&vec![7; 12 << 20]).await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        slow.push(reads_nothing(answers.at, held).await);
    }
    for stream in &mut slow {
        assert_eq!(status_of(stream).await, "HTTP/1.1 200");
    }
    assert_eq!(status_of(&mut reads_nothing(answers.at, held).await).await, "HTTP/1.1 503");
    // Who asks who is there is answered all the same.
    let peers = asks(&[&answers]).await;
    assert_eq!(peers.others(), 1);
    let again = async {
        while status_of(&mut reads_nothing(answers.at, held).await).await != "HTTP/1.1 200" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the places are free again");
}

#[tokio::test]
async fn connections_are_counted_and_the_silent_are_hung_up_on() {
    let answers = Answers::start("p1", None).await;
    let mut silent = Vec::new();
    for _ in 0..512 {
        silent.push(TcpStream::connect(answers.at).await.unwrap());
    }
    let one_more = async {
        // Those before it are accepted first.
        let mut one = TcpStream::connect(answers.at).await.unwrap();
        status_of(&mut one).await
    };
    assert_eq!(tokio::time::timeout(SOON, one_more).await.unwrap(), "closed");
    let hung_up = async {
        for stream in &mut silent {
            assert_eq!(status_of(stream).await, "closed");
        }
    };
    tokio::time::timeout(SOON, hung_up).await.expect("a silent connection ends");
    let peers = asks(&[&answers]).await;
    assert_eq!(peers.others(), 1);
}
