//! The one decision: given the log, what each packager shows and the time, the next step.
//!
//! `next` is pure, so every proxy that sees the same decides the same, and the store lets only one
//! of those that see otherwise win.

use std::time::Duration;

use super::splice::{Offer, Place, place, same_moment, waited};
use super::{
    Entry, FORMAT, Init, Log, Resource, Seen, Source, Splice, SpliceMethod, SpliceReason, Step,
    Track,
};
use crate::model::names::{PackagerId, PackagerMsn, UnixMs};

/// A packager that fails this many refreshes in a row has failed.
const FAILING: u32 = 2;

/// All that the decision looks at.
pub struct Situation<'a> {
    /// Now.
    pub now: UnixMs,
    /// The log so far.
    pub log: &'a Log,
    /// Per rendition of the header: its bytes are to be held before a step is appended.
    pub wanted: &'a [bool],
    /// The packagers whose playlists are refreshed, in the order of preference.
    pub candidates: &'a [Candidate<'a>],
    /// A stream that every packager calls gone or ended for this long is over.
    pub end_after: Duration,
}

/// A packager as this lane may use it.
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a PackagerId,
    /// Why the lane must not use it; none where it may.
    pub barred: Option<SpliceReason>,
    /// Since when it has said that there is no such stream, or that it has ended.
    pub over_since: Option<UnixMs>,
    /// Its tracks, matched to the header's renditions.
    pub tracks: Vec<Option<&'a Track>>,
}

/// Bytes that the next step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// From whom.
    pub packager: PackagerId,
    /// Of which rendition (place in the header).
    pub rendition: usize,
    /// The run that lists it.
    pub run: u32,
    /// What.
    pub what: What,
}

/// A segment or an init segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A segment, by number.
    Segment(PackagerMsn, Resource),
    /// An init segment.
    Init(Resource),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Append this step to the tail it was computed from.
    Append(Box<Step>),
    /// Nothing yet.
    Wait,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do with the log.
    pub action: Action,
    /// Bytes to fetch, most urgent first.
    pub wants: Vec<Want>,
    /// When to look again, if nothing happens before.
    pub wake: UnixMs,
    /// In a word, for whoever looks at the lane.
    pub why: &'static str,
}

/// Decides the next step of a lane.
#[must_use]
pub fn next(s: &Situation) -> Decision {
    match s.log.tail() {
        None => opening(s),
        Some(tail) if tail.end => wait(s, "ended", Vec::new()),
        Some(tail) => going_on(s, tail),
    }
}

/// The last three target durations of the first packager that can give them.
fn opening(s: &Situation) -> Decision {
    let mut wants = Vec::new();
    for c in s.candidates.iter().filter(|c| c.barred.is_none()) {
        let Some((r, track)) = reference(s, c) else { continue };
        let Some(start) = opening_start(s, track) else { continue };
        let missing: Vec<Want> = (start..track.segments().len())
            .flat_map(|at| readiness(s, c, &moment(s, c, r, at)).wants)
            .collect();
        if missing.is_empty() {
            let discontinuity = s.log.header().reopened();
            let splice = discontinuity.then(|| Splice {
                from: c.id.clone(),
                reason: SpliceReason::Resumed,
                method: SpliceMethod::Newest,
                gap_ms: 0,
            });
            return append(s, c, r, &moment(s, c, r, start), discontinuity, splice);
        }
        wants = missing;
        break;
    }
    wait(s, "opening", wants)
}

/// The place in the reference track where a new lane begins: three target durations back, and
/// after anything that cannot be had.
fn opening_start(s: &Situation, track: &Track) -> Option<usize> {
    let enough = s.log.header().target() * 3;
    let mut content = Duration::ZERO;
    let mut start = None;
    for at in (track.listed_from()..track.segments().len()).rev() {
        let seen = track.segments().get(at)?;
        if seen.lost() || content >= enough {
            break;
        }
        content += seen.duration();
        start = Some(at);
    }
    start
}

fn going_on(s: &Situation, tail: &Step) -> Decision {
    let Some(c) = s.candidates.iter().find(|c| *c.id == tail.packager) else {
        return leave(s, tail, SpliceReason::Drained, Vec::new());
    };
    match standing(s, c, tail) {
        Standing::Unseen => overdue(s, tail, failure(c).unwrap_or(SpliceReason::Failed), Vec::new()),
        Standing::Prove(wants) => overdue(s, tail, SpliceReason::Failed, wants),
        Standing::Left(reason) => leave(s, tail, reason, Vec::new()),
        Standing::At(r, at) => follow(s, tail, c, r, at),
    }
}

