//! A name server on loopback that says what a test wants: addresses, CNAMEs, failures, or nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// How it is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// SERVFAIL to everything.
    Fails,
    /// Hears, and says nothing.
    Silent,
    /// Of IPv6 it says nothing.
    SilentOfIpv6,
    /// Every answer is too long for UDP.
    Truncates,
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Leads {
    To(Vec<IpAddr>),
    Cname(&'static str),
    /// The same, without saying what that leads to.
    BareCname(&'static str),
}

struct Zone {
    names: HashMap<String, Leads>,
    ttl_s: u32,
    mood: Mood,
    asked: usize,
    over_tcp: usize,
}

/// A name server. Names that it does not know do not exist. Ends with the test.
pub struct NameServer {
    port: u16,
    zone: Arc<Mutex<Zone>>,
    tasks: Vec<JoinHandle<()>>,
}

impl NameServer {
    pub async fn start(ttl_s: u32) -> Self {
        // UDP and TCP of one number.
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let port = tcp.local_addr().unwrap().port();
        let (names, mood) = (HashMap::new(), Mood::Well);
        let zone = Arc::new(Mutex::new(Zone { names, ttl_s, mood, asked: 0, over_tcp: 0 }));
        let tasks = vec![
            tokio::spawn(over_udp(udp, Arc::clone(&zone))),
            tokio::spawn(over_tcp(tcp, Arc::clone(&zone))),
        ];
        Self { port, zone, tasks }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
    /// From now on `name` leads there.
    pub fn lead(&self, name: &str, leads: Leads) {
        self.zone.lock().names.insert(name.to_owned(), leads);
    }
    /// From now on `name` has these addresses, `127.0.0.N`.
    pub fn addresses(&self, name: &str, last: &[u8]) {
        let at = last.iter().map(|n| IpAddr::from([127, 0, 0, *n]));
        self.lead(name, Leads::To(at.collect()));
    }
    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        self.zone.lock().names.remove(name);
    }
    pub fn be(&self, mood: Mood) {
        self.zone.lock().mood = mood;
    }
    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.zone.lock().asked
    }
    pub fn asked_over_tcp(&self) -> usize {
        self.zone.lock().over_tcp
    }
    /// Nobody listens any more.
    pub async fn die(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn over_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 2048];
    loop {
        // An error is of who was answered last, and is gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = zone.lock().answer(&buffer[..length], true);
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn over_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let zone = Arc::clone(&zone);
        connections.spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut query = vec![0; usize::from(length)];
                if stream.read_exact(&mut query).await.is_err() {
                    return;
                }
                zone.lock().over_tcp += 1;
                let answer = zone.lock().answer(&query, false);
                let Some(answer) = answer else { continue };
                let framed = [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer];
                if stream.write_all(&framed.concat()).await.is_err() {
                    return;
                }
            }
        });
    }
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

impl Zone {
    /// RFC 1035, 4.1: header, the question again, records.
    fn answer(&mut self, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        self.asked += 1;
        let (name, end) = read_name(query, 12)?;
        let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
        let (truncates, silent) = (self.mood == Mood::Truncates && udp, self.mood == Mood::Silent);
        if silent || (self.mood == Mood::SilentOfIpv6 && kind == AAAA) {
            return None;
        }
        let (mut records, known) = self.records(&name, kind);
        let code: u8 = match () {
            () if self.mood == Mood::Fails => 2,
            () if !known => 3,
            () => 0,
        };
        if code != 0 || truncates {
            records.clear();
        }
        let mut answer = query.get(..2)?.to_vec();
        // A response, recursion desired and available.
        answer.extend([0x81 | if truncates { 2 } else { 0 }, 0x80 | code]);
        answer.extend([0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
        answer.extend(query.get(12..end + 4)?);
        answer.extend(records.concat());
        Some(answer)
    }

    /// The records that answer, and whether there is such a name.
    fn records(&self, name: &str, kind: u16) -> (Vec<Vec<u8>>, bool) {
        let record = |kind, data: &[u8]| {
            let mut record = write_name(name);
            record.extend([kind, 1_u16].map(u16::to_be_bytes).concat());
            record.extend(self.ttl_s.to_be_bytes());
            record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            record.extend(data);
            record
        };
        match self.names.get(&name.to_ascii_lowercase()) {
            None => (vec![], false),
            Some(Leads::BareCname(to)) => (vec![record(CNAME, &write_name(to))], true),
            Some(Leads::Cname(to)) => {
                let (mut all, known) = self.records(to, kind);
                all.insert(0, record(CNAME, &write_name(to)));
                (all, known)
            }
            Some(Leads::To(addresses)) => {
                let one = |address: &IpAddr| match (address, kind) {
                    (IpAddr::V4(a), A) => Some(record(A, &a.octets())),
                    (IpAddr::V6(a), AAAA) => Some(record(AAAA, &a.octets())),
                    _ => None,
                };
                (addresses.iter().filter_map(one).collect(), true)
            }
        }
    }
}

/// The name at `at`, without compression, and where it ends.
fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8(message.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
}

fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
