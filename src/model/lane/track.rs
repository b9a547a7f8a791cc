//! What one packager shows of one rendition: the run that is on, its segments, when each was
//! first seen, and which bytes are held. Fed with what was fetched; asks no questions itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::Arrivals;
use super::session;
use super::{Cutting, Failing, Fetched, Held, Listed, Observed, Resource, Seen, Snapshot, Source};
use crate::model::media::{Content, Keyframe};
use crate::model::names::{ContentHash, PackagerMsn, UnixMs};

/// How many segments a track remembers beyond the packager's list, so that a tail that has just
/// left the list is still known to be the predecessor of what is listed.
const REMEMBERED: usize = 64;
/// Tails that are remembered: a splice makes one for each rendition.
const CUTS: usize = 64;

/// Init segments and keys beyond so many are forgotten when nothing seen needs them.
const ASSETS: usize = 256;

/// Continuity to be proven before a list is believed.
#[derive(Clone, Debug)]
struct Doubt {
    /// Counts doubts: a proof that was begun before this one arose says nothing of it.
    number: u32,
    resource: Resource,
    expected: ContentHash,
    snapshot: Snapshot,
}

/// What one packager shows of one rendition.
#[derive(Clone, Debug, Default)]
pub struct Track {
    run: u32,
    /// When the run that is on was first seen.
    pub(super) run_since: Option<UnixMs>,
    segments: VecDeque<Seen>,
    /// EXT-X-MEDIA-SEQUENCE as last seen.
    first_listed: u64,
    /// How many segments the list has before those that are looked at.
    skipped: u64,
    arrivals: Arrivals,
    doubt: Option<Doubt>,
    doubts: u32,
    /// An empty list was seen: what is listed next must prove itself.
    emptied: bool,
    /// Init segments and keys.
    assets: HashMap<Resource, Fetched>,
    /// Tails of segments.
    cuts: HashMap<Cutting, Fetched>,
    target_duration: u32,
    ended_since: Option<UnixMs>,
    refreshed_at: Option<UnixMs>,
    progressed_at: Option<UnixMs>,
    failing: Option<Failing>,
}

