//! The same coded picture in two runs proves where they are one, however their clocks stand. Equal
//! times prove nothing: two encoders may both have begun at 0.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::model::media::{Keyframe, PictureHash, Ticks};

/// Keyframes that are remembered of a run: minutes of any stream.
const KEPT: usize = 256;

/// So many pictures that agree need no other witness.
const ENOUGH: usize = 4;

/// Moments that are remembered of one picture.
const AGAIN: usize = 4;

/// An offset this near to the expected one is plausible, ticks: packaging takes its time.
const PLAUSIBLE: u64 = 10 * Ticks::SECOND.unsigned_abs();

/// Where a programme comes round again, offsets are at least so far apart, ticks.
const APART: u64 = 8 * Ticks::SECOND.unsigned_abs();

/// Times of two containers that are rounded differently are one, ticks.
const ROUNDING: i64 = 2;

/// The keyframes of a run, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Keyframes(VecDeque<(Ticks, PictureHash)>);

/// Of the keyframes that two runs have at the same moment, how many are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The same coded picture.
    pub equal: usize,
    /// All of them.
    pub compared: usize,
}

impl Keyframes {
    /// Remembers these, as far as they are new.
    pub(super) fn add(&mut self, keyframes: &[Keyframe]) {
        for k in keyframes {
            if self.0.contains(&(k.pts, k.hash)) {
                continue;
            }
            if self.0.len() >= KEPT {
                self.0.pop_front();
            }
            self.0.push_back((k.pts, k.hash));
        }
    }

    /// The offset at which most pictures of `theirs` are ours, if they are not outnumbered by pictures that
    /// should then be the same and are not: two encoders may begin with the same black. Where others have
    /// as many, as in a programme that comes round again, the one near to what is `expected` counts, unless
    /// others are near to that one: pictures that stand still look all alike.
    pub(super) fn offset_to(&self, theirs: &Self, expected: Option<Ticks>) -> Option<Ticks> {
        let votes = self.votes(theirs);
        let counted = |offset: i64| -> usize {
            votes.range(offset - ROUNDING..=offset + ROUNDING).map(|(_, n)| *n).sum()
        };
        let off =
            |offset: i64| expected.map_or(u64::MAX, |e| Ticks(offset).since(e).unsigned_abs());
        let plausible = |offset: &i64| off(*offset) <= PLAUSIBLE;
        let all = || votes.keys().copied();
        let best = |offsets: &mut dyn Iterator<Item = i64>| {
            offsets.max_by_key(|&offset| (counted(offset), std::cmp::Reverse(off(offset))))
        };
        let near = best(&mut all().filter(plausible));
        let best = near.or_else(|| best(&mut all()))?;
        // Of those that stand still the right one has a few more, by chance.
        let rivals = all().filter(|&other| counted(other) * 2 >= counted(best));
        let apart = rivals.map(|other| Ticks(other).since(Ticks(best)).unsigned_abs());
        let nearest = apart.filter(|apart| *apart > 2 * ROUNDING.unsigned_abs()).min();
        let sure = match near {
            Some(_) => nearest.is_none_or(|apart| apart >= APART),
            None => nearest.is_none() && counted(best) >= ENOUGH,
        };
        let Agreement { equal, compared } = self.agreement(theirs, Ticks(best));
        (sure && equal * 2 > compared).then_some(Ticks(best))
    }

    /// How many pictures speak for an offset.
    fn votes(&self, theirs: &Self) -> BTreeMap<i64, usize> {
        let (ours, by_hash) = (self.by_hash(), theirs.by_hash());
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        for (hash, ours) in &ours {
            let Some(theirs) = by_hash.get(hash) else { continue };
            for (o, t) in ours.iter().flat_map(|o| theirs.iter().map(move |t| (o, t))) {
                *votes.entry(t.since(*o)).or_default() += 1;
            }
        }
        votes
    }

    /// Compares the pictures that are shown at the same time if `offset` is right.
    pub(super) fn agreement(&self, theirs: &Self, offset: Ticks) -> Agreement {
        let mut times: BTreeMap<i64, PictureHash> = BTreeMap::new();
        times.extend(theirs.0.iter().map(|(pts, hash)| (pts.since(Ticks(0)), *hash)));
        let mut agreement = Agreement::default();
        for (pts, hash) in &self.0 {
            let there = pts.plus(offset.0).since(Ticks(0));
            let near = there.saturating_sub(ROUNDING)..=there.saturating_add(ROUNDING);
            let Some((_, theirs)) = times.range(near).next() else { continue };
            agreement.compared += 1;
            agreement.equal += usize::from(theirs == hash);
        }
        agreement
    }

    /// Of pictures that come again and again only the newest.
    fn by_hash(&self) -> HashMap<PictureHash, Vec<Ticks>> {
        let mut found: HashMap<PictureHash, Vec<Ticks>> = HashMap::new();
        for (pts, hash) in self.0.iter().rev() {
            let times = found.entry(*hash).or_default();
            if times.len() < AGAIN {
                times.push(*pts);
            }
        }
        found
    }
}
