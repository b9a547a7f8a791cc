//! Making a step of the segments that the decision chose.

use std::collections::HashMap;
use std::time::Duration;

use super::cutting::{Tail, tail};
use super::dates::{Dates, is_range, newest};
use super::meeting::{Meeting, Meetings};
use super::moment::{Portion, Portions};
use super::patience::wait;
use super::readiness::Fill;
use super::standing::track_of;
use super::{
    Action, Candidate, Decision, Entry, FORMAT, Held, Init, Key, KeyUri, Media, Seen, Share,
    Situation, Source, Splice, SpliceMethod, Step, Track,
};
use crate::model::names::{ContentHash, OutputMsn, PackagerMsn, UnixMs};
use crate::model::rendition::Kind;
use crate::model::uri::{extension_of, init_extension_of};

/// Subtitles that say nothing. They stand where a packager has none: players take a gap worse.
pub const EMPTY_SUBTITLES: &[u8] = b"WEBVTT\n\n";

/// What a step is made of.
pub(super) struct Making<'a> {
    /// Whose segments.
    pub(super) c: &'a Candidate<'a>,
    /// The rendition by which the others were placed.
    pub(super) r: usize,
    /// What belongs to the step.
    pub(super) portions: Portions,
    /// What of it there is.
    pub(super) fills: Vec<Fill>,
    /// EXT-X-DISCONTINUITY stands before it.
    pub(super) discontinuity: bool,
    /// Where it begins another run.
    pub(super) splice: Option<Splice>,
    /// Steps that come before it, made at once: the depth that a lane opens with.
    pub(super) before: Vec<Step>,
    /// Where renditions begin with the tail of a segment.
    pub(super) meetings: Meetings,
}

/// The step, if it can be made.
pub(super) fn append(s: &Situation, making: Making) -> Decision {
    match made(s, making) {
        Some(steps) => append_all(s, steps),
        None => wait(s, "nothing to append", Vec::new()),
    }
}

pub(super) fn append_all(s: &Situation, steps: Vec<Step>) -> Decision {
    Decision { action: Action::Append(steps), wants: Vec::new(), wake: s.now, why: "append" }
}

fn made(s: &Situation, making: Making) -> Option<Vec<Step>> {
    let Making { c, r, portions, fills, discontinuity, splice, before, meetings } = making;
    let track = track_of(c, r)?;
    let Portion::Segments(places) = portions.get(r)? else { return None };
    let at = places.start;
    let seen = track.segments().get(at)?;
    let tail = before.last().or_else(|| s.log.tail());
    let cut = tail_at(track, &meetings, r, at);
    let duration = cut.map_or(seen.duration(), |cut| cut.duration);
    let (shift_ms, begins) = dated(s, tail, splice.as_ref(), (seen, duration));
    let number = tail.map_or(s.log.header().first_msn, |t| t.msn.next());
    let names = KeyNames::new(s, number);
    let (opens, meetings) = (tail.is_none(), &meetings[..]);
    let mut maker =
        Maker { s, c, before: &before, names, shift_ms, begins, duration, opens, meetings };
    let shares = portions.iter().zip(&fills).enumerate();
    let shares = shares.map(|(o, (portion, fill))| {
        let before = tail.and_then(|t| t.shares.get(o));
        Share::after(before, number, discontinuity, maker.entries(o, portion, *fill))
    });
    let discontinuity_number =
        tail.map_or(s.log.header().first_discontinuity, |t| t.discontinuity_number);
    let step = Step {
        format: FORMAT,
        msn: number,
        packager: c.id.clone(),
        discontinuity,
        discontinuity_number: discontinuity_number + u64::from(discontinuity),
        splice,
        shares: shares.collect(),
        listed_at: listed_at(s, track.listed_by(at)?),
        content_end: track.ends_at(at)?,
        wall_end: begins.map(|b| b.plus(duration)),
        wall_shift_ms: shift_ms,
        holders: Vec::new(),
        end: false,
    };
    Some(before.into_iter().chain([step]).collect())
}

/// What a lane opens with was listed before: it leaves the window by the time its packager listed
/// it, or the list would grow to twice its length first.
pub(super) fn listed_at(s: &Situation, by_packager: UnixMs) -> UnixMs {
    let opened = s.log.header().opened_at;
    if by_packager <= opened { by_packager } else { s.now }
}

