//! Looking into what came, once and before anybody hears of it; and making the tails that splices go on
//! with.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::fetching::{Fetch, FetchError};
use super::source::Source;
use super::{Deps, Outcome};
use crate::model::lane::{Held, Resource, What};
use crate::model::media::{self, Container, Content, Damage, Keyframe};
use crate::model::names::UnixMs;

/// What came.
#[derive(Clone, Debug)]
pub struct Got {
    /// Where it is held.
    pub held: Held,
    /// What is in it, where that can be told.
    pub content: Option<Arc<Content>>,
}

impl From<Held> for Got {
    fn from(held: Held) -> Self {
        Self { held, content: None }
    }
}

/// How a segment is looked into.
#[derive(Clone, Debug)]
pub enum Look {
    /// Nothing can be told: it is encrypted, or no segment at all.
    Not,
    /// MPEG-TS, if it begins like that.
    Bare {
        /// Other segments of its run were understood.
        understood: bool,
    },
    /// Once this init segment is there.
    After(Resource),
    /// fMP4, with this init segment.
    With {
        /// The init segment.
        init: Held,
        /// Other segments of its run were understood.
        understood: bool,
    },
}

/// How the bytes of `fetch` are to be looked into.
pub(super) fn look(source: &Source, fetch: &Fetch) -> Look {
    let What::Segment { msn, encrypted: false, .. } = &fetch.what else { return Look::Not };
    let Some(track) = source.shown.get(&fetch.found).map(|shown| &shown.track) else {
        return Look::Not;
    };
    // I-frames are parts of segments, each with a picture alone.
    if source.kind(fetch.found).is_some_and(|kind| !kind.is_played()) {
        return Look::Not;
    }
    let understood = track.segments().iter().any(|seen| seen.content.is_some());
    let seen = track.position(*msn).and_then(|at| track.segments().get(at));
    let Some(map) = seen.and_then(|seen| seen.listed.map.as_ref()) else {
        return Look::Bare { understood };
    };
    let init = track.asset(map);
    match init.held {
        Some(init) => Look::With { init, understood },
        None if init.lost() => Look::Not,
        None => Look::After(map.clone()),
    }
}

impl Deps {
    /// What is in these bytes.
    pub(super) async fn inside(
        &self,
        look: Look,
        bytes: &Bytes,
    ) -> Result<Option<Arc<Content>>, Damage> {
        let is_ts = media::begins_as_ts(bytes);
        let (found, understood) = match look {
            Look::Bare { understood } if is_ts => {
                (media::inspect(Container::Ts, bytes), understood)
            }
            Look::With { init, understood } if !is_ts => {
                let Some(init) = self.segments.get(init).await else { return Ok(None) };
                (media::inspect(Container::Fmp4 { init: &init }, bytes), understood)
            }
            _ => return Ok(None),
        };
        match found {
            Ok(content) => Ok(Some(Arc::new(content))),
            Err(damage) if damage.counts(understood) => Err(damage),
            Err(damage) => {
                tracing::debug!(%damage, "nothing is known of a segment: it is spliced at borders");
                Ok(None)
            }
        }
    }

    /// The keyframes in the first part of a segment; none where the packager gives no part.
    pub(super) async fn glimpse(&self, fetch: &Fetch, deadline: Duration) -> Vec<Keyframe> {
        let Resource { path, range } = fetch.what.resource();
        let Ok(part) = self.origin.segment(&fetch.packager, path, *range, deadline).await else {
            return Vec::new();
        };
        self.observer.fetched(&fetch.packager, Outcome::Ok, part.len());
        media::glimpse(&part)
    }

    /// Makes a tail of what is held, and holds it.
    pub(super) async fn tail(&self, what: &What, keep_until: UnixMs) -> Result<Held, FetchError> {
        let What::Tail { cutting, of, init, .. } = what else { return Err(FetchError::NotHeld) };
        let mut parts = Vec::with_capacity(of.len());
        for held in of {
            parts.push(self.segments.get(*held).await.ok_or(FetchError::NotHeld)?);
        }
        let init = match init {
            Some(init) => Some(self.segments.get(*init).await.ok_or(FetchError::NotHeld)?),
            None => None,
        };
        let bytes = cut(init.as_ref(), parts, &cutting.joint)?;
        Ok(self.segments.put(bytes, keep_until).await?)
    }
}

/// The tail of a segment, or of two that follow each other.
pub(super) fn cut(
    init: Option<&Bytes>,
    parts: Vec<Bytes>,
    joint: &media::Joint,
) -> Result<Bytes, Damage> {
    let container = init.map_or(Container::Ts, |init| Container::Fmp4 { init });
    let whole = match <[Bytes; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(several) => {
            let mut all = BytesMut::with_capacity(several.iter().map(Bytes::len).sum());
            for part in &several {
                all.extend_from_slice(part);
            }
            all.freeze()
        }
    };
    media::cut(container, &whole, joint)
}
