//! One packager as one stream sees it: its entry playlist, and a track per rendition in use.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pace::Pace;
use super::reading::Head;
use crate::model::align::Relation;
use crate::model::lane::{
    Candidate, Container, Failing, Header, Listed, Seen, SessionResource, SpliceReason, Track,
};
use crate::model::multivariant::{self, Multivariant};
use crate::model::names::{PackagerId, RenditionId, UnixMs};
use crate::model::playlist::{Extent, Variables};
use crate::model::rendition::Kind;

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

/// What a multivariant playlist names beside renditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Session {
    /// Not asked for: no lane has opened here.
    #[default]
    Unknown,
    /// On its way.
    Asked,
    /// In the order of the playlist; none for what cannot be had.
    Held(Vec<Option<SessionResource>>),
}

/// A rendition in use on this packager.
pub struct Shown {
    /// Absolute path and query of its media playlist.
    pub path: String,
    /// What it showed.
    pub track: Track,
    /// What its playlist says of itself.
    pub head: Head,
    /// What stands in a long list before that which the track looks at, while a lane opens.
    pub deep: Option<Vec<Listed>>,
    /// When it is refreshed.
    pub pace: Pace,
    /// A refresh is under way.
    pub asking: bool,
    /// The fetch that proves whether the run goes on is under way.
    pub proving: bool,
}

impl Shown {
    /// A long list was only counted.
    pub fn shallow(&self) -> bool {
        let counted = self.track.skipped() > 0 && self.deep.is_none();
        counted && self.track.failing().is_none()
    }
}

/// One packager as one stream sees it.
pub struct Source {
    /// Which.
    pub id: PackagerId,
    /// Its entry playlist.
    pub entry: EntryState,
    /// What else it names.
    pub session: Session,
    /// The entry playlist is being asked for.
    pub asking: bool,
    /// When the entry playlist is to be asked for (again).
    pub ask_at: UnixMs,
    /// Failures of the entry playlist in a row.
    pub failing: Option<Failing>,
    /// By place in the list of renditions found (0 for a lone media playlist).
    pub shown: BTreeMap<usize, Shown>,
    /// Since when it is watched.
    pub begun: UnixMs,
    /// Since when it has been seen to move, in the run that it is in.
    pub moving_since: Option<UnixMs>,
    /// What operators were last told of it.
    pub told: Option<SpliceReason>,
    /// It may keep its first subscriber waiting until then.
    pub warm_until: UnixMs,
    /// It does so now: it has listed nothing yet, and has not failed.
    pub warming: bool,
}

impl Source {
    pub fn new(id: PackagerId, now: UnixMs) -> Self {
        Self {
            id,
            begun: now,
            moving_since: None,
            entry: EntryState::Unknown,
            session: Session::Unknown,
            asking: false,
            ask_at: UnixMs(0),
            failing: None,
            shown: BTreeMap::new(),
            told: None,
            warm_until: UnixMs(0),
            warming: false,
        }
    }

    /// The same on a packager that may keep its first subscriber waiting until then.
    pub fn cold(id: PackagerId, now: UnixMs, warm_until: UnixMs) -> Self {
        Self { warm_until, warming: true, ..Self::new(id, now) }
    }

    /// Once it lists something, or has taken too long, it is judged like any.
    pub fn warm(&mut self, now: UnixMs) {
        self.warming &= now < self.warm_until && !self.lists();
    }

