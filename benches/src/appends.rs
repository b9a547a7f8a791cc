//! What an append costs: with a real redis-server, from one proxy and from ten, each on its own lane or all on
//! one as a fleet does, beside SQLite. And what it costs the server: processor time, bytes on the wire, memory.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use segue::model::lane::{Header, Mark, Media, Step};
use segue::model::media::{Joint, PictureHash, Ticks};
use segue::model::names::{LaneId, OutputMsn, ProxyId, RenditionId};
use segue::model::redis_url::RedisUrl;
use segue::model::rendition::Traits;
use segue::store::{Appended, LaneStore, RedisSettings, RedisStore, SqliteStore, Unobserved};

use crate::pieces;
use crate::process::Tree;
use crate::servers::{free_port, new_dir};

/// Proxies of a fleet.
const PROXIES: usize = 10;
/// Lanes that are filled to see what one costs in memory, and steps of each: two minutes of 2 s.
const LANES: usize = 200;
const STEPS: u64 = 60;

/// One row of the table.
pub struct Row {
    pub name: &'static str,
    pub median_us: f64,
    pub p99_us: f64,
    /// Steps that were taken in a second.
    pub per_second: f64,
    /// What the server did for each step that was taken; none: there is no server.
    pub server: Option<Server>,
}

/// For each step.
pub struct Server {
    pub cpu_us: f64,
    pub received: f64,
    pub sent: f64,
}

/// All that was measured.
pub struct Appends {
    pub rows: Vec<Row>,
    /// Bytes of a step as text, and of a lane of [`STEPS`] in the server's memory.
    pub step_bytes: usize,
    pub lane_bytes: f64,
    pub steps: u64,
}

/// How writers share lanes.
#[derive(Clone, Copy, PartialEq)]
enum Lanes {
    Each,
    One,
}

/// Measures with `count` steps each.
pub fn measure(folder: &Path, count: u64) -> Result<Appends> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let redis = Redis::start(folder)?;
        let mut rows = Vec::new();
        for (name, proxies, lanes) in [
            ("redis, one proxy", 1, Lanes::Each),
            ("redis, ten proxies, a lane each", PROXIES, Lanes::Each),
            ("redis, ten proxies, one lane", PROXIES, Lanes::One),
        ] {
            let mut stores: Vec<Arc<dyn LaneStore>> = Vec::new();
            for _ in 0..proxies {
                stores.push(redis.store().await?);
            }
            rows.push(row(name, &stores, count, lanes, Some(&redis)).await?);
        }
        let sqlite: Arc<dyn LaneStore> =
            Arc::new(SqliteStore::open(&new_dir(folder, "appends")?.join("segue.db"))?);
        rows.push(
            row("sqlite, one writer", std::slice::from_ref(&sqlite), count, Lanes::Each, None)
                .await?,
        );
        let ten = vec![sqlite; PROXIES];
        rows.push(row("sqlite, ten writers, a lane each", &ten, count, Lanes::Each, None).await?);
        let lane_bytes = redis.lane_bytes().await?;
        let step_bytes = serde_json::to_string(&step(0, 0))?.len();
        Ok(Appends { rows, step_bytes, lane_bytes, steps: STEPS })
    })
}

