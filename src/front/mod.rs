//! The front: what viewers and CDNs talk to. Every answer is made from memory or from the segment
//! directory; nothing is proxied, and nothing waits for a packager but a first playlist.
//!
//! A request's way: `connections` → `hooks` (Pingora) → `client` (whose address it is) → `gate` (did it come
//! through the CDN) → `request` (method, host, sizes) → the route → `auth` (entry: is he let in) → `pinned`
//! (token to lane, and a new lane's token; `known` remembers) → `lanes` (`unheard`: what other proxies announced) →
//! `answer` → `sending`. `errors` is the one
//! table of refusals, `tenant` what one pool's viewers may take, `stage` what readiness follows, `observe` and
//! `access_log` what is told of each answer, `audience` who counts viewers.

pub mod access_log;
mod answer;
mod audience;
pub mod auth;
pub mod client;
mod connections;
mod errors;
pub mod gate;
mod hooks;
mod known;
mod lanes;
mod observe;
mod pinned;
mod range;
mod request;
mod sending;
mod settings;
mod stage;
mod tenant;
mod unheard;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Method;
use pingora::http::RequestHeader;

pub use audience::{Admission, Audience, Full, Uncounted};
pub use connections::Connections;
pub use errors::Failure;
pub use hooks::{Context, Hooks};
pub use lanes::{Lanes, ListedLane, Live};
pub use observe::{Answered, Kind, Nobody, Observer};
pub use settings::{PoolSettings, Settings};
pub use stage::{InFlight, Stage, Stages};
pub use tenant::TenantUse;

use access_log::AccessLog;
use answer::{Answer, PoolAnswers, Prepared};
use audience::Teller;
use known::Known;
use request::{Want, want};
use tenant::{Counted, Tenant};
use unheard::held_for;

use crate::model::lane::Held;
use crate::model::names::{OutputMsn, PoolName, RenditionId, StreamKey};
use crate::model::route::{Place, Route, identity_query};
use crate::model::token::Keyring;
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
    /// Of those that wait: for a name that was not heard of here.
    unheard: AtomicUsize,
    observer: Arc<dyn Observer>,
    audience: Arc<dyn Audience>,
    open: AtomicUsize,
    access_log: Option<AccessLog>,
    gatekeeper: gate::Gatekeeper,
}

