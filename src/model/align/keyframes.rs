//! The same coded picture in two runs proves where they are one, however their clocks stand. Equal
//! times prove nothing: two encoders may both have begun at 0.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::model::media::{Keyframe, PictureHash, Ticks};

/// Keyframes that are remembered of a run: minutes of any stream.
const KEPT: usize = 256;

/// So many pictures that agree need no other witness.
const ENOUGH: usize = 4;

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

    /// The offset at which most pictures of `theirs` are ours, if no other has as many, and if they are not
    /// outnumbered by pictures that should then be the same and are not: two encoders may begin with
    /// the same black. Where only a few speak for it, `plausible` is asked: pictures that stand still look
    /// all alike.
    pub(super) fn offset_to(
        &self,
        theirs: &Self,
        plausible: impl Fn(Ticks) -> bool,
    ) -> Option<Ticks> {
        let (ours, by_hash) = (self.by_hash(), theirs.by_hash());
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        for (hash, ours) in &ours {
            let Some(theirs) = by_hash.get(hash) else { continue };
            for (o, t) in ours.iter().flat_map(|o| theirs.iter().map(move |t| (o, t))) {
                *votes.entry(t.0.saturating_sub(o.0)).or_default() += 1;
            }
        }
        let counted = |&offset: &i64| -> usize {
            votes.range(offset - ROUNDING..=offset + ROUNDING).map(|(_, n)| *n).sum()
        };
        let best = votes.keys().copied().max_by_key(counted)?;
        let far = |other: &&i64| (**other - best).abs() > 2 * ROUNDING;
        let second = votes.keys().filter(far).map(counted).max().unwrap_or(0);
        let sure = counted(&best) > second && (counted(&best) >= ENOUGH || plausible(Ticks(best)));
        let Agreement { equal, compared } = self.agreement(theirs, Ticks(best));
        (sure && equal * 2 > compared).then_some(Ticks(best))
    }

    /// Compares the pictures that are shown at the same time if `offset` is right.
    pub(super) fn agreement(&self, theirs: &Self, offset: Ticks) -> Agreement {
        let mut times: BTreeMap<i64, PictureHash> = BTreeMap::new();
        times.extend(theirs.0.iter().map(|(pts, hash)| (pts.0, *hash)));
        let mut agreement = Agreement::default();
        for (pts, hash) in &self.0 {
            let there = pts.0.saturating_add(offset.0);
            let near = there.saturating_sub(ROUNDING)..=there.saturating_add(ROUNDING);
            let Some((_, theirs)) = times.range(near).next() else { continue };
            agreement.compared += 1;
            agreement.equal += usize::from(theirs == hash);
        }
        agreement
    }

    /// Pictures that come so often that they tell nothing are left out.
    fn by_hash(&self) -> HashMap<PictureHash, Vec<Ticks>> {
        const OFTEN: usize = 4;
        let mut found: HashMap<PictureHash, Vec<Ticks>> = HashMap::new();
        for (pts, hash) in &self.0 {
            found.entry(*hash).or_default().push(*pts);
        }
        found.retain(|_, times| times.len() <= OFTEN);
        found
    }
}
