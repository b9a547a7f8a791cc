//! Asking packagers for playlists, each when it is due, and taking what they answer.

use std::collections::HashSet;
use std::time::Duration;

use super::carry::Carried;
use super::reading::{self, Place};
use super::source::EntryState;
use super::worker::{Event, Worker};
use crate::model::lane::{Failing, Observed};
use crate::model::multivariant::{Asked, Multivariant};
use crate::model::names::{PackagerId, UnixMs};
use crate::model::playlist::{self, Extent, Shape};
use crate::model::rendition::Rendition;
use crate::model::uri;
use crate::origin::{OriginError, PlaylistAnswer};

/// An entry playlist that fails is asked for again after this at the latest.
const ENTRY_WAIT_MAX: Duration = Duration::from_secs(6);
/// And not more often than this, however short a lane's segments are.
const ENTRY_WAIT_LEAST: Duration = Duration::from_millis(500);
/// While a packager may keep its first subscriber waiting: how long each try is given, and when the next
/// one is due at the latest.
const WARMING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

impl Worker {
    /// A lane is about to open, or has opened and has nothing yet: all of a long list is wanted.
    pub(super) fn opens(&self) -> bool {
        self.needs_lane() || self.lanes.values().any(|l| l.log.tail().is_none())
    }

    /// Starts every request for a playlist that is due. Returns when the next one is.
    pub(super) fn ask_packagers(&mut self) -> UnixMs {
        let now = self.deps.clock.now();
        let mut wake = now.plus(Duration::from_secs(1));
        let opens = self.opens();
        // Nothing follows what has ended; whoever has the same file may still be asked for it.
        let ended = |l: &Carried| l.log.tail().is_some_and(|t| t.end);
        let over = !opens && !self.lanes.is_empty() && self.lanes.values().all(ended);
        let whole = |l: &Carried| l.log.header().extent == Extent::Whole;
        if over && !self.lanes.values().any(whole) {
            return wake;
        }
        let ids: Vec<PackagerId> = self.sources.keys().cloned().collect();
        for id in ids {
            self.show_wanted(&id);
            let Some(source) = self.sources.get_mut(&id) else { continue };
            if matches!(source.entry, EntryState::Unknown) {
                if !source.asking && source.ask_at <= now {
                    source.asking = true;
                    self.ask_entry(&id);
                } else if !source.asking {
                    wake = wake.min(source.ask_at);
                }
                continue;
            }
            let mut due = Vec::new();
            for (&at, shown) in &mut source.shown {
                if shown.asking || over {
                    continue;
                }
                // All of a long list is wanted again.
                let shallow = opens && shown.shallow();
                if shown.pace.due() <= now || shallow {
                    shown.asking = true;
                    shown.pace.start(now);
                    due.push((at, shown.path.clone(), shown.track.target_duration()));
                } else {
                    wake = wake.min(shown.pace.due());
                }
            }
            for (at, path, target) in due {
                self.ask_media(&id, at, path, target);
            }
        }
        wake
    }

    /// The renditions that are refreshed: those that lanes' viewers ask for, or the first. All
    /// that are played before a lane opens: one target duration has to do for them all.
    pub(super) fn show_wanted(&mut self, id: &PackagerId) {
        let since = self.deps.clock.now().minus(self.settings.idle_after);
        let opens = self.needs_lane();
        let Some(source) = self.sources.get_mut(id) else { return };
        if matches!(source.entry, EntryState::Unknown) {
            return;
        }
        let mut wanted: HashSet<usize> = HashSet::new();
        for lane in self.lanes.values() {
            let header = lane.log.header();
            let matched = source.matched(header);
            let mut asked = lane.wanted(since);
            // Of a long window the list of every rendition goes on; of what is whole it is read
            // once.
            let whole = header.extent == Extent::Whole;
            let played = |r: &Rendition| whole || r.traits.kind.is_played();
            if header.is_deep() {
                for (asked, rendition) in asked.iter_mut().zip(&header.renditions) {
                    *asked |= played(rendition);
                }
            }
            wanted.extend(matched.iter().zip(asked).filter_map(|(m, asked)| m.filter(|_| asked)));
        }
        if opens {
            wanted.extend(source.played());
        }
        if wanted.is_empty() {
            wanted.insert(0);
        }
        source.shown.retain(|at, s| wanted.contains(at) || s.asking);
        for at in wanted {
            source.show(at, &self.key.path_and_query());
        }
    }

    pub(super) fn ask_entry(&self, id: &PackagerId) {
        let (deps, id, out) = (self.deps.clone(), id.clone(), self.outbox.clone());
        let path = self.key.path_and_query();
        let warming = self.sources.get(&id).is_some_and(|source| source.warming);
        let deadline = if warming { WARMING.0 } else { Duration::from_secs(2) };
        tokio::spawn(async move {
            let result = deps.playlist(&id, &path, deadline).await;
            let _ = out.send(Event::Entry(id, result)).await;
        });
    }

