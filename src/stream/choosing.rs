//! Which packager a new viewer goes to: one whose stream moves, in the viewer's zone first. Viewers share
//! lanes; a few lanes, each on another packager, share the viewers.

use std::sync::Arc;
use std::time::Duration;

use super::Refusal;
use super::carry::Carried;
use super::source::Source;
use super::worker::Worker;
use crate::model::names::{PackagerId, UnixMs};
use crate::model::playlist::Extent;
use crate::packagers::Packager;

/// Siblings' target durations are waited for this long before a header is frozen.
pub(super) const SIBLINGS: Duration = Duration::from_millis(1500);

/// What to do with those who want to join.
pub(super) enum Choice {
    /// They join the open lane of this packager, or a new one.
    Open(PackagerId),
    Wait,
    Refuse(Refusal),
}

impl Worker {
    /// The packager that new viewers of `zone` go to.
    pub(super) fn choose(&self, now: UnixMs, waited: Duration, zone: &str) -> Choice {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else {
            return Choice::Refuse(Refusal::NoStream);
        };
        let order = pool.preference(zone, &|id| self.open_lane(id, zone).is_some());
        let mut pending = false;
        let mut whole = None;
        let mut late = None;
        for (p, rank) in &order {
            let Some(source) = self.sources.get(&p.id) else { continue };
            if self.is_no_choice(now, &p.id) {
                continue;
            }
            if !source.answered() {
                // A better one that has not answered yet is waited for, but not for ever.
                pending = true;
                // One that is cold takes its time: whoever moves is taken without it.
                if source.warming {
                    continue;
                }
                if waited < SIBLINGS {
                    return Choice::Wait;
                }
                continue;
            }
            if source.lists() && source.moves(now) {
                // One that a lane would leave now is taken only if no other is better.
                if !source.is_on_time(now) || source.gives_nothing() {
                    late.get_or_insert_with(|| p.id.clone());
                    continue;
                }
                // Of one that is taken out the last resort is made only where others are not just late.
                if self.drained(&p.id) {
                    if late.is_some() {
                        break;
                    }
                    if waited < SIBLINGS {
                        return Choice::Wait;
                    }
                }
                let equals: Vec<&Arc<Packager>> =
                    order.iter().filter(|(_, other)| other == rank).map(|(p, _)| p).collect();
                return Choice::Open(
                    self.share(now, &equals, zone).unwrap_or_else(|| p.id.clone()),
                );
            }
            if source.whole() {
                whole.get_or_insert_with(|| p.id.clone());
            }
        }
        if let Some(id) = late {
            return Choice::Open(id);
        }
        if pending {
            return Choice::Wait;
        }
        // Nobody moves: a recording, or a stream that has ended.
        if let Some(id) = whole {
            return Choice::Open(id);
        }
        if self.sources.is_empty() {
            return Choice::Wait;
        }
        if self.sources.values().all(Source::gone) {
            return Choice::Refuse(Refusal::NoStream);
        }
        if waited > SIBLINGS { Choice::Refuse(Refusal::NoPackager) } else { Choice::Wait }
    }

    /// Of packagers of one rank, best first: one that has no lane of the stream, while there may be more
    /// lanes; else the one whose lane has the fewest viewers for its weight.
    fn share(&self, now: UnixMs, equals: &[&Arc<Packager>], zone: &str) -> Option<PackagerId> {
        let moving = |p: &&&Arc<Packager>| {
            let moving =
                |s: &Source| s.answered() && s.lists() && s.is_on_time(now) && !s.gives_nothing();
            self.sources.get(&p.id).is_some_and(moving) && !self.is_no_choice(now, &p.id)
        };
        let (mut joined, mut others) = (Vec::new(), Vec::new());
        for p in equals.iter().filter(moving) {
            match self.open_lane(&p.id, zone) {
                Some(lane) => joined.push((p, lane.shared.joined())),
                None => others.push(p),
            }
        }
        let more = joined.len() < self.settings.lanes_among(equals.len());
        let new = others.first().filter(|_| more || joined.is_empty());
        let fewest = || {
            joined.iter().min_by(|(a, viewers), (b, others)| {
                let of = |viewers: u64, p: &Packager| {
                    u128::from(viewers + 1) * u128::from(p.weight.max(1))
                };
                of(*viewers, b).cmp(&of(*others, a))
            })
        };
        new.map(|p| p.id.clone()).or_else(|| fewest().map(|(p, _)| p.id.clone()))
    }

    /// The lane that new viewers of the zone could join on this packager. Not one whose URLs lead elsewhere, since
    /// before a reload.
    pub(super) fn open_lane(&self, id: &PackagerId, zone: &str) -> Option<&Carried> {
        let place = self.place(zone);
        self.lanes.values().find(|l| {
            let header = l.log.header();
            let whole = header.extent == Extent::Whole;
            l.opens_on.as_ref() == Some(id)
                && header.zone == zone
                && place.is_of(&header.multivariant)
                && l.log.tail().is_none_or(|t| t.packager == *id && t.end == whole)
                && !self.cut_short(header, id)
        })
    }

    /// New viewers wait, and a lane has to open for them.
    pub(super) fn needs_lane(&self) -> bool {
        let now = self.deps.clock.now();
        let opens = |zone: &str| match self.choose(now, SIBLINGS, zone) {
            Choice::Open(id) => self.open_lane(&id, zone).is_none(),
            Choice::Wait | Choice::Refuse(_) => true,
        };
        let reopens = !self.reopening.is_empty() && opens(&self.deps.zone);
        reopens || self.joining.iter().any(|j| opens(&j.zone))
    }
}
