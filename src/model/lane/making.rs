//! Making a step of the segments that the decision chose.

use super::next::wait;
use super::standing::track_of;
use super::{
    Action, Candidate, Decision, Entry, FORMAT, Init, Seen, Situation, Source, Splice, Step,
};
use crate::model::names::{PackagerMsn, UnixMs};
use crate::model::uri::{extension_of, init_extension_of};

pub(super) fn append(
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
            listed_at: listed_at(s, track.listed_by(at)?),
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

/// What a lane opens with was listed before: it leaves the window by the time its packager listed
/// it, or the list would grow to twice its length first.
pub(super) fn listed_at(s: &Situation, by_packager: UnixMs) -> UnixMs {
    let opened = s.log.header().opened_at;
    if by_packager <= opened { by_packager } else { s.now }
}

pub(super) fn entry(s: &Situation, c: &Candidate, r: usize, at: Option<usize>) -> Option<Entry> {
    let track = track_of(c, r)?;
    let seen = track.segments().get(at?)?;
    let held = seen.bytes.held.filter(|_| s.wanted.get(r) == Some(&true));
    let map = match &seen.listed.map {
        None => None,
        Some(m) => track
            .init(m)
            .held
            .map(|held| Init { held, extension: init_extension_of(&m.path).to_owned() }),
    };
    Some(Entry {
        source: seen.source(),
        duration: seen.duration(),
        lines: seen.listed.segment.lines.clone(),
        extension: extension_of(&seen.listed.resource.path, seen.listed.map.is_some()).to_owned(),
        held: held.filter(|_| seen.listed.map.is_none() || map.is_some()),
        map,
    })
}

/// A rendition that nobody asks for and that is not refreshed: its playlist begins later.
pub(super) fn unlisted(reference: &Seen) -> Entry {
    Entry {
        source: Source { msn: PackagerMsn(0), path: String::new(), range: None },
        duration: reference.duration(),
        lines: Vec::new(),
        extension: String::new(),
        held: None,
        map: None,
    }
}
