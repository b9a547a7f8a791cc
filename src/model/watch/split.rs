//! Splits: one number names two segments, one at this URL and another at that. Proxies of one fleet come to
//! that when they lose sight of each other, and a viewer who is sent from the one to the other stops. A split is
//! one breach, however many numbers it has, and it is over once none of them is listed any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::frozen::differs;
use super::observer::Polled;
use super::read::{last_element, with_last_element};
use super::track::Track;
use super::{Finding, Place, Rule};

/// Splits that are over are remembered up to so many, the newest.
const OVER_MAX: usize = 1_000;

/// Two URLs that give one number to two segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The two playlists, by the number of their URL.
    pub between: [Place; 2],
    /// The first number that differs.
    pub first: u64,
    /// The last so far.
    pub last: u64,
    /// How many differ. Those between them that were seen at one URL only do not count.
    pub numbers: u64,
    /// When the first was seen at both, since the watch began.
    pub since: Duration,
    /// From this number on both say the same again.
    pub agree_from: Option<u64>,
    /// When none of them was listed any more, since the watch began.
    pub over_at: Option<Duration>,
    /// Other segments, and not only other lines about them.
    segments: bool,
}

/// All splits of a watch.
#[derive(Debug, Default)]
pub(super) struct Splits {
    open: BTreeMap<[Place; 2], Split>,
    over: VecDeque<Split>,
}

impl Splits {
    /// Compares the numbers that were `added` at `place` with the same at another URL. The breach if a split
    /// begins here, and the split if one is over.
    pub fn look(
        &mut self,
        [(place, this), (whom, other)]: [(&Place, &Track); 2],
        added: &[u64],
        polled: Polled,
    ) -> (Option<Finding>, Option<Split>) {
        let pair = pair(place, whom);
        let mut begun = None;
        for msn in added {
            let Some(difference) = difference(this, other, whom, *msn) else { continue };
            let Some(finding) = difference else {
                let open = self.open.get_mut(&pair);
                if let Some(open) = open.filter(|open| *msn > open.last) {
                    open.agree_from.get_or_insert(*msn);
                }
                continue;
            };
            let segments = matches!(finding.rule, Rule::OtherUri);
            let split = self.open.entry(pair.clone()).or_insert_with(|| {
                begun = Some(begins(whom, finding));
                Split {
                    between: pair.clone(),
                    first: *msn,
                    last: *msn,
                    numbers: 0,
                    since: polled.received,
                    agree_from: None,
                    over_at: None,
                    segments,
                }
            });
            (split.first, split.last) = (split.first.min(*msn), split.last.max(*msn));
            split.numbers += 1;
            split.agree_from = split.agree_from.filter(|from| from > msn);
            split.segments |= segments;
        }
        (begun, self.end(&pair, this.first.min(other.first), polled))
    }

    /// Ends the split once all its numbers lie before `first`, the first that either lists.
    fn end(&mut self, pair: &[Place; 2], first: u64, polled: Polled) -> Option<Split> {
        if self.open.get(pair)?.last >= first {
            return None;
        }
        let mut split = self.open.remove(pair)?;
        split.over_at = Some(polled.received);
        self.over.push_back(split.clone());
        if self.over.len() > OVER_MAX {
            self.over.pop_front();
        }
        Some(split)
    }

    /// It was told already that `msn` names two segments at these two.
    pub fn told(&self, one: &Place, other: &Place, msn: u64) -> bool {
        let split = self.open.get(&pair(one, other));
        split.is_some_and(|s| s.segments && (s.first..=s.last).contains(&msn))
    }

    /// Those that are over, then those that are not.
    pub fn all(&self) -> impl Iterator<Item = &Split> {
        self.over.iter().chain(self.open.values())
    }
}

fn pair(one: &Place, other: &Place) -> [Place; 2] {
    let mut pair = [one.clone(), other.clone()];
    pair.sort();
    pair
}

fn begins(whom: &Place, why: Finding) -> Finding {
    let sentence = format!("split from {whom}: {}", why.sentence);
    let mut finding = Finding::new(Rule::Split, why.msn, why.expected, why.found, sentence);
    finding.other = Some(whom.clone());
    finding
}

/// How one number differs at two URLs: the last elements of names and the lines, since each proxy may give a
/// token of its own. None where it was not seen at both; nothing in it where both say the same.
#[allow(clippy::option_option)]
fn difference(this: &Track, other: &Track, whom: &Place, msn: u64) -> Option<Option<Finding>> {
    let name = |text: &str| match text.strip_prefix("#EXT") {
        Some(_) => with_last_element(text),
        None => last_element(text).to_owned(),
    };
    let (ours, theirs) = (&this.history.get(&msn)?.listed, &other.history.get(&msn)?.listed);
    if let Some(finding) = differs(theirs, ours, &format!("in {whom}"), name).into_iter().next() {
        return Some(Some(finding));
    }
    if ours.discontinuity != theirs.discontinuity {
        let word = |d: bool| if d { "with" } else { "without" };
        let (theirs, ours) = (word(theirs.discontinuity), word(ours.discontinuity));
        let sentence = format!(
            "segment {msn} is listed {ours} EXT-X-DISCONTINUITY here and {theirs} it in {whom}"
        );
        let rule = Rule::DiscontinuityChanged;
        return Some(Some(Finding::new(rule, Some(msn), theirs, ours, sentence)));
    }
    let (ours, theirs) = (ours.discontinuity_number, theirs.discontinuity_number);
    Some((ours != theirs).then(|| {
        let sentence = format!(
            "segment {msn} has the discontinuity number {ours} here and {theirs} in {whom}"
        );
        Finding::new(Rule::DiscontinuitySequence, Some(msn), theirs, ours, sentence)
    }))
}
