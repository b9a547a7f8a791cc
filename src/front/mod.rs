//! The front: what viewers and CDNs talk to. Every answer is made from memory or from the segment
//! directory; nothing is proxied, and nothing waits for a packager but a first playlist.
//!
//! A request's way: `connections` → `hooks` (Pingora) → `request` (method, host, sizes) → the route → `known` or
//! the keyring (token to lane) → `lanes` → `answer`. `errors` is the one table of refusals,
//! `stage` what readiness follows, `observe` and `access_log` what is told of each answer, `audience` who
//! counts viewers.

pub mod access_log;
mod answer;
mod audience;
mod connections;
mod errors;
mod hooks;
mod known;
mod lanes;
mod observe;
mod range;
mod request;
mod settings;
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora::http::RequestHeader;

pub use audience::{Admission, Audience, Full, Uncounted};
pub use connections::Connections;
pub use errors::Failure;
pub use hooks::{Context, Hooks};
pub use lanes::{Lanes, ListedLane, Live};
pub use observe::{Answered, Kind, Nobody, Observer};
pub use settings::{PoolSettings, Settings};
pub use stage::{InFlight, Stage, Stages};

use access_log::AccessLog;
use answer::{Answer, Prepared};
use audience::Teller;
use known::{Known, Verified};
use request::{Want, host, want};

use crate::model::lane::Held;
use crate::model::names::{OutputMsn, PoolName, RenditionId, StreamKey};
use crate::model::route::{Place, Route, identity_query};
use crate::model::token::{Claims, Keyring};
use crate::stream::Named;

/// Verified tokens that are remembered at most.
const TOKENS_MAX: usize = 100_000;

/// The front over its lanes.
pub struct Front<L: Lanes> {
    lanes: L,
    keyring: ArcSwap<Keyring>,
    current: ArcSwap<Prepared>,
    known: Known<L::Lane>,
    stages: Arc<Stages>,
    waiting: AtomicUsize,
    observer: Arc<dyn Observer>,
    audience: Arc<dyn Audience>,
    open: AtomicUsize,
    access_log: Option<AccessLog>,
}

impl<L: Lanes> Front<L> {
    /// The front over `lanes`, with tokens of `keyring`.
    pub fn new(lanes: L, keyring: Keyring, settings: Settings, stages: Arc<Stages>) -> Self {
        Self {
            lanes,
            keyring: ArcSwap::from_pointee(keyring),
            current: ArcSwap::from_pointee(Prepared::new(settings)),
            known: Known::new(TOKENS_MAX),
            stages,
            waiting: AtomicUsize::new(0),
            observer: Arc::new(Nobody),
            audience: Arc::new(Uncounted),
            open: AtomicUsize::new(0),
            access_log: None,
        }
    }

    /// Tells `observer` of every answer.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Has `audience` count viewers and let newcomers in.
    #[must_use]
    pub fn counted_by(mut self, audience: Arc<dyn Audience>) -> Self {
        self.audience = audience;
        self
    }

    /// Connections of viewers that are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Writes every answer to `log`.
    #[must_use]
    pub fn logging_to(mut self, log: AccessLog) -> Self {
        self.access_log = Some(log);
        self
    }

    /// Takes other settings and keys, from the next request on.
    pub fn reload(&self, settings: Settings, keyring: Keyring) {
        self.current.store(Arc::new(Prepared::new(settings)));
        self.keyring.store(Arc::new(keyring));
        self.known.clear();
    }

    /// Lines that the access log has dropped since the start.
    pub fn access_log_dropped(&self) -> u64 {
        self.access_log.as_ref().map_or(0, AccessLog::dropped)
    }

