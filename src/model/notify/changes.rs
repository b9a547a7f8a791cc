//! From what stands now to what has changed since the last look: packagers that went down or came up,
//! streams that started, ended, or have no standby left. Few messages: what an operator did himself is
//! none, and what lasts for a moment is none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Affected, Kind, News};
use crate::model::health::Health;
use crate::model::names::{LaneId, PackagerId, PoolName, UnixMs};

/// Without a standby, or with one again, for so long before it is told.
const STANDBY_AFTER: Duration = Duration::from_secs(5);
/// A stream that nobody has asked for over so long counts as ended: what became of it is not known.
const UNWATCHED_AFTER: Duration = Duration::from_secs(600);
/// Streams remembered at the most; of more, nothing is told.
const STREAMS_MAX: usize = 20_000;

/// What stands now.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// All packagers of all pools.
    pub packagers: Vec<PackagerShown>,
    /// All watched streams.
    pub streams: Vec<StreamShown>,
    /// Pools whose streams are carried without standbys, as they are configured.
    pub without_standbys: BTreeSet<PoolName>,
}

/// A packager.
#[derive(Clone, Debug)]
pub struct PackagerShown {
    /// Which.
    pub id: PackagerId,
    /// Its pool.
    pub pool: PoolName,
    /// What its checks say.
    pub health: Health,
    /// Why it is down; empty where it is not.
    pub cause: String,
    /// An operator has taken it out.
    pub drained: bool,
}

/// A watched stream.
#[derive(Clone, Debug)]
pub struct StreamShown {
    /// Its pool.
    pub pool: PoolName,
    /// Its path and identity query.
    pub stream: String,
    /// The packagers that are asked for it, and its state there: `moves`, or why it is of no use.
    pub packagers: Vec<(PackagerId, &'static str)>,
    /// Its lanes that list something.
    pub lanes: Vec<LaneShown>,
}

/// A lane that lists something.
#[derive(Clone, Debug)]
pub struct LaneShown {
    /// Which.
    pub lane: LaneId,
    /// The packager of its tail.
    pub packager: PackagerId,
    /// When it opened.
    pub opened_at: UnixMs,
    /// The stream is over.
    pub ended: bool,
}

/// What was seen and told so far.
#[derive(Debug)]
pub struct Changes {
    /// Lanes that opened before are no news: another process has told of them.
    since: UnixMs,
    /// Packagers told as down.
    down: BTreeSet<PackagerId>,
    streams: BTreeMap<(PoolName, String), Known>,
    /// Pools that have had more than one packager: of others nobody expects a standby.
    plural: BTreeSet<PoolName>,
}

/// A stream that was seen.
#[derive(Debug)]
struct Known {
    ended: bool,
    seen_at: UnixMs,
    /// It was told that it has no standby.
    alone: bool,
    /// Since when that is otherwise.
    differs_since: Option<UnixMs>,
}

impl Changes {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(since: UnixMs) -> Self {
        let (down, streams) = (BTreeSet::new(), BTreeMap::new());
        Self { since, down, streams, plural: BTreeSet::new() }
    }

    /// What has changed.
    pub fn look(&mut self, now: UnixMs, shown: &Shown) -> Vec<News> {
        let mut news = self.packagers(now, shown);
        for stream in &shown.streams {
            self.started_or_ended(now, stream, &mut news);
            self.standby(now, stream, shown, &mut news);
        }
        self.unwatched(now, &mut news);
        news
    }

    fn packagers(&mut self, now: UnixMs, shown: &Shown) -> Vec<News> {
        let mut news = Vec::new();
        self.down.retain(|id| shown.packagers.iter().any(|p| p.id == *id));
        for p in &shown.packagers {
            let of = |kind| News::of_packager(kind, now, p.pool.clone(), p.id.clone());
            if p.health == Health::Down && !p.drained && self.down.insert(p.id.clone()) {
                news.push(of(Kind::PackagerDown).since(p.cause.as_str()));
            }
            if p.health == Health::Up && self.down.remove(&p.id) {
                news.push(of(Kind::PackagerUp));
            }
            if shown.packagers.iter().any(|other| other.pool == p.pool && other.id != p.id) {
                self.plural.insert(p.pool.clone());
            }
        }
        news
    }

