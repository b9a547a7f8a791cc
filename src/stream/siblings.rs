//! Finding on another packager what stands there in the place of a segment.

use std::sync::Arc;
use std::time::Duration;

use super::Deps;
use super::reading::{self, Place};
use super::recall::DEADLINE;
use crate::model::lane::{Held, Listed, Resource};
use crate::model::names::{PackagerId, PackagerMsn, UnixMs};
use crate::model::playlist::{Limits, Variables};

/// Two segments whose ends and lengths are no further apart are cut alike.
const ALIKE: Duration = Duration::from_millis(400);

/// Another packager that may have the same content.
pub(super) struct Sibling {
    pub(super) id: PackagerId,
    pub(super) hosts: Vec<String>,
    /// Its media playlist of the rendition.
    pub(super) path: String,
    pub(super) entry: Arc<str>,
    pub(super) variables: Variables,
    pub(super) by: Alike,
}

/// How the same content is found on another packager.
pub(super) enum Alike {
    /// Both have one recording: the segment of that number and length, once another of it (number
    /// and bytes) has proven that they have.
    Number(PackagerMsn, Duration, Option<(PackagerMsn, Held)>),
    /// By when it ended, told by when the sibling's own segment of that number did.
    Moment { ended: UnixMs, length: Duration, anchor: (PackagerMsn, UnixMs) },
}

/// What stands on a sibling in the place of a segment.
pub(super) struct Found {
    pub(super) resource: Resource,
    pub(super) map: Option<Resource>,
}

impl Sibling {
    pub(super) async fn find(&self, deps: &Deps, limits: &Limits) -> Option<Found> {
        let answer = deps.playlist(&self.id, &self.path, DEADLINE / 2).await.ok()?;
        let place = Place {
            base: &self.path,
            hosts: &self.hosts,
            entry: &self.entry,
            variables: &self.variables,
        };
        let read = reading::read(&answer.body, &place, limits, true).ok()?;
        let all = read.deep.unwrap_or_default().into_iter().chain(read.snapshot.segments);
        let all: Vec<Listed> = all.collect();
        if let Alike::Number(_, _, Some((msn, held))) = &self.by {
            let proof = all.iter().find(|l| l.segment.msn == *msn)?;
            let hash = deps.hash_of(&self.id, &proof.resource, DEADLINE / 2).await;
            if hash != Some(held.hash) {
                return None;
            }
        }
        self.by.among(&all)
    }
}

impl Alike {
    fn among(&self, all: &[Listed]) -> Option<Found> {
        let found = |l: &Listed| Found { resource: l.resource.clone(), map: l.map.clone() };
        let near = |a: Duration, b: Duration| a.abs_diff(b) <= ALIKE;
        match *self {
            Self::Number(msn, length, _) => {
                let same = |l: &&Listed| l.segment.msn == msn && near(l.segment.duration, length);
                all.iter().find(same).map(found)
            }
            Self::Moment { ended, length, anchor: (msn, at) } => {
                let anchor = all.iter().position(|l| l.segment.msn == msn)?;
                let mut end = at;
                // Back from the anchor, whose end is known.
                for listed in all.iter().take(anchor + 1).rev() {
                    let apart = Duration::from_millis(end.signed_since(ended).unsigned_abs());
                    if apart <= ALIKE && near(listed.segment.duration, length) {
                        return Some(found(listed));
                    }
                    end = end.minus(listed.segment.duration);
                }
                None
            }
        }
    }
}