    /// Opens the access log's file anew: it was rotated.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.current.load().settings.clone()
    }

    /// What holds now.
    fn current(&self) -> Arc<Prepared> {
        self.current.load_full()
    }

    async fn answer(
        &self,
        request: &RequestHeader,
        context: &mut Context,
    ) -> Result<Answer, Failure> {
        let current = self.current.load();
        let want = want(request, &current.settings)?;
        let text = std::str::from_utf8(request.raw_path()).map_err(|_| Failure::Path)?;
        let (path, query) =
            text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let route = Route::parse(path)?;
        if let Route::Own { rest } = route {
            context.kind = Kind::Health;
            return self.health(rest);
        }
        let pool = self.lanes.pool(&host(request)?).ok_or(Failure::UnknownHost)?;
        let answers = current.of(Some(&*context.pool.insert(pool.clone())));
        if want == Want::Preflight {
            return Ok(answers.preflight(request));
        }
        match route {
            Route::Own { .. } => Err(Failure::NotFound),
            Route::Entry { path } => {
                context.kind = Kind::Entry;
                let teller = Teller::of(request, query, context.peer);
                let query = identity_query(query, &answers.identity_queries);
                let stream = StreamKey { pool, path: path.into(), query: query.into() };
                let text = self.entry(&current, stream, &teller, context).await?;
                Ok(answers.entry(request, text))
            }
            Route::Playlist(place) => {
                context.kind = Kind::Playlist;
                let lane = self.lane(&current, &pool, path, place, context).await?;
                let rendition = RenditionId::new(place.rendition);
                let printed = if let Some(printed) = lane.printed(&rendition) {
                    printed
                } else {
                    let _waiting = self.wait(&current)?;
                    lane.playlist(&rendition).await?
                };
                let answer = answers.playlist(request, lane.header(), &printed);
                if want == Want::All {
                    let teller = Teller::of(request, query, context.peer);
                    let fresh = answer.is_new() && audience::is_main(place.rendition);
                    self.audience
                        .asked(&teller.visit(lane.header(), context.viewer.as_deref()), fresh);
                }
                Ok(answer)
            }
            Route::Segment { place, msn, short, extension } => {
                context.kind = Kind::Segment;
                let lane = self.lane(&current, &pool, path, place, context).await?;
                let named = self.announced(&current, &*lane, place, msn, short).await?;
                let (held, bytes) = self.segment(&current, &lane, place, msn, named).await?;
                answers.segment(request, &held, extension, &bytes)
            }
            Route::Init { place, short, extension } => {
                context.kind = Kind::Init;
                let lane = self.lane(&current, &pool, path, place, context).await?;
                let held = lane.init(&RenditionId::new(place.rendition), short)?;
                answers.segment(request, &held, extension, &self.bytes(held).await?)
            }
            Route::Shared { place, name } => {
                context.kind = if name.starts_with("key-") { Kind::Key } else { Kind::Data };
                let lane = self.lane(&current, &pool, path, place, context).await?;
                let held = lane.shared(name)?;
                answers.shared(request, &held, name, &self.bytes(held).await?)
            }
        }
    }

    /// What a segment's name stands for. Another process that answers on the same sockets, during
    /// an upgrade, may have listed what this one has not taken over yet.
    async fn announced(
        &self,
        current: &Prepared,
        lane: &L::Lane,
        place: Place<'_>,
        msn: OutputMsn,
        short: &str,
    ) -> Result<Named, Failure> {
        let rendition = RenditionId::new(place.rendition);
        let found = lane.segment(&rendition, msn, short);
        if found.is_err() && lane.is_next(&rendition, msn) {
            let _waiting = self.wait(current)?;
            let header = lane.header();
            self.lanes.newer(&header.stream, &header.lane).await;
            return Ok(lane.segment(&rendition, msn, short)?);
        }
        Ok(found?)
    }

    fn health(&self, page: &str) -> Result<Answer, Failure> {
        match page {
            "healthz" => Ok(answer::health("ok\n")),
            "readyz" if self.stages.ready() => Ok(answer::health("ready\n")),
            "readyz" => Err(Failure::NotReady),
            _ => Err(Failure::NotFound),
        }
    }

    /// A newcomer: the text of the multivariant playlist of the lane to join, with its token.
    async fn entry(
        &self,
        current: &Prepared,
        stream: StreamKey,
        teller: &Teller<'_>,
        context: &mut Context,
    ) -> Result<String, Failure> {
        let admission =
            self.audience.admit(&stream, teller.sid()).map_err(|Full| Failure::ViewersMax)?;
        let waiting = self.wait(current)?;
        let lane = self.lanes.join(&stream).await?;
        drop(waiting);
        let lane_id = lane.header().lane.clone();
        context.lane = Some(lane_id.clone());
        let viewer = admission.viewer;
        self.audience.arrived(&teller.visit(lane.header(), viewer.as_deref()));
        drop(admission.place);
        let claims = Claims { stream, lane: lane_id, viewer, expires_unix_s: None };
        let token = self.keyring.load().sign(&claims);
        Ok(lane.multivariant(&token))
    }

    /// The lane of a token, at little cost where the token was seen before.
    async fn lane(
        &self,
        current: &Prepared,
        pool: &PoolName,
        path: &str,
        place: Place<'_>,
        context: &mut Context,
    ) -> Result<Arc<L::Lane>, Failure> {
        let prefix = up_to_token(path);
        if let Some(known) = self.known.get(pool, prefix) {
            if known.expires_unix_s.is_some_and(|expires| unix_s() >= expires) {
                return Err(Failure::TokenExpired);
            }
            if let Some(lane) = known.lane.upgrade() {
                context.lane = Some(known.lane_id.clone());
                context.viewer.clone_from(&known.viewer);
                return Ok(lane);
            }
        }
        let stream_path = place.stream.to_string();
        let claims = self.keyring.load().verify(place.token, pool, &stream_path, unix_s())?;
        context.lane = Some(claims.lane.clone());
        context.viewer = claims.viewer.map(Arc::from);
        let waiting = self.wait(current)?;
        let lane = self.lanes.lane(&claims.stream, &claims.lane).await?;
        drop(waiting);
        let verified = Verified {
            pool: pool.clone(),
            lane_id: claims.lane,
            expires_unix_s: claims.expires_unix_s,
            viewer: context.viewer.clone(),
            lane: Arc::downgrade(&lane),
        };
        self.known.put(prefix, Arc::new(verified));
        Ok(lane)
    }

    /// A segment's bytes: held, or of the depth of a long window and fetched now.
    async fn segment(
        &self,
        current: &Prepared,
        lane: &L::Lane,
        place: Place<'_>,
        msn: OutputMsn,
        named: Named,
    ) -> Result<(Held, Bytes), Failure> {
        if let Named::Bytes(held) = named
            && let Ok(bytes) = self.bytes(held).await
        {
            return Ok((held, bytes));
        }
        let _waiting = self.wait(current)?;
        let rendition = RenditionId::new(place.rendition);
        self.lanes.recall(lane, &rendition, msn).await.ok_or(Failure::SegmentLost)
    }

    /// Bytes that are held, so that their lack is our fault.
    async fn bytes(&self, held: Held) -> Result<Bytes, Failure> {
        match self.lanes.in_memory(held.hash) {
            Some(bytes) => Ok(bytes),
            None => self.lanes.bytes(held).await.ok_or(Failure::SegmentLost),
        }
    }

    /// Counts a request that may wait for a packager.
    fn wait(&self, current: &Prepared) -> Result<Waiting<'_>, Failure> {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(&self.waiting);
        if before >= current.settings.waiting_max {
            return Err(Failure::Waiting);
        }
        Ok(waiting)
    }
}

/// One request that waits; counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// `/live/cam/playlist~<token>` of a lane's path: all before the rendition.
fn up_to_token(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or(path, |(before, _)| before);
    folder.rsplit_once('/').map_or(folder, |(before, _)| before)
}

/// Wall time: tokens end by it, and the access log is read by it.
#[allow(clippy::disallowed_methods)] // the front is where the clock comes in
fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn unix_s() -> u64 {
    unix().as_secs()
}