    fn started_or_ended(&mut self, now: UnixMs, stream: &StreamShown, news: &mut Vec<News>) {
        if stream.lanes.is_empty() {
            return;
        }
        let ended = stream.lanes.iter().all(|lane| lane.ended);
        let key = (stream.pool.clone(), stream.stream.clone());
        let affected = Affected { stream: stream.stream.clone(), lane: None, spliced: None };
        let of = |kind| News::of_one(kind, now, stream.pool.clone(), affected);
        if let Some(known) = self.streams.get_mut(&key) {
            known.seen_at = now;
            if std::mem::replace(&mut known.ended, ended) != ended {
                let kind = if ended { Kind::StreamEnded } else { Kind::StreamStarted };
                news.push(of(kind).since(if ended { "over" } else { "" }));
            }
        } else if self.streams.len() < STREAMS_MAX {
            // A recording has ended before anybody asked for it.
            let new = |lane: &LaneShown| !lane.ended && lane.opened_at >= self.since;
            if stream.lanes.iter().filter(|lane| !lane.ended).all(new) && !ended {
                news.push(of(Kind::StreamStarted));
            }
            let known = Known { ended, seen_at: now, alone: false, differs_since: None };
            self.streams.insert(key, known);
        }
    }

    fn standby(&mut self, now: UnixMs, stream: &StreamShown, shown: &Shown, news: &mut Vec<News>) {
        let lanes = || stream.lanes.iter().filter(|lane| !lane.ended);
        let plural = self.plural.contains(&stream.pool);
        let key = (stream.pool.clone(), stream.stream.clone());
        let Some(known) = self.streams.get_mut(&key).filter(|known| !known.ended) else { return };
        if lanes().next().is_none() || shown.without_standbys.contains(&stream.pool) {
            return;
        }
        let lonely = lanes().find(|lane| !has_standby(&lane.packager, stream, shown));
        let meant = |lane: &&LaneShown| !plural || taken_out(&lane.packager, stream, shown);
        let lonely = lonely.filter(|lane| !meant(lane));
        if lonely.is_some() == known.alone {
            known.differs_since = None;
            return;
        }
        let since = *known.differs_since.get_or_insert(now);
        if now.since(since) < STANDBY_AFTER {
            return;
        }
        known.alone = lonely.is_some();
        known.differs_since = None;
        let lane = lonely.or_else(|| lanes().next());
        let kind = if known.alone { Kind::NoStandby } else { Kind::StandbyBack };
        let affected = Affected {
            stream: stream.stream.clone(),
            lane: lane.map(|lane| lane.lane.clone()),
            spliced: None,
        };
        let cause = lonely.map(|lane| why(&lane.packager, stream, shown)).unwrap_or_default();
        let told = News::of_one(kind, now, stream.pool.clone(), affected).since(cause);
        news.push(News { packager: lane.map(|lane| lane.packager.clone()), ..told });
    }

    fn unwatched(&mut self, now: UnixMs, news: &mut Vec<News>) {
        self.streams.retain(|(pool, stream), known| {
            let stays = now.since(known.seen_at) < UNWATCHED_AFTER;
            if !stays && !known.ended {
                let affected = Affected { stream: stream.clone(), lane: None, spliced: None };
                let ended = News::of_one(Kind::StreamEnded, now, pool.clone(), affected);
                news.push(ended.since("unwatched"));
            }
            stays
        });
    }
}

/// A sibling carries the stream as well, and its checks do not fail.
fn has_standby(own: &PackagerId, stream: &StreamShown, shown: &Shown) -> bool {
    let down =
        |id: &PackagerId| shown.packagers.iter().any(|p| p.id == *id && p.health == Health::Down);
    stream.packagers.iter().any(|(id, state)| id != own && *state == "moves" && !down(id))
}

/// An operator has taken all siblings out.
fn taken_out(own: &PackagerId, stream: &StreamShown, shown: &Shown) -> bool {
    let mut siblings =
        shown.packagers.iter().filter(|p| p.pool == stream.pool && p.id != *own).peekable();
    siblings.peek().is_some() && siblings.all(|p| p.drained)
}

/// What is wrong with the siblings: `b is down, c failed`.
fn why(own: &PackagerId, stream: &StreamShown, shown: &Shown) -> String {
    let siblings = shown.packagers.iter().filter(|p| p.pool == stream.pool && p.id != *own);
    let state = |p: &PackagerShown| {
        let here = stream.packagers.iter().find(|(id, _)| *id == p.id).map(|(_, state)| *state);
        match (p.health, p.drained, here) {
            (_, true, _) => format!("{} is drained", p.id),
            (Health::Down, ..) => format!("{} is down", p.id),
            (.., Some(state)) => format!("{} {state}", p.id),
            _ => format!("{} is not asked", p.id),
        }
    };
    let all: Vec<String> = siblings.take(8).map(state).collect();
    if all.is_empty() { "no other packager is left".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests;