/// The tail is in its packager's run: the segment after it is the direct successor.
fn follow(s: &Situation, tail: &Step, c: &Candidate, r: usize, at: usize) -> Decision {
    if c.barred == Some(SpliceReason::Drained)
        && let Some(d) = try_splice(s, tail, SpliceReason::Drained, &mut Vec::new())
    {
        return d;
    }
    let Some(track) = track_of(c, r) else { return wait(s, "no track", Vec::new()) };
    if at + 1 < track.segments().len() {
        let successor = successors(s, c, tail, r, at + 1);
        let ready = readiness(s, c, &successor);
        if ready.lost {
            return leave(s, tail, SpliceReason::SegmentLost, Vec::new());
        }
        if ready.wants.is_empty() && !ready.lagging {
            let marked = successor.iter().zip(&c.tracks).any(|(at, t)| {
                at.and_then(|a| t.as_ref()?.segments().get(a))
                    .is_some_and(|seen| seen.listed.segment.discontinuity)
            });
            return append(s, c, r, &successor, marked, None);
        }
        return overdue(s, tail, SpliceReason::SegmentLost, ready.wants);
    }
    if let Some(reason) = failure(c) {
        return leave(s, tail, reason, Vec::new());
    }
    overdue(s, tail, SpliceReason::Stalled, Vec::new())
}

/// The packager is still the lane's, and it is late. From one target duration on a sibling's next
/// segment is fetched side by side; a quarter more and the lane leaves (design.md, law 6: the
/// next segment comes within 1.5 target durations).
fn overdue(s: &Situation, tail: &Step, reason: SpliceReason, mut wants: Vec<Want>) -> Decision {
    let waited = waited(tail, s.now);
    if waited >= leave_after(s) {
        return leave(s, tail, reason, wants);
    }
    if waited >= prefetch_after(s) {
        // Only to have the bytes ready: the splice itself waits for its moment.
        let mut ahead = Vec::new();
        let _ = try_splice(s, tail, reason, &mut ahead);
        wants.extend(ahead);
    }
    wait(s, "waiting for the packager", wants)
}

fn leave(s: &Situation, tail: &Step, reason: SpliceReason, mut wants: Vec<Want>) -> Decision {
    if let Some(d) = try_splice(s, tail, reason, &mut wants) {
        return d;
    }
    if let Some(d) = over(s, tail) {
        return d;
    }
    wait(s, "no packager carries on", wants)
}

/// A splice that can be appended now. Else what it waits for is added to `wants`.
fn try_splice(
    s: &Situation,
    tail: &Step,
    reason: SpliceReason,
    wants: &mut Vec<Want>,
) -> Option<Decision> {
    let last_chance = waited(tail, s.now) >= leave_after(s);
    let mut offers: Vec<(&Candidate, usize, Place)> = s
        .candidates
        .iter()
        .filter(|c| c.barred.is_none() && (*c.id != tail.packager || reason != SpliceReason::Drained))
        .filter_map(|c| {
            let (r, track) = reference(s, c)?;
            let place = offered(s, tail, c, track, last_chance)?;
            Some((c, r, place))
        })
        .collect();
    // The one that loses least; where they are alike to half a second, the order of preference.
    offers.sort_by_key(|(c, _, p)| (p.gap_ms.unsigned_abs() / 500, *c.id == tail.packager));
    for (c, r, p) in offers {
        let entries = moment(s, c, r, p.at);
        let ready = readiness(s, c, &entries);
        if ready.lost || ready.lagging {
            continue;
        }
        if ready.wants.is_empty() {
            let splice = Splice {
                from: tail.packager.clone(),
                reason,
                method: p.method,
                gap_ms: p.gap_ms,
            };
            return Some(append(s, c, r, &entries, true, Some(splice)));
        }
        wants.extend(ready.wants);
        return None;
    }
    None
}

