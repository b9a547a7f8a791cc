//! One packager as one stream sees it: its entry playlist, and a track per rendition in use.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pace::Pace;
use crate::model::lane::{Failing, Header, Track};
use crate::model::multivariant::{self, Multivariant};
use crate::model::names::{PackagerId, UnixMs};

/// What is known of a packager's entry playlist.
#[derive(Debug)]
pub enum EntryState {
    /// Never asked, or asked again.
    Unknown,
    /// It is a multivariant playlist, with the path of each rendition found (none: elsewhere).
    Multivariant(Box<Multivariant>, Vec<Option<String>>),
    /// It is a lone media playlist.
    Lone,
}

/// A rendition in use on this packager.
pub struct Shown {
    /// Absolute path and query of its media playlist.
    pub path: String,
    /// What it showed.
    pub track: Track,
    /// When it is refreshed.
    pub pace: Pace,
    /// A refresh is under way.
    pub asking: bool,
    /// The fetch that proves whether the run goes on is under way.
    pub proving: bool,
}

/// One packager as one stream sees it.
pub struct Source {
    /// Which.
    pub id: PackagerId,
    /// Its entry playlist.
    pub entry: EntryState,
    /// The entry playlist is being asked for.
    pub asking: bool,
    /// When the entry playlist is to be asked for (again).
    pub ask_at: UnixMs,
    /// Failures of the entry playlist in a row.
    pub failing: Option<Failing>,
    /// By place in the list of renditions found (0 for a lone media playlist).
    pub shown: BTreeMap<usize, Shown>,
    /// What operators were last told of it.
    pub told: Option<crate::model::lane::SpliceReason>,
}

impl Source {
    pub fn new(id: PackagerId) -> Self {
        Self {
            id,
            entry: EntryState::Unknown,
            asking: false,
            ask_at: UnixMs(0),
            failing: None,
            shown: BTreeMap::new(),
            told: None,
        }
    }

    /// For each rendition of the header, the one found here that is it.
    pub fn matched(&self, header: &Header) -> Vec<Option<usize>> {
        match &self.entry {
            EntryState::Unknown => vec![None; header.renditions.len()],
            EntryState::Lone => {
                (0..header.renditions.len()).map(|r| (r == 0).then_some(0)).collect()
            }
            EntryState::Multivariant(m, _) => {
                let matched = multivariant::match_renditions(&header.renditions, &m.found);
                matched.iter().map(|found| found.map(|m| m.index)).collect()
            }
        }
    }

    /// The track of the rendition found at `at`, begun where there is none.
    pub fn show(&mut self, at: usize, lone_path: &str) {
        let path = match &self.entry {
            EntryState::Multivariant(_, paths) => paths.get(at).cloned().flatten(),
            EntryState::Lone => Some(lone_path.to_owned()),
            EntryState::Unknown => None,
        };
        let Some(path) = path else { return };
        self.shown
            .entry(at)
            .and_modify(|s| {
                if s.path != path {
                    s.path.clone_from(&path);
                }
            })
            .or_insert_with(|| Shown {
                path,
                track: Track::default(),
                pace: Pace::default(),
                asking: false,
                proving: false,
            });
    }

    /// The entry playlist is asked for again, since what it named fails.
    pub fn ask_again(&mut self, now: UnixMs) {
        self.entry = EntryState::Unknown;
        self.ask_at = now;
    }

    /// Since when it has said that there is no such stream, or that it has ended.
    pub fn over_since(&self) -> Option<UnixMs> {
        let gone = |f: Option<Failing>| f.and_then(|f| f.gone_since);
        let of_track = |t: &Track| t.ended_since().or(gone(t.failing()));
        // One rendition that is gone is not the stream.
        let shown: Option<Vec<UnixMs>> = self.shown.values().map(|s| of_track(&s.track)).collect();
        gone(self.failing).or(shown.and_then(|all| all.into_iter().max()))
    }

    /// It says that there is no such stream: its entry playlist, or all that it shows.
    pub fn gone(&self) -> bool {
        self.failing.is_some_and(|f| f.gone_since.is_some())
            || (!self.shown.is_empty()
                && self
                    .shown
                    .values()
                    .all(|s| s.track.failing().is_some_and(|f| f.gone_since.is_some())))
    }

    /// It gave nothing of use the last times it was asked.
    pub fn failed(&self) -> bool {
        self.failing.is_some_and(|f| f.count >= 2)
            || self.shown.values().any(|s| s.track.failing().is_some_and(|f| f.count >= 2))
    }

    /// Something is known of it that a lane can be opened with.
    pub fn lists(&self) -> bool {
        !matches!(self.entry, EntryState::Unknown)
            && self.shown.values().any(|s| !s.track.segments().is_empty())
    }

    /// It was asked and answered, well or badly.
    pub fn answered(&self) -> bool {
        self.lists()
            || self.failing.is_some_and(|f| f.gone_since.is_some() || f.count >= 2)
            || self.failed()
            || self.gone()
    }

    /// It lists segments and its list moves: not older than two of its target durations.
    pub fn moves(&self, now: UnixMs) -> bool {
        self.shown.values().any(|s| {
            let target = Duration::from_secs(u64::from(s.track.target_duration().max(1)));
            s.track.failing().is_none()
                && s.track.ended_since().is_none()
                && s.track.progressed_at().is_some_and(|p| now.since(p) <= target * 2)
        })
    }
}
