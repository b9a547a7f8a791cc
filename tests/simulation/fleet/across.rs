//! Holds what the proxies of a fleet show to the laws that bind them together: the same number is the
//! same segment everywhere, edges are near each other, steps are held twice, and a failover is one
//! splice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use segue::model::lane::{SpliceReason, Step};
use segue::model::names::{ContentHash, LaneId, RenditionId};
use segue::stream::Lane;

use super::net::Net;
use crate::judge::{Item, read};
use crate::world::Truth;

/// From one proxy to another: the store's answer and its news, a fetch, and what is done again.
const LATENCY: u64 = 700;
/// Beside a fault an answer may be slow just when a segment is late: one splice for nothing is forgiven then.
const SLOW: usize = 1;
/// Nothing is wrong any more once nothing has been wrong for so long.
const CALM: u64 = 5_000;
/// Proxies that were apart have told so by then.
const TOLD: u64 = 8_000;
/// Steps that a crash could lose are remembered so long.
const REMEMBERED: u64 = 20_000;

/// A proxy, a lane, a rendition.
pub type Place = (usize, String, String);

/// What viewers ask for at a proxy.
pub struct Seat {
    lane: Arc<Lane>,
    life: u64,
    /// When they last did, and since when they do.
    asked: u64,
    since: u64,
    /// One after the last number, and when it last grew.
    edge: u64,
    grew: u64,
    /// Target duration, milliseconds.
    target: u64,
    ended: bool,
}

struct Split {
    proxy: usize,
    lane: String,
    from: u64,
    /// What it had printed by then.
    to: u64,
}

/// Two proxies showed other segments under one number: one of them has to say so.
struct Doubt {
    at: u64,
    proxies: (usize, usize),
    lane: String,
    msn: u64,
    what: String,
}

struct Copy {
    at: u64,
    proxy: usize,
    lane: String,
    msn: u64,
    hashes: Vec<ContentHash>,
    judged: bool,
}

#[derive(Default)]
pub struct Across {
    shown: BTreeMap<(String, String, u64), BTreeMap<usize, (Item, Truth)>>,
    splits: Vec<Split>,
    doubts: Vec<Doubt>,
    seats: BTreeMap<Place, Seat>,
    /// When a good proxy first listed up to a number.
    first: BTreeMap<(String, String), BTreeMap<u64, u64>>,
    logged: BTreeSet<(String, u64)>,
    copies: Vec<Copy>,
    /// How often a lane may be spliced until the next fault, and how often it was.
    pub splices_allowed: usize,
    spliced: BTreeMap<String, usize>,
    /// Something was wrong with the store once.
    pub may_split: bool,
    pub counts: Counts,
}

/// What happened over a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub splits: u64,
    pub splices: u64,
    pub steps: u64,
    pub new_viewers: u64,
    pub refused: u64,
    pub recalled: u64,
    pub edges: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.splits += more.splits;
        self.splices += more.splices;
        self.steps += more.steps;
        self.new_viewers += more.new_viewers;
        self.refused += more.refused;
        self.recalled += more.recalled;
        self.edges += more.edges;
    }
}

impl Split {
    fn excuses(&self, doubt: &Doubt) -> bool {
        let (one, other) = doubt.proxies;
        self.lane == doubt.lane
            && (self.proxy == one || self.proxy == other)
            && (self.from..=self.to).contains(&doubt.msn)
    }
}

impl Across {
    /// Another fault: a lane may be spliced so many times for it.
    pub fn fault(&mut self, splices: usize) {
        self.splices_allowed = splices + SLOW;
        self.spliced.clear();
    }

    pub fn is_split(&self, proxy: usize, lane: &str) -> bool {
        self.splits.iter().any(|s| s.lane == lane && s.proxy == proxy)
    }

    /// Somebody has asked for it for a while, at any proxy.
    fn is_watched(&self, now: u64, lane: &str) -> bool {
        let asks = |s: &Seat| s.asked + s.target * 4 >= now && s.since + CALM < now;
        self.seats.iter().any(|((_, l, _), seat)| l == lane && asks(seat))
    }

    fn edge(&self, proxy: usize, lane: &str) -> u64 {
        let seats = self.seats.iter().filter(|((p, l, _), _)| *p == proxy && l == lane);
        seats.map(|(_, s)| s.edge).max().unwrap_or_default().saturating_sub(1)
    }

