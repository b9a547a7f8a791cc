//! Peaks and events: what is remembered of how many watched, over restarts.
//!
//! An event is one life of a stream before its viewers: it begins with the first viewer, and is over once
//! nobody has watched for a while; then it ended when the last one was seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::names::{PackagerId, PoolName, StreamKey, UnixMs};

/// Streams that are remembered; beyond, those that were watched longest ago are forgotten.
const STREAMS_MAX: usize = 10_000;
/// Packagers, pools and zones that are remembered.
const GROUPS_MAX: usize = 10_000;
/// Events that are over and remembered; beyond, the oldest are forgotten.
const EVENTS_MAX: usize = 1000;

/// The most there were at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// Viewers.
    pub viewers: u64,
    /// When, Unix milliseconds.
    pub at: UnixMs,
}

impl Peak {
    /// Whether it rose.
    const fn raise(&mut self, viewers: u64, at: UnixMs) -> bool {
        let rises = viewers > self.viewers;
        if rises {
            *self = Self { viewers, at };
        }
        rises
    }
}

/// Viewers that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// All.
    All,
    /// Those of a tenant.
    Pool(PoolName),
    /// Those whose lane is on a packager.
    Packager(PackagerId),
    /// Those whose lane is on a packager of a zone.
    Zone(String),
}

/// A life of a stream before its viewers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The stream.
    pub stream: StreamKey,
    /// The first viewer came, Unix milliseconds.
    pub began: UnixMs,
    /// The last time that anybody watched, Unix milliseconds.
    pub ended: UnixMs,
    /// The most there were.
    pub peak: Peak,
}

/// How many watch now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By stream; one that is not named has none.
    pub streams: BTreeMap<StreamKey, u64>,
    /// By group; one that is not named has none.
    pub groups: BTreeMap<Group, u64>,
}

/// What a record is called where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowName {
    /// The peak of a group.
    Group(Group),
    /// The peak and the event of a stream.
    Stream(StreamKey),
    /// An event that is over.
    Event(StreamKey, UnixMs),
}

impl RowName {
    /// What all of them begin with.
    pub const PREFIX: &'static str = "viewers/";
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        match self {
            Self::Group(Group::All) => f.write_str("all"),
            Self::Group(Group::Pool(pool)) => write!(f, "pool/{pool}"),
            Self::Group(Group::Packager(packager)) => write!(f, "packager/{packager}"),
            Self::Group(Group::Zone(zone)) => write!(f, "zone/{zone}"),
            Self::Stream(stream) => write!(f, "stream/{}{stream}", stream.pool),
            Self::Event(stream, began) => {
                write!(f, "event/{began}/{}{stream}", stream.pool, began = began.0)
            }
        }
    }
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// A group.
    Group {
        /// Which.
        group: Group,
        /// Its peak.
        peak: Peak,
    },
    /// A stream.
    Stream {
        /// Which.
        stream: StreamKey,
        /// Its peak.
        peak: Peak,
        /// What is under way.
        event: Option<Event>,
    },
    /// An event that is over.
    Event(Event),
}

/// A record that changed. None: forgotten.
pub type Row = (RowName, Option<Kept>);

/// How many watch a stream or a group, and what is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    now: u64,
    peak: Peak,
    event: Option<Event>,
    /// When anybody was seen last.
    seen: UnixMs,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Ledger {
    streams: BTreeMap<StreamKey, Record>,
    groups: BTreeMap<Group, Record>,
    past: VecDeque<Event>,
    changed: BTreeSet<RowName>,
}

impl Ledger {
    /// What was kept, in any order.
    #[must_use]
    pub fn from_kept(kept: impl IntoIterator<Item = Kept>) -> Self {
        let mut ledger = Self::default();
        for one in kept {
            match one {
                Kept::Group { group, peak } => {
                    let record = Record { peak, seen: peak.at, ..Record::default() };
                    ledger.groups.insert(group, record);
                }
                Kept::Stream { stream, peak, event } => {
                    let seen = event.as_ref().map_or(peak.at, |event| event.ended);
                    ledger.streams.insert(stream, Record { now: 0, peak, event, seen });
                }
                Kept::Event(event) => ledger.past.push_back(event),
            }
        }
        ledger.past.make_contiguous().sort_by_key(|event| event.ended);
        ledger.bound();
        ledger
    }

