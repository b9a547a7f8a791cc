//! Who belongs to a group of packagers, as answers come in: a name's addresses, or a file's list. Who is
//! named joins at once; who is no longer named has left only once that is sure, since one answer may
//! hold but a part of the group (a name server that gives eight of twenty at random). What an answer does
//! not say it does not change: failures and empty answers never get here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::names::{ContentHash, PackagerId, UnixMs};

/// Letters of an id at the most, so that a lane that is called by it fits into a token.
const ID_LETTERS_MAX: usize = 55;
/// Who might still be there by chance with this probability is taken for gone.
const CHANCE: f64 = 1e-6;
/// A name whose answers were parts counts as giving whole ones again after so many that were the same.
const WHOLE_AGAIN: u32 = 20;

/// How a group is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Packagers at the most; more are not taken.
    pub members_max: usize,
    /// Answers in a row that must not name a packager before it has left; 1: each answer is whole and
    /// certain.
    pub answers: u32,
    /// And for so long it must not have been named.
    pub absent_min: Duration,
    /// One that has left is forgotten after so long, whatever lanes are on it.
    pub leave_within: Duration,
}

/// One packager of a group. `P`: where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<P> {
    /// Where it is.
    pub place: P,
    /// It came by an answer while the proxy ran.
    pub new: bool,
    /// It has left: since then. None: it is there.
    pub leaving: Option<UnixMs>,
    /// When an answer last named it.
    seen: UnixMs,
    /// Answers in a row that did not.
    absent: u32,
    /// How likely that many are, if each answer is a part of the group.
    chance: f64,
}

/// What an answer, or the passing of time, did to a packager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there now.
    Joined(PackagerId),
    /// It was leaving, and is there again.
    Back(PackagerId),
    /// It is elsewhere now, or has another weight.
    Moved(PackagerId),
    /// It is named no more: its lanes leave.
    Left(PackagerId),
    /// It has left, and no lane is on it, or time is up.
    Forgotten(PackagerId),
}

/// What is on a packager that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Nothing: it can be forgotten.
    None,
    /// Lanes, which have somewhere to go.
    Some,
    /// Lanes, and nobody else works: without it they would end. The name may lead to the wrong place.
    Stuck,
}

/// The packagers of one group.
#[derive(Clone, Debug)]
pub struct Group<P> {
    members: BTreeMap<PackagerId, Member<P>>,
    /// Who was named by the last answer that counts, and how many in a row named the same.
    named: BTreeSet<PackagerId>,
    same: u32,
    /// Answers before this come from a cache, most likely: they tell nothing more of who is absent.
    holds_until: UnixMs,
    /// Its answers have been seen to be parts of the group.
    parts: bool,
    answered_at: Option<UnixMs>,
    /// Packagers that the last answer named and that are too many.
    refused: usize,
}

impl<P> Default for Group<P> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            named: BTreeSet::new(),
            same: 0,
            holds_until: UnixMs(0),
            parts: false,
            answered_at: None,
            refused: 0,
        }
    }
}

impl<P: Clone + PartialEq> Group<P> {
    /// A group as it was known before the proxy was started: nobody in it is new.
    #[must_use]
    pub fn remembered(members: impl IntoIterator<Item = (PackagerId, P)>, now: UnixMs) -> Self {
        let member = |place| Member { new: false, ..Member::joined(place, now) };
        let members = members.into_iter().map(|(id, place)| (id, member(place)));
        Self { members: members.collect(), ..Self::default() }
    }