/// What candidate `c` offers after `tail`. Its own run, where the tail's segment is lost, offers
/// what comes after that.
fn offered(
    s: &Situation,
    tail: &Step,
    c: &Candidate,
    track: &Track,
    last_chance: bool,
) -> Option<Place> {
    if *c.id == tail.packager
        && let Standing::At(r, at) = standing(s, c, tail)
    {
        return after_lost(c, r, at, last_chance);
    }
    if track.failing().is_some_and(|f| f.count >= FAILING) {
        return None;
    }
    match place(tail, track, last_chance) {
        Offer::Here(p) if p.method == SpliceMethod::Newest && !moves(s, track) => None,
        Offer::Here(p) => Some(p),
        Offer::NotYet | Offer::Nothing => None,
    }
}

/// No sibling carries on, and a segment of the lane's own run cannot be had: the one after it.
fn after_lost(c: &Candidate, r: usize, at: usize, last_chance: bool) -> Option<Place> {
    let track = track_of(c, r)?;
    let lost: Vec<&Seen> =
        track.segments().iter().skip(at + 1).take_while(|seen| seen.lost()).collect();
    let to = at + 1 + lost.len();
    let gap: Duration = lost.iter().map(|seen| seen.duration()).sum();
    let possible = last_chance && !lost.is_empty() && to < track.segments().len();
    possible.then(|| Place {
        at: to,
        gap_ms: i64::try_from(gap.as_millis()).unwrap_or(i64::MAX),
        method: SpliceMethod::Arrival,
    })
}

/// Every packager that may be used says that the stream is gone or ended, and has for long enough.
fn over(s: &Situation, tail: &Step) -> Option<Decision> {
    let mut usable = s.candidates.iter().filter(|c| c.barred.is_none()).peekable();
    usable.peek()?;
    let all =
        usable.all(|c| c.over_since.is_some_and(|since| s.now.since(since) >= s.end_after));
    let end = Step {
        format: FORMAT,
        msn: s.log.next_msn(),
        packager: tail.packager.clone(),
        discontinuity: false,
        discontinuity_number: tail.discontinuity_number,
        splice: None,
        entries: Vec::new(),
        listed_at: s.now,
        content_end: tail.content_end,
        wall_end: tail.wall_end,
        end: true,
    };
    all.then(|| Decision {
        action: Action::Append(Box::new(end)),
        wants: Vec::new(),
        wake: s.now,
        why: "every packager says it is over",
    })
}

/// Where the tail stands in what its packager shows now.
enum Standing {
    /// At this place of the track of this rendition.
    At(usize, usize),
    /// These bytes, fetched again, will tell.
    Prove(Vec<Want>),
    /// The packager has not been seen since this process knows the lane.
    Unseen,
    /// The run is over.
    Left(SpliceReason),
}

fn standing(s: &Situation, c: &Candidate, tail: &Step) -> Standing {
    let Some((r, track)) = reference(s, c) else { return Standing::Unseen };
    let found = tail.entries.get(r).and_then(|e| track.find(&e.source));
    let Some(at) = found.or_else(|| tail_by_other(c, tail, r, track)) else {
        // In the first run that this process saw the tail never stood: it was away for long.
        let away = track.run() <= 1;
        return Standing::Left(if away { SpliceReason::Resumed } else { SpliceReason::Restarted });
    };
    match proven(s, track, r) {
        Some(true) => Standing::At(r, at),
        Some(false) => Standing::Left(SpliceReason::Restarted),
        // What cannot be had again cannot be proven.
        None if track.segments().get(at).is_none_or(Seen::lost) => {
            Standing::Left(SpliceReason::Restarted)
        }
        None => Standing::Prove(want_segment(c, r, track, at).into_iter().collect()),
    }
}

/// The reference was not held when the tail was appended (nobody had asked for it): its place is
/// that of the same moment in a rendition that was.
fn tail_by_other(c: &Candidate, tail: &Step, r: usize, track: &Track) -> Option<usize> {
    c.tracks.iter().enumerate().filter(|(o, _)| *o != r).find_map(|(o, other)| {
        let other = other.as_ref()?;
        let at = other.find(&tail.entries.get(o)?.source)?;
        same_moment(other, at, track)
    })
}

