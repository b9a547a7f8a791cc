//! Lanes in Redis: each operation is one script on the keys of one lane, so one round trip, and atomic.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::keys::{of_registered, registered};
use super::scripts::{APPEND, BEGIN, CREATE, EXPIRE, INDEX, READ, TRIM, WANT, run_pipeline};
use super::{NO_MORE, RedisStore};
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, StreamKey, UnixMs};
use crate::store::text::{damaged, read_header, read_step, to_text};
use crate::store::{Appended, StoreError, StoredLane};

/// Steps of a lane that are kept at the most: more than 18 hours of 2 s.
pub const STEPS_MAX: usize = 32_768;
/// Steps that one answer holds: a log of hours is read in pieces, so that none takes long.
const PAGE: usize = 512;
/// Lanes of a stream that are noted at the most.
const LANES_MAX: usize = 128;
/// Logs of lanes beyond that go after this, unless somebody appends to them.
const BEYOND_EXPIRES: Duration = Duration::from_secs(600);
/// Lanes that are looked at in one go when old ones are dropped.
const EXPIRED_AT_ONCE: usize = 500;
/// A log is trimmed once for so many steps of it, by each proxy.
const TRIM_EVERY: u64 = 16;
/// Lanes of which it is remembered where they were trimmed.
const TRIMMED_MAX: usize = 16_384;
/// What takes longer than other requests: for each MiB.
const PER_MIB: Duration = Duration::from_secs(1);
/// Scripts count in doubles: whole up to here.
const NUMBER_MAX: u64 = 1 << 53;

/// A part of a log, as `read.lua` gives it.
struct Page {
    header: String,
    tail: Option<OutputMsn>,
    steps: Vec<Step>,
}

impl RedisStore {
    pub(super) async fn create_lane(&self, header: &Header) -> Result<Header, StoreError> {
        let lane = &header.lane;
        let values = self.header_values(header)?;
        let at = header.opened_at.0;
        let noted = [
            lane.to_string(),
            LANES_MAX.to_string(),
            millis(self.index_expires()),
            self.keys.changes(),
        ];
        let mut pipeline = Pipeline::new();
        pipeline.add_command(CREATE.by_hash(&self.keys.lane(lane).all(), &values));
        let register = self.keys.lanes();
        pipeline.cmd("ZADD").arg(&register).arg("NX").arg(at).arg(registered(lane, &header.stream));
        pipeline.ignore();
        pipeline.cmd("PEXPIRE").arg(&register).arg(millis(self.index_expires())).ignore();
        // Last, since it tells of the lane.
        pipeline.add_command(INDEX.by_hash(&[self.keys.lanes_of(&header.stream)], &noted));
        let asked = async |mut connection| run_pipeline(&pipeline, &mut connection).await;
        let (standing, dropped): (String, Vec<String>) = self.link.ask(NO_MORE, asked).await?;
        self.link.wrote();
        self.let_go(&dropped).await?;
        read_header(lane, &standing)
    }

    /// A header as scripts take it, and the life of its log.
    fn header_values(&self, header: &Header) -> Result<[String; 5], StoreError> {
        let text = to_text(header)?;
        let [first, at] = [header.first_msn.0, header.opened_at.0];
        if first >= NUMBER_MAX || at >= NUMBER_MAX {
            return Err(damaged(&header.lane, "its numbers are beyond what Redis counts"));
        }
        let renditions = header.renditions.len().to_string();
        let life = millis(self.lane_expires());
        Ok([text, first.to_string(), at.to_string(), renditions, life])
    }

