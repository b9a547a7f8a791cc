//! What was seen of one packager: its lists, and the segments that were looked into.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::align::{Look, Side};
use crate::model::media::{Content, PictureHash, Ticks};
use crate::model::names::UnixMs;
use crate::model::playlist::{Map, MediaPlaylist, Segment};

/// Segments that are remembered, each looked into.
const CUTS_MAX: usize = 32;
/// A timeline goes on if it is no further off than this: EXTINF is rounded, sound may begin first.
const JUMP: i64 = Ticks::SECOND;
/// Before a segment may come and after it is late.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// While it is due: it is known to so much when it came.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// When something came: between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the look before was answered; none at the first.
    pub after: Option<UnixMs>,
    /// When this one was.
    pub before: UnixMs,
}

/// A segment to fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// As it is listed.
    pub segment: Segment,
    /// When it begins, told or counted on from one before it.
    pub date: Option<UnixMs>,
    /// When it was listed; none where that is not known well enough.
    pub arrival: Option<Arrival>,
    /// It is encrypted, as the list says: its bytes tell nothing.
    pub encrypted: bool,
}

/// What segments are packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// MPEG-TS.
    Ts,
    /// fMP4.
    Fmp4,
}

/// What there is in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// It was looked into.
    Content(Content),
    /// Nobody without its keys can.
    Encrypted,
    /// It is not what it should be, or could not be had.
    Damaged(String),
}

/// A segment that was fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What was to be fetched.
    pub wanted: Wanted,
    /// What it turned out to be.
    pub inside: Inside,
}

/// Where a segment lies on its packager's timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) msn: u64,
    pub(super) begins: Ticks,
    pub(super) ends: Ticks,
    pub(super) arrival: Option<UnixMs>,
    /// It begins with a keyframe that needs nothing before it; none where it was not looked into.
    pub(super) closed: Option<bool>,
    /// The longest way from one keyframe to the next.
    pub(super) gop: Option<Ticks>,
}

/// One packager, as far as it was watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) run: Side,
    pub(super) cuts: VecDeque<Cut>,
    restarts: u32,
    /// The newest list: number, URI and length of each.
    list: Vec<(u64, String, Duration)>,
    pub(super) listed_at: Option<UnixMs>,
    grew_at: Option<UnixMs>,
    pub(super) target: Option<u32>,
    pub(super) dated: bool,
    pub(super) encrypted: bool,
    pub(super) packing: Option<Packing>,
    pub(super) content: Option<Content>,
    pub(super) damage: Option<String>,
    /// How well it is known when segments came, half of the time between looks.
    pub(super) arrival_within: Duration,
    /// Segments looked into, of all runs.
    pub(super) looks: u32,
}