impl Track {
    /// Counts runs, from 1; 0 before anything was seen.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.run
    }
    /// The segments of the run that is on, oldest first: what is listed, and some that were.
    #[must_use]
    pub const fn segments(&self) -> &VecDeque<Seen> {
        &self.segments
    }
    /// Where the packager's list begins within [`Track::segments`].
    #[must_use]
    pub fn listed_from(&self) -> usize {
        self.segments.partition_point(|s| s.msn().0 < self.first_listed)
    }
    /// How many segments the list has before [`Track::listed_from`]: more than is looked at.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
    /// EXT-X-TARGETDURATION as last seen, seconds.
    #[must_use]
    pub const fn target_duration(&self) -> u32 {
        self.target_duration
    }
    /// When ENDLIST was first seen, if it still stands.
    #[must_use]
    pub const fn ended_since(&self) -> Option<UnixMs> {
        self.ended_since
    }
    /// The last refresh that brought a playlist.
    #[must_use]
    pub const fn refreshed_at(&self) -> Option<UnixMs> {
        self.refreshed_at
    }
    /// The last refresh that brought a new segment.
    #[must_use]
    pub const fn progressed_at(&self) -> Option<UnixMs> {
        self.progressed_at
    }
    /// Refreshes that failed since the last good one.
    #[must_use]
    pub const fn failing(&self) -> Option<Failing> {
        self.failing
    }
    /// The newest segment.
    #[must_use]
    pub fn newest(&self) -> Option<&Seen> {
        self.segments.back()
    }
    /// The place of a segment in [`Track::segments`].
    #[must_use]
    pub fn position(&self, msn: PackagerMsn) -> Option<usize> {
        let first = self.segments.front()?.msn().0;
        let at = usize::try_from(msn.0.checked_sub(first)?).ok()?;
        (at < self.segments.len()).then_some(at)
    }
    /// The place of a source of the log in this run: same number, name (but for a session) and part.
    #[must_use]
    pub fn find(&self, source: &Source) -> Option<usize> {
        let at = self.position(source.msn)?;
        let r = &self.segments.get(at)?.listed.resource;
        (session::alike(&r.path, &source.path) && r.range == source.range).then_some(at)
    }
    /// Bytes of an init segment or a key.
    #[must_use]
    pub fn asset(&self, resource: &Resource) -> Fetched {
        self.assets.get(resource).copied().unwrap_or_default()
    }

    /// All that is held of what is listed: it may be needed at any moment.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        let listed = self.segments.iter().skip(self.listed_from());
        let more = self.assets.values().chain(self.cuts.values());
        listed.filter_map(|s| s.bytes.held).chain(more.filter_map(|a| a.held))
    }

    /// The bytes of a segment's tail.
    #[must_use]
    pub fn tail_of(&self, cutting: &Cutting) -> Fetched {
        self.cuts.get(cutting).copied().unwrap_or_default()
    }

    /// The tail of a segment of run `run` was made, or not.
    pub fn made_tail(&mut self, run: u32, cutting: Cutting, held: Option<Held>) {
        if run != self.run {
            return;
        }
        if self.cuts.len() >= CUTS && !self.cuts.contains_key(&cutting) {
            self.cuts.clear();
        }
        self.cuts.entry(cutting).or_default().note(held);
    }

    /// What is in a segment of run `run`.
    pub fn looked(&mut self, run: u32, msn: PackagerMsn, content: Arc<Content>) {
        if run != self.run || self.unsure() {
            return;
        }
        if let Some(seen) = self.position(msn).and_then(|at| self.segments.get_mut(at)) {
            seen.content = Some(content);
        }
    }

    /// Keyframes in the first part of a segment of run `run`; none if that part told nothing.
    pub fn glimpsed(&mut self, run: u32, msn: PackagerMsn, keyframes: Vec<Keyframe>) {
        if run != self.run || self.unsure() {
            return;
        }
        if let Some(seen) = self.position(msn).and_then(|at| self.segments.get_mut(at)) {
            seen.glimpse = Some(keyframes.into());
        }
    }

    /// A segment with this content has other streams than the one before it, though nothing marks
    /// that: its packager lost some. Two in a row that agree are believed.
    #[must_use]
    pub fn is_unlike(&self, msn: PackagerMsn, content: &Content) -> bool {
        let Some(at) = self.position(msn) else { return false };
        let marked =
            |at: usize| self.segments.get(at).is_none_or(|s| s.listed.segment.discontinuity);
        let before = at.checked_sub(1).and_then(|before| self.segments.get(before));
        let Some(before) = before.and_then(|seen| seen.content.as_ref()) else { return false };
        let shows = |c: &Content| c.video.as_ref().map(|video| video.codec);
        let sounds = |c: &Content| !c.audio.is_empty();
        !marked(at) && (shows(before) != shows(content) || (sounds(before) && !sounds(content)))
    }

    /// When, by arrival, the packager had made the segment at `at` whole. None before anything
    /// was seen.
    #[must_use]
    pub fn ends_at(&self, at: usize) -> Option<UnixMs> {
        self.arrivals.middle_of(self.segments.get(at)?.content_end)
    }
    /// When at the latest the packager had listed the segment at `at`.
    #[must_use]
    pub fn listed_by(&self, at: usize) -> Option<UnixMs> {
        Some(self.arrivals.of(self.segments.get(at)?.content_end)?.1)
    }
    /// Between which moments the next segment is to be listed, if it is as long as the newest.
    #[must_use]
    pub fn next_due(&self) -> Option<(UnixMs, UnixMs)> {
        let newest = self.newest()?;
        self.arrivals.of(newest.content_end.saturating_add(newest.duration()))
    }
    /// A segment came to be listed while this track was refreshed. What the first refresh of a
    /// run shows may have been listed up to a segment before.
    #[must_use]
    pub fn arrival_watched(&self) -> bool {
        self.arrivals.watched()
    }
    /// When, by arrival, the content of the segment at `at` began.
    #[must_use]
    pub fn starts_at(&self, at: usize) -> Option<UnixMs> {
        let d = self.segments.get(at)?.duration();
        Some(self.ends_at(at)?.minus(d))
    }

    /// Takes a refresh that brought `snapshot`. `doubt`: the packager may have restarted since
    /// the last one (an error in between, a connection that it had promised to keep was gone).
    pub fn observe(&mut self, now: UnixMs, mut snapshot: Snapshot, doubt: bool) -> Observed {
        self.count(&mut snapshot);
        let fell = self.fell(&snapshot);
        let fresh = doubt || fell || self.failing.is_some() || self.emptied;
        self.failing = None;
        let before = self.refreshed_at.replace(now);
        self.target_duration = snapshot.target_duration;
        self.ended_since = snapshot.ended.then(|| self.ended_since.unwrap_or(now));
        if snapshot.segments.is_empty() && !self.segments.is_empty() {
            self.emptied = true;
            return Observed::Same;
        }
        self.emptied = false;
        match self.compare(&snapshot, fresh || self.doubt.is_some()) {
            Continuity::Other => {
                self.begin_run(now, snapshot);
                Observed::NewRun
            }
            Continuity::Goes => self.merge(now, before, snapshot),
            Continuity::Prove { resource, expected } => {
                self.wonder(fresh, resource, expected, snapshot);
                Observed::Doubtful
            }
        }
    }

    /// A packager that lets its list slide without counting (ffmpeg, when it writes one file of
    /// byte ranges) is counted for: what is known already tells where the list has got to.
    fn count(&self, list: &mut Snapshot) {
        let Some(first) = list.segments.first() else { return };
        let slides = |seen: &Seen, l: &Listed| {
            seen.listed.resource == l.resource && seen.duration() == l.segment.duration
        };
        let stays = self.position(first.segment.msn).and_then(|at| self.segments.get(at));
        // Numbers that stand for IVs cannot be changed here.
        let plain = first.resource.range.is_some() && first.segment.keys.is_empty();
        if !plain || stays.is_some_and(|seen| slides(seen, first)) {
            return;
        }
        let at = self.segments.iter().rposition(|seen| slides(seen, first));
        let Some(known) = at.and_then(|at| self.segments.get(at)) else { return };
        let mut msn = known.msn();
        for listed in &mut list.segments {
            listed.segment.msn = msn;
            msn = msn.next();
        }
    }

    /// A list that fell back is an old copy, or a restart under the same names.
    fn fell(&self, list: &Snapshot) -> bool {
        let last = list.segments.last().map(|l| l.segment.msn);
        last.zip(self.newest().map(Seen::msn)).is_some_and(|(last, known)| last < known)
    }

    /// A list that gives no reason for doubt itself is believed with the one before it.
    fn wonder(
        &mut self,
        fresh: bool,
        resource: Resource,
        expected: ContentHash,
        snapshot: Snapshot,
    ) {
        if !fresh && let Some(pending) = &mut self.doubt {
            pending.snapshot = snapshot;
            return;
        }
        self.doubts = self.doubts.wrapping_add(1);
        self.doubt = Some(Doubt { number: self.doubts, resource, expected, snapshot });
    }

    /// Takes a refresh that failed. `gone`: the packager says that there is no such playlist.
    pub fn failed(&mut self, now: UnixMs, gone: bool) {
        Failing::note(&mut self.failing, now, gone);
    }

    /// What has to be fetched again to know whether the run goes on, and the number of the doubt.
    #[must_use]
    pub fn proof(&self) -> Option<(u32, &Resource)> {
        self.doubt.as_ref().map(|d| (d.number, &d.resource))
    }

    /// The outcome of that fetch: the hash of what came, or none if nothing did. Where another
    /// doubt came up meanwhile it says nothing.
    pub fn proved(&mut self, now: UnixMs, number: u32, found: Option<ContentHash>) -> Observed {
        let Some(doubt) = self.doubt.take_if(|d| d.number == number) else { return Observed::Same };
        if found == Some(doubt.expected) {
            self.merge(now, None, doubt.snapshot)
        } else {
            self.begin_run(now, doubt.snapshot);
            Observed::NewRun
        }
    }

    /// Since the last list that was believed the packager may have restarted: what comes under the
    /// names of that list now may be another run's.
    #[must_use]
    pub const fn unsure(&self) -> bool {
        self.failing.is_some() || self.doubt.is_some()
    }

    /// The bytes of a segment of run `run` were fetched, or not. Not believed while unsure.
    pub fn fetched(&mut self, run: u32, msn: PackagerMsn, held: Option<Held>) {
        if run != self.run || self.unsure() {
            return;
        }
        if let Some(seen) = self.position(msn).and_then(|at| self.segments.get_mut(at)) {
            seen.bytes.note(held);
        }
    }

    /// The bytes of an init segment or a key of run `run` were fetched, or not. Not believed while
    /// unsure.
    pub fn fetched_asset(&mut self, run: u32, resource: &Resource, held: Option<Held>) {
        if run == self.run && !self.unsure() {
            self.assets.entry(resource.clone()).or_default().note(held);
        }
    }

    fn compare(&self, list: &Snapshot, doubt: bool) -> Continuity {
        let (Some(known_first), Some(known_last)) = (self.segments.front(), self.segments.back())
        else {
            return Continuity::Other;
        };
        let (Some(first), Some(last)) = (list.segments.first(), list.segments.last()) else {
            return Continuity::Goes;
        };
        if first.segment.msn > known_last.msn().next() || last.segment.msn < known_first.msn() {
            return Continuity::Other;
        }
        let mut overlap = list.segments.iter().filter_map(|l| {
            let at = self.position(l.segment.msn)?;
            Some((l, self.segments.get(at)?))
        });
        if overlap.clone().any(|(l, s)| {
            !session::may_be_one(&l.resource, &s.listed.resource)
                || l.segment.duration != s.listed.segment.duration
        }) {
            return Continuity::Other;
        }
        if !doubt && overlap.clone().all(|(l, s)| l.resource == s.listed.resource) {
            return Continuity::Goes;
        }
        match overlap.rfind(|(_, s)| s.bytes.held.is_some()) {
            Some((l, s)) => match s.bytes.held {
                Some(held) => {
                    Continuity::Prove { resource: l.resource.clone(), expected: held.hash }
                }
                None => Continuity::Other,
            },
            None => Continuity::Other,
        }
    }

    fn begin_run(&mut self, now: UnixMs, list: Snapshot) {
        self.run = self.run.saturating_add(1);
        self.run_since = Some(now);
        self.segments.clear();
        self.assets.clear();
        self.cuts.clear();
        self.arrivals.clear();
        self.doubt = None;
        self.merge(now, None, list);
    }

    /// `before`: the refresh that did not show yet what this one does.
    fn merge(&mut self, now: UnixMs, before: Option<UnixMs>, list: Snapshot) -> Observed {
        if let Some(first) = list.segments.first() {
            self.first_listed = first.segment.msn.0;
        }
        self.skipped = list.skipped;
        let newest = self.newest().map(Seen::msn);
        let mut grew = false;
        for listed in list.segments {
            if newest.is_none_or(|n| listed.segment.msn > n) {
                self.push(listed);
                grew = true;
            } else if let Some(at) = self.position(listed.segment.msn)
                && let Some(seen) = self.segments.get_mut(at)
            {
                session::rename(seen, listed);
            }
        }
        if !grew {
            return Observed::Same;
        }
        if let Some((end, length)) = self.newest().map(|s| (s.content_end, s.duration())) {
            self.arrivals.note(now, before, end, length);
        }
        // What failed a while ago may be had by now.
        self.assets.values_mut().filter(|a| a.lost()).for_each(|a| a.failures = 0);
        self.progressed_at = Some(now);
        let surplus = self.listed_from().saturating_sub(REMEMBERED);
        self.segments.drain(..surplus);
        self.forget_assets();
        Observed::Grew
    }

    /// Keys that rotate would gather for ever; those that the depth of a long window needs are not
    /// among what is seen.
    fn forget_assets(&mut self) {
        if self.assets.len() > ASSETS {
            let live: HashSet<&Resource> =
                self.segments.iter().flat_map(|s| s.listed.assets().map(|a| a.resource)).collect();
            self.assets.retain(|r, _| live.contains(r));
        }
    }

    fn push(&mut self, listed: Listed) {
        let d = listed.segment.duration;
        let (content, wall) =
            self.newest().map_or((Duration::ZERO, None), |p| (p.content_end, p.wall_end));
        let wall = if listed.segment.discontinuity { None } else { wall };
        let wall_start = listed.segment.program_date_time.map(UnixMs).or(wall);
        self.segments.push_back(Seen {
            content_end: content.saturating_add(d),
            wall_end: wall_start.map(|w| w.plus(d)),
            listed,
            bytes: Fetched::default(),
            content: None,
            glimpse: None,
        });
    }
}

enum Continuity {
    Goes,
    Other,
    Prove { resource: Resource, expected: ContentHash },
}
