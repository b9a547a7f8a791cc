//! How a viewer is pinned: a newcomer gets the token of a lane, and the token in a path leads back to it.

use std::sync::Arc;

use super::audience::{Full, Teller};
use super::errors::Failure;
use super::hooks::Context;
use super::known::Verified;
use super::lanes::{Lanes, ListedLane};
use super::{Asked, Front, unix_s};
use crate::model::names::StreamKey;
use crate::model::route::Place;
use crate::model::token::Claims;
use crate::stream::Refusal;

impl<L: Lanes> Front<L> {
    /// A newcomer: the text of the multivariant playlist of the lane to join, with its token.
    pub(super) async fn entry(
        &self,
        asked: &Asked<'_>,
        stream: StreamKey,
        teller: &Teller<'_>,
        context: &mut Context,
    ) -> Result<String, Failure> {
        let admission = self
            .audience
            .admit(&stream, teller.sid())
            .map_err(|Full| Refusal::Limit("pools.limits.viewers"))?;
        let waiting = self.wait(&asked.answers.tenant)?;
        let lane = self.lanes.join(&stream, asked.zone).await?;
        drop(waiting);
        let lane_id = lane.header().lane.clone();
        context.lane = Some(lane_id.clone());
        let viewer = admission.viewer;
        self.audience.arrived(&teller.visit(lane.header(), viewer.as_deref()));
        drop(admission.place);
        let claims =
            Claims { stream, lane: lane_id, viewer, expires_unix_s: context.expires_unix_s };
        let token = self.keyring.load().sign(&claims);
        Ok(lane.multivariant(&token))
    }

    /// The lane of a token, at little cost where the token was seen before.
    pub(super) async fn lane(
        &self,
        asked: &Asked<'_>,
        place: Place<'_>,
        context: &mut Context,
    ) -> Result<Arc<L::Lane>, Failure> {
        let Asked { pool, answers, path, .. } = *asked;
        let prefix = up_to_token(path);
        if let Some(known) = self.known.get(pool, prefix) {
            answers.auth.holds(known.expires_unix_s, unix_s)?;
            context.expires_unix_s = known.expires_unix_s;
            if let Some(lane) = known.lane.upgrade() {
                context.lane = Some(known.lane_id.clone());
                context.viewer.clone_from(&known.viewer);
                return Ok(lane);
            }
        }
        let stream_path = place.stream.to_string();
        // Known tokens are forgotten with a reload, so that one whose path is allowed no more ends.
        asked.allow(&stream_path)?;
        let claims = self.keyring.load().verify(place.token, pool, &stream_path, unix_s())?;
        context.lane = Some(claims.lane.clone());
        answers.auth.holds(claims.expires_unix_s, unix_s)?;
        context.expires_unix_s = claims.expires_unix_s;
        context.viewer = claims.viewer.map(Arc::from);
        let waiting = self.wait(&answers.tenant)?;
        let lane = self.lanes.lane(&claims.stream, &claims.lane).await.map_err(known_to_be)?;
        drop(waiting);
        let verified = Verified {
            pool: pool.clone(),
            lane_id: claims.lane,
            expires_unix_s: claims.expires_unix_s,
            viewer: context.viewer.clone(),
            lane: Arc::downgrade(&lane),
        };
        self.known.put(prefix, Arc::new(verified), asked.clears);
        Ok(lane)
    }
}

/// A token says that the stream was there: that this proxy finds none is no 404, for which a CDN would give up the
/// last good playlist.
pub(super) fn known_to_be(refusal: Refusal) -> Refusal {
    if refusal == Refusal::NoStream { Refusal::NoPackager } else { refusal }
}

/// `/live/cam/playlist~<token>` of a lane's path: all before the rendition.
fn up_to_token(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or(path, |(before, _)| before);
    folder.rsplit_once('/').map_or(folder, |(before, _)| before)
}
