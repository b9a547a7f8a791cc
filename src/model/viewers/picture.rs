//! What operators are shown of how many watch: in `/status.json`, on the page, in metrics.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::{Event, Group, Ledger, Peak};
use super::people;
use crate::model::names::{PackagerId, PoolName, StreamKey, UnixMs};

/// Streams that are shown at the most: those with most viewers, then those watched last.
const STREAMS_SHOWN: usize = 1000;
/// Past events that are shown.
const EVENTS_SHOWN: usize = 100;

/// How many, and the most there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Viewers now.
    pub now: u64,
    /// The most there were at one time, since the first start.
    pub peak: u64,
    /// When that was, Unix milliseconds; none where there never was any.
    pub peak_at: Option<UnixMs>,
}

/// How the viewers of a stream are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// By a viewer id in their token: exact.
    pub sessions: u64,
    /// By the session id that their player sends.
    pub cmcd: u64,
    /// From playlist requests.
    pub estimated: u64,
    /// What a CDN's log said last, where it was sent here; counts instead of the others where it is more.
    pub log: Option<u64>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolShown {
    /// Which.
    pub pool: PoolName,
    /// Its viewers.
    #[serde(flatten)]
    pub viewers: Shown,
    /// People: viewers times `people_per_stream`.
    pub people: u64,
    /// `limits.viewers`.
    pub limit: Option<u64>,
    /// Newcomers refused for it since the start of this process.
    pub refused: u64,
}

/// A packager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackagerShown {
    /// Which.
    pub packager: PackagerId,
    /// Viewers whose lane is on it.
    #[serde(flatten)]
    pub viewers: Shown,
    /// What it counts itself, in the unit of its kind; none where it does not say.
    pub reported: Option<u64>,
}

/// A zone: of packagers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneShown {
    /// Which.
    pub zone: String,
    /// Viewers whose lane is on a packager there.
    #[serde(flatten)]
    pub viewers: Shown,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamShown {
    /// Its pool.
    pub pool: PoolName,
    /// Its path and identity query.
    pub stream: String,
    /// Its viewers.
    #[serde(flatten)]
    pub viewers: Shown,
    /// People.
    pub people: u64,
    /// How they are known.
    pub sources: Sources,
    /// The event under way.
    pub event: Option<EventShown>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventShown {
    /// Its pool.
    pub pool: PoolName,
    /// Its stream.
    pub stream: String,
    /// The first viewer came, Unix milliseconds.
    pub began: UnixMs,
    /// The last was seen, Unix milliseconds.
    pub ended: UnixMs,
    /// The most there were.
    pub peak: u64,
    /// When, Unix milliseconds.
    pub peak_at: UnixMs,
    /// People at that time.
    pub people: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// All viewers of this proxy.
    #[serde(flatten)]
    pub viewers: Shown,
    /// People, each pool by its own `people_per_stream`.
    pub people: u64,
    /// By tenant.
    pub pools: Vec<PoolShown>,
    /// By packager.
    pub packagers: Vec<PackagerShown>,
    /// By zone.
    pub zones: Vec<ZoneShown>,
    /// By stream, those with most viewers first.
    pub streams: Vec<StreamShown>,
    /// Events that are over, the newest first.
    pub events: Vec<EventShown>,
    /// Newcomers refused for `limits.viewers` since the start of this process.
    pub refused: u64,
}

impl Shown {
    fn of((now, peak): (u64, Peak)) -> Self {
        let peak_at = (peak.viewers > 0).then_some(peak.at);
        Self { now, peak: peak.viewers, peak_at }
    }
}

impl PoolShown {
    /// One that nobody has watched yet.
    #[must_use]
    pub fn empty(pool: PoolName) -> Self {
        Self { pool, viewers: Shown::default(), people: 0, limit: None, refused: 0 }
    }
}

impl EventShown {
    fn of(event: &Event, hundredths: u32) -> Self {
        Self {
            pool: event.stream.pool.clone(),
            stream: event.stream.to_string(),
            began: event.began,
            ended: event.ended,
            peak: event.peak.viewers,
            peak_at: event.peak.at,
            people: people(event.peak.viewers, hundredths),
        }
    }
}

impl Picture {
    /// What the ledger holds. `sources`: how the viewers of each stream are known; `hundredths`:
    /// `people_per_stream` of a pool.
    #[must_use]
    pub fn of(
        ledger: &Ledger,
        sources: &BTreeMap<StreamKey, Sources>,
        hundredths: &dyn Fn(&PoolName) -> u32,
    ) -> Self {
        let mut picture = Self { viewers: Shown::of(ledger.group(&Group::All)), ..Self::default() };
        for group in ledger.groups() {
            let viewers = Shown::of(ledger.group(group));
            match group.clone() {
                Group::All => {}
                Group::Pool(pool) => {
                    let people = people(viewers.now, hundredths(&pool));
                    picture.people += people;
                    picture.pools.push(PoolShown {
                        pool,
                        viewers,
                        people,
                        limit: None,
                        refused: 0,
                    });
                }
                Group::Packager(packager) => {
                    picture.packagers.push(PackagerShown { packager, viewers, reported: None });
                }
                Group::Zone(zone) => picture.zones.push(ZoneShown { zone, viewers }),
            }
        }
        let last = |event: Option<&Event>, peak: Peak| event.map_or(peak.at, |event| event.ended);
        let mut streams: Vec<_> = ledger.streams().collect();
        streams.sort_by_key(|(key, now, peak, event)| {
            (std::cmp::Reverse((*now, last(*event, *peak))), *key)
        });
        for (key, now, peak, event) in streams.into_iter().take(STREAMS_SHOWN) {
            let hundredths = hundredths(&key.pool);
            picture.streams.push(StreamShown {
                pool: key.pool.clone(),
                stream: key.to_string(),
                viewers: Shown::of((now, peak)),
                people: people(now, hundredths),
                sources: sources.get(key).copied().unwrap_or_default(),
                event: event.map(|event| EventShown::of(event, hundredths)),
            });
        }
        let past = ledger.past().take(EVENTS_SHOWN);
        picture.events = past.map(|e| EventShown::of(e, hundredths(&e.stream.pool))).collect();
        picture
    }
}
