//! Names that another proxy may have announced and this one has not heard of: viewers come to any proxy with any
//! request. The store is asked at once, what follows next is waited for, and then it is 503 and never 404, which
//! CDNs would keep and players believe.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Front;
use super::answer::PoolAnswers;
use super::errors::Failure;
use super::lanes::{Lanes, ListedLane};
use super::pinned::known_to_be;
use super::tenant::{Counted, Tenant};
use crate::model::lane::GAP_SHORT;
use crate::model::names::{OutputMsn, RenditionId};
use crate::model::route::Place;
use crate::stream::{Named, Refusal, Whereabouts};

/// A name is looked for this often while it is waited for. The store is asked less often than that.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Nobody is held longer, however long segments are: players wait 6 s for an answer without a stall.
const HELD_MAX: Duration = Duration::from_secs(5);

impl<L: Lanes> Front<L> {
    /// What a segment's name stands for, and the lane as it is then.
    pub(super) async fn announced(
        &self,
        answers: &PoolAnswers,
        lane: Arc<L::Lane>,
        place: Place<'_>,
        msn: OutputMsn,
        short: &str,
    ) -> Result<(Arc<L::Lane>, Named), Failure> {
        let rendition = RenditionId::new(place.rendition);
        let found = lane.segment(&rendition, msn, short);
        if !matches!(found, Err(Refusal::NotListed)) || short == GAP_SHORT {
            return Ok((lane, found?));
        }
        let held = match lane.lies(&rendition, msn) {
            Whereabouts::Left => return Err(Refusal::NotListed.into()),
            Whereabouts::Next => held_for(&*lane),
            // Another segment under a number that is taken: the proxies are split.
            Whereabouts::Listed | Whereabouts::Beyond => Duration::ZERO,
        };
        let find = |lane: &L::Lane| lane.segment(&rendition, msn, short);
        self.heard(answers, lane, held, find).await
    }

    /// What `find` finds in the lane, waiting for it up to `held`; and the lane as it is then, since another proxy
    /// may have opened it anew.
    pub(super) async fn heard<T>(
        &self,
        answers: &PoolAnswers,
        mut lane: Arc<L::Lane>,
        held: Duration,
        find: impl Fn(&L::Lane) -> Result<T, Refusal>,
    ) -> Result<(Arc<L::Lane>, T), Failure> {
        match find(&lane) {
            Err(Refusal::NotListed) => {}
            found => return Ok((lane, found?)),
        }
        let (stream, id) = (lane.header().stream.clone(), lane.header().lane.clone());
        let Some(_unheard) = self.unheard(&answers.tenant) else {
            // A look may take as long as the store does: it holds no place of those that wait.
            self.lanes.newer(&stream, &id).await;
            return match find(&lane) {
                Err(Refusal::NotListed) => Err(Failure::Unheard),
                found => Ok((lane, found?)),
            };
        };
        let _waiting = self.wait(&answers.tenant)?;
        let until = Instant::now() + held;
        loop {
            self.lanes.newer(&stream, &id).await;
            lane = self.lanes.lane(&stream, &id).await.map_err(known_to_be)?;
            match find(&lane) {
                Err(Refusal::NotListed) => {}
                found => return Ok((lane, found?)),
            }
            if Instant::now() >= until {
                return Err(Failure::Unheard);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Counts a request for a name that was not heard of: half at the most of those of a tenant that may wait, and
    /// half of all, so that names which nobody ever announced do not keep newcomers out. None: there are as many.
    fn unheard<'a>(&'a self, tenant: &'a Tenant) -> Option<[Counted<'a>; 2]> {
        let half = self.current().settings.waiting_max / 2;
        let own = tenant.unheard()?;
        let whole = Counted::below(&self.unheard, half)?;
        Some([own, whole])
    }
}

/// Half a target duration: within that a proxy lists what it has heard of.
pub fn held_for(lane: &impl ListedLane) -> Duration {
    (lane.header().target() / 2).min(HELD_MAX)
}