    /// What the rendition found at `at` is; none of a lone media playlist.
    pub fn kind(&self, at: usize) -> Option<Kind> {
        let EntryState::Multivariant(m, _) = &self.entry else { return None };
        m.found.get(at).map(|found| found.rendition.traits.kind)
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

    /// It has something for every rendition of the lane that viewers play, as far as is known.
    pub fn has_all(&self, header: &Header) -> bool {
        let matched = self.matched(header);
        let mut played =
            header.renditions.iter().zip(matched).filter(|(r, _)| r.traits.kind.is_played());
        matches!(self.entry, EntryState::Unknown) || played.all(|(_, found)| found.is_some())
    }

    /// The renditions that viewers play, as opposed to those they search by. Of what is whole all:
    /// its lists are read once.
    pub fn played(&self) -> Vec<usize> {
        let EntryState::Multivariant(m, paths) = &self.entry else { return vec![0] };
        let whole = self.whole();
        let played = |at: &usize| {
            let kind = m.found.get(*at).map(|f| f.rendition.traits.kind);
            let there = paths.get(*at).is_some_and(Option::is_some);
            there && (whole || kind.is_none_or(Kind::is_played))
        };
        (0..m.found.len()).filter(played).collect()
    }

    /// How much content it lists, of its first rendition in use.
    pub fn listed(&self) -> Duration {
        let Some(shown) = self.shown.values().next() else { return Duration::ZERO };
        let track = &shown.track;
        let looked_at = track.segments().iter().skip(track.listed_from()).map(Seen::duration);
        let looked_at: Duration = looked_at.sum();
        let length = track.newest().map_or(Duration::ZERO, Seen::duration);
        // What is only counted is about as long.
        looked_at + length * u32::try_from(track.skipped()).unwrap_or(u32::MAX)
    }

    /// All that viewers play has shown its list, or does not come.
    pub fn complete(&self) -> bool {
        let shown = |at: &usize| {
            self.shown
                .get(at)
                .is_some_and(|s| !s.track.segments().is_empty() || s.track.failing().is_some())
        };
        self.played().iter().all(shown)
    }

    /// It lists segments and gives none of them.
    pub fn gives_nothing(&self) -> bool {
        let tracks = || self.shown.values().map(|shown| &shown.track);
        let any = |is: fn(&Seen) -> bool| tracks().any(|t| t.segments().iter().any(is));
        any(Seen::lost) && !any(|seen| seen.bytes.held.is_some())
    }

    /// What its multivariant playlist defined, for media playlists that import it.
    pub fn variables(&self) -> Variables {
        match &self.entry {
            EntryState::Multivariant(m, _) => m.variables().clone(),
            EntryState::Lone | EntryState::Unknown => Variables::default(),
        }
    }

    /// The path of the rendition found at `at`.
    pub fn path(&self, at: usize, lone_path: &str) -> Option<String> {
        match &self.entry {
            EntryState::Multivariant(_, paths) => paths.get(at).cloned().flatten(),
            EntryState::Lone => Some(lone_path.to_owned()),
            EntryState::Unknown => None,
        }
    }

    /// The track of the rendition found at `at`, begun where there is none.
    pub fn show(&mut self, at: usize, lone_path: &str) {
        let Some(path) = self.path(at, lone_path) else { return };
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
                head: Head::default(),
                deep: None,
                pace: Pace::default(),
                asking: false,
                proving: false,
            });
    }

    /// Which renditions of the header have none here that is the same: what stands in for each, if
    /// anything does.
    pub fn stand_ins(&self, header: &Header) -> Vec<(RenditionId, Option<String>)> {
        let EntryState::Multivariant(m, _) = &self.entry else { return Vec::new() };
        let matches = multivariant::match_renditions(&header.renditions, &m.found);
        let not_same = header.renditions.iter().zip(matches).filter_map(|(r, found)| match found {
            Some(found) if found.exact => None,
            Some(found) => Some((r.id.clone(), m.found.get(found.index).map(|f| f.uri.clone()))),
            None => Some((r.id.clone(), None)),
        });
        not_same.collect()
    }

    /// What it offers to a lane: its tracks by `matched`. `listed`: per rendition, whether what
    /// the lane has listed of it has init segments. One playlist has one container, since
    /// EXT-X-MAP cannot be unset (RFC 8216, 4.3.2.5).
    pub fn candidate(
        &self,
        header: &Header,
        matched: &[Option<usize>],
        listed: &[Option<bool>],
        barred: Option<SpliceReason>,
        relation: Option<Relation>,
    ) -> Candidate<'_> {
        let of = |at: &Option<usize>| at.and_then(|at| self.shown.get(&at));
        let mapped = header.container == Container::FragmentedMp4;
        let rows = matched.iter().zip(&header.renditions).zip(listed);
        let tracks = rows.map(|((at, rendition), listed)| {
            // WebVTT has no init segment, whatever the video is wrapped in.
            let leads = !matches!(rendition.traits.kind, Kind::Subtitles | Kind::Audio);
            let wanted = listed.or(leads.then_some(mapped));
            let has = |t: &Track| t.newest().map(|s| s.listed.map.is_some());
            of(at).map(|s| &s.track).filter(|t| has(t).zip(wanted).is_none_or(|(a, b)| a == b))
        });
        let tracks: Vec<Option<&Track>> = tracks.collect();
        let known = !matches!(self.entry, EntryState::Unknown);
        // What is wrapped otherwise is as good as none.
        let other = |at: &Option<usize>, track: Option<&Track>| {
            track.is_none() && of(at).is_some_and(|s| s.track.newest().is_some())
        };
        let lacks =
            matched.iter().zip(&tracks).map(|(at, t)| known && (at.is_none() || other(at, *t)));
        let lacks = lacks.collect();
        Candidate {
            id: &self.id,
            barred,
            over_since: self.over_since(),
            tracks,
            lacks,
            relation,
            depth: matched
                .iter()
                .map(|at| of(at).and_then(|s| s.deep.as_deref()).unwrap_or(&[]))
                .collect(),
        }
    }

    /// The entry playlist is asked for again, since what it named fails.
    pub fn ask_again(&mut self, now: UnixMs) {
        self.entry = EntryState::Unknown;
        self.session = Session::Unknown;
        self.ask_at = now;
    }

    /// Since when it has said that there is no such stream, or that it has ended.
    pub fn over_since(&self) -> Option<UnixMs> {
        if self.warming {
            return None;
        }
        let gone = |f: Option<Failing>| f.and_then(|f| f.gone_since);
        let of_track = |t: &Track| t.ended_since().or(gone(t.failing()));
        // One rendition that is gone is not the stream.
        let shown: Option<Vec<UnixMs>> = self.shown.values().map(|s| of_track(&s.track)).collect();
        gone(self.failing).or(shown.and_then(|all| all.into_iter().max()))
    }

    /// It says that there is no such stream: its entry playlist, or all that it shows.
    pub fn gone(&self) -> bool {
        if self.warming {
            return false;
        }
        self.failing.is_some_and(|f| f.gone_since.is_some())
            || (!self.shown.is_empty()
                && self
                    .shown
                    .values()
                    .all(|s| s.track.failing().is_some_and(|f| f.gone_since.is_some())))
    }

    /// It gave nothing of use the last times it was asked.
    pub fn failed(&self) -> bool {
        let fails = self.failing.is_some_and(|f| f.count >= 2)
            || self.shown.values().any(|s| s.track.failing().is_some_and(|f| f.count >= 2));
        fails && !self.warming
    }

    /// Something is known of it that a lane can be opened with.
    pub fn lists(&self) -> bool {
        !matches!(self.entry, EntryState::Unknown)
            && self.shown.values().any(|s| !s.track.segments().is_empty())
    }

    /// It was asked and answered, well or badly.
    pub fn answered(&self) -> bool {
        self.lists()
            || (!self.warming
                && self.failing.is_some_and(|f| f.gone_since.is_some() || f.count >= 2))
            || self.failed()
            || self.gone()
    }

    /// It lists something that is whole: a recording, or a stream that had ended before anybody
    /// watched it here.
    pub fn whole(&self) -> bool {
        let whole = |s: &Shown| {
            let ended = s.track.ended_since().is_some() && s.track.run() == 1;
            ended && (s.head.extent == Extent::Whole || !s.track.arrival_watched())
        };
        self.lists() && self.shown.values().any(whole)
    }

    /// A long list was only counted: a lane cannot open on it with all its depth.
    pub fn shallow(&self) -> bool {
        self.shown.values().any(Shown::shallow)
    }

    /// It lists segments and its list moves: not older than two of its target durations.
    pub fn moves(&self, now: UnixMs) -> bool {
        self.moved_within(now, 8)
    }

    /// Notes whether it has been seen to move. A list that is seen for the first time may be old.
    pub fn note_moves(&mut self, now: UnixMs) {
        let moves = self.shown.values().any(|s| s.track.arrival_watched());
        self.moving_since = self.moving_since.filter(|_| moves).or_else(|| moves.then_some(now));
    }

    /// It answers, and has nothing new for so long that a lane would leave it.
    pub fn stands_still(&self, now: UnixMs) -> bool {
        let may_go_on = !self.failed() && self.over_since().is_none() && !self.whole();
        self.lists() && may_go_on && !self.is_on_time(now)
    }

    /// Its list is not so late that a lane would leave it: no older than one target duration and a quarter.
    pub fn is_on_time(&self, now: UnixMs) -> bool {
        self.moved_within(now, 5)
    }

    fn moved_within(&self, now: UnixMs, quarters: u32) -> bool {
        self.shown.values().any(|s| {
            let target = Duration::from_secs(u64::from(s.track.target_duration().max(1)));
            let since = s.track.progressed_at().map(|at| now.since(at));
            s.track.failing().is_none()
                && s.track.ended_since().is_none()
                && since.is_some_and(|since| since <= target / 4 * quarters)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_stream_has_not_failed_until_it_took_too_long() {
        let mut source = Source::cold(PackagerId::new("a"), UnixMs(0), UnixMs(10_000));
        for (gone, count) in [(false, 2), (true, 5)] {
            source.failing =
                Some(Failing { count, gone_since: gone.then_some(UnixMs(1)), since: UnixMs(1) });
            source.warm(UnixMs(9_999));
            let state = (source.warming, source.failed(), source.gone(), source.answered());
            assert_eq!(state, (true, false, false, false), "{gone}");
            assert_eq!(source.over_since(), None, "{gone}");
        }
        source.warm(UnixMs(10_000));
        let state = (source.warming, source.failed(), source.gone(), source.answered());
        assert_eq!(state, (false, true, true, true));
        source.warm(UnixMs(9_000));
        assert!(!source.warming, "once is enough");

        let mut plain = Source::cold(PackagerId::new("b"), UnixMs(0), UnixMs(5));
        plain.warm(UnixMs(5));
        assert!(!plain.warming, "a packager that has no time for it");
    }
}