    pub(super) fn ask_media(&self, id: &PackagerId, at: usize, path: String, target: u32) {
        let (deps, id, out) = (self.deps.clone(), id.clone(), self.outbox.clone());
        // Two tries fit into a target duration (ARCHITECTURE.md, law 6).
        let deadline = Duration::from_secs(u64::from(target)) / 2;
        let deadline = deadline.clamp(Duration::from_millis(800), Duration::from_secs(5));
        tokio::spawn(async move {
            let result = deps.playlist(&id, &path, deadline).await;
            let _ = out.send(Event::Refreshed(id, at, result)).await;
        });
    }

    pub(super) fn take_entry(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        result: Result<PlaylistAnswer, OriginError>,
    ) {
        let hosts = self.deps.hosts_of(id);
        let limits = self.settings.playlist;
        let path = self.key.path_and_query();
        let Some(source) = self.sources.get_mut(id) else { return };
        source.asking = false;
        let (error, gone) = match result {
            Err(e) => (e.to_string(), e.is_gone()),
            Ok(answer) => match playlist::shape(&answer.body) {
                Ok(Shape::Media) => {
                    source.entry = EntryState::Lone;
                    source.failing = None;
                    source.show(0, &path);
                    if let Some(s) = source.shown.get_mut(&0) {
                        s.pace.start(now);
                    }
                    self.take_refresh(now, id, 0, Ok(answer));
                    return;
                }
                Ok(Shape::Multivariant) => match Multivariant::read(
                    &answer.body,
                    &limits,
                    &Asked { path: &path, own_hosts: &hosts },
                ) {
                    Ok(m) => {
                        let paths =
                            m.found.iter().map(|f| uri::resolve(&path, &f.uri, &hosts).ok());
                        let paths = paths.collect();
                        source.entry = EntryState::Multivariant(Box::new(m), paths);
                        source.failing = None;
                        self.tell_stand_ins(id);
                        return;
                    }
                    Err(e) => (e.to_string(), false),
                },
                Err(e) => (e.to_string(), false),
            },
        };
        let f = Failing::note(&mut source.failing, now, gone);
        if f.count == 1 {
            tracing::info!(stream = %self.key, packager = %id, %error, "no entry playlist");
        }
        // Lanes that stand still go on within a target duration of a packager's return (law 6).
        let most = self.lanes.values().map(|l| l.target() / 2).min().unwrap_or(ENTRY_WAIT_MAX);
        let wait = Duration::from_millis(200 * (1 << f.count.min(5)) - 300);
        let most = if source.warming { most.min(WARMING.1) } else { most };
        source.ask_at = now.plus(wait.min(most.max(ENTRY_WAIT_LEAST)));
    }

    /// Operators hear once, and before anything has happened, what a splice to this packager would
    /// cost viewers.
    pub(super) fn tell_stand_ins(&self, id: &PackagerId) {
        let Some(source) = self.sources.get(id) else { return };
        for lane in self.lanes.values() {
            let header = lane.log.header();
            for (rendition, by) in source.stand_ins(header) {
                let stands_in = by.as_deref().unwrap_or("nothing");
                tracing::info!(lane = %header.lane, packager = %id, %rendition, stands_in, "not the same on this packager");
            }
        }
    }

    pub(super) fn take_refresh(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        at: usize,
        result: Result<PlaylistAnswer, OriginError>,
    ) {
        let hosts = self.deps.hosts_of(id);
        let deep = self.opens();
        let Some(source) = self.sources.get_mut(id) else { return };
        let variables = source.variables();
        let Some(shown) = source.shown.get_mut(&at) else { return };
        shown.asking = false;
        let read = result.map_err(|e| (e.is_gone(), e.to_string())).and_then(|answer| {
            let place = Place {
                base: &shown.path,
                hosts: &hosts,
                entry: &self.key.path,
                variables: &variables,
            };
            reading::read(&answer.body, &place, &self.settings.playlist, deep)
                .map(|read| (read, answer.reconnected))
                .map_err(|e| (false, e))
        });
        let target = Duration::from_secs(u64::from(shown.track.target_duration().max(2)));
        match read {
            Ok((read, reconnected)) => {
                (shown.head, shown.deep) = (read.head, read.deep);
                let seen = shown.track.observe(now, read.snapshot, reconnected);
                if seen == Observed::NewRun && shown.track.run() > 1 {
                    tracing::info!(stream = %self.key, packager = %id, "the packager began another run");
                }
                let target = Duration::from_secs(u64::from(shown.track.target_duration().max(1)));
                shown.pace.plan(now, &shown.track, target, &mut self.rng);
                source.note_moves(now);
            }
            Err((gone, error)) => {
                shown.track.failed(now, gone);
                let count = shown.track.failing().map_or(1, |f| f.count);
                if count == 2 {
                    tracing::info!(stream = %self.key, packager = %id, %error, "its playlist fails");
                }
                shown.pace.back_off(now, count, target, &mut self.rng);
                // Its entry playlist may name others by now (a Wowza that restarted does).
                if count >= 3 && matches!(source.entry, EntryState::Multivariant(..)) {
                    source.ask_again(now);
                }
            }
        }
    }
}