    /// A viewer saw this at a proxy for the first time.
    pub fn shows(
        &mut self,
        now: u64,
        (proxy, lane, rendition): &Place,
        item: &Item,
        truth: &Truth,
    ) {
        let key = (lane.clone(), rendition.clone(), item.msn);
        if self.shown.get(&key).is_some_and(|by| by.contains_key(proxy)) {
            return;
        }
        let by = self.shown.entry(key).or_default();
        let mut doubts = Vec::new();
        for (other, (i, t)) in by.iter() {
            let apart = self
                .splits
                .iter()
                .any(|s| s.lane == *lane && (s.proxy == *proxy || s.proxy == *other));
            let bare = |item: &Item| {
                let lines = item.lines.iter().filter(|l| *l != "#EXT-X-DISCONTINUITY");
                (item.uri.clone(), lines.cloned().collect::<Vec<_>>())
            };
            let alike = if apart { bare(i) == bare(item) } else { i == item };
            if !alike || (!item.gap && t != truth) {
                let what = format!("{rendition}: {i:?} {t:?} at p{other}, {item:?} {truth:?}");
                let (proxies, lane) = ((*other, *proxy), lane.clone());
                doubts.push(Doubt { at: now, proxies, lane, msn: item.msn, what });
            }
        }
        by.insert(*proxy, (item.clone(), truth.clone()));
        self.doubts.extend(doubts);
    }

    pub fn asks(&mut self, now: u64, place: &Place, lane: &Arc<Lane>, life: u64) {
        let target = u64::from(lane.header().target_duration) * 1000;
        let new = || Seat {
            lane: lane.clone(),
            life,
            asked: now,
            since: now,
            edge: 0,
            grew: now,
            target,
            ended: false,
        };
        let seat = self.seats.entry(place.clone()).or_insert_with(new);
        if seat.life != life || seat.asked + target * 5 < now {
            *seat = new();
        }
        seat.asked = now;
        seat.lane = lane.clone();
    }
}

impl Net {
    /// The store took these steps of a proxy.
    pub fn appended(&self, proxy: usize, lane: &LaneId, steps: &[Step]) {
        let now = self.sim.now();
        let lane = lane.to_string();
        for step in steps {
            let mut across = self.across.lock();
            if !across.logged.insert((lane.clone(), step.msn.0)) {
                continue;
            }
            across.counts.steps += 1;
            let lists = (0..step.shares.len()).filter(|r| step.carries(*r)).collect::<Vec<_>>();
            let msn = step.msn;
            self.sim.note(&format!("store: {lane} {msn} by p{proxy}, of {lists:?}"));
            let hashes = step.held().map(|h| h.hash).collect();
            let msn = step.msn.0;
            across.copies.push(Copy {
                at: now,
                proxy,
                lane: lane.clone(),
                msn,
                hashes,
                judged: false,
            });
            let Some(splice) = &step.splice else { continue };
            across.counts.splices += 1;
            // Nobody had watched it for long, and it came back at another place.
            if splice.reason == SpliceReason::Resumed && !across.is_watched(now, &lane) {
                continue;
            }
            let spliced = across.spliced.entry(lane.clone()).or_default();
            *spliced += 1;
            let (spliced, allowed) = (*spliced, across.splices_allowed);
            drop(across);
            if spliced > allowed {
                self.broken(&format!("{lane} was spliced {spliced} times, allowed {allowed}"));
            }
        }
    }

    /// A proxy told that its log is another than the store's.
    pub fn split(&self, proxy: usize, lane: &LaneId, from: u64) {
        let mut across = self.across.lock();
        let lane = lane.to_string();
        let to = across.edge(proxy, &lane);
        across.counts.splits += 1;
        across.splits.push(Split { proxy, lane, from, to });
        let may = across.may_split;
        drop(across);
        if !may {
            self.broken("a split, and nothing was wrong with the store");
        }
    }