    pub(super) async fn begin_lane_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        let lane = &header.lane;
        let seen = seen.map(|n| n.to_string()).unwrap_or_default();
        let mut values = vec![seen, self.keys.changes(), lane.to_string()];
        values.extend(self.header_values(header)?);
        let keys = self.keys.lane(lane).all();
        self.link.ask(NO_MORE, async |mut c| BEGIN.run(&mut c, &keys, &values).await).await
    }

    /// Lanes that are not noted any more: whoever still appends to one keeps it.
    async fn let_go(&self, lanes: &[String]) -> Result<(), StoreError> {
        if lanes.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::new();
        for key in lanes.iter().flat_map(|lane| self.keys.lane(&LaneId::new(lane.as_str())).all()) {
            pipeline.cmd("PEXPIRE").arg(key).arg(millis(BEYOND_EXPIRES)).ignore();
        }
        self.link.ask(NO_MORE, async |mut c| pipeline.exec_async(&mut c).await).await
    }

    pub(super) async fn append_steps(
        &self,
        lane: &LaneId,
        expected: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return Ok(Appended::Done);
        };
        if last.msn.0 >= NUMBER_MAX || last.listed_at.0 >= NUMBER_MAX {
            return Err(damaged(lane, "its numbers are beyond what Redis counts"));
        }
        let pairs = steps.iter().zip(steps.iter().skip(1));
        let broken = pairs.map(|(a, b)| (a.msn.next(), b.msn)).find(|(next, msn)| next != msn);
        let number = |msn: Option<OutputMsn>| msn.map(|n| n.to_string()).unwrap_or_default();
        let mut values = vec![
            number(expected.map(OutputMsn::next)),
            first.msn.to_string(),
            u8::from(broken.is_some()).to_string(),
            number(expected),
            last.msn.to_string(),
            last.listed_at.0.to_string(),
            millis(self.lane_expires()),
            STEPS_MAX.to_string(),
            PAGE.to_string(),
            self.keys.changes(),
            lane.to_string(),
        ];
        for step in steps {
            values.push(to_text(step)?);
        }
        let bytes: usize = values.iter().map(String::len).sum();
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let more = PER_MIB.saturating_mul(mib);
        let keys = self.keys.lane(lane).all();
        let asked = async |mut c| APPEND.run(&mut c, &keys, &values).await;
        let answer: Vec<Value> = self.link.ask(more, asked).await?;
        let mut answer = answer.into_iter();
        match text_of(lane, answer.next())?.as_str() {
            "done" => {
                self.link.wrote();
                Ok(Appended::Done)
            }
            "no lane" => Err(StoreError::NoLane(lane.clone())),
            "hole" => {
                let at_first = text_of(lane, answer.next())? == "first";
                let msn = broken.filter(|_| !at_first).map_or(first.msn, |(_, msn)| msn);
                Err(StoreError::Hole { lane: lane.clone(), msn })
            }
            _ => {
                let tail = number_of(lane, answer.next())?;
                let after = steps_of(lane, answer.next())?;
                let after = self.whole(lane, tail, after).await?;
                // Read back, not compared as text: an older version may have written it.
                let ours = after.starts_with(steps);
                Ok(if ours { Appended::Done } else { Appended::Lost(after) })
            }
        }
    }

    pub(super) async fn load_lane(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        let Some(page) = self.page(lane, None, true).await? else { return Ok(None) };
        let header = read_header(lane, &page.header)?;
        let steps = self.whole(lane, page.tail, page.steps).await?;
        Ok(Some(StoredLane { header, steps }))
    }

    pub(super) async fn steps_after(
        &self,
        lane: &LaneId,
        tail: Option<OutputMsn>,
    ) -> Result<Vec<Step>, StoreError> {
        match self.page(lane, tail, false).await? {
            Some(page) if page.tail > tail => self.whole(lane, page.tail, page.steps).await,
            _ => Ok(Vec::new()),
        }
    }

    /// The steps up to `tail`, of which the first are there. Where the log was trimmed meanwhile beyond
    /// what is there, they begin later.
    async fn whole(
        &self,
        lane: &LaneId,
        tail: Option<OutputMsn>,
        mut steps: Vec<Step>,
    ) -> Result<Vec<Step>, StoreError> {
        loop {
            let last = steps.last().map(|s| s.msn);
            if last >= tail {
                return Ok(steps);
            }
            let page = self.page(lane, last, false).await?;
            let more = page.map(|page| page.steps).unwrap_or_default();
            // No further than before: it says that it has more than there is.
            let Some(first) = more.first().filter(|first| Some(first.msn) > last) else {
                return Err(damaged(lane, "its tail is missing"));
            };
            if last.is_some_and(|last| last.next() != first.msn) {
                steps.clear();
            }
            steps.extend(more);
        }
    }

    async fn page(
        &self,
        lane: &LaneId,
        after: Option<OutputMsn>,
        header: bool,
    ) -> Result<Option<Page>, StoreError> {
        let keys = self.keys.lane(lane);
        let keys = [keys.lane, keys.log];
        let after = after.map(|n| n.0.min(NUMBER_MAX).to_string()).unwrap_or_default();
        let values = [after, PAGE.to_string(), u8::from(header).to_string()];
        let asked = async |mut c| READ.run(&mut c, &keys, &values).await;
        let answer: Vec<Value> = self.link.ask(NO_MORE, asked).await?;
        let Ok([header, tail, steps]) = <[Value; 3]>::try_from(answer) else { return Ok(None) };
        let page = Page {
            header: text_of(lane, Some(header))?,
            tail: number_of(lane, Some(tail))?,
            steps: steps_of(lane, Some(steps))?,
        };
        Ok(Some(page))
    }

    pub(super) async fn stream_lanes(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        let key = self.keys.lanes_of(stream);
        let mut asked = redis::cmd("ZRANGE");
        asked.arg(key).arg(0).arg(-1);
        let lanes: Vec<String> =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        Ok(lanes.into_iter().map(LaneId::new).collect())
    }

    pub(super) async fn trim_lane(
        &self,
        lane: &LaneId,
        keep_from: OutputMsn,
    ) -> Result<(), StoreError> {
        if !self.is_worth_trimming(lane, keep_from) {
            return Ok(());
        }
        let keys = self.keys.lane(lane);
        let keys = [keys.lane, keys.log];
        let values = [keep_from.0.min(NUMBER_MAX).to_string()];
        let asked = async |mut c| TRIM.run::<i64>(&mut c, &keys, &values).await;
        self.link.ask(NO_MORE, asked).await.map(drop)
    }

    /// Every proxy asks for it at every step: a few steps more do no harm, a request for each does.
    fn is_worth_trimming(&self, lane: &LaneId, keep_from: OutputMsn) -> bool {
        let mut trimmed = self.trimmed.lock();
        if let Some(from) = trimmed.get(lane)
            && (from.0..from.0.saturating_add(TRIM_EVERY)).contains(&keep_from.0)
        {
            return false;
        }
        if trimmed.len() >= TRIMMED_MAX {
            trimmed.clear();
        }
        trimmed.insert(lane.clone(), keep_from);
        true
    }

    /// Lanes go by themselves a while after their last step; what is noted of them goes here. Each is looked
    /// at once in its life or in `lane_expires`, whichever is shorter.
    pub(super) async fn expire_lanes(&self, before: UnixMs) -> Result<u64, StoreError> {
        let before = before.0.min(NUMBER_MAX);
        let register = self.keys.lanes();
        let mut gone = 0;
        loop {
            let mut asked = redis::cmd("ZRANGEBYSCORE");
            asked.arg(&register).arg("-inf").arg(format!("({before}"));
            asked.arg("LIMIT").arg(0).arg(EXPIRED_AT_ONCE);
            let found: Vec<String> =
                self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
            if found.is_empty() {
                return Ok(gone);
            }
            gone += self.look_at_old(before, &found).await?;
        }
    }

    async fn look_at_old(&self, before: u64, found: &[String]) -> Result<u64, StoreError> {
        let index_expires = millis(self.index_expires());
        let mut looks = Pipeline::new();
        for text in found {
            let (lane, _) = of_registered(text);
            let values = [before.to_string(), self.keys.changes(), lane.to_string()];
            looks.add_command(EXPIRE.by_hash(&self.keys.lane(&lane).all(), &values));
        }
        let asked = async |mut connection| run_pipeline(&looks, &mut connection).await;
        let last: Vec<String> = self.link.ask(NO_MORE, asked).await?;
        let (mut removals, mut notes) = (Pipeline::new(), Pipeline::new());
        let register = self.keys.lanes();
        for (text, at) in found.iter().zip(last) {
            let (lane, stream) = of_registered(text);
            let index = self.keys.lanes_of_text(stream);
            if at.is_empty() {
                removals.cmd("ZREM").arg(&register).arg(text);
                notes.cmd("ZREM").arg(index).arg(lane.as_str()).ignore();
            } else {
                notes.cmd("ZADD").arg(&register).arg("XX").arg(at).arg(text).ignore();
                let values = [lane.to_string(), LANES_MAX.to_string(), index_expires.clone()];
                notes.add_command(INDEX.by_hash(&[index], &values)).ignore();
            }
        }
        notes.cmd("PEXPIRE").arg(&register).arg(index_expires).ignore();
        let asked = async |mut c| {
            run_pipeline::<()>(&notes, &mut c).await?;
            if removals.is_empty() { Ok(Vec::new()) } else { removals.query_async(&mut c).await }
        };
        // Whoever takes it off the list has dropped it: others may look at the same moment.
        let removed: Vec<u64> = self.link.ask(NO_MORE, asked).await?;
        Ok(removed.iter().sum())
    }

    pub(super) async fn want_renditions(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        let keys = self.keys.lane(lane);
        let keys = [keys.lane, keys.wanted];
        let mut values = vec![millis(within), self.keys.changes(), lane.to_string()];
        values.extend(renditions.iter().map(ToString::to_string));
        let asked = async |mut c| WANT.run(&mut c, &keys, &values).await;
        let wanted: Option<Vec<usize>> = self.link.ask(NO_MORE, asked).await?;
        let mut wanted = wanted.ok_or_else(|| StoreError::NoLane(lane.clone()))?;
        wanted.sort_unstable();
        Ok(wanted)
    }
}

