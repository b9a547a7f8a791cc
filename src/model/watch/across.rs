//! One playlist against the others: other renditions of the same URL, and the same rendition at
//! other URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::observer::Polled;
use super::read::{last_element, with_last_element};
use super::track::{SLACK, Track, differs};
use super::{Finding, Place, Rule, seconds};

/// What was told of a pair already, so that a standing difference is told once.
pub(super) type Told = BTreeSet<(Rule, Place, Place)>;

/// Segments that one rendition may have gained since another was looked at, where their lists
/// have none in common.
const NEWER: u64 = 3;

/// The breaches between `place`, just looked at, and every other playlist.
pub(super) fn judge(
    tracks: &BTreeMap<Place, Track>,
    place: &Place,
    added: &[u64],
    polled: Polled,
    told: &mut Told,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(this) = tracks.get(place) else { return found };
    for (other_place, other) in tracks.iter().filter(|(p, _)| *p != place) {
        let pair = ordered(place, other_place);
        let mut once = |finding: Option<Finding>, rule: Rule| {
            let key = (rule, pair.0.clone(), pair.1.clone());
            match finding {
                Some(finding) => {
                    if told.insert(key) {
                        found.push(finding);
                    }
                }
                None => {
                    told.remove(&key);
                }
            }
        };
        if other.last.is_none() || this.last.is_none() {
            continue;
        }
        once(target(this, other, other_place), Rule::TargetDurationDiffers);
        if place.url == other_place.url {
            once(renditions(this, other, other_place, polled), Rule::RenditionsDisagree);
        } else if place.rendition == other_place.rendition {
            once(edges(this, other, other_place, polled), Rule::EdgesApart);
            found.extend(same(this, other, other_place, added));
        }
    }
    found
}

fn ordered(one: &Place, other: &Place) -> (Place, Place) {
    if one <= other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

/// All renditions share EXT-X-TARGETDURATION (RFC 8216, 6.2.4), and so do all proxies.
fn target(this: &Track, other: &Track, whom: &Place) -> Option<Finding> {
    let (ours, theirs) = (this.target?, other.target?);
    (ours != theirs).then(|| {
        let (ours, theirs) = (ours.as_secs(), theirs.as_secs());
        let sentence = format!("EXT-X-TARGETDURATION is {ours} here and {theirs} in {whom}");
        Finding::new(Rule::TargetDurationDiffers, None, theirs, ours, sentence)
    })
}

/// MSN n is the same moment in each rendition, and so is discontinuity n.
fn renditions(this: &Track, other: &Track, whom: &Place, polled: Polled) -> Option<Finding> {
    let rule = Rule::RenditionsDisagree;
    let (first, last) = (this.first.max(other.first), this.last?.min(other.last?));
    if first > last && first - last <= NEWER {
        // The lists meet: a rendition that begins at the edge, seen after the others were.
        return None;
    }
    if first > last {
        // Two looks far apart in time may well show lists that do not meet.
        let close = polled.received.saturating_sub(other.looked_at?) <= this.target?;
        return close.then(|| {
            let range = |t: &Track| format!("{} to {}", t.first, t.last.unwrap_or(t.first));
            let sentence = format!(
                "segments {} are listed here and {} in {whom}: the numbers have no common base",
                range(this),
                range(other)
            );
            Finding::new(rule, Some(this.first), range(other), range(this), sentence)
        });
    }
    let (ours, theirs) = (this.history.get(&last)?, other.history.get(&last)?);
    let (ours, theirs) = (&ours.listed, &theirs.listed);
    if ours.discontinuity_number != theirs.discontinuity_number {
        let sentence = format!(
            "segment {last} has the discontinuity number {} here and {} in {whom}",
            ours.discontinuity_number, theirs.discontinuity_number
        );
        let (theirs, ours) = (theirs.discontinuity_number, ours.discontinuity_number);
        return Some(Finding::new(rule, Some(last), theirs, ours, sentence));
    }
    None
}

/// What another URL listed half a target duration before we asked must be listed here too.
fn edges(this: &Track, other: &Track, whom: &Place, polled: Polled) -> Option<Finding> {
    let (last, theirs) = (this.last?, other.last?);
    if theirs <= last {
        return None;
    }
    let behind = match other.history.get(&(last.saturating_add(1))) {
        Some(missing) => polled.sent.saturating_sub(missing.seen_at),
        None => Duration::MAX,
    };
    if this.ended || behind < this.target? / 2 + SLACK {
        return None;
    }
    let late =
        if behind == Duration::MAX { "long ago".to_owned() } else { seconds(behind) + " ago" };
    let sentence = format!(
        "the list ends at {last} here, but {whom} went on to {theirs}, its next segment {late}"
    );
    Some(Finding::new(Rule::EdgesApart, Some(last), theirs, last, sentence))
}

/// The same MSN is the same segment at every URL: the last elements of names and the lines, since
/// each proxy may give a token of its own.
fn same(this: &Track, other: &Track, whom: &Place, added: &[u64]) -> Vec<Finding> {
    let name = |text: &str| match text.strip_prefix("#EXT") {
        Some(_) => with_last_element(text),
        None => last_element(text).to_owned(),
    };
    let mut found = Vec::new();
    for msn in added {
        let (Some(ours), Some(theirs)) = (this.history.get(msn), other.history.get(msn)) else {
            continue;
        };
        let (ours, theirs) = (&ours.listed, &theirs.listed);
        found.extend(differs(theirs, ours, &format!("in {whom}"), name));
        if ours.discontinuity != theirs.discontinuity {
            let word = |d: bool| if d { "with" } else { "without" };
            let sentence = format!(
                "segment {msn} is listed {} EXT-X-DISCONTINUITY here and {} it in {whom}",
                word(ours.discontinuity),
                word(theirs.discontinuity)
            );
            let (theirs, ours) = (word(theirs.discontinuity), word(ours.discontinuity));
            let rule = Rule::DiscontinuityChanged;
            found.push(Finding::new(rule, Some(*msn), theirs, ours, sentence));
        } else if ours.discontinuity_number != theirs.discontinuity_number {
            let (ours, theirs) = (ours.discontinuity_number, theirs.discontinuity_number);
            let sentence = format!(
                "segment {msn} has the discontinuity number {ours} here and {theirs} in {whom}"
            );
            let rule = Rule::DiscontinuitySequence;
            found.push(Finding::new(rule, Some(*msn), theirs, ours, sentence));
            break; // every later segment is off by as much
        }
    }
    found
}
