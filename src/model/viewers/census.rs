//! Who watches which lane: distinct viewers within a window. One census is one shard, behind a lock of
//! its own; each viewer is always in the same.
//!
//! Viewers are known by a hash: of their token's viewer id, of the session id that their player sends
//! (CMCD), or of address and player. The first two are one viewer each. The last may be many, which `polls`
//! tells from how often they ask. What is beyond the limits is told from that alone.

use std::collections::HashMap;

use super::polls::{Polls, Window};
use crate::model::names::UnixMs;

/// A lane, by a number that is never used again in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneNumber(pub u32);

/// Whom a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The viewer of a token: a hash of stream and viewer id.
    Session(u64),
    /// A player that says so: a hash of stream and session id.
    Cmcd(u64),
    /// A hash of stream, address and User-Agent.
    Address(u64),
    /// Not known, as behind a CDN.
    Anybody,
}

/// How many are remembered one by one, in this shard.
#[derive(Clone, Copy, Debug)]
pub struct CensusLimits {
    /// Viewers of tokens and session ids.
    pub exact: usize,
    /// Addresses.
    pub addresses: usize,
}

/// Viewers of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By token.
    pub sessions: u64,
    /// By the session id of their player.
    pub cmcd: u64,
    /// By address or by nothing but requests, thousandths.
    pub estimated: u64,
    /// All of these, and those who have asked for nothing but the entry playlist yet, thousandths.
    pub admitted: u64,
}

impl Tally {
    /// Viewers, those told from requests rounded.
    #[must_use]
    pub const fn viewers(&self) -> u64 {
        self.sessions + self.cmcd + (self.estimated + 500) / 1000
    }

    /// Adds another shard's.
    pub const fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.cmcd += other.cmcd;
        self.estimated += other.estimated;
        self.admitted += other.admitted;
    }
}

/// One viewer.
#[derive(Debug)]
struct Seen {
    at: UnixMs,
    lane: LaneNumber,
    /// He has asked for a media playlist.
    watches: bool,
    cmcd: bool,
}

/// One address with one player, or all that was too much to remember.
#[derive(Debug)]
struct Asking {
    at: UnixMs,
    lane: LaneNumber,
    watches: bool,
    polls: Polls,
}

/// One shard.
#[derive(Debug)]
pub struct Census {
    limits: CensusLimits,
    exact: HashMap<u64, Seen>,
    addresses: HashMap<u64, Asking>,
    rest: HashMap<LaneNumber, Asking>,
}

impl Census {
    /// Nobody yet.
    #[must_use]
    pub fn new(limits: CensusLimits) -> Self {
        let (exact, addresses, rest) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { limits, exact, addresses, rest }
    }

    /// Whether a viewer who is told exactly is there already.
    #[must_use]
    pub fn knows(&self, who: Who) -> bool {
        match who {
            Who::Session(id) | Who::Cmcd(id) => self.exact.contains_key(&id),
            Who::Address(_) | Who::Anybody => false,
        }
    }

    /// Somebody asked for the entry playlist and was given this lane. Whether he is new.
    pub fn arrived(&mut self, who: Who, lane: LaneNumber, window: Window, now: UnixMs) -> bool {
        let known = self.knows(who);
        match self.take(who, lane, window, now, false) {
            Some(asking) => {
                asking.polls.arrived(window, now);
                true
            }
            None => !known,
        }
    }

    /// Somebody asked for a media playlist of this lane. `fresh`: one of the renditions that every viewer
    /// plays one of, and new to him.
    pub fn asked(&mut self, who: Who, lane: LaneNumber, window: Window, fresh: bool, now: UnixMs) {
        if let Some(asking) = self.take(who, lane, window, now, true)
            && fresh
        {
            asking.polls.asked(window, now);
        }
    }

    /// Remembers him; returns what counts his requests, where he is not told exactly.
    fn take(
        &mut self,
        who: Who,
        lane: LaneNumber,
        window: Window,
        now: UnixMs,
        watches: bool,
    ) -> Option<&mut Asking> {
        let asking = match who {
            Who::Session(id) | Who::Cmcd(id) => {
                let cmcd = matches!(who, Who::Cmcd(_));
                if let Some(seen) = self.exact.get_mut(&id) {
                    *seen = Seen { at: now, lane, watches: seen.watches || watches, cmcd };
                    return None;
                }
                if self.exact.len() < self.limits.exact {
                    self.exact.insert(id, Seen { at: now, lane, watches, cmcd });
                    return None;
                }
                self.of_rest(lane, window, now)
            }
            Who::Address(id) => {
                let room = self.addresses.len() < self.limits.addresses;
                if room || self.addresses.contains_key(&id) {
                    let new = || Asking::new(lane, window, now);
                    self.addresses.entry(id).or_insert_with(new)
                } else {
                    self.of_rest(lane, window, now)
                }
            }
            Who::Anybody => self.of_rest(lane, window, now),
        };
        (asking.at, asking.lane) = (now, lane);
        asking.watches |= watches;
        Some(asking)
    }

    fn of_rest(&mut self, lane: LaneNumber, window: Window, now: UnixMs) -> &mut Asking {
        self.rest.entry(lane).or_insert_with(|| Asking::new(lane, window, now))
    }

    /// Counts, and forgets whoever has not asked within the window of his lane. `windows`: those of the
    /// lanes that there are; who is on another is forgotten as well.
    pub fn count(
        &mut self,
        now: UnixMs,
        windows: &HashMap<LaneNumber, Window>,
        tallies: &mut HashMap<LaneNumber, Tally>,
    ) {
        let within = |lane, at| windows.get(&lane).filter(|window| window.holds(at, now)).copied();
        self.exact.retain(|_, seen| {
            if within(seen.lane, seen.at).is_none() {
                return false;
            }
            let tally = tallies.entry(seen.lane).or_default();
            tally.admitted += 1000;
            if seen.watches {
                *(if seen.cmcd { &mut tally.cmcd } else { &mut tally.sessions }) += 1;
            }
            true
        });
        let mut of = |asking: &mut Asking, one: bool| {
            let Some(window) = within(asking.lane, asking.at) else { return false };
            let thousandths = if one {
                asking.polls.thousandths_of_one_address(window, now)
            } else {
                asking.polls.thousandths(window, now)
            };
            let tally = tallies.entry(asking.lane).or_default();
            tally.admitted += thousandths;
            if asking.watches {
                tally.estimated += thousandths;
            }
            true
        };
        self.addresses.retain(|_, asking| of(asking, true));
        self.rest.retain(|_, asking| of(asking, false));
        // What a crowd took is given back once it has gone.
        shrink(&mut self.exact);
        shrink(&mut self.addresses);
    }
}

impl Asking {
    fn new(lane: LaneNumber, window: Window, now: UnixMs) -> Self {
        Self { at: now, lane, watches: false, polls: Polls::new(window, now) }
    }
}

fn shrink<T>(map: &mut HashMap<u64, T>) {
    if map.capacity() > 1024 && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
