//! How the run that a lane is on relates to those of packagers: kept while all of them live, so that at a
//! failover it is looked up and not learnt.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Log, Mark, Seen, Step, Track};
use crate::model::align::{Look, Pair, Relation, Side};
use crate::model::media::Keyframe;
use crate::model::names::{OutputMsn, PackagerId, PackagerMsn, UnixMs};

/// Steps that are read when a lane is taken over from the store.
const READ: usize = 64;

/// What is known of a lane's own run and of the runs beside it, per rendition: the pictures of two
/// renditions are never the same.
#[derive(Debug, Default)]
pub struct Relations {
    ours: BTreeMap<usize, Side>,
    theirs: BTreeMap<(PackagerId, usize), Theirs>,
    /// The newest step that was read.
    read: Option<OutputMsn>,
}

/// A packager's run.
#[derive(Debug, Default)]
struct Theirs {
    run: u32,
    looked: BTreeSet<PackagerMsn>,
    side: Side,
    pair: Pair,
    relation: Option<Relation>,
    /// Something was looked into since they were compared.
    news: bool,
}

impl Relations {
    /// Reads what was appended.
    pub fn appended(&mut self, log: &Log) {
        let first = log.steps().len().saturating_sub(READ);
        let from = self.read.map(OutputMsn::next);
        let new = log.steps().skip(first).filter(|step| from.is_none_or(|from| step.msn >= from));
        let mut newest = None;
        for step in new {
            if step.splice.is_some() {
                self.spliced(step);
            }
            self.step(step);
            newest = Some(step.msn);
        }
        if let Some(newest) = newest {
            self.read = Some(newest);
            self.theirs.values_mut().for_each(|t| t.news = true);
        }
    }

    /// Steps after `last` were never listed, and are others now.
    pub fn cut_back(&mut self, last: OutputMsn) {
        self.read = self.read.map(|read| read.min(last));
    }

    /// The lane is on another run now: what was looked at of that one is ours.
    fn spliced(&mut self, step: &Step) {
        self.ours.clear();
        for ((packager, r), theirs) in &mut self.theirs {
            if *packager == step.packager {
                self.ours.insert(*r, theirs.side.clone());
            }
            (theirs.pair, theirs.relation) = (Pair::default(), None);
        }
    }

    fn step(&mut self, step: &Step) {
        for (r, share) in step.shares.iter().enumerate() {
            // Where a share has several entries its clocks are those of the last.
            let Some(entry) = share.entries.last() else { continue };
            let Some(media) = entry.media.as_ref().filter(|m| !m.keyframes.is_empty()) else {
                continue;
            };
            let keyframes: Vec<Keyframe> = media.keyframes.iter().map(keyframe).collect();
            let Some(begins) = keyframes.first().map(|k| k.pts) else { continue };
            let own = step.wall_end.map(|end| moved(end, step.wall_shift_ms));
            self.ours.entry(r).or_default().looked(&Look {
                begins,
                keyframes: &keyframes,
                date: own.map(|end| begun(end, entry)),
                arrival: Some(begun(step.content_end, entry)),
            });
        }
    }

    /// Looks at what packager `id` shows, per rendition.
    pub fn shown(&mut self, now: UnixMs, id: &PackagerId, tracks: &[Option<&Track>]) {
        for (r, track) in tracks.iter().enumerate() {
            let Some(track) = track else { continue };
            let theirs = self.theirs.entry((id.clone(), r)).or_default();
            theirs.shown(track);
            if std::mem::take(&mut theirs.news)
                && let Some(ours) = self.ours.get(&r)
            {
                theirs.relation = theirs.pair.relate(now, ours, &theirs.side);
            }
        }
    }

    /// Packagers that are not asked any more are forgotten.
    pub fn keep(&mut self, asked: impl Fn(&PackagerId) -> bool) {
        self.theirs.retain(|(id, _), _| asked(id));
    }

    /// What is known best.
    #[must_use]
    pub fn to(&self, id: &PackagerId) -> Option<Relation> {
        let of = self.theirs.iter().filter(|((packager, _), _)| packager == id);
        of.filter_map(|(_, theirs)| theirs.relation).min_by_key(|relation| relation.method)
    }
}

impl Theirs {
    fn shown(&mut self, track: &Track) {
        if self.run != track.run() {
            *self = Self { run: track.run(), ..Self::default() };
        }
        for (at, seen) in track.segments().iter().enumerate() {
            if self.looked.contains(&seen.msn()) {
                continue;
            }
            let Some(begins) = seen.first_picture() else { continue };
            self.looked.insert(seen.msn());
            self.side.looked(&Look {
                begins,
                keyframes: seen.keyframes(),
                date: seen.wall_end.map(|end| end.minus(seen.duration())),
                arrival: track.starts_at(at),
            });
            self.news = true;
        }
        let oldest = track.segments().front().map(Seen::msn);
        if self.looked.first() < oldest.as_ref() {
            self.looked.retain(|msn| Some(*msn) >= oldest);
        }
    }
}

fn keyframe(mark: &Mark) -> Keyframe {
    Keyframe { pts: mark.pts, dts: mark.pts, hash: mark.picture, closed: true }
}

/// A date as its packager wrote it.
fn moved(at: UnixMs, shift_ms: i64) -> UnixMs {
    UnixMs(at.0.saturating_add_signed(shift_ms.saturating_neg()))
}

fn begun(end: UnixMs, entry: &Entry) -> UnixMs {
    end.minus(entry.duration)
}
