//! What operators see of a stream: per packager its state, per lane its log and last decisions.

use std::sync::Arc;

use serde::Serialize;

use super::carry::Carried;
use super::worker::Worker;
use crate::model::lane::{Log, Splice, SpliceMethod, Step};
use crate::model::media::Ticks;
use crate::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};

/// A watched stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamStatus {
    /// Its path and identity query.
    pub stream: String,
    /// Its pool.
    pub pool: String,
    /// The packagers that are asked for it.
    pub packagers: Vec<PackagerStatus>,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
    /// When this was written, Unix milliseconds.
    pub at: UnixMs,
}

/// The stream on one packager.
#[derive(Clone, Debug, Serialize)]
pub struct PackagerStatus {
    /// Which.
    pub packager: PackagerId,
    /// `moves`, or why it is of no use.
    pub state: &'static str,
    /// The newest number it lists.
    pub newest: Option<u64>,
    /// How long ago it listed something new, milliseconds.
    pub playlist_age_ms: Option<u64>,
    /// Its runs since the stream is watched.
    pub runs: u32,
    /// Refreshes that failed in a row.
    pub failures: u32,
    /// Between which moments its next segment is due, by arrival (Unix milliseconds).
    pub next_due: Option<(UnixMs, UnixMs)>,
}

/// A lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneStatus {
    /// Its id.
    pub lane: LaneId,
    /// The packager of its tail.
    pub packager: Option<PackagerId>,
    /// The newest number listed.
    pub edge: Option<OutputMsn>,
    /// EXT-X-TARGETDURATION, seconds.
    pub target_duration: u32,
    /// When it opened, Unix milliseconds.
    pub opened_at: UnixMs,
    /// The stream is over.
    pub ended: bool,
    /// The newest steps, oldest first.
    pub steps: Vec<StepStatus>,
    /// The splices among them.
    pub splices: Vec<SpliceStatus>,
    /// How the runs of other packagers relate to its own: what a splice would be placed by now.
    pub relations: Vec<RelationStatus>,
    /// The last decisions, newest last.
    pub decisions: Vec<Decided>,
}

/// How a packager's run relates to the one that a lane is on.
#[derive(Clone, Debug, Serialize)]
pub struct RelationStatus {
    /// Which.
    pub packager: PackagerId,
    /// How that was found: `keyframe`, `pts`, `program_date_time` or `arrival`.
    pub method: &'static str,
    /// What the lane's run shows at `t` is shown there at `t` plus this, milliseconds of media time.
    pub offset_ms: i64,
    /// By how much that may be off, either way, milliseconds.
    pub within_ms: u64,
    /// By how many parts in a million its clock runs fast; none before that is known.
    pub drift_ppm: Option<i64>,
}

/// A decision and what it was made from.
#[derive(Clone, Debug, Serialize)]
pub struct Decided {
    /// When, Unix milliseconds.
    pub at: UnixMs,
    /// What.
    pub decision: String,
    /// How long the tail had been listed, milliseconds.
    pub tail_age_ms: Option<u64>,
    /// What each packager showed.
    pub inputs: Vec<PackagerStatus>,
}

/// A step.
#[derive(Clone, Debug, Serialize)]
pub struct StepStatus {
    /// Its number.
    pub msn: OutputMsn,
    /// Whose it is.
    pub packager: PackagerId,
    /// Its number there.
    pub source: Option<u64>,
    /// Its length, milliseconds.
    pub duration_ms: u64,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// How the lane came to another run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splice: Option<Splice>,
    /// When it was listed, Unix milliseconds.
    pub listed_at: UnixMs,
}

/// A splice and where it is.
#[derive(Clone, Debug, Serialize)]
pub struct SpliceStatus {
    /// The number of the first step after it.
    pub msn: OutputMsn,
    /// The packager that was come to.
    pub to: PackagerId,
    /// Where in its segments: `keyframe`, `border`, `border, since it is encrypted`.
    pub at: &'static str,
    /// The rest.
    #[serde(flatten)]
    pub splice: Splice,
}

