//! Viewers of a fleet: some stay with one proxy, others come to another with each request, as a
//! balancer leads them. All hold what they get to the laws.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue::model::names::{LaneId, OutputMsn, PoolName, RenditionId, StreamKey};
use segue::stream::{Lane, Named, Refusal, Whereabouts};
use tokio::time::{sleep, timeout};

use super::net::{Net, Running};
use crate::judge::{Item, Read, read, with_gaps};
use crate::world::Truth;

/// A request is given up after so long; a joining viewer has to wait less.
const GIVEN_UP: Duration = Duration::from_secs(12);
const JOINED: Duration = Duration::from_secs(7);
/// A proxy that has just started, or that stood still, has so long to find a lane, milliseconds.
const FOUND: u64 = 6_000;

/// Where a viewer's requests go.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Stays(usize),
    Balanced,
}

pub struct Viewer {
    pub net: Arc<Net>,
    pub name: u64,
    pub way: Way,
    pub stream: StreamKey,
    /// The place of the rendition that it plays.
    pub rendition: usize,
    /// Until when it watches, milliseconds.
    pub until: u64,
}

/// The nth stream: all of them carry one programme.
pub fn stream(n: u64) -> StreamKey {
    let folder = if n == 0 { "live".to_owned() } else { format!("s{n}") };
    let path = format!("/{folder}/cam.m3u8");
    StreamKey { pool: PoolName::new("live"), path: path.into(), query: "".into() }
}

/// What one viewer remembers of a lane.
#[derive(Default)]
struct Memory {
    turn: usize,
    edge: u64,
    refused: u32,
    /// Per proxy and life: what it listed last, and until when it is to be shown.
    fresh: BTreeMap<(usize, u64), (u64, u64)>,
    listed: Vec<Item>,
    /// When that was.
    seen_at: u64,
    window: u64,
    /// What left the list, and until when it can be had.
    gone: VecDeque<(u64, Item)>,
}

impl Viewer {
    pub async fn watch(self) {
        let mut turn = usize::try_from(self.name).unwrap_or_default();
        while self.net.sim.now() < self.until {
            let Some((lane, rendition)) = self.join(&mut turn).await else {
                sleep(Duration::from_millis(500)).await;
                continue;
            };
            self.play(&lane, &rendition, turn).await;
        }
    }

    /// Where the next request goes.
    fn next(&self, turn: &mut usize) -> Option<(usize, Running)> {
        let nodes = &self.net.nodes;
        let (from, tries) = match self.way {
            Way::Stays(proxy) => (proxy, 1),
            Way::Balanced => (*turn, nodes.len()),
        };
        *turn += 1;
        let runs = |p: usize| Some((p, nodes[p].running()?));
        (from..from + tries).find_map(|p| runs(p % nodes.len()))
    }

    async fn join(&self, turn: &mut usize) -> Option<(LaneId, RenditionId)> {
        let (proxy, running) = self.next(turn)?;
        let began = self.net.sim.now();
        let asked = timeout(JOINED, running.streams.join(&self.stream, None)).await;
        if !running.life.is_alive() || running.life.is_frozen() {
            return None;
        }
        let lane = match asked {
            Ok(Ok(lane)) => lane,
            other => {
                let why = other.map_or("no answer".to_owned(), |r| r.err().unwrap().to_string());
                self.note(&format!("cannot join {} at p{proxy}: {why}", self.stream.path));
                self.net.across.lock().counts.refused += 1;
                let fed = self.net.fed_since(proxy).is_some_and(|at| at + FOUND < began);
                if fed && *self.net.nodes[proxy].started.lock() + FOUND < began {
                    self.broken(&format!("a new viewer was refused by p{proxy}: {why}"));
                }
                return None;
            }
        };
        self.net.across.lock().counts.new_viewers += 1;
        let header = lane.header();
        let rendition = header.renditions.get(self.rendition).or(header.renditions.first())?;
        self.note(&format!("joins {} at p{proxy}", header.lane));
        Some((header.lane.clone(), rendition.id.clone()))
    }