impl<L: Lanes> Front<L> {
    /// The front over `lanes`, with tokens of `keyring`.
    pub fn new(lanes: L, keyring: Keyring, settings: Settings, stages: Arc<Stages>) -> Self {
        Self {
            lanes,
            keyring: ArcSwap::from_pointee(keyring),
            current: ArcSwap::from_pointee(Prepared::new(settings, None)),
            known: Known::new(TOKENS_MAX),
            stages,
            waiting: AtomicUsize::new(0),
            unheard: AtomicUsize::new(0),
            observer: Arc::new(Nobody),
            audience: Arc::new(Uncounted),
            open: AtomicUsize::new(0),
            access_log: None,
            gatekeeper: gate::Gatekeeper::default(),
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
        let before = self.current.load_full();
        self.current.store(Arc::new(Prepared::new(settings, Some(&before))));
        self.keyring.store(Arc::new(keyring));
        self.known.clear();
    }

    /// Takes other keys, from the next request on.
    pub fn take_keys(&self, keyring: Keyring) {
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

    /// What a pool's viewers take now.
    pub fn tenant_use(&self, pool: &PoolName) -> TenantUse {
        self.current.load().of(Some(pool)).tenant.now()
    }

    /// What holds now.
    fn current(&self) -> Arc<Prepared> {
        self.current.load_full()
    }

    /// `clears`: how often what is known of tokens had been forgotten before `current` was read.
    async fn answer(
        &self,
        request: &RequestHeader,
        current: &Prepared,
        clears: u64,
        context: &mut Context,
    ) -> Result<Answer, Failure> {
        // Known first, so that a refusal carries the headers of its tenant too.
        let host = context.client.host(request);
        let found = host.as_ref().ok().and_then(|host| self.lanes.pool(host));
        context.pool.clone_from(&found);
        let answers = current.of(found.as_ref());
        self.pass_gate(request, answers.gate.as_ref(), context)?;
        let want = want(request, &current.settings)?;
        let text = std::str::from_utf8(request.raw_path()).map_err(|_| Failure::Path)?;
        let (path, query) =
            text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let route = Route::parse(path);
        if let Ok(Route::Own { rest }) = route {
            context.kind = Kind::Health;
            return self.health(rest);
        }
        let host = host?;
        let pool = found.ok_or(Failure::UnknownHost)?;
        // One that a reload adds leads here a moment before its settings do.
        let answers = current.named(&pool).ok_or(Failure::NotReady)?;
        if want == Want::Preflight {
            route?;
            return Ok(answers.preflight(request));
        }
        let zone = self.lanes.zone(&host);
        let asked = Asked { pool: &pool, answers, path, query, zone: zone.as_deref(), clears };
        self.routed(request, route?, &asked, context).await
    }

    async fn routed(
        &self,
        request: &RequestHeader,
        route: Route<'_>,
        asked: &Asked<'_>,
        context: &mut Context,
    ) -> Result<Answer, Failure> {
        let answers = asked.answers;
        match route {
            Route::Own { .. } => Err(Failure::NotFound),
            Route::Entry { path } => {
                context.kind = Kind::Entry;
                asked.allow(path)?;
                let identity = identity_query(asked.query, &answers.identity_queries);
                let pool = asked.pool.clone();
                let stream = StreamKey { pool, path: path.into(), query: identity.into() };
                self.admit(request, asked.query, &stream, context).await?;
                let teller = Teller::of(request, asked.query, context.client);
                let text = self.entry(asked, stream, &teller, context).await?;
                Ok(answers.entry(request, text))
            }
            Route::Playlist(place) => {
                context.kind = Kind::Playlist;
                let lane = self.lane(asked, place, context).await?;
                let rendition = RenditionId::new(place.rendition);
                let printed = if let Some(printed) = lane.printed(&rendition) {
                    printed
                } else {
                    let _waiting = self.wait(&answers.tenant)?;
                    lane.playlist(&rendition).await?
                };
                let answer = answers.playlist(request, lane.header(), &printed);
                if request.method == Method::GET {
                    let teller = Teller::of(request, asked.query, context.client);
                    let fresh = answer.is_new() && audience::is_main(place.rendition);
                    self.audience
                        .asked(&teller.visit(lane.header(), context.viewer.as_deref()), fresh);
                }
                Ok(answer)
            }
            Route::Segment { place, msn, short, extension } => {
                context.kind = Kind::Segment;
                let lane = self.lane(asked, place, context).await?;
                let (lane, named) = self.announced(answers, lane, place, msn, short).await?;
                let (held, bytes) = self.segment(answers, &lane, place, msn, named).await?;
                answers.segment(request, &held, extension, &bytes)
            }
            Route::Init { place, short, extension } => {
                context.kind = Kind::Init;
                let lane = self.lane(asked, place, context).await?;
                let rendition = RenditionId::new(place.rendition);
                let wait = held_for(&*lane);
                let find = |lane: &L::Lane| lane.init(&rendition, short);
                let (_, held) = self.heard(answers, lane, wait, find).await?;
                answers.segment(request, &held, extension, &self.asset(answers, held).await?)
            }
            Route::Shared { place, name } => {
                context.kind = if name.starts_with("key-") { Kind::Key } else { Kind::Data };
                let lane = self.lane(asked, place, context).await?;
                let wait = held_for(&*lane);
                let find = |lane: &L::Lane| lane.shared(name);
                let (_, held) = self.heard(answers, lane, wait, find).await?;
                answers.shared(request, &held, name, &self.asset(answers, held).await?)
            }
        }
    }

    fn health(&self, page: &str) -> Result<Answer, Failure> {
        match page {
            "healthz" => Ok(answer::health("ok\n")),
            "readyz" if self.stages.ready() => Ok(answer::health("ready\n")),
            "readyz" => Err(Failure::NotReady),
            _ => Err(Failure::NotFound),
        }
    }

    /// A segment's bytes: held, or of the depth of a long window and fetched now.
    async fn segment(
        &self,
        answers: &PoolAnswers,
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
        let _waiting = self.wait(&answers.tenant)?;
        let rendition = RenditionId::new(place.rendition);
        self.lanes.recall(lane, &rendition, msn).await.ok_or(Failure::SegmentLost)
    }

    /// An init segment, a key or session data: held here, or by another proxy.
    async fn asset(&self, answers: &PoolAnswers, held: Held) -> Result<Bytes, Failure> {
        if let Ok(bytes) = self.bytes(held).await {
            return Ok(bytes);
        }
        let _waiting = self.wait(&answers.tenant)?;
        self.lanes.bytes_elsewhere(held).await.ok_or(Failure::SegmentLost)
    }

    /// Bytes that are held, so that their lack is our fault.
    async fn bytes(&self, held: Held) -> Result<Bytes, Failure> {
        match self.lanes.in_memory(held.hash) {
            Some(bytes) => Ok(bytes),
            None => self.lanes.bytes(held).await.ok_or(Failure::SegmentLost),
        }
    }

    /// Counts a request that may wait for a packager.
    fn wait<'a>(&'a self, tenant: &'a Tenant) -> Result<[Counted<'a>; 2], Failure> {
        let whole_max = self.current.load().settings.waiting_max;
        let own = tenant.wait()?;
        let whole = Counted::below(&self.waiting, whole_max).ok_or(Failure::Waiting)?;
        Ok([own, whole])
    }
}

/// What is known of a request once its tenant is.
struct Asked<'a> {
    pool: &'a PoolName,
    answers: &'a PoolAnswers,
    path: &'a str,
    query: Option<&'a str>,
    /// The zone that the host names.
    zone: Option<&'a str>,
    /// Of [`Known`], from before the settings were read.
    clears: u64,
}

impl Asked<'_> {
    /// Its tenant may ask for this entry path.
    fn allow(&self, path: &str) -> Result<(), Failure> {
        if self.answers.tenant.paths.allow(path) { Ok(()) } else { Err(Failure::NotFound) }
    }
}

/// Wall time: tokens end by it, and the access log is read by it.
#[allow(clippy::disallowed_methods)] // the front is where the clock comes in
fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn unix_s() -> u64 {
    unix().as_secs()
}