    /// Looks at what every proxy shows now.
    pub fn look(&self) {
        let now = self.sim.now();
        let fleet_fed = self.fleet_fed_since();
        let mut across = self.across.lock();
        let mut laws = Vec::new();
        let Across { seats, first, .. } = &mut *across;
        // A proxy that reaches no packager follows those that carry the lane as well.
        let asked = |s: &Seat| s.asked + s.target * 4 >= now;
        let carried: BTreeSet<(usize, String)> =
            seats.iter().filter(|(_, s)| asked(s)).map(|((p, l, _), _)| (*p, l.clone())).collect();
        for ((proxy, lane, rendition), seat) in seats.iter_mut() {
            let node = &self.nodes[*proxy];
            let Some(running) = node.running().filter(|r| r.life.number == seat.life) else {
                (seat.since, seat.grew) = (now, now);
                continue;
            };
            drop(running);
            if seat.asked + seat.target * 4 < now {
                (seat.since, seat.grew) = (now, now);
                continue;
            }
            let printed = seat.lane.printed(&RenditionId::new(rendition.as_str()));
            let list = printed.and_then(|p| read(std::str::from_utf8(&p.body).ok()?));
            let Some(list) = list else { continue };
            let first = first.entry((lane.clone(), rendition.clone())).or_default();
            let edge = list.first + list.segments.len() as u64;
            seat.ended |= list.ended;
            if edge > seat.edge {
                seat.grew = now;
                if self.good_for(*proxy, CALM) {
                    for n in seat.edge.max(edge.saturating_sub(8))..edge {
                        first.entry(n + 1).or_insert(now);
                    }
                }
                seat.edge = edge;
            }
            let calm = self.good_for(*proxy, CALM) && seat.since + CALM < now;
            let ahead = first.range(seat.edge + 1..).next().map(|(_, at)| *at);
            if let Some(at) = ahead.filter(|at| calm && at + seat.target / 2 + LATENCY < now) {
                laws.push(format!(
                    "2: p{proxy} lists {lane} {rendition} to {edge}, another went on {} ms ago",
                    now - at
                ));
            }
            let other = |(p, l): &(usize, String)| {
                p != proxy && l == lane && self.good_for(*p, CALM) && self.fed_since(*p).is_some()
            };
            let follows = self.good_for(*proxy, CALM) && carried.iter().any(other);
            let fed = if follows { fleet_fed } else { self.fed_since(*proxy) };
            let from = fed.map(|fed| (fed + seat.target * 2).max(seat.grew));
            let patience = seat.target * 2 + LATENCY;
            if from.is_some_and(|from| from + patience < now) && !seat.ended {
                laws.push(format!(
                    "6: {lane} {rendition} stands still at p{proxy} for {} ms",
                    now - seat.grew
                ));
            }
        }
        laws.extend(self.doubtful(&mut across, now));
        laws.extend(self.uncopied(&mut across, now));
        drop(across);
        for law in laws {
            self.broken(&law);
        }
    }

    /// Law 1 among proxies: where they differ one has told so before long.
    fn doubtful(&self, across: &mut Across, now: u64) -> Vec<String> {
        let Across { doubts, splits, .. } = across;
        doubts.retain(|doubt| !splits.iter().any(|split| split.excuses(doubt)));
        let late = |d: &&Doubt| {
            let (one, other) = d.proxies;
            d.at + TOLD < now && self.good_for(one, TOLD) && self.good_for(other, TOLD)
        };
        let late = doubts.iter().filter(late);
        late.map(|d| format!("1: {} of {} is two segments, {}", d.msn, d.lane, d.what)).collect()
    }

    /// A second proxy holds a step within one target duration, where two carry the lane.
    fn uncopied(&self, across: &mut Across, now: u64) -> Vec<String> {
        let mut laws = Vec::new();
        let Across { copies, seats, .. } = across;
        copies.retain(|copy| copy.at + REMEMBERED > now);
        for copy in copies.iter_mut().filter(|copy| !copy.judged) {
            let of_lane = || seats.iter().filter(|((_, l, _), _)| *l == copy.lane);
            let Some(target) = of_lane().map(|(_, s)| s.target).next() else { continue };
            if copy.at + target + LATENCY > now {
                continue;
            }
            copy.judged = true;
            let calm = now - copy.at + CALM;
            let carries = |p: usize| {
                let asked = |s: &Seat| s.asked + target * 3 > now && s.since + calm < now;
                self.good_for(p, calm) && of_lane().any(|((q, _, _), s)| *q == p && asked(s))
            };
            let many = (0..self.nodes.len()).filter(|p| carries(*p)).count() > 1;
            if many && self.held_by(&copy.hashes) < 2 {
                let Copy { lane, msn, proxy, .. } = copy;
                laws.push(format!("{msn} of {lane} is held by p{proxy} alone for too long"));
            }
        }
        laws
    }

    /// Every lane's newest step is held by two proxies that run, where one of them is lost.
    pub fn is_safe_without(&self, proxy: usize) -> bool {
        let across = self.across.lock();
        let others = self.nodes.iter().enumerate().filter(|(p, _)| *p != proxy);
        let others: Vec<_> = others.filter_map(|(_, n)| n.running()).collect();
        let newest = across.copies.iter();
        let held =
            |c: &Copy| others.iter().any(|r| c.hashes.iter().all(|hash| r.segments.has(*hash)));
        newest.filter(|c| c.proxy == proxy).all(held)
    }
}