/// The newest step of the tail's run whose bytes both the log and the track know tells whether
/// it is one run: same names are not enough, since they start again after a restart.
fn proven(s: &Situation, track: &Track, r: usize) -> Option<bool> {
    for step in s.log.steps().rev() {
        if let Some(entry) = step.entries.get(r)
            && let Some(seen) = track.find(&entry.source).and_then(|at| track.segments().get(at))
            && let (Some(logged), Some(held)) = (entry.held, seen.bytes.held)
        {
            return Some(logged == held);
        }
        if step.splice.is_some() {
            break;
        }
    }
    // Nothing of this rendition was held before: there is nothing to contradict.
    let in_run = s.log.steps().rev().take_while(|st| st.splice.is_none());
    let any = in_run.chain(s.log.steps().rev().find(|st| st.splice.is_some()));
    let held_before = any.filter_map(|st| st.entries.get(r)?.held).next().is_some();
    (!held_before).then_some(true)
}

fn failure(c: &Candidate) -> Option<SpliceReason> {
    if c.barred.is_some() {
        return c.barred;
    }
    let tracks = || c.tracks.iter().flatten();
    if tracks().any(|t| t.failing().is_some_and(|f| f.count >= FAILING)) {
        return Some(SpliceReason::Failed);
    }
    tracks().any(|t| t.ended_since().is_some()).then_some(SpliceReason::Ended)
}

/// The rendition that the others are aligned by: the first wanted one that this packager shows.
fn reference<'a>(s: &Situation, c: &Candidate<'a>) -> Option<(usize, &'a Track)> {
    let shown = |r: usize| track_of(c, r).filter(|t| !t.segments().is_empty());
    let wanted = (0..c.tracks.len()).filter(|&r| s.wanted.get(r) == Some(&true));
    wanted.chain(0..c.tracks.len()).find_map(|r| Some((r, shown(r)?)))
}

fn track_of<'a>(c: &Candidate<'a>, r: usize) -> Option<&'a Track> {
    c.tracks.get(r).copied().flatten()
}

/// The same moment in every rendition.
fn moment(s: &Situation, c: &Candidate, r: usize, at: usize) -> Vec<Option<usize>> {
    let Some(track) = track_of(c, r) else { return Vec::new() };
    (0..s.log.header().renditions.len())
        .map(|o| if o == r { Some(at) } else { same_moment(track, at, track_of(c, o)?) })
        .collect()
}

/// The segment at `at` of rendition `r` and, of each other, the direct successor of the tail's
/// part: a rendition must not skip or repeat where the others go on. The same moment where the
/// tail has nothing of it.
fn successors(s: &Situation, c: &Candidate, tail: &Step, r: usize, at: usize) -> Vec<Option<usize>> {
    let after_tail = |o: usize| -> Option<(&Track, usize)> {
        let track = track_of(c, o)?;
        Some((track, track.find(&tail.entries.get(o)?.source)? + 1))
    };
    let same = moment(s, c, r, at).into_iter().enumerate();
    same.map(|(o, same)| match after_tail(o).filter(|_| o != r) {
        Some((track, next)) => (next < track.segments().len()).then_some(next),
        None => same,
    })
    .collect()
}

/// Whether a step can be made of these segments.
struct Readiness {
    wants: Vec<Want>,
    /// A wanted rendition cannot be had.
    lost: bool,
    /// A wanted rendition does not list its part yet.
    lagging: bool,
}

fn readiness(s: &Situation, c: &Candidate, moment: &[Option<usize>]) -> Readiness {
    let mut out = Readiness { wants: Vec::new(), lost: false, lagging: false };
    for (r, &at) in moment.iter().enumerate() {
        if s.wanted.get(r) != Some(&true) {
            continue;
        }
        let Some((track, at)) = track_of(c, r).zip(at) else {
            out.lagging = true;
            continue;
        };
        let Some(seen) = track.segments().get(at) else { continue };
        out.lost |= seen.lost() || seen.listed.segment.encrypted;
        out.wants.extend(want_segment(c, r, track, at));
        if let Some(map) = &seen.listed.map {
            let init = track.init(map);
            out.lost |= init.lost();
            if init.held.is_none() && !init.lost() {
                out.wants.push(want(c, r, track, What::Init(map.clone())));
            }
        }
    }
    out
}

fn want(c: &Candidate, rendition: usize, track: &Track, what: What) -> Want {
    Want { packager: c.id.clone(), rendition, run: track.run(), what }
}