    /// Until the lane has ended, or cannot be had for long.
    async fn play(&self, id: &LaneId, rendition: &RenditionId, turn: usize) {
        let mut memory = Memory { turn, ..Memory::default() };
        while memory.refused < 60 && self.net.sim.now() < self.until {
            let Some((proxy, running)) = self.next(&mut memory.turn) else {
                sleep(Duration::from_millis(200)).await;
                continue;
            };
            let wait = match self.refresh(proxy, &running, id, rendition, &mut memory).await {
                Some(Ok(list)) => {
                    memory.refused = 0;
                    let last = list.first + list.segments.len() as u64;
                    let until = self.net.sim.now() + list.target * 4000;
                    let seen = memory.fresh.entry((proxy, running.life.number)).or_default();
                    if seen.0 != last {
                        *seen = (last, until);
                    }
                    if list.ended {
                        return;
                    }
                    let target = Duration::from_secs(list.target.max(1));
                    if last == std::mem::replace(&mut memory.edge, last) {
                        target / 2
                    } else {
                        target
                    }
                }
                Some(Err(refusal)) => {
                    memory.refused += 1;
                    self.refused(proxy, &running, id, &refusal, &memory);
                    Duration::from_millis(700)
                }
                // It died, or stands still.
                None => Duration::from_millis(200),
            };
            sleep(wait).await;
        }
    }

    /// A playlist that was known is answered for six target durations after its newest segment; one that
    /// others know is found.
    fn refused(&self, p: usize, running: &Running, id: &LaneId, why: &Refusal, memory: &Memory) {
        let now = self.net.sim.now();
        self.note(&format!("{id} refused by p{p}: {why}"));
        self.net.across.lock().counts.refused += 1;
        let known = memory.fresh.get(&(p, running.life.number));
        // What a viewer sees first may have been listed two target durations before.
        if known.is_some_and(|(_, until)| now < *until) {
            self.broken(&format!("a known playlist of {id} was refused by p{p}: {why}"));
        }
        let started = *self.net.nodes[p].started.lock();
        let fed = self.net.fed_since(p).is_some_and(|at| at + FOUND * 2 < now);
        if memory.edge > 0 && fed && started + FOUND * 2 < now {
            self.broken(&format!("{id} cannot be had at p{p}: {why}"));
        }
    }