    /// So many watch now. `gap`: how long nobody watches a pool's stream before its event is over.
    pub fn update(&mut self, now: UnixMs, counts: &Counts, gap: &dyn Fn(&PoolName) -> Duration) {
        for (group, record) in &mut self.groups {
            record.now = counts.groups.get(group).copied().unwrap_or(0);
        }
        for (group, &viewers) in counts.groups.iter().filter(|(_, viewers)| **viewers > 0) {
            let record = self.groups.entry(group.clone()).or_default();
            (record.now, record.seen) = (viewers, now);
            if record.peak.raise(viewers, now) {
                self.changed.insert(RowName::Group(group.clone()));
            }
        }
        self.end_events(now, counts, gap);
        for (stream, &viewers) in counts.streams.iter().filter(|(_, viewers)| **viewers > 0) {
            let record = self.streams.entry(stream.clone()).or_default();
            (record.now, record.seen) = (viewers, now);
            record.peak.raise(viewers, now);
            let begins =
                || Event { stream: stream.clone(), began: now, ended: now, peak: Peak::default() };
            let event = record.event.get_or_insert_with(begins);
            event.ended = now;
            event.peak.raise(viewers, now);
            self.changed.insert(RowName::Stream(stream.clone()));
        }
        self.bound();
    }

    /// Events of streams that nobody has watched for long become past ones.
    fn end_events(&mut self, now: UnixMs, counts: &Counts, gap: &dyn Fn(&PoolName) -> Duration) {
        let mut over = Vec::new();
        for (stream, record) in &mut self.streams {
            record.now = counts.streams.get(stream).copied().unwrap_or(0);
            let long = |event: &Event| now.since(event.ended) >= gap(&stream.pool);
            if record.event.as_ref().is_some_and(long) {
                over.extend(record.event.take());
                self.changed.insert(RowName::Stream(stream.clone()));
            }
        }
        over.sort_by_key(|event| event.ended);
        for event in over {
            self.changed.insert(RowName::Event(event.stream.clone(), event.began));
            self.past.push_back(event);
        }
    }

    /// Forgets what is too much.
    fn bound(&mut self) {
        while self.past.len() > EVENTS_MAX {
            if let Some(event) = self.past.pop_front() {
                self.changed.insert(RowName::Event(event.stream, event.began));
            }
        }
        for stream in longest_ago(&self.streams, STREAMS_MAX) {
            self.streams.remove(&stream);
            self.changed.insert(RowName::Stream(stream));
        }
        for group in longest_ago(&self.groups, GROUPS_MAX) {
            self.groups.remove(&group);
            self.changed.insert(RowName::Group(group));
        }
    }

    /// What changed since this was last asked.
    pub fn changed(&mut self) -> Vec<Row> {
        let names = std::mem::take(&mut self.changed);
        let past: BTreeMap<(&StreamKey, UnixMs), &Event> =
            self.past.iter().map(|event| ((&event.stream, event.began), event)).collect();
        let row = |name: RowName| {
            let kept = match &name {
                RowName::Group(group) => self
                    .groups
                    .get(group)
                    .map(|record| Kept::Group { group: group.clone(), peak: record.peak }),
                RowName::Stream(stream) => self.streams.get(stream).map(|record| Kept::Stream {
                    stream: stream.clone(),
                    peak: record.peak,
                    event: record.event.clone(),
                }),
                RowName::Event(stream, began) => {
                    past.get(&(stream, *began)).map(|event| Kept::Event((*event).clone()))
                }
            };
            (name, kept)
        };
        names.into_iter().map(row).collect()
    }

    /// These were not kept after all: they count as changed.
    pub fn not_kept(&mut self, rows: Vec<Row>) {
        self.changed.extend(rows.into_iter().map(|(name, _)| name));
    }

    /// How many a group has now, and its peak.
    #[must_use]
    pub fn group(&self, group: &Group) -> (u64, Peak) {
        self.groups.get(group).map(|record| (record.now, record.peak)).unwrap_or_default()
    }

    /// All groups that are remembered.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.keys()
    }

    /// All streams that are remembered: how many each has now, its peak, and its event.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamKey, u64, Peak, Option<&Event>)> {
        self.streams.iter().map(|(key, of)| (key, of.now, of.peak, of.event.as_ref()))
    }

    /// Events that are over, the newest first.
    pub fn past(&self) -> impl Iterator<Item = &Event> {
        self.past.iter().rev()
    }
}

/// Those that are beyond `most`, and a tenth more so that this is rare: those seen longest ago.
fn longest_ago<K: Clone + Ord>(records: &BTreeMap<K, Record>, most: usize) -> Vec<K> {
    if records.len() <= most {
        return Vec::new();
    }
    let mut by_age: Vec<_> = records.iter().map(|(key, of)| (of.now > 0, of.seen, key)).collect();
    by_age.sort();
    by_age
        .into_iter()
        .take(records.len() - (most - most / 10))
        .map(|(.., key)| key.clone())
        .collect()
}