/// What the packager's dates are moved by, and the date at which the step begins. Over a splice
/// the date goes on by as much as the content does, whatever the clock of the next packager says.
fn dated(
    s: &Situation,
    tail: Option<&Step>,
    splice: Option<&Splice>,
    (seen, duration): (&Seen, Duration),
) -> (i64, Option<UnixMs>) {
    if !s.log.header().dates {
        return (0, None);
    }
    let own = seen.wall_end.map(|end| end.minus(duration));
    let shift = tail.map_or(0, |t| t.wall_shift_ms);
    let ended = tail.and_then(|t| t.wall_end);
    match (splice, ended) {
        // The two clocks were compared to find the place: they are one.
        (Some(sp), _) if sp.method == SpliceMethod::ProgramDateTime => (0, own),
        (Some(sp), Some(ended)) => {
            let begins = moved(ended, sp.gap_ms);
            (own.map_or(0, |own| begins.signed_since(own)), Some(begins))
        }
        _ => (shift, own.map(|own| moved(own, shift)).or(ended)),
    }
}

fn moved(at: UnixMs, ms: i64) -> UnixMs {
    UnixMs(at.0.saturating_add_signed(ms))
}

/// Makes the entries of one step.
pub(super) struct Maker<'a> {
    pub(super) s: &'a Situation<'a>,
    pub(super) c: &'a Candidate<'a>,
    /// Steps made before it and not in the log yet.
    pub(super) before: &'a [Step],
    pub(super) names: KeyNames,
    pub(super) shift_ms: i64,
    pub(super) begins: Option<UnixMs>,
    /// The length of the step.
    pub(super) duration: Duration,
    /// It is the lane's first.
    pub(super) opens: bool,
    /// Where renditions begin with the tail of a segment.
    pub(super) meetings: &'a [Option<Meeting>],
}

