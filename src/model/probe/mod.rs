//! How two packagers of one stream relate, and what a failover between them would be like.
//!
//! `watched` keeps what was seen of each, `matching` says which rendition of one is which of the other,
//! `relating` measures how far they are apart, `verdict` judges, `findings` is all of it at one moment
//! and `text` tells it to people. Pure: the command hands in lists and what is in segments.

mod findings;
mod matching;
mod relating;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod watched;

use std::time::Duration;

use serde::Serialize;

use crate::model::align::Pair;
use crate::model::multivariant::Found;
use crate::model::names::UnixMs;
use crate::model::playlist::MediaPlaylist;
use crate::model::rendition::{Rendition, Traits};

pub use findings::{Findings, Packager, Paired};
pub use relating::Measured;
pub use text::{Part, Tone, panel};
pub use verdict::{Class, Verdict};
pub use watched::{Arrival, Inside, Packing, Seen, Wanted};

use matching::Matching;
use watched::Watched;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The one that is named first.
    A,
    /// The other one.
    B,
}

/// The same of both.
#[derive(Clone, Debug, Default)]
struct Both<T> {
    a: T,
    b: T,
}

impl<T> Both<T> {
    const fn of(&self, which: Which) -> &T {
        match which {
            Which::A => &self.a,
            Which::B => &self.b,
        }
    }

    const fn of_mut(&mut self, which: Which) -> &mut T {
        match which {
            Which::A => &mut self.a,
            Which::B => &mut self.b,
        }
    }
}

/// What is known of one packager.
#[derive(Clone, Debug, Default)]
struct Known {
    url: String,
    renditions: Option<Vec<Found>>,
    /// Since when it does not answer as it should, and how.
    failing: Option<(UnixMs, String)>,
    ended: bool,
    watched: Watched,
}

/// All that is known of two packagers.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The rendition of A that was asked for.
    rendition: Option<String>,
    sides: Both<Known>,
    matching: Option<Matching>,
    pair: Pair,
    /// Which runs `pair` knows.
    runs: (u32, u32),
}

impl Probe {
    /// Nothing is known yet of what these URLs lead to; `rendition` of A is looked into, or else the
    /// highest that both have.
    #[must_use]
    pub fn new(a: &str, b: &str, rendition: Option<String>) -> Self {
        let known = |url: &str| Known { url: url.to_owned(), ..Known::default() };
        let sides = Both { a: known(a), b: known(b) };
        Self { rendition, sides, matching: None, pair: Pair::default(), runs: (0, 0) }
    }

    /// What a lone media playlist counts as.
    #[must_use]
    pub fn lone() -> Vec<Found> {
        let id = crate::model::names::RenditionId::new("v0");
        let rendition = Rendition { id, traits: Traits::default() };
        vec![Found { rendition, uri: String::new() }]
    }

    /// It answered, and has these renditions.
    pub fn reached(&mut self, which: Which, renditions: Vec<Found>) {
        let known = self.sides.of_mut(which);
        known.failing = None;
        known.renditions = Some(renditions);
        if let (Some(a), Some(b)) = (&self.sides.a.renditions, &self.sides.b.renditions) {
            self.matching = Some(Matching::of(a, b, self.rendition.as_deref()));
        }
    }

    /// It did not answer as it should.
    pub fn failed(&mut self, which: Which, now: UnixMs, why: &str) {
        let known = self.sides.of_mut(which);
        let since = known.failing.as_ref().map_or(now, |(since, _)| *since);
        known.failing = Some((since, why.to_owned()));
    }

    /// What to look into; none before both have answered, or where nothing can be compared.
    #[must_use]
    pub fn chosen(&self, which: Which) -> Option<&Found> {
        let (a, b) = self.matching.as_ref()?.main()?;
        let index = match which {
            Which::A => a,
            Which::B => b,
        };
        self.sides.of(which).renditions.as_ref()?.get(index)
    }

    /// Its media playlist; the segment to fetch, if there is a new one. `after` is when it was last
    /// asked for before.
    pub fn listed(&mut self, which: Which, list: &MediaPlaylist, at: Arrival) -> Option<Wanted> {
        let known = self.sides.of_mut(which);
        known.failing = None;
        known.ended = list.ended;
        known.watched.listed(list, at)
    }

    /// What was found in a segment.
    pub fn looked(&mut self, which: Which, seen: Seen) {
        self.sides.of_mut(which).watched.looked(seen);
    }

    /// Nothing comes any more from either, or nothing of one stands for anything of the other.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let unmatched = self.matching.as_ref().is_some_and(|m| m.why_not().is_some());
        unmatched || (self.sides.a.ended && self.sides.b.ended)
    }

    /// It has written EXT-X-ENDLIST.
    #[must_use]
    pub const fn has_ended(&self, which: Which) -> bool {
        self.sides.of(which).ended
    }

    /// When to ask for the media playlist again: seldom while nothing can be there, then often, so
    /// that it is known when a segment came.
    #[must_use]
    pub fn pause(&self, which: Which, now: UnixMs) -> Duration {
        self.sides.of(which).watched.pause(now)
    }

    /// All of it as it stands.
    pub fn findings(&mut self, now: UnixMs) -> Findings {
        let (a, b) = (&self.sides.a.watched, &self.sides.b.watched);
        let runs = (a.restarts(), b.restarts());
        if self.runs != runs {
            self.runs = runs;
            self.pair = Pair::default();
        }
        let measured = relating::measure(&mut self.pair, now, a, b);
        findings::findings(now, &self.sides, self.matching.as_ref(), measured)
    }
}