/// Milliseconds as scripts read them.
pub fn millis(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Beyond that PEXPIRE refuses; it is a thousand years.
    ms.clamp(1, 1 << 45).to_string()
}

fn text_of(lane: &LaneId, value: Option<Value>) -> Result<String, StoreError> {
    let read = value.map(redis::from_redis_value::<String>);
    read.and_then(Result::ok).ok_or_else(|| damaged(lane, "not as this version writes it"))
}

fn number_of(lane: &LaneId, value: Option<Value>) -> Result<Option<OutputMsn>, StoreError> {
    let text = text_of(lane, value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().map_err(|_| damaged(lane, "its tail is no number"))?;
    Ok(Some(OutputMsn(number)))
}

/// Steps that follow each other.
fn steps_of(lane: &LaneId, value: Option<Value>) -> Result<Vec<Step>, StoreError> {
    let Some(Value::Array(texts)) = value else {
        return Err(damaged(lane, "not as this version writes it"));
    };
    let mut steps: Vec<Step> = Vec::with_capacity(texts.len());
    for text in texts {
        let step = read_step(lane, &text_of(lane, Some(text))?)?;
        if steps.last().is_some_and(|last| last.msn.next() != step.msn) {
            return Err(damaged(lane, "its steps have a hole"));
        }
        steps.push(step);
    }
    Ok(steps)
}
