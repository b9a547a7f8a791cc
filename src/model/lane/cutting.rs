//! The first entry of a rendition after a splice: the tail of a segment, and how it is made.

use std::time::Duration;

use super::meeting::Meeting;
use super::readiness::wants;
use super::{Candidate, Cut, Entry, Held, Media, Part, Seen, Track, Want, What};
use crate::model::media::{Content, Joint, Ticks};
use crate::model::playlist::date;

const LENGTH: &str = "#EXTINF:";
const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:";

/// What is missing of the tail of candidate `c`'s rendition `r`: bytes of what it is made of, or itself.
pub(super) fn tail_wants(c: &Candidate, r: usize, track: &Track, meeting: &Meeting) -> Vec<Want> {
    let mut missing = Vec::new();
    // What it is cut at is not known before it was looked into.
    let Some(cutting) = meeting.cutting else { return wants(c, r, track, meeting.at) };
    let parts = || meeting.before().into_iter().chain([meeting.at]);
    missing.extend(parts().flat_map(|at| wants(c, r, track, at)));
    if !missing.is_empty() || track.tail_of(&cutting).held.is_some() {
        return missing;
    }
    let Some(seen) = track.segments().get(meeting.at) else { return missing };
    let of: Vec<Held> = parts().filter_map(|at| track.segments().get(at)?.bytes.held).collect();
    let init = seen.listed.map.as_ref().and_then(|map| track.asset(map).held);
    let at = seen.listed.resource.clone();
    let what = What::Tail { cutting, at, of, init };
    missing.push(Want { packager: c.id.clone(), rendition: r, run: track.run(), what });
    missing
}

/// What an entry has instead of its whole segment.
pub(super) struct Tail {
    held: Held,
    cut: Cut,
    pub(super) duration: Duration,
}

/// The tail, once it is held. None where all of the segment is kept as it is.
pub(super) fn tail(track: &Track, meeting: &Meeting) -> Option<Tail> {
    let cutting = meeting.cutting?;
    let held = track.tail_of(&cutting).held?;
    let seen = track.segments().get(meeting.at)?;
    let whole = seen.bytes.held.filter(|whole| *whole != held)?;
    let duration = remainder(seen.content.as_ref()?, &cutting.joint)?;
    let before = meeting.before().and_then(|at| {
        let seen = track.segments().get(at)?;
        Some(Part { source: seen.source(), held: seen.bytes.held? })
    });
    Some(Tail { held, cut: Cut { joint: cutting.joint, whole, before }, duration })
}

/// From the joint to the end: of the pictures, or of the sound where there are none.
fn remainder(content: &Content, joint: &Joint) -> Option<Duration> {
    let end = content.end();
    let pictures = || Some(end.video?.since(joint.video?));
    let ticks = pictures().or_else(|| Some(end.audio?.since(joint.audio?)))?;
    (ticks > 0).then(|| Ticks::duration(ticks))
}

impl Tail {
    /// The lines of its segment with their length and date right.
    pub(super) fn lines(&self, seen: &Seen) -> Vec<String> {
        let lines = seen.listed.segment.lines.iter();
        lines.map(|line| self.line(line, seen.duration())).collect()
    }

    fn line(&self, line: &str, whole: Duration) -> String {
        if let Some(rest) = line.strip_prefix(LENGTH) {
            let title = rest.split_once(',').map_or("", |(_, title)| title);
            return format!("{LENGTH}{:.6},{title}", self.duration.as_secs_f64());
        }
        let at = line.strip_prefix(DATE).and_then(date::unix_ms);
        at.map_or_else(
            || line.to_owned(),
            |at| {
                let end = crate::model::names::UnixMs(at).plus(whole);
                format!("{DATE}{}", date::text(end.minus(self.duration).0))
            },
        )
    }

    /// The entry of the whole segment is that of its tail.
    pub(super) fn into_entry(self, mut entry: Entry, content: &Content) -> Entry {
        entry.media = Some(Media::of(content, Some(&self.cut.joint)));
        entry.held = entry.held.map(|_| self.held);
        entry.duration = self.duration;
        entry.cut = Some(self.cut);
        entry
    }
}

/// The tail that `meeting` wants is there.
pub(super) fn is_made(track: &Track, meeting: &Meeting) -> bool {
    meeting.cutting.is_some_and(|cutting| track.tail_of(&cutting).held.is_some())
}
