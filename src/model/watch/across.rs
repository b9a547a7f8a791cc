//! One playlist against the others: other renditions of the same URL, and the same rendition at
//! other URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::observer::Polled;
use super::renditions::{Steps, disagree};
use super::shown::Kind;
use super::split::{Split, Splits};
use super::track::{Dated, SLACK, Track};
use super::{Finding, Place, Rule, seconds};
use crate::model::names::LaneId;

/// What is known of pairs.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Told already: a standing difference is told once.
    told: BTreeSet<(Rule, Place, Place)>,
    steps: Steps,
    pub splits: Splits,
    /// Of which lane each is, where its URL says it.
    pub lanes: BTreeMap<Place, Option<LaneId>>,
}

/// Two are the same rendition at two URLs, and of one lane as far as their URLs say it.
pub(super) fn is_one_list(
    lanes: &BTreeMap<Place, Option<LaneId>>,
    one: &Place,
    other: &Place,
) -> bool {
    one.url != other.url && one.rendition == other.rendition && are_of_one_lane(lanes, one, other)
}

fn are_of_one_lane(lanes: &BTreeMap<Place, Option<LaneId>>, one: &Place, other: &Place) -> bool {
    let of = |place| lanes.get(place).and_then(Option::as_ref);
    of(one) == of(other)
}

/// The breaches between `place`, just looked at, and every other playlist; and the splits that are over.
pub(super) fn judge(
    tracks: &BTreeMap<Place, Track>,
    place: &Place,
    added: &[u64],
    polled: Polled,
    pairs: &mut Pairs,
) -> (Vec<Finding>, Vec<Split>) {
    let Pairs { told, steps, splits, lanes } = pairs;
    let (mut found, mut over) = (Vec::new(), Vec::new());
    let Some(this) = tracks.get(place) else { return (found, over) };
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
        let sides = [(place, this), (other_place, other)];
        if are_of_one_lane(lanes, place, other_place) {
            once(target(sides), Rule::TargetDurationDiffers);
        }
        if place.url == other_place.url {
            let in_step = steps.look(sides, &pair, polled);
            once(disagree(sides, in_step, polled), Rule::RenditionsDisagree);
            once(dates(sides), Rule::DatesDiffer);
        } else if is_one_list(lanes, place, other_place) {
            once(edges(this, other, other_place, polled), Rule::EdgesApart);
            let (begun, ended) = splits.look(sides, added, polled);
            found.extend(begun);
            over.extend(ended);
        }
    }
    (found, over)
}

fn ordered(one: &Place, other: &Place) -> (Place, Place) {
    if one <= other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

/// All renditions share EXT-X-TARGETDURATION (RFC 8216, 6.2.4), and so do all proxies. Only a VOD's
/// subtitles and I-frames may have their own.
fn target(sides: [(&Place, &Track); 2]) -> Option<Finding> {
    let own = |(place, track): (&Place, &Track)| {
        let vod = track.kind == Some(Kind::Vod) || track.ended;
        vod && (track.iframes_only || place.letter() == 's')
    };
    if sides.into_iter().any(own) {
        return None;
    }
    let [(_, this), (whom, other)] = sides;
    let (ours, theirs) = (this.target?, other.target?);
    (ours != theirs).then(|| {
        let (ours, theirs) = (ours.as_secs(), theirs.as_secs());
        let sentence = format!("EXT-X-TARGETDURATION is {ours} here and {theirs} in {whom}");
        Finding::new(Rule::TargetDurationDiffers, None, theirs, ours, sentence)
    })
}

/// If one rendition has dates, all have (RFC 8216bis, 6.2.4). Held against video and audio only:
/// packagers leave them out of subtitles and I-frames, and no player minds. A list that dates just
/// began in is not judged, since the others may have been looked at before.
fn dates(sides: [(&Place, &Track); 2]) -> Option<Finding> {
    let judged = |(place, track): (&Place, &Track)| {
        matches!(place.letter(), 'v' | 'a') && !track.iframes_only && track.listed > 0
    };
    if !sides.into_iter().all(judged) {
        return None;
    }
    let [(_, this), (whom, other)] = sides;
    let (with, without) = ("EXT-X-PROGRAM-DATE-TIME", "no EXT-X-PROGRAM-DATE-TIME");
    let (ours, theirs) = match (this.dated, other.dated) {
        (Dated::All, Dated::None) => (with, without),
        (Dated::None, Dated::All) => (without, with),
        _ => return None,
    };
    let sentence = format!("there is {ours} here, and {theirs} in {whom}");
    Some(Finding::new(Rule::DatesDiffer, None, theirs, ours, sentence))
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
