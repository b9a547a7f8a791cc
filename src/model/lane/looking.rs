//! Which segments of standbys are looked into, so that at a splice it is known already where the lane's
//! content goes on there.

use super::readiness::wants;
use super::standing::{last_entry, track_of};
use super::{Candidate, Situation, Track, Want};

/// Of so many segments of a standby one is looked into.
const EVERY: usize = 8;

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
    let Some(track) = track_of(c, r).filter(|track| !track.unsure()) else { return Vec::new() };
    let newest = track.segments().len().checked_sub(1);
    newest.filter(|_| is_due(track)).map_or_else(Vec::new, |at| wants(c, r, track, at))
}

/// None of the newest was tried. Bytes that tell nothing once tell nothing the next time.
fn is_due(track: &Track) -> bool {
    let tells_nothing = |seen: &super::Seen| seen.bytes.held.is_some() && seen.content.is_none();
    let tried = |seen: &super::Seen| seen.bytes.held.is_some() || seen.bytes.failures > 0;
    !track.segments().iter().any(tells_nothing)
        && !track.segments().iter().rev().take(EVERY).any(tried)
}