    async fn refresh(
        &self,
        proxy: usize,
        running: &Running,
        id: &LaneId,
        rendition: &RenditionId,
        memory: &mut Memory,
    ) -> Option<Result<Read, Refusal>> {
        let asked = async {
            let lane = running.streams.lane(&self.stream, id).await?;
            let printed = lane.playlist(rendition).await?;
            running.life.check().await;
            Ok((lane, printed))
        };
        let answer = timeout(GIVEN_UP, asked).await;
        if !running.life.is_alive() || running.life.is_frozen() {
            return None;
        }
        let (lane, printed) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => return Some(Err(refusal)),
            Err(_) => return Some(Err(Refusal::NotReady)),
        };
        let text = String::from_utf8(printed.body.to_vec()).unwrap();
        let Some(list) = read(&text) else {
            self.broken(&format!("cannot be read: {text}"));
            return None;
        };
        let place = (proxy, id.to_string(), rendition.to_string());
        let now = self.net.sim.now();
        self.net.across.lock().asks(now, &place, &lane, running.life.number);
        // What it showed now is judged as of now, though the bytes take their time.
        let truths = self.fetch(proxy, running, &lane, rendition, &list).await?;
        self.net.sim.judge.lock().refreshed(now, &place, &list, &truths);
        {
            let mut across = self.net.across.lock();
            for (item, truth) in list.segments.iter().zip(&truths) {
                across.shows(now, &place, item, truth);
            }
        }
        if matches!(self.way, Way::Stays(_)) {
            self.fetch_left(proxy, running, &lane, rendition, &list, memory).await;
        } else {
            self.fetch_elsewhere(id, rendition, &list, memory).await;
        }
        Some(Ok(list))
    }

    /// Every segment that is listed can be had (law 5).
    async fn fetch(
        &self,
        proxy: usize,
        running: &Running,
        lane: &Arc<Lane>,
        rendition: &RenditionId,
        list: &Read,
    ) -> Option<Vec<Truth>> {
        let seat = (lane.header().lane.to_string(), rendition.to_string());
        let mut truths = Vec::new();
        for item in &list.segments {
            if item.gap {
                truths.push(None);
                continue;
            }
            let bytes = self.bytes(running, lane, rendition, item).await;
            if !running.life.is_alive() || running.life.is_frozen() {
                return None;
            }
            let Some(bytes) = bytes else {
                self.broken(&format!(
                    "5: {} of {} is listed by p{proxy} and cannot be had",
                    item.uri, seat.0
                ));
                return None;
            };
            match self.net.sim.content.lock().received(&seat, item, &bytes) {
                Ok(truth) => truths.push(Some(truth)),
                Err(why) => {
                    self.broken(&format!("5: {} is listed and is none: {why}", item.uri));
                    return None;
                }
            }
        }
        with_gaps(&list.segments, &truths)
    }

    /// As the front answers a request for a segment.
    async fn bytes(
        &self,
        running: &Running,
        lane: &Arc<Lane>,
        rendition: &RenditionId,
        item: &Item,
    ) -> Option<Bytes> {
        let msn = OutputMsn(item.msn);
        let short = item.uri.split(['-', '.']).nth(1)?;
        let mut named = lane.segment(rendition, msn, short);
        if named.is_err() && lane.lies(rendition, msn) == Whereabouts::Next {
            running.streams.newer(&self.stream, &lane.header().lane).await;
            named = lane.segment(rendition, msn, short);
        }
        if let Named::Bytes(held) = named.ok()?
            && let Some(bytes) = running.segments.get(held).await
        {
            return Some(bytes);
        }
        self.net.across.lock().counts.recalled += 1;
        let recalled = running.streams.recall(lane, rendition, msn).await;
        recalled.map(|(_, bytes)| bytes)
    }

    /// A segment is asked of another proxy than the one that listed it. Where that one is well it has it;
    /// else the viewer tries again.
    async fn fetch_elsewhere(
        &self,
        id: &LaneId,
        rendition: &RenditionId,
        list: &Read,
        memory: &mut Memory,
    ) {
        let new = list.segments.iter().filter(|i| i.msn >= memory.edge && !i.gap);
        for item in new {
            let Some((proxy, running)) = self.next(&mut memory.turn) else { return };
            // The front holds such a request for half a target duration.
            let hold = Duration::from_millis(list.target * 500);
            let asked = async {
                let lane = running.streams.lane(&self.stream, id).await.ok()?;
                let began = tokio::time::Instant::now();
                let mut bytes = self.bytes(&running, &lane, rendition, item).await;
                while bytes.is_none() && began.elapsed() < hold {
                    sleep(Duration::from_millis(100)).await;
                    bytes = self.bytes(&running, &lane, rendition, item).await;
                }
                running.life.check().await;
                bytes
            };
            let bytes = timeout(GIVEN_UP, asked).await.ok().flatten();
            let apart = self.net.across.lock().is_split(proxy, id.as_str());
            if bytes.is_some() || apart || running.life.is_frozen() || !running.life.is_alive() {
                continue;
            }
            self.note(&format!("{} of {id} cannot be had at p{proxy}", item.uri));
            self.net.across.lock().counts.edges += 1;
            if self.net.good_for(proxy, FOUND) {
                self.broken(&format!(
                    "5: {} of {id} is listed elsewhere, p{proxy} has it not",
                    item.uri
                ));
            }
        }
    }

    /// What left the list can be had for one target duration and a window more (law 5). It left
    /// up to a target duration before it was missed.
    async fn fetch_left(
        &self,
        proxy: usize,
        running: &Running,
        lane: &Arc<Lane>,
        rendition: &RenditionId,
        list: &Read,
        memory: &mut Memory,
    ) {
        let now = self.net.sim.now();
        let window: u64 = list.segments.iter().map(|s| s.millis).sum();
        // It may have left soon after it was seen last, while nobody answered.
        let seen = std::mem::replace(&mut memory.seen_at, now);
        for item in memory.listed.drain(..).filter(|i| i.msn < list.first) {
            memory.gone.push_back((seen + window.min(memory.window), item));
        }
        memory.window = window;
        memory.listed.clone_from(&list.segments);
        memory.gone.retain(|(until, _)| *until > now);
        let started = *self.net.nodes[proxy].started.lock();
        for (_, item) in memory.gone.iter().filter(|(_, item)| !item.gap) {
            let bytes = self.bytes(running, lane, rendition, item).await;
            let runs = running.life.is_alive() && !running.life.is_frozen();
            if bytes.is_none() && runs && started + FOUND < now {
                self.broken(&format!("5: {} left the list and cannot be had", item.uri));
            }
        }
    }

    fn note(&self, line: &str) {
        self.net.sim.note(&format!("viewer {} ({:?}): {line}", self.name, self.way));
    }

    fn broken(&self, law: &str) {
        self.net.broken(&format!("{law} (viewer {})", self.name));
    }
}