impl Maker<'_> {
    fn entries(&mut self, o: usize, portion: &Portion, fill: Fill) -> Vec<Entry> {
        let track = track_of(self.c, o);
        if let (Portion::Segments(range), Some(track), Fill::Whole) = (portion, track, fill) {
            let mut entries = Vec::with_capacity(range.len());
            for at in range.clone() {
                let Some(seen) = track.segments().get(at) else { continue };
                let mut lines = Vec::new();
                if self.opens && at == range.start {
                    lines = ranges_before(track, at);
                }
                let cut = tail_at(track, self.meetings, o, at);
                lines.extend(
                    cut.as_ref()
                        .map_or_else(|| seen.listed.segment.lines.clone(), |cut| cut.lines(seen)),
                );
                let duration = cut.as_ref().map_or(seen.duration(), |cut| cut.duration);
                let begins = self.begins_at(seen, duration, o);
                let entry = self.entry(seen, track, &lines, begins);
                entries.push(match (cut, &seen.content) {
                    (Some(cut), Some(content)) => cut.into_entry(entry, content),
                    _ => entry,
                });
            }
            return entries;
        }
        match fill {
            Fill::Absent | Fill::OnDemand | Fill::Whole if self.s.log.header().is_deep() => {
                self.unasked(o, portion).unwrap_or_else(|| vec![unlisted(self.duration)])
            }
            Fill::Absent | Fill::OnDemand | Fill::Whole => {
                let several = match portion {
                    Portion::Segments(range) => range.len(),
                    _ => 1,
                };
                (0..several).map(|_| unlisted(self.duration)).collect()
            }
            Fill::Waits | Fill::Lost | Fill::Lacking => self.stand_in(o, portion),
        }
    }

    /// Nobody asks for this rendition now; whoever does, does so for hours of it: its list goes on,
    /// on demand.
    fn unasked(&mut self, o: usize, portion: &Portion) -> Option<Vec<Entry>> {
        let (Portion::Segments(range), Some(track)) = (portion, track_of(self.c, o)) else {
            return None;
        };
        let mut entries = Vec::with_capacity(range.len());
        for at in range.clone() {
            let seen = track.segments().get(at)?;
            let lines = seen.listed.segment.lines.clone();
            let begins = self.begins_at(seen, seen.duration(), o);
            let mut entry = self.entry(seen, track, &lines, begins);
            let assets = seen.listed.assets().all(|a| track.asset(a.resource).held.is_some());
            entry.gap = seen.listed.segment.gap;
            entry.on_demand = entry.held.is_none() && !entry.gap && assets;
            entries.push(entry);
        }
        Some(entries)
    }

    /// When an entry of rendition `o`, the last `duration` of a segment, begins, as viewers are told.
    fn begins_at(&self, seen: &Seen, duration: Duration, o: usize) -> Option<UnixMs> {
        let own = seen.wall_end.map(|end| moved(end.minus(duration), self.shift_ms));
        // Without dates of its own it begins with the step, or after its own entries before it.
        let first_frame = self.s.log.header().renditions.get(o)?.traits.kind != Kind::IFrames;
        own.or(self.begins.filter(|_| first_frame))
    }

    pub(super) fn entry(
        &mut self,
        seen: &Seen,
        track: &Track,
        lines: &[String],
        begins: Option<UnixMs>,
    ) -> Entry {
        let listed = &seen.listed;
        let held_at = |resource: &super::Resource| track.asset(resource).held;
        let map = listed.map.as_ref().zip(listed.segment.map.as_ref()).and_then(|(at, map)| {
            let keys = self.names.keys(None, &map.keys, &listed.map_keys, &held_at)?;
            let extension = init_extension_of(&at.path).to_owned();
            Some(Init { held: held_at(at)?, extension, keys })
        });
        let number = Some(seen.msn());
        let keys = self.names.keys(number, &listed.segment.keys, &listed.keys, &held_at);
        let complete = keys.is_some() && listed.map.is_some() == map.is_some();
        let dates = Dates {
            carried: self.s.log.header().dates,
            shift_ms: self.shift_ms,
            begins,
            known: &|id| known_range(self.s, self.before, id),
        };
        Entry {
            source: seen.source(),
            duration: seen.duration(),
            lines: dates.lines(lines),
            extension: extension_of(&listed.resource.path, listed.map.is_some()).to_owned(),
            held: seen.bytes.held.filter(|_| complete),
            gap: false,
            stands_in: false,
            on_demand: false,
            map,
            keys: keys.unwrap_or_default(),
            media: seen.content.as_ref().map(|content| Media::of(content, None)),
            cut: None,
        }
    }

    /// What stands where a rendition that viewers have been given has nothing: a gap, or
    /// subtitles that say nothing. A gap that the packager wrote goes on as it is.
    fn stand_in(&mut self, o: usize, portion: &Portion) -> Vec<Entry> {
        let mut entry = unlisted(self.duration);
        if let (Portion::Segments(range), Some(track)) = (portion, track_of(self.c, o))
            && let Some(seen) = track.segments().get(range.start)
        {
            if seen.listed.segment.gap {
                let begins = self.begins_at(seen, seen.duration(), o);
                let lines = seen.listed.segment.lines.clone();
                let written = self.entry(seen, track, &lines, begins);
                let (held, map, media) = (None, None, None);
                return vec![Entry { gap: true, held, map, keys: vec![], media, ..written }];
            }
            entry.source = seen.source();
        }
        entry.stands_in = true;
        let date = self.begins.map(|at| crate::model::playlist::date::text(at.0));
        entry.lines.extend(date.map(|date| format!("#EXT-X-PROGRAM-DATE-TIME:{date}")));
        let kind = self.s.log.header().renditions.get(o).map(|r| r.traits.kind);
        if kind == Some(Kind::Subtitles) {
            entry.held = Some(empty_subtitles());
            "vtt".clone_into(&mut entry.extension);
        } else {
            entry.gap = true;
            entry.lines.push("#EXT-X-GAP".to_owned());
            let mapped = self.s.log.header().container == super::Container::FragmentedMp4;
            let extension = if mapped { "m4s" } else { "ts" };
            extension.clone_into(&mut entry.extension);
        }
        entry.lines.push(format!("#EXTINF:{:.3},", entry.duration.as_secs_f64()));
        vec![entry]
    }
}

/// [`EMPTY_SUBTITLES`] as they are held.
#[must_use]
pub fn empty_subtitles() -> Held {
    Held { hash: ContentHash::of(EMPTY_SUBTITLES), length: EMPTY_SUBTITLES.len() as u64 }
}