impl Watched {
    pub(super) const fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.list.last().map(|(msn, _, _)| *msn)
    }

    /// For how long nothing has come, if that is far too long.
    pub(super) fn stands_still(&self, now: UnixMs) -> Option<Duration> {
        let since = now.since(self.grew_at?);
        let (_, longest) = self.lengths()?;
        (since > longest * 3).then_some(since)
    }

    pub(super) const fn listed_count(&self) -> usize {
        self.list.len()
    }

    /// The shortest and the longest segment listed, but the last of a list that has ended.
    pub(super) fn lengths(&self) -> Option<(Duration, Duration)> {
        let lengths = || self.list.iter().map(|(_, _, length)| *length);
        Some((lengths().min()?, lengths().max()?))
    }

    pub(super) fn parameter_sets(&self) -> Option<PictureHash> {
        self.content.as_ref()?.video.as_ref()?.parameter_sets
    }

    /// The newest few, by which borders are judged.
    pub(super) fn recent(&self) -> impl Iterator<Item = &Cut> {
        self.cuts.iter().rev().take(8)
    }

    pub(super) fn gop(&self) -> Option<Ticks> {
        self.recent().filter_map(|cut| cut.gop).max()
    }

    pub(super) fn listed(&mut self, list: &MediaPlaylist, at: Arrival) -> Option<Wanted> {
        self.target = Some(list.target_duration);
        self.listed_at = Some(at.before);
        let before = self.newest();
        let newest = list.segments.last()?;
        let is_other = self.fell_back(list);
        if is_other {
            self.restart();
        }
        let is_new = is_other || before != Some(newest.msn.0);
        let named = |s: &Segment| (s.msn.0, s.uri.clone(), s.duration);
        self.list = list.segments.iter().map(named).collect();
        self.dated = list.segments.iter().any(|s| s.program_date_time.is_some());
        if !is_new {
            return None;
        }
        self.grew_at = Some(at.before);
        let index = list.segments.iter().rposition(|s| !s.gap)?;
        let segment = list.segments.get(index)?;
        if self.cuts.back().is_some_and(|cut| cut.msn == segment.msn.0) {
            return None;
        }
        let secret = |map: &Map| !map.keys.is_empty();
        let encrypted = !segment.keys.is_empty() || segment.map.as_deref().is_some_and(secret);
        let known = at.after.map(|after| at.before.since(after));
        let close = Duration::from_secs(1).max(segment.duration / 4);
        Some(Wanted {
            date: date_of(&list.segments, index),
            arrival: Some(at)
                .filter(|_| known.is_some_and(|k| k <= close) && segment.msn == newest.msn),
            encrypted,
            segment: segment.clone(),
        })
    }

    /// The numbers of a new run: they fell, or name other segments.
    fn fell_back(&self, list: &MediaPlaylist) -> bool {
        let newest = list.segments.last().map(|s| s.msn.0);
        let other = |s: &Segment| {
            let names = |(msn, uri, _): &(u64, String, Duration)| {
                *msn == s.msn.0 && last_element(uri) != last_element(&s.uri)
            };
            self.list.iter().any(names)
        };
        newest < self.newest() || list.segments.iter().any(other)
    }

    fn restart(&mut self) {
        if self.looks > 0 {
            self.restarts = self.restarts.saturating_add(1);
        }
        self.run = Side::default();
        self.cuts.clear();
    }

    pub(super) fn looked(&mut self, seen: Seen) {
        let Seen { wanted, inside } = seen;
        let fmp4 = wanted.segment.map.is_some();
        self.packing = Some(if fmp4 { Packing::Fmp4 } else { Packing::Ts });
        let content = match inside {
            Inside::Damaged(why) => {
                self.damage = Some(why);
                return;
            }
            Inside::Encrypted => None,
            Inside::Content(content) => Some(content),
        };
        self.damage = None;
        self.encrypted = content.is_none();
        let mut cut = self.cut(&wanted, content.as_ref());
        if self.jumped(&wanted.segment, &cut, content.is_some()) {
            self.restart();
            cut = self.cut(&wanted, content.as_ref());
        }
        self.looks = self.looks.saturating_add(1);
        let keyframes = content.as_ref().and_then(|c| c.video.as_ref()).map(|v| &v.keyframes[..]);
        let made = cut.arrival.map(|at| at.minus(wanted.segment.duration));
        self.run.looked(&Look {
            begins: cut.begins,
            keyframes: keyframes.unwrap_or_default(),
            date: wanted.date,
            arrival: made,
        });
        if self.cuts.len() >= CUTS_MAX {
            self.cuts.pop_front();
        }
        self.cuts.push_back(cut);
        self.content = content;
    }

    fn cut(&mut self, wanted: &Wanted, content: Option<&Content>) -> Cut {
        let (begins, ends) = content.and_then(span).unwrap_or_else(|| {
            let begins = self.expected(&wanted.segment).unwrap_or(Ticks(0));
            (begins, after(begins, wanted.segment.duration))
        });
        let arrival = wanted.arrival.and_then(|Arrival { after, before }| {
            let half = before.since(after?) / 2;
            self.arrival_within = half;
            Some(before.minus(half))
        });
        let video = content.and_then(|c| c.video.as_ref());
        let closed =
            video.map(|v| v.keyframes.first().is_some_and(|k| k.closed && k.pts == v.pts.first));
        let gop = video.and_then(|v| {
            let times = v.keyframes.iter().map(|k| k.pts.0);
            let next = times.clone().skip(1).chain([ends.0]);
            times.zip(next).map(|(one, next)| Ticks(next.saturating_sub(one))).max()
        });
        Cut { msn: wanted.segment.msn.0, begins, ends, arrival, closed, gop }
    }

    /// Where a segment begins if the run goes on.
    fn expected(&self, segment: &Segment) -> Option<Ticks> {
        let last = self.cuts.back()?;
        let target = Duration::from_secs(self.target.unwrap_or_default().into());
        let between = (last.msn.saturating_add(1)..segment.msn.0).take(self.list.len().max(1000));
        let skipped = between.map(|msn| {
            let listed = self.list.iter().find(|(listed, _, _)| *listed == msn);
            listed.map_or(target, |(_, _, length)| *length)
        });
        Some(after(last.ends, skipped.sum()))
    }

    /// Its timeline does not go on: it is another run under numbers that do.
    fn jumped(&self, segment: &Segment, cut: &Cut, looked_into: bool) -> bool {
        let Some(expected) = self.expected(segment) else { return false };
        if !looked_into {
            return segment.discontinuity;
        }
        cut.begins.0.saturating_sub(expected.0).saturating_abs() > JUMP
    }

    pub(super) fn pause(&self, now: UnixMs) -> Duration {
        let length = self.list.last().map_or(Duration::ZERO, |(_, _, length)| *length);
        let (Some(grew), false) = (self.grew_at, length.is_zero()) else { return PAUSE_MIN };
        let since = now.since(grew);
        if since < length * 7 / 10 {
            return (length * 7 / 10).saturating_sub(since).clamp(PAUSE_MIN, PAUSE_MAX);
        }
        if since < length * 3 { PAUSE_MIN } else { (length / 4).clamp(PAUSE_MIN, PAUSE_MAX) }
    }
}

/// From the first picture to the end of the last; of sound, where there are no pictures.
fn span(content: &Content) -> Option<(Ticks, Ticks)> {
    let sound = content.audio.first();
    let (pts, frame) =
        content.video.as_ref().map(|v| (v.pts, v.frame)).or(sound.map(|a| (a.pts, a.frame)))?;
    Some((pts.first, Ticks(pts.last.0.saturating_add(frame.0))))
}

fn after(begins: Ticks, length: Duration) -> Ticks {
    let ticks = length.as_micros().saturating_mul(9) / 100;
    Ticks(begins.0.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX)))
}

/// The date of a segment: its own, or counted on from the nearest before it, as long as the timeline
/// goes on.
fn date_of(segments: &[Segment], index: usize) -> Option<UnixMs> {
    let mut counted = Duration::ZERO;
    for (back, segment) in segments.get(..=index)?.iter().rev().enumerate() {
        if back > 0 {
            counted = counted.saturating_add(segment.duration);
        }
        if let Some(date) = segment.program_date_time {
            return Some(UnixMs(date).plus(counted));
        }
        if segment.discontinuity {
            return None;
        }
    }
    None
}

/// Queries and folders may hold sessions.
fn last_element(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}