impl Worker {
    /// The stream on each packager now.
    pub(super) fn packager_status(&self, now: UnixMs) -> Vec<PackagerStatus> {
        let status = self.sources.values().map(|s| {
            let track = s.shown.values().next().map(|s| &s.track);
            let progressed = track.and_then(crate::model::lane::Track::progressed_at);
            PackagerStatus {
                packager: s.id.clone(),
                state: match s.told {
                    _ if s.warming => "warming",
                    _ if !s.answered() => "unknown",
                    told => told.map_or("moves", |r| r.as_str()),
                },
                newest: track.and_then(|t| Some(t.newest()?.msn().0)),
                playlist_age_ms: progressed
                    .map(|p| u64::try_from(now.since(p).as_millis()).unwrap_or(u64::MAX)),
                runs: track.map_or(0, crate::model::lane::Track::run),
                failures: track
                    .and_then(crate::model::lane::Track::failing)
                    .or(s.failing)
                    .map_or(0, |f| f.count),
                next_due: track.and_then(crate::model::lane::Track::next_due),
            }
        });
        status.collect()
    }

    fn relations<'a>(&'a self, lane: &'a Carried) -> impl Iterator<Item = RelationStatus> + 'a {
        let own = lane.log.tail().map(|tail| &tail.packager);
        let others = self.sources.keys().filter(move |id| Some(*id) != own);
        others.filter_map(|id| {
            let relation = lane.relations.to(id)?;
            Some(RelationStatus {
                packager: id.clone(),
                method: SpliceMethod::from(relation.method).as_str(),
                offset_ms: Ticks::ms(relation.offset.0),
                within_ms: u64::try_from(relation.within.as_millis()).unwrap_or(u64::MAX),
                drift_ppm: relation.drift_ppm,
            })
        })
    }

    /// Leaves the state of the stream where `/status.json` and metrics find it.
    pub(super) fn publish_status(&self) {
        let now = self.deps.clock.now();
        let packagers = self.packager_status(now);
        let lanes = self.lanes.values().map(|l| LaneStatus {
            lane: l.log.header().lane.clone(),
            packager: l.log.tail().map(|t| t.packager.clone()),
            edge: l.log.tail().map(|t| t.msn),
            target_duration: l.log.header().target_duration,
            opened_at: l.log.header().opened_at,
            ended: l.log.tail().is_some_and(|t| t.end),
            steps: newest(&l.log).filter(|s| !s.end).map(step).collect(),
            splices: newest(&l.log).filter_map(splice).collect(),
            relations: self.relations(l).collect(),
            decisions: l.decisions.clone(),
        });
        self.slot.status.store(Some(Arc::new(StreamStatus {
            stream: self.key.to_string(),
            pool: self.key.pool.to_string(),
            packagers,
            lanes: lanes.collect(),
            at: now,
        })));
    }
}

/// A window of hours has more steps than anybody reads.
fn newest(log: &Log) -> impl Iterator<Item = &Step> {
    const SHOWN: usize = 256;
    log.steps().skip(log.steps().len().saturating_sub(SHOWN))
}

fn step(s: &Step) -> StepStatus {
    StepStatus {
        msn: s.msn,
        packager: s.packager.clone(),
        source: s
            .shares
            .iter()
            .find_map(|of| of.entries.first().filter(|e| e.listed()))
            .map(|e| e.source.msn.0),
        duration_ms: u64::try_from(s.duration().as_millis()).unwrap_or(u64::MAX),
        discontinuity: s.discontinuity,
        splice: s.splice.clone(),
        listed_at: s.listed_at,
    }
}

fn splice(s: &Step) -> Option<SpliceStatus> {
    let (to, at) = (s.packager.clone(), s.place().as_str());
    Some(SpliceStatus { msn: s.msn, to, at, splice: s.splice.clone()? })
}
