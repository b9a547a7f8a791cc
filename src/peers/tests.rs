//! Bytes and logs from other proxies, as they should be and as they should not: scripted proxies on loopback.

mod serving;

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

use crate::model::fleet::Record;
use crate::model::names::{ContentHash, PoolName, UnixMs};
use crate::store::LaneStore as _;

const BODY: &[u8] = b"the bytes of a segment, which are the same at every proxy";
/// For what must not be waited for.
const SOON: Duration = Duration::from_secs(20);

/// What a scripted proxy does with a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Gives,
    GivesOthers,
    GivesMore,
    CutsOff,
    Answers(u16),
    Hangs,
    HangsAfterTheFirstByte,
    /// Gives so many bytes, ten in a second.
    Drips(usize),
    /// Gives, once so many have been asked in all.
    GivesOnceAsked(usize),
}

struct Scripted {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Scripted {
    async fn start(manner: Manner, all: &Arc<AtomicUsize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, all) = (Arc::clone(&asked), Arc::clone(all));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (counted, all) = (Arc::clone(&counted), Arc::clone(&all));
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    assert!(String::from_utf8_lossy(&head).contains("x-segue-fleet: 1."));
                    counted.fetch_add(1, Ordering::SeqCst);
                    all.fetch_add(1, Ordering::SeqCst);
                    answer(&mut stream, manner, &all).await
                });
            }
        });
        Self { at, asked, task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    stream: &mut tokio::net::TcpStream,
    manner: Manner,
    all: &AtomicUsize,
) -> std::io::Result<()> {
    let mut body = BODY.to_vec();
    let mut length = body.len();
    let mut status = 200;
    match manner {
        Manner::Gives => {}
        Manner::GivesOnceAsked(many) => {
            while all.load(Ordering::SeqCst) < many {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Manner::GivesOthers => body[7] ^= 1,
        Manner::GivesMore => {
            body.push(0);
            length += 1;
        }
        Manner::CutsOff => body.truncate(9),
        Manner::Answers(other) => (status, length, body) = (other, 3, b"no\n".to_vec()),
        Manner::Hangs => std::future::pending().await,
        Manner::HangsAfterTheFirstByte => body.truncate(1),
        Manner::Drips(bytes) => (length, body) = (bytes, Vec::new()),
    }
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    match manner {
        Manner::HangsAfterTheFirstByte => std::future::pending().await,
        Manner::Drips(bytes) => {
            for byte in BODY.iter().cycle().take(bytes) {
                stream.write_u8(*byte).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Counted(Mutex<Vec<String>>);

impl Meter for Counted {
    fn asked(&self, kind: &'static str, outcome: &'static str) {
        self.0.lock().push(format!("{kind} {outcome}"));
    }
}

fn settings() -> Settings {
    Settings {
        id: ProxyId::new("me"),
        zone: "az1".to_owned(),
        one_per_zone: true,
        bytes_max: 1 << 20,
    }
}

/// Proxies `p0`, `p1` and so on, each at one of these places and in one of these zones, all of which answer.
fn peers(at: &[(SocketAddr, &str)], meter: Arc<Counted>) -> Arc<Peers> {
    let keys = FleetKeys::new([[1; 32]]);
    let peers = Peers::new(settings(), keys, Clock::system(), meter);
    peers.found(&at.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    for (n, (at, zone)) in at.iter().enumerate() {
        let hello = Hello {
            id: ProxyId::new(format!("p{n}")),
            zone: (*zone).to_owned(),
            version: "1".to_owned(),
            boot: n.to_string(),
            leaving: false,
        };
        peers.heard(*at, Ok(hello));
    }
    Arc::new(peers)
}

struct Stand {
    proxies: Vec<Scripted>,
    meter: Arc<Counted>,
    peers: Arc<Peers>,
}

/// All in the own zone.
async fn over(manners: &[Manner]) -> Stand {
    let all = Arc::new(AtomicUsize::new(0));
    let mut proxies = Vec::new();
    for manner in manners {
        proxies.push(Scripted::start(*manner, &all).await);
    }
    let meter = Arc::new(Counted::default());
    let at: Vec<_> = proxies.iter().map(|p| (p.at, "az1")).collect();
    Stand { peers: peers(&at, Arc::clone(&meter)), proxies, meter }
}

impl Stand {
    fn asked(&self) -> Vec<usize> {
        self.proxies.iter().map(Scripted::asked).collect()
    }
    fn outcomes(&self) -> Vec<String> {
        let mut all = self.meter.0.lock().clone();
        all.retain(|outcome| !outcome.starts_with("hello"));
        all.sort();
        all
    }
}

fn held() -> Held {
    Held { hash: ContentHash::of(BODY), length: BODY.len() as u64 }
}

fn ids(numbers: &[usize]) -> Vec<ProxyId> {
    numbers.iter().map(|n| ProxyId::new(format!("p{n}"))).collect()
}

#[tokio::test]
async fn a_holder_is_asked_first_and_alone_while_it_gives() {
    for holder in 0..3 {
        let stand = over(&[Manner::Gives; 3]).await;
        let got = stand.peers.bytes(held(), &ids(&[holder]), SOON).await;
        assert_eq!(got.as_deref(), Some(BODY));
        let mut want = vec![0; 3];
        want[holder] = 1;
        assert_eq!(stand.asked(), want);
        assert_eq!(stand.outcomes(), ["bytes ok"]);
    }
}

#[tokio::test]
async fn whoever_gives_something_else_is_passed_over() {
    for (manner, outcome) in [
        (Manner::GivesOthers, "bytes wrong"),
        (Manner::GivesMore, "bytes wrong"),
        (Manner::CutsOff, "bytes failed"),
        (Manner::Answers(404), "bytes missing"),
        (Manner::Answers(503), "bytes busy"),
        (Manner::Answers(401), "bytes refused"),
        (Manner::Answers(302), "bytes refused"),
    ] {
        let stand = over(&[manner, Manner::Gives]).await;
        let got = stand.peers.bytes(held(), &ids(&[0]), SOON).await;
        assert_eq!(got.as_deref(), Some(BODY), "{outcome}");
        assert_eq!(stand.asked(), [1, 1], "{outcome}");
        let mut want = [outcome, "bytes ok"];
        want.sort_unstable();
        assert_eq!(stand.outcomes(), want);
        let alone = over(&[manner]).await;
        assert_eq!(alone.peers.bytes(held(), &ids(&[0]), SOON).await, None, "{outcome}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_not_waited_for_alone_and_no_more_than_two_are_asked() {
    let stand = over(&[Manner::Hangs, Manner::Gives, Manner::Gives]).await;
    let got = stand.peers.bytes(held(), &ids(&[0, 1]), SOON).await;
    assert_eq!(got.as_deref(), Some(BODY));
    assert_eq!(stand.asked(), [1, 1, 0]);
    let stand = over(&[Manner::Hangs, Manner::Hangs, Manner::Gives]).await;
    // The first two give up only after a second each; then the third is asked.
    let got = stand.peers.bytes(held(), &ids(&[0, 1]), SOON).await;
    assert_eq!(got.as_deref(), Some(BODY));
    let timeouts = stand.outcomes().iter().filter(|o| *o == "bytes timeout").count();
    assert!(timeouts >= 1, "the third was asked beside the other two: {:?}", stand.outcomes());
    let stand = over(&[Manner::HangsAfterTheFirstByte, Manner::Gives]).await;
    let got = stand.peers.bytes(held(), &ids(&[0]), SOON).await;
    assert_eq!((got.as_deref(), stand.asked()), (Some(BODY), vec![1, 1]));
    // Nobody gives: the deadline is kept.
    let stand = over(&[Manner::Hangs]).await;
    let none = stand.peers.bytes(held(), &[], Duration::from_millis(50)).await;
    assert_eq!(none, None);
}

#[tokio::test]
async fn one_that_is_slow_is_not_waited_for_alone_either() {
    let stand = over(&[Manner::Drips(BODY.len()), Manner::Gives]).await;
    let got = stand.peers.bytes(held(), &ids(&[0]), SOON).await;
    assert_eq!((got.as_deref(), stand.asked()), (Some(BODY), vec![1, 1]));
    // Nobody else has it: it gives all the same.
    let stand = over(&[Manner::Drips(BODY.len()), Manner::Answers(404)]).await;
    let got = stand.peers.bytes(held(), &ids(&[0]), SOON).await;
    assert_eq!((got.as_deref(), stand.asked()), (Some(BODY), vec![1, 1]));
}

#[tokio::test]
async fn one_that_is_slow_takes_its_own_places_and_no_others() {
    let stand = over(&[Manner::Drips(1000), Manner::Gives]).await;
    let of_the_slow = (0..64_u8).map(|n| {
        let held = Held { hash: ContentHash::of(&[n]), length: 1000 };
        let peers = Arc::clone(&stand.peers);
        tokio::spawn(async move { peers.bytes(held, &ids(&[0]), SOON).await })
    });
    let of_the_slow: Vec<_> = of_the_slow.collect();
    // The other one does not hold them.
    while stand.outcomes().iter().filter(|outcome| *outcome == "bytes wrong").count() < 64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let got = stand.peers.bytes(held(), &ids(&[1]), SOON).await;
    assert_eq!(got.as_deref(), Some(BODY));
    assert!(!of_the_slow.iter().any(JoinHandle::is_finished), "it was waited for");
    assert_eq!(stand.asked(), [16, 65]);
}

#[tokio::test]
async fn however_many_ask_it_is_fetched_once() {
    let stand = over(&[Manner::GivesOnceAsked(1), Manner::Gives]).await;
    let holders = ids(&[0]);
    let many = (0..50).map(|_| stand.peers.bytes(held(), &holders, SOON));
    let got = futures_util::future::join_all(many).await;
    assert!(got.iter().all(|bytes| bytes.as_deref() == Some(BODY)));
    assert_eq!(stand.asked(), [1, 0]);
    // What ended is fetched anew.
    assert!(stand.peers.bytes(held(), &holders, SOON).await.is_some());
    assert_eq!(stand.asked(), [2, 0]);
    // Who leaves does not take it from those who stay.
    let stand = over(&[Manner::GivesOnceAsked(2)]).await;
    let stays = stand.peers.bytes(held(), &holders, SOON);
    let leaves = stand.peers.bytes(held(), &holders, Duration::from_millis(20));
    let releases = async {
        while stand.asked() != [1] {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        let other = Held { hash: ContentHash::of(b"other"), length: 5 };
        stand.peers.bytes(other, &holders, SOON).await
    };
    let (stays, leaves, other) = tokio::join!(stays, leaves, releases);
    assert_eq!((stays.as_deref(), leaves, other), (Some(BODY), None, None));
    assert_eq!(stand.asked(), [2]);
}

#[tokio::test]
async fn what_is_too_long_is_not_asked_for() {
    let stand = over(&[Manner::Gives]).await;
    let long = Held { length: (1 << 20) + 1, ..held() };
    assert_eq!(stand.peers.bytes(long, &[], SOON).await, None);
    assert_eq!(stand.asked(), [0]);
    stand.peers.take_up_to(long.length);
    let _wrong = stand.peers.bytes(long, &[], SOON).await;
    assert_eq!(stand.asked(), [1]);
}

/// A process may run for months, and its machine may stand still or its clock be set meanwhile.
#[tokio::test]
async fn a_record_is_written_by_the_system_s_time() {
    let keys = FleetKeys::new([[1; 32]]);
    let clock = Clock::starting_at(UnixMs(5));
    let peers = Peers::new(settings(), keys, clock, Arc::<Counted>::default());
    let store = Arc::new(crate::store::MemoryStore::new());
    let own = Advertised::At(SocketAddr::from(([127, 0, 0, 1], 1)));
    let names = Arc::new(crate::origin::NameServers::new(Vec::new()));
    let finder = Finder::new(Source::Store(own), names, store.clone());
    let before = Clock::system().now();
    let written = async {
        loop {
            if let [text] = store.kept(Record::PREFIX).await.unwrap().as_slice() {
                return serde_json::from_str::<Record>(text).unwrap().written;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let written = tokio::select! {
        written = written => written,
        () = finder.run(&peers) => panic!("it ends"),
    };
    assert!(written >= before, "{written:?} {before:?}");
}

#[tokio::test]
async fn a_log_that_is_not_signed_is_not_taken() {
    let stand = over(&[Manner::Gives]).await;
    let path = "/live/cam/playlist.m3u8".into();
    let stream = StreamKey { pool: PoolName::new("live"), path, query: "".into() };
    assert_eq!(stand.peers.lane(&stream, &LaneId::new("a-1"), SOON).await, None);
    assert_eq!(stand.outcomes(), ["lane wrong"]);
    let hanging = over(&[Manner::Hangs]).await;
    let deadline = Duration::from_millis(50);
    assert_eq!(hanging.peers.lane(&stream, &LaneId::new("a-1"), deadline).await, None);
}

#[test]
fn holders_come_first_then_the_own_zone_then_the_rest() {
    let present = |id: &str, zone: &str, leaving| Present {
        id: ProxyId::new(id),
        zone: zone.to_owned(),
        at: SocketAddr::from(([127, 0, 0, 1], 1)),
        leaving,
    };
    let all = [
        present("far", "az2", false),
        present("near-leaves", "az1", true),
        present("near", "az1", false),
        present("far-holds", "az2", false),
        present("near-holds", "az1", false),
        present("holds-leaves", "az1", true),
    ];
    let holders = ["gone", "far-holds", "holds-leaves", "near-holds"].map(ProxyId::new);
    let order = copy::order(held().hash, &all, &holders, "az1");
    let order: Vec<&str> = order.iter().map(|p| p.id.as_str()).collect();
    let want = ["near-holds", "holds-leaves", "far-holds", "near", "near-leaves", "far"];
    assert_eq!(order, want);
}

#[test]
fn one_of_a_zone_fetches_a_stream_and_who_leaves_gets_none() {
    let at = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
    let peers = peers(&[(at(1), "az1"), (at(2), "az1"), (at(3), "az2")], Arc::default());
    let stream = |n: usize| StreamKey {
        pool: PoolName::new("live"),
        path: format!("/live/{n}").into(),
        query: "".into(),
    };
    let who = |peers: &Peers| {
        let mut share = std::collections::BTreeMap::new();
        for n in 0..300 {
            let id = peers.fetcher(&stream(n)).map_or("me".to_owned(), |id| id.to_string());
            *share.entry(id).or_insert(0) += 1;
        }
        share.into_iter().collect::<Vec<_>>()
    };
    let shares = who(&peers);
    let names: Vec<&str> = shares.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["me", "p0", "p1"], "{shares:?}");
    assert!(shares.iter().all(|(_, share)| *share > 60), "{shares:?}");
    assert_eq!((peers.others(), peers.answers(&ProxyId::new("p2"))), (3, true));
    let leaves = Hello { leaving: true, ..peers.hello() };
    peers.heard(at(1), Ok(Hello { id: ProxyId::new("p0"), ..leaves }));
    assert_eq!(who(&peers).len(), 2);
    peers.leaving.store(true, Ordering::Relaxed);
    assert_eq!(who(&peers), [("p1".to_owned(), 300)], "this one leaves as well");
    peers.heard(at(2), Err(ask::AskError::Refused));
    assert_eq!(who(&peers), [("me".to_owned(), 300)], "nobody else is there");
    let each = Peers::new(
        Settings { one_per_zone: false, ..settings() },
        FleetKeys::new([[1; 32]]),
        Clock::system(),
        Arc::new(Counted::default()),
    );
    assert_eq!(each.fetcher(&stream(1)), None);
}

/// A question by one and an answer by the other, as they would meet.
#[test]
fn a_lane_is_asked_for_in_one_word() {
    let path = "/live/c a%20m/ä/playlist.m3u8".into();
    let stream = StreamKey { pool: PoolName::new("live"), path, query: "DVR&x=?".into() };
    let wanted = lane::Wanted { stream, lane: LaneId::new("a-1") };
    let text = wanted.text();
    assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
    assert_eq!(lane::Wanted::read(&text), Some(wanted));
    assert_eq!(lane::Wanted::read("!"), None);
}
