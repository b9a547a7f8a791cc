//! Players: each joins, then asks for its media playlist again and again, as players do, and for
//! every segment that it lists.

use std::sync::Arc;
use std::time::Duration;

use segue::model::names::{LaneId, OutputMsn, PoolName, RenditionId, StreamKey};
use segue::segments::Segments;
use segue::stream::{Lane, Named, Refusal, Streams};
use tokio::time::{sleep, timeout};

use crate::judge::{Item, Read, read, with_gaps};
use crate::parts::{Life, Sim};
use crate::world::Truth;

/// A proxy as a player finds it: none while it is down.
pub type Door = Arc<parking_lot::Mutex<Option<(Arc<Streams>, Arc<Life>)>>>;

pub struct Player {
    pub sim: Arc<Sim>,
    pub name: usize,
    /// Asks one after the other where there are several.
    pub doors: Vec<(usize, Door)>,
    pub segments: Arc<Segments>,
    /// The place of the rendition that it plays.
    pub rendition: usize,
}

pub fn stream() -> StreamKey {
    StreamKey { pool: PoolName::new("live"), path: "/live/cam.m3u8".into(), query: "".into() }
}

/// What a player saw leave its list.
#[derive(Default)]
struct Left {
    listed: Vec<Item>,
    window: u64,
    /// Until when each can be had.
    gone: std::collections::VecDeque<(u64, Item)>,
}

/// What one refresh came to.
enum Refreshed {
    Read(Read),
    Refused(Refusal),
    /// The proxy died, or is down.
    Down,
}

impl Player {
    pub async fn play(self) {
        loop {
            let Some((lane, rendition)) = self.join().await else {
                sleep(Duration::from_millis(500)).await;
                continue;
            };
            self.watch(&lane, &rendition).await;
        }
    }

    async fn join(&self) -> Option<(LaneId, RenditionId)> {
        let (_, door) = self.doors.first()?;
        let (streams, _) = door.lock().clone()?;
        let lane =
            match timeout(Duration::from_secs(7), streams.join(&stream(), None)).await.ok()? {
                Ok(lane) => lane,
                Err(refusal) => {
                    self.sim.note(&format!("player {} cannot join: {refusal}", self.name));
                    return None;
                }
            };
        let header = lane.header();
        let rendition = header.renditions.get(self.rendition).or(header.renditions.first())?;
        self.sim.note(&format!("player {} joins {}", self.name, header.lane));
        Some((header.lane.clone(), rendition.id.clone()))
    }

    /// Until the lane has ended, or cannot be had for long.
    async fn watch(&self, id: &LaneId, rendition: &RenditionId) {
        let mut edge = 0;
        let mut turn = 0;
        let mut left = Left::default();
        let mut refused = 0;
        // Per proxy: until when what it showed last is to be shown.
        let mut fresh_until = std::collections::BTreeMap::new();
        while refused < 60 {
            let (proxy, door) = &self.doors[turn % self.doors.len()];
            turn += 1;
            let wait = match self.refresh(*proxy, door, id, rendition, &mut left).await {
                Refreshed::Read(list) => {
                    refused = 0;
                    let last = list.first + list.segments.len() as u64;
                    let target = Duration::from_secs(list.target.max(1));
                    let seen = fresh_until.entry(*proxy).or_insert((0, 0));
                    if seen.0 != last {
                        *seen = (last, self.sim.now() + list.target * 4000);
                    }
                    let wait = if last == edge { target / 2 } else { target };
                    edge = last;
                    if list.ended {
                        return;
                    }
                    wait
                }
                Refreshed::Refused(refusal) => {
                    refused += 1;
                    let until = fresh_until.get(proxy).map_or(0, |f| f.1);
                    self.refused(until, *proxy, &refusal);
                    Duration::from_millis(700)
                }
                Refreshed::Down => Duration::from_millis(200),
            };
            self.on_time(id);
            sleep(wait).await;
        }
    }

    fn on_time(&self, id: &LaneId) {
        let now = self.sim.now();
        let good = self.sim.world.lock().iter().filter_map(|p| p.good_since).min();
        self.sim.judge.lock().on_time(now, id.as_str(), good);
    }