async fn row(
    name: &'static str,
    stores: &[Arc<dyn LaneStore>],
    count: u64,
    lanes: Lanes,
    redis: Option<&Redis>,
) -> Result<Row> {
    let each = if lanes == Lanes::One { count } else { count / stores.len() as u64 };
    let before = redis.map(Redis::used).transpose()?;
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for (n, store) in stores.iter().enumerate() {
        let lane = format!("a-{}{}", name.len(), if lanes == Lanes::One { 0 } else { n });
        writers.spawn(write(store.clone(), LaneId::new(lane), n, each));
    }
    let mut took = Vec::new();
    while let Some(written) = writers.join_next().await {
        took.extend(written??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    let taken = if lanes == Lanes::One { each } else { each * stores.len() as u64 } as f64;
    let server = match (redis, before) {
        (Some(redis), Some(before)) => Some(redis.used()?.since(&before, taken)),
        _ => None,
    };
    Ok(Row { name, median_us: at(0.5), p99_us: at(0.99), per_second: taken / elapsed, server })
}

/// Appends until the lane has so many steps, whoever appended them; microseconds of each call.
async fn write(
    store: Arc<dyn LaneStore>,
    lane: LaneId,
    proxy: usize,
    count: u64,
) -> Result<Vec<f64>> {
    store.create(&header(&lane)).await?;
    let mut took = Vec::new();
    let mut n = 0;
    while n < count {
        let steps = [step(n, proxy)];
        let began = Instant::now();
        let appended = store.append(&lane, before(n), &steps).await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        n += match appended {
            Appended::Done => 1,
            Appended::Lost(missed) => missed.len() as u64,
        };
    }
    Ok(took)
}

fn header(lane: &LaneId) -> Header {
    let mut header = pieces::header();
    header.lane = lane.clone();
    header.renditions.push(segue::model::rendition::Rendition {
        id: RenditionId::new("v1"),
        traits: Traits::default(),
    });
    header
}

/// Of two renditions, each with a keyframe, as a Wowza's are.
fn step(n: u64, proxy: usize) -> Step {
    let first = pieces::header().first_msn.0;
    let mut step = pieces::step(first + n, n, false);
    let Some(mut share) = step.shares.pop() else { return step };
    for entry in &mut share.entries {
        entry.source.path = format!("/live/cam.stream/media_w1111560283_b1300000_{n}.ts");
        let pts = Ticks(n as i64 * 180_000 + 900_000);
        entry.media = Some(Media {
            end: Joint { video: Some(pts), audio: Some(pts) },
            keyframes: vec![Mark { pts, picture: PictureHash([n.to_le_bytes()[0]; 16]) }],
        });
    }
    step.shares = vec![share.clone(), share];
    step.holders = vec![ProxyId::new(format!("az1-3f9a2c{proxy:02}"))];
    step
}

fn before(n: u64) -> Option<OutputMsn> {
    let first = pieces::header().first_msn.0;
    n.checked_sub(1).map(|n| OutputMsn(first + n))
}

/// A real server.
struct Redis {
    port: u16,
    _process: Tree,
}

/// What it has used so far.
struct Used(HashMap<String, f64>);

impl Used {
    fn since(&self, before: &Self, steps: f64) -> Server {
        let of = |key: &str| {
            let at = |used: &Self| used.0.get(key).copied().unwrap_or(0.0);
            (at(self) - at(before)) / steps
        };
        Server {
            cpu_us: (of("used_cpu_user") + of("used_cpu_sys")) * 1e6,
            received: of("total_net_input_bytes"),
            sent: of("total_net_output_bytes"),
        }
    }
}

impl Redis {
    fn start(folder: &Path) -> Result<Self> {
        let (dir, port) = (new_dir(folder, "redis")?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command.arg(&dir);
        let mut process = Tree::start(command, &dir.join("log"))?;
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if process.has_ended() || began.elapsed() > Duration::from_secs(10) {
                bail!("redis-server does not start");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { port, _process: process })
    }

    async fn store(&self) -> Result<Arc<RedisStore>> {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let store = RedisStore::open(
            &RedisSettings {
                url: RedisUrl::parse(&url)?,
                ca: None,
                prefix: "segue".into(),
                timeout: Duration::from_secs(5),
                lane_expires: Duration::from_secs(86_400),
            },
            Arc::new(Unobserved),
        )?;
        store.settled().await;
        Ok(Arc::new(store))
    }

    /// The numbers that INFO tells.
    fn used(&self) -> Result<Used> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port))?);
        stream.get_mut().write_all(b"INFO\r\n")?;
        let mut length = String::new();
        stream.read_line(&mut length)?;
        let length: usize = length.trim_start_matches('$').trim().parse().context("INFO")?;
        let mut text = vec![0; length];
        stream.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        let pair = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        };
        Ok(Used(text.lines().filter_map(pair).collect()))
    }

    /// What a lane of [`STEPS`] takes of the server's memory.
    async fn lane_bytes(&self) -> Result<f64> {
        let store = self.store().await?;
        let memory = || self.used().map(|used| used.0.get("used_memory").copied().unwrap_or(0.0));
        let steps: Vec<Step> = (0..STEPS).map(|n| step(n, 0)).collect();
        let before = memory()?;
        for n in 0..LANES {
            let lane = LaneId::new(format!("m-{n}"));
            store.create(&header(&lane)).await?;
            for (n, step) in (0..).zip(&steps) {
                store.append(&lane, self::before(n), std::slice::from_ref(step)).await?;
            }
        }
        Ok((memory()? - before) / LANES as f64)
    }
}