/// The date ranges of what stands in the packager's list before the lane's first entry: an
/// advertisement may be on.
fn ranges_before(track: &Track, at: usize) -> Vec<String> {
    let before = track.segments().range(track.listed_from().min(at)..at);
    let lines = before.flat_map(|seen| &seen.listed.segment.lines);
    lines.filter(|l| is_range(l)).cloned().collect()
}

fn known_range(s: &Situation, before: &[Step], id: &str) -> Option<String> {
    let steps = before.iter().rev().chain(s.log.steps().rev());
    let mut entries = steps.flat_map(|st| st.shares.iter().flat_map(|share| &share.entries));
    entries.find_map(|e| newest(e.lines.iter(), id))
}

/// A rendition that nobody asks for and that is not refreshed: its playlist begins later.
pub(super) fn unlisted(duration: Duration) -> Entry {
    Entry {
        source: Source { msn: PackagerMsn(0), path: String::new(), range: None },
        duration,
        lines: Vec::new(),
        extension: String::new(),
        held: None,
        gap: false,
        stands_in: false,
        on_demand: false,
        map: None,
        keys: Vec::new(),
        media: None,
        cut: None,
    }
}

/// The tail that rendition `o` begins with, if that is at `at`.
fn tail_at(track: &Track, meetings: &[Option<Meeting>], o: usize, at: usize) -> Option<Tail> {
    let meeting = meetings.get(o).copied().flatten().filter(|meeting| meeting.at == at)?;
    tail(track, &meeting)
}

/// What the keys of a lane are called: each by one name wherever it stands, and never two by one.
pub(super) struct KeyNames {
    known: HashMap<ContentHash, String>,
    number: OutputMsn,
    new: usize,
}

impl KeyNames {
    pub(super) fn new(s: &Situation, number: OutputMsn) -> Self {
        let mut known: HashMap<ContentHash, String> = HashMap::new();
        for resource in &s.log.header().resources {
            if let Some(name) = resource.name.strip_prefix("key-") {
                known.insert(resource.held.hash, name.to_owned());
            }
        }
        let entries = s.log.steps().rev().take(KEYS_KNOWN).flat_map(|st| &st.shares);
        for key in entries.flat_map(|share| &share.entries).flat_map(Entry::all_keys) {
            if let Some((name, held)) = key.held() {
                known.entry(held.hash).or_insert_with(|| name.to_owned());
            }
        }
        Self { known, number, new: 0 }
    }

    /// The next step's keys: those that are new are called by its number.
    pub(super) fn at(&mut self, number: OutputMsn) {
        (self.number, self.new) = (number, 0);
    }

    /// The keys as viewers are told them; none where one that is ours is not held. `number`: that
    /// of the segment; an init segment has none.
    pub(super) fn keys(
        &mut self,
        number: Option<PackagerMsn>,
        keys: &[crate::model::playlist::Key],
        places: &[Option<super::Resource>],
        held_at: &dyn Fn(&super::Resource) -> Option<Held>,
    ) -> Option<Vec<Key>> {
        let both = keys.iter().zip(places);
        both.map(|(key, place)| {
            let uri = match place {
                None => KeyUri::Elsewhere(key.uri.clone()),
                Some(at) => {
                    let held = held_at(at)?;
                    KeyUri::Held { name: self.name(held.hash), held }
                }
            };
            let mut after = key.after.clone();
            if let Some(number) = number.filter(|_| key.numbers_are_ivs) {
                // Viewers see another number than the packager's (RFC 8216, 5.2).
                after = format!("{},IV=0x{:032X}", after.trim_end_matches([',', ' ']), number.0);
            }
            Some(Key { format: key.format.clone(), before: key.before.clone(), uri, after })
        })
        .collect()
    }

    fn name(&mut self, hash: ContentHash) -> String {
        let (number, new) = (self.number, &mut self.new);
        let name = self.known.entry(hash).or_insert_with(|| {
            *new += 1;
            format!("{number}-{}", *new - 1)
        });
        name.clone()
    }
}

/// Steps that are looked through for a key's name: a key that comes again later gets another,
/// which harms nobody.
const KEYS_KNOWN: usize = 64;