    /// A playlist that was known is answered for six target durations after its newest segment.
    fn refused(&self, until: u64, proxy: usize, refusal: &Refusal) {
        let now = self.sim.now();
        let mut judge = self.sim.judge.lock();
        judge.note(now, &format!("player {} refused by {proxy}: {refusal}", self.name));
        // What a player sees first may have been listed two target durations before.
        if now < until && !judge.split && now > judge.calm_since + 6_000 {
            judge.broken(now, &format!("a known playlist was refused: {refusal}"));
        }
    }

    async fn refresh(
        &self,
        proxy: usize,
        door: &Door,
        id: &LaneId,
        rendition: &RenditionId,
        left: &mut Left,
    ) -> Refreshed {
        let Some((streams, life)) = door.lock().clone() else { return Refreshed::Down };
        let asked = async {
            let lane = streams.lane(&stream(), id).await?;
            let printed = lane.playlist(rendition).await?;
            Ok((lane, printed))
        };
        let answer = timeout(Duration::from_secs(12), asked).await;
        if !life.is_alive() {
            return Refreshed::Down;
        }
        let (lane, printed) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => return Refreshed::Refused(refusal),
            Err(_) => return Refreshed::Refused(Refusal::NotReady),
        };
        let text = String::from_utf8(printed.body.to_vec()).unwrap();
        let Some(list) = read(&text) else {
            self.broken(&format!("cannot be read: {text}"));
            return Refreshed::Down;
        };
        if self.doors.len() == 1 {
            self.fetch_left(&lane, rendition, &list, left).await;
        }
        if let Some(truths) = self.fetch(&lane, rendition, &list).await {
            let seat = (proxy, id.to_string(), rendition.to_string());
            let now = self.sim.now();
            self.sim.judge.lock().refreshed(now, &seat, &list, &truths);
        }
        Refreshed::Read(list)
    }

    /// What left the list can be had for one target duration and a window more (law 5). It left
    /// up to a target duration before it was missed.
    async fn fetch_left(&self, lane: &Lane, rendition: &RenditionId, list: &Read, left: &mut Left) {
        let now = self.sim.now();
        let window: u64 = list.segments.iter().map(|s| s.millis).sum();
        for item in left.listed.drain(..).filter(|i| i.msn < list.first) {
            left.gone.push_back((now + window.min(left.window), item));
        }
        left.window = window;
        left.listed.clone_from(&list.segments);
        left.gone.retain(|(until, _)| *until > now);
        for (_, item) in left.gone.iter().filter(|(_, item)| !item.gap) {
            if self.bytes(lane, rendition, item).await.is_none() {
                self.broken(&format!("5: {} left the list and cannot be had", item.uri));
            }
        }
    }

    async fn bytes(
        &self,
        lane: &Lane,
        rendition: &RenditionId,
        item: &Item,
    ) -> Option<bytes::Bytes> {
        let short = item.uri.split(['-', '.']).nth(1)?;
        match lane.segment(rendition, OutputMsn(item.msn), short).ok()? {
            Named::Bytes(held) => self.segments.get(held).await,
            Named::OnDemand => None,
        }
    }

    fn broken(&self, law: &str) {
        let now = self.sim.now();
        self.sim.judge.lock().broken(now, law);
    }

    /// Every segment that is listed can be had (law 5).
    async fn fetch(&self, lane: &Lane, rendition: &RenditionId, list: &Read) -> Option<Vec<Truth>> {
        let seat = (lane.header().lane.to_string(), rendition.to_string());
        let mut truths = Vec::new();
        for item in &list.segments {
            if item.gap {
                self.sim.content.lock().missing(&seat, item.msn);
                truths.push(None);
                continue;
            }
            let bytes = self.bytes(lane, rendition, item).await;
            let Some(bytes) = bytes else {
                self.broken(&format!("5: {} is listed and cannot be had", item.uri));
                return None;
            };
            match self.sim.content.lock().received(&seat, item, &bytes) {
                Ok(truth) => truths.push(Some(truth)),
                Err(why) => {
                    self.broken(&format!("5: {} is listed and is none: {why}", item.uri));
                    return None;
                }
            }
        }
        with_gaps(&list.segments, &truths)
    }
}
