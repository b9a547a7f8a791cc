//! Which segments of standbys are looked into, so that at a splice it is known already where the lane's
//! content goes on there.

use super::readiness::wants;
use super::standing::{last_entry, track_of};
use super::{ByteRange, Candidate, Resource, Seen, Situation, Track, Want, What};

/// Of so many segments of a standby one is looked into.
const EVERY: usize = 8;

/// Of MPEG-TS so many bytes are asked for: they mostly hold the first keyframe.
const GLIMPSE: u64 = 1200 * 188;

/// The newest of a standby, now and then, of one rendition that the lane has pictures of.
pub(super) fn looks(s: &Situation) -> Vec<Want> {
    let Some(tail) = s.log.tail().filter(|tail| !tail.end) else { return Vec::new() };
    let seen = |r: &usize| {
        let media = last_entry(s, *r).and_then(|entry| entry.media.as_ref());
        media.is_some_and(|media| !media.keyframes.is_empty())
    };
    let Some(r) = (0..s.wanted.len()).filter(|r| s.wanted.get(*r) == Some(&true)).find(seen) else {
        return Vec::new();
    };
    let standbys = s.candidates.iter().filter(|c| c.barred.is_none() && *c.id != tail.packager);
    standbys.flat_map(|c| look(c, r)).collect()
}

fn look(c: &Candidate, r: usize) -> Vec<Want> {
    let Some(track) = track_of(c, r).filter(|track| !track.unsure() && is_due(track)) else {
        return Vec::new();
    };
    let Some(at) = track.segments().len().checked_sub(1) else { return Vec::new() };
    let glimpse = track.segments().get(at).filter(|_| !needs_all(track)).and_then(glimpse_of);
    match glimpse {
        Some(what) => vec![Want { packager: c.id.clone(), rendition: r, run: track.run(), what }],
        None => wants(c, r, track, at),
    }
}

/// None of the newest was tried. Bytes that tell nothing once tell nothing the next time.
fn is_due(track: &Track) -> bool {
    let tells_nothing = |seen: &Seen| seen.bytes.held.is_some() && seen.content.is_none();
    let tried = |seen: &Seen| {
        let bytes = seen.bytes.held.is_some() || seen.bytes.failures > 0;
        bytes || !seen.keyframes().is_empty()
    };
    !track.segments().iter().any(tells_nothing)
        && !track.segments().iter().rev().take(EVERY).any(tried)
}

/// The first part of one of its segments told nothing: it is short, or its keyframes are long.
fn needs_all(track: &Track) -> bool {
    let nothing = |seen: &Seen| seen.glimpse.as_ref().is_some_and(|found| found.is_empty());
    track.segments().iter().any(nothing)
}

fn glimpse_of(seen: &Seen) -> Option<What> {
    let Resource { path, range } = &seen.listed.resource;
    let bare = seen.listed.map.is_none() && seen.listed.segment.keys.is_empty();
    let range = range.map_or((0, u64::MAX), |range| (range.offset, range.length));
    let part = ByteRange { offset: range.0, length: GLIMPSE };
    let at = Resource { path: path.clone(), range: Some(part) };
    (bare && range.1 > GLIMPSE).then(|| What::Glimpse { msn: seen.msn(), at })
}
