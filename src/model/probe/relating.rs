//! How far two packagers are apart: in media time, in where they cut, in their numbers, and in when
//! they list the same content.

use std::time::Duration;

use super::watched::{Cut, Watched};
use crate::model::align::{Agreement, Method, Pair, Relation};
use crate::model::media::Ticks;
use crate::model::names::UnixMs;

/// Ticks in a millisecond.
const PER_MS: i64 = Ticks::SECOND / 1000;
/// Borders wander by less where the media's frame rate is not known.
const FRAME: Ticks = Ticks(Ticks::SECOND / 25);

/// What was measured of two packagers, as far as it is known. B less A everywhere: positive is more, or
/// later, on B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// In media time, how it was found and how sure that is.
    pub relation: Relation,
    /// Of the keyframes at the same moments, how many are the same.
    pub agreement: Agreement,
    /// Where B cuts.
    pub phase: Option<Phase>,
    /// How much later B lists the same content; unknown where arrival is all that relates them.
    pub lag: Option<Spread>,
    /// For how long both were seen to show the same.
    pub shared: Duration,
}

/// How far B's segment borders lie after those of A, in content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Milliseconds, and how far they wander.
    pub ms: Spread,
    /// It is the same at all borders, to the frame.
    pub constant: bool,
    /// How much higher the number of B's segment is.
    pub msn: i64,
    /// That is the same at all borders.
    pub msn_constant: bool,
}

/// A median, and how far values are from it at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The median.
    pub median: i64,
    /// The distance of those that are furthest.
    pub within: i64,
}

impl Spread {
    fn of(values: impl Iterator<Item = i64>) -> Option<Self> {
        let mut sorted: Vec<i64> = values.collect();
        sorted.sort_unstable();
        let median = *sorted.get(sorted.len() / 2)?;
        let far =
            |value: Option<&i64>| value.map_or(0, |v| v.saturating_sub(median).saturating_abs());
        Some(Self { median, within: far(sorted.first()).max(far(sorted.last())) })
    }
}

pub(super) fn measure(pair: &mut Pair, now: UnixMs, a: &Watched, b: &Watched) -> Option<Measured> {
    let mut relation = pair.relate(now, &a.run, &b.run)?;
    let looks = a.arrival_within.saturating_add(b.arrival_within);
    if relation.method == Method::Arrival {
        relation.within = relation.within.max(looks);
    }
    let offset = relation.offset;
    let agreement = a.run.agreement(&b.run, offset);
    let lag = if relation.method == Method::Arrival { None } else { lag(a, b, offset, looks) };
    let shared = shared(a, b, offset);
    Some(Measured { relation, agreement, phase: phase(a, b, offset), lag, shared })
}

pub(super) fn ms(ticks: i64) -> i64 {
    ticks.saturating_add(PER_MS / 2).div_euclid(PER_MS)
}

/// How far the content reaches that was seen of both.
fn shared(a: &Watched, b: &Watched, offset: Ticks) -> Duration {
    let reach = |w: &Watched, less: i64| {
        let (first, last) = (w.cuts.front()?, w.cuts.back()?);
        Some((first.begins.0.saturating_sub(less), last.ends.0.saturating_sub(less)))
    };
    let both = reach(a, 0).zip(reach(b, offset.0));
    let ticks = both.map_or(0, |(a, b)| a.1.min(b.1).saturating_sub(a.0.max(b.0)).max(0));
    Duration::from_millis(ms(ticks).unsigned_abs())
}

/// How long after its end each lists a segment, one less the other.
fn lag(a: &Watched, b: &Watched, offset: Ticks, looks: Duration) -> Option<Spread> {
    let delays = |w: &Watched, less: i64| {
        Spread::of(w.cuts.iter().filter_map(|cut| {
            let listed = i64::try_from(cut.arrival?.0).ok()?;
            Some(listed.saturating_sub(ms(cut.ends.0.saturating_sub(less))))
        }))
    };
    let (a, b) = (delays(a, 0)?, delays(b, offset.0)?);
    let looks = i64::try_from(looks.as_millis()).unwrap_or(i64::MAX);
    let within = a.within.saturating_add(b.within).max(looks);
    Some(Spread { median: b.median.saturating_sub(a.median), within })
}

/// Compares each border of B to the nearest of A. Which of two is the nearest is decided once, so that a
/// border in the middle does not count now as early and now as late.
fn phase(a: &Watched, b: &Watched, offset: Ticks) -> Option<Phase> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for theirs in &b.cuts {
        let at = theirs.begins.0.saturating_sub(offset.0);
        let holds = |ours: &&Cut| ours.begins.0 <= at && at < ours.ends.0;
        let Some(ours) = a.cuts.iter().find(holds) else { continue };
        let late = at.saturating_sub(ours.begins.0);
        let early = at.saturating_sub(ours.ends.0);
        let near = found.last().map_or(0, |(before, _)| *before);
        let is_late = late.saturating_sub(near).saturating_abs()
            <= early.saturating_sub(near).saturating_abs();
        let apart = |msn: u64| theirs.msn.cast_signed().saturating_sub(msn.cast_signed());
        found.push(if is_late {
            (late, apart(ours.msn))
        } else {
            (early, apart(ours.msn.saturating_add(1)))
        });
    }
    let frame = a.content.as_ref().and_then(|c| c.video.as_ref()).map(|v| v.frame);
    let frame = frame.filter(|f| f.0 > 0).unwrap_or(FRAME);
    let ticks = Spread::of(found.iter().map(|(ticks, _)| *ticks))?;
    let msn = Spread::of(found.iter().map(|(_, msn)| *msn))?;
    Some(Phase {
        ms: Spread { median: ms(ticks.median), within: ms(ticks.within) },
        constant: ticks.within <= frame.0,
        msn: found.last().map_or(msn.median, |(_, msn)| *msn),
        msn_constant: msn.within == 0,
    })
}