/// What was lost is not asked for again: a refusal comes back at once, and so would the next.
fn want_segment(c: &Candidate, r: usize, track: &Track, at: usize) -> Option<Want> {
    let seen = track.segments().get(at)?;
    let what = || What::Segment(seen.msn(), seen.listed.resource.clone());
    (seen.bytes.held.is_none() && !seen.lost()).then(|| want(c, r, track, what()))
}

fn append(
    s: &Situation,
    c: &Candidate,
    r: usize,
    moment: &[Option<usize>],
    discontinuity: bool,
    splice: Option<Splice>,
) -> Decision {
    let made = (|| {
        let track = track_of(c, r)?;
        let at = (*moment.get(r)?)?;
        let seen = track.segments().get(at)?;
        let content_end = track.ends_at(at)?;
        let entries = moment
            .iter()
            .enumerate()
            .map(|(o, &at)| entry(s, c, o, at).unwrap_or_else(|| unlisted(seen)))
            .collect();
        Some(Step {
            format: FORMAT,
            msn: s.log.next_msn(),
            packager: c.id.clone(),
            discontinuity,
            discontinuity_number: s.log.discontinuity_number() + u64::from(discontinuity),
            splice,
            entries,
            listed_at: listed_at(s, content_end),
            content_end,
            wall_end: seen.wall_end,
            end: false,
        })
    })();
    match made {
        Some(step) => Decision {
            action: Action::Append(Box::new(step)),
            wants: Vec::new(),
            wake: s.now,
            why: "append",
        },
        None => wait(s, "nothing to append", Vec::new()),
    }
}

/// What a lane opens with was made before: it leaves the window by the time it was made, or the
/// list would grow to twice its length first.
fn listed_at(s: &Situation, content_end: UnixMs) -> UnixMs {
    let opened = s.log.header().opened_at;
    if content_end <= opened { content_end } else { s.now }
}

fn entry(s: &Situation, c: &Candidate, r: usize, at: Option<usize>) -> Option<Entry> {
    let track = track_of(c, r)?;
    let seen = track.segments().get(at?)?;
    let held = seen.bytes.held.filter(|_| s.wanted.get(r) == Some(&true));
    let map = match &seen.listed.map {
        None => None,
        Some(m) => track.init(m).held.map(|held| Init { held, extension: extension(&m.path, "mp4") }),
    };
    let default = if seen.listed.map.is_some() { "m4s" } else { "ts" };
    Some(Entry {
        source: seen.source(),
        duration: seen.duration(),
        lines: seen.listed.segment.lines.clone(),
        extension: extension(&seen.listed.resource.path, default),
        held: held.filter(|_| seen.listed.map.is_none() || map.is_some()),
        map,
    })
}

/// A rendition that nobody asks for and that is not refreshed: its playlist begins later.
fn unlisted(reference: &Seen) -> Entry {
    Entry {
        source: Source { msn: PackagerMsn(0), path: String::new(), range: None },
        duration: reference.duration(),
        lines: Vec::new(),
        extension: String::new(),
        held: None,
        map: None,
    }
}

/// The ending of a name, as far as players know it.
fn extension(path: &str, default: &str) -> String {
    const KNOWN: [&str; 14] = [
        "ts", "m4s", "mp4", "m4v", "m4a", "cmfv", "cmfa", "aac", "mp3", "ac3", "ec3", "vtt", "webvtt",
        "m2ts",
    ];
    let name = path.split(['?', '#']).next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    if KNOWN.contains(&ending.as_str()) { ending } else { default.to_owned() }
}

fn moves(s: &Situation, track: &Track) -> bool {
    track.progressed_at().is_some_and(|p| s.now.since(p) < s.log.header().target())
}

fn prefetch_after(s: &Situation) -> Duration {
    s.log.header().target()
}

fn leave_after(s: &Situation) -> Duration {
    s.log.header().target() * 5 / 4
}

fn wait(s: &Situation, why: &'static str, wants: Vec<Want>) -> Decision {
    let due = s.log.tail().map(|t| {
        [prefetch_after(s), leave_after(s)].map(|d| t.listed_at.plus(d))
    });
    let next_look = s.now.plus(s.log.header().target() / 2);
    let wake = due
        .into_iter()
        .flatten()
        .filter(|&d| d > s.now)
        .fold(next_look, std::cmp::Ord::min);
    Decision { action: Action::Wait, wants, wake, why }
}