    /// Who belongs to it, those that are leaving among them.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<PackagerId, Member<P>> {
        &self.members
    }

    /// How many are there, and how many are leaving.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let leaving = self.members.values().filter(|m| m.leaving.is_some()).count();
        (self.members.len() - leaving, leaving)
    }

    /// When the last good answer came; none: none has.
    #[must_use]
    pub const fn answered_at(&self) -> Option<UnixMs> {
        self.answered_at
    }

    /// How many packagers of the last answer were too many to be taken.
    #[must_use]
    pub const fn refused(&self) -> usize {
        self.refused
    }

    /// Takes an answer that names these, and holds for `ttl`. One that names nobody changes nothing.
    pub fn answer(
        &mut self,
        now: UnixMs,
        named: Vec<(PackagerId, P)>,
        ttl: Duration,
        rules: &Rules,
    ) -> Vec<Change> {
        if named.is_empty() {
            return Vec::new();
        }
        self.answered_at = Some(now);
        let ids: BTreeSet<PackagerId> = named.iter().map(|(id, _)| id.clone()).collect();
        let mut changes = self.take(now, named, rules);
        if now >= self.holds_until {
            self.holds_until = now.plus(ttl);
            self.same = if self.named == ids { self.same.saturating_add(1) } else { 1 };
            self.parts &= self.same < WHOLE_AGAIN;
            changes.extend(self.miss(now, &ids, rules));
            self.named = ids;
        }
        changes
    }

    /// Those that are named are there.
    fn take(&mut self, now: UnixMs, named: Vec<(PackagerId, P)>, rules: &Rules) -> Vec<Change> {
        let mut changes = Vec::new();
        self.refused = 0;
        for (id, place) in named {
            let there = self.count().0;
            let full = there >= rules.members_max;
            let Some(member) = self.members.get_mut(&id) else {
                if full {
                    self.refused += 1;
                } else {
                    self.members.insert(id.clone(), Member::joined(place, now));
                    changes.push(Change::Joined(id));
                }
                continue;
            };
            if member.leaving.is_some() && full {
                self.refused += 1;
                continue;
            }
            // Whoever comes back was there all along, most likely.
            self.parts |= member.absent > 0;
            let (back, moved) = (member.leaving.is_some(), member.place != place);
            *member = Member { new: member.new, ..Member::joined(place, now) };
            match (back, moved) {
                (true, _) => changes.push(Change::Back(id)),
                (false, true) => changes.push(Change::Moved(id)),
                (false, false) => {}
            }
        }
        changes
    }

    /// Those that are not named may have left.
    fn miss(&mut self, now: UnixMs, ids: &BTreeSet<PackagerId>, rules: &Rules) -> Vec<Change> {
        let all = self.count().0.max(1);
        // If each answer names so many of all at random, one of them is missed this often.
        #[allow(clippy::cast_precision_loss)] // a few dozen
        let missed = 1.0 - ids.len().min(all) as f64 / all as f64;
        let whole = !self.parts && self.same >= rules.answers;
        let mut changes = Vec::new();
        for (id, member) in &mut self.members {
            if ids.contains(id) || member.leaving.is_some() {
                continue;
            }
            member.absent = member.absent.saturating_add(1);
            member.chance *= missed;
            let often =
                member.absent >= rules.answers && now.since(member.seen) >= rules.absent_min;
            if rules.answers <= 1 || (often && (whole || member.chance < CHANCE)) {
                member.leaving = Some(now);
                changes.push(Change::Left(id.clone()));
            }
        }
        changes
    }

    /// Forgets those that have left and have no lanes any more, or whose time is up while their lanes have
    /// somewhere to go. Of too many that are leaving the first go.
    pub fn forget(
        &mut self,
        now: UnixMs,
        lanes: impl Fn(&PackagerId) -> Lanes,
        rules: &Rules,
    ) -> Vec<Change> {
        let leaving = |(id, m): (&PackagerId, &Member<P>)| Some((m.leaving?, id.clone()));
        let mut leaving: Vec<(UnixMs, PackagerId)> =
            self.members.iter().filter_map(leaving).collect();
        leaving.sort();
        let too_many = leaving.len().saturating_sub(rules.members_max);
        let mut changes = Vec::new();
        for (at, (since, id)) in leaving.into_iter().enumerate() {
            let goes = match lanes(&id) {
                Lanes::None => true,
                Lanes::Some => now.since(since) >= rules.leave_within,
                Lanes::Stuck => false,
            };
            if goes || at < too_many {
                self.members.remove(&id);
                changes.push(Change::Forgotten(id));
            }
        }
        changes
    }
}

impl<P> Member<P> {
    const fn joined(place: P, now: UnixMs) -> Self {
        Self { place, new: true, leaving: None, seen: now, absent: 0, chance: 1.0 }
    }
}

/// The id of a packager of `group` that is at `place` (an address, a host with or without a port): the
/// same for the same place, for ever. `az1` and `10.0.1.17` make `az1-10-0-1-17`.
#[must_use]
pub fn member_id(group: &str, place: &str) -> PackagerId {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = place.chars().map(letter).collect();
    let id = format!("{group}-{plain}");
    if id.len() <= ID_LETTERS_MAX {
        return PackagerId::new(id);
    }
    let hash: String = ContentHash::of(place.as_bytes()).to_hex().chars().take(16).collect();
    PackagerId::new(format!("{group}-{hash}"))
}

#[cfg(test)]
mod tests;
