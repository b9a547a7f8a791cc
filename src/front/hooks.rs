//! Pingora's hooks: every answer is made here, none comes from upstream.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use http::Method;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::Front;
use super::access_log::{AccessLog, Line, without_token};
use super::auth;
use super::client::Client;
use super::errors::Failure;
use super::lanes::Lanes;
use super::observe::{Answered, Kind};
use super::sending::Sending;
use super::settings::Settings;
use super::stage::InFlight;
use crate::model::names::{LaneId, PoolName};
use crate::stream::Refusal;

/// The front as Pingora runs it.
pub struct Hooks<L: Lanes>(pub Arc<Front<L>>);

/// What is remembered of a request until it is logged.
pub struct Context {
    began: Instant,
    /// What was asked.
    pub(super) kind: Kind,
    /// The pool that its host leads to, once that is known.
    pub(super) pool: Option<PoolName>,
    /// The viewer whom its token names.
    pub(super) viewer: Option<Arc<str>>,
    /// The lane of its token, for the access log.
    pub(super) lane: Option<LaneId>,
    /// The key of the limit that it was refused for.
    refused: Option<&'static str>,
    /// The Unix second at which his token ends, if it does.
    pub(super) expires_unix_s: Option<u64>,
    /// Who asks.
    pub client: Client,
    _in_flight: InFlight,
}

#[async_trait]
impl<L: Lanes> ProxyHttp for Hooks<L> {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            began: Instant::now(),
            kind: Kind::Other,
            pool: None,
            viewer: None,
            lane: None,
            refused: None,
            expires_unix_s: None,
            client: Client::default(),
            _in_flight: InFlight::begin(&self.0.stages),
        }
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {
        // No compression module: playlists are gzipped once, when they are printed.
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Context) -> Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "every answer is local")
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let clears = self.0.known.clears();
        let current = self.0.current.load();
        connection(session, &current.settings, self.0.stages.closing());
        context.client = Client::of(session, &current.settings.trusted);
        let request = session.req_header();
        let answer = self.0.answer(request, &current, clears, context).await;
        let answers = current.of(context.pool.as_ref());
        let tenant = Arc::clone(&answers.tenant);
        let segment = context.kind == Kind::Segment && answer.is_ok();
        let answer = answer.and_then(|answer| {
            let waits = segment && !answer.body.is_empty() && request.method == Method::GET;
            let full = Failure::Refused(Refusal::Limit("pools.limits.bandwidth_mbps"));
            if waits && tenant.is_full() { Err(full) } else { Ok(answer) }
        });
        let answer = match answer {
            Ok(answer) => auth::no_longer_than(answer, context.expires_unix_s),
            Err(failure) => {
                context.refused = failure.limit();
                answers.failure(request, &failure)
            }
        };
        let turns = segment && context.refused.is_none();
        let sending = Sending::new(&current.settings, &tenant, answer.body.len(), turns);
        drop(current);
        sending.send(session, answer).await?;
        Ok(true)
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let status = session.response_written().map_or(0, |written| written.status.as_u16());
        let answered = Answered {
            pool: context.pool.clone(),
            refused: context.refused,
            kind: context.kind,
            status,
            bytes: session.body_bytes_sent() as u64,
            elapsed: context.began.elapsed(),
            cut: error.is_some(),
        };
        if let Some(log) = &self.0.access_log {
            write_line(log, session, context, &answered);
        }
        self.0.observer.answered(answered);
    }

    async fn fail_to_proxy(&self, _: &mut Session, _: &Error, _: &mut Context) -> FailToProxy {
        // Nothing but writing to the viewer can fail here: there is nobody left to answer.
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, error: &Error) -> bool {
        // A viewer that left, or was let go, is no event for an operator; metrics count it.
        matches!(error.esource(), pingora::ErrorSource::Downstream)
    }
}

/// What holds for the connection: how long it is kept, and how slow its reader may be.
fn connection(session: &mut Session, settings: &Settings, closing: bool) {
    let has_body = session.req_header().headers.contains_key(http::header::CONTENT_LENGTH)
        || session.req_header().headers.contains_key(http::header::TRANSFER_ENCODING);
    // A request body is nothing that is read here: closing is cheaper than reading it to its end.
    let keep = !closing && !has_body;
    session.set_keepalive(keep.then_some(settings.keepalive.as_secs()));
    session.set_min_send_rate(usize::try_from(settings.send_rate_min).ok());
    session.set_write_timeout(Some(settings.write_timeout));
}

fn write_line(log: &AccessLog, session: &Session, context: &Context, answered: &Answered) {
    let request = session.req_header();
    let path = std::str::from_utf8(request.raw_path()).unwrap_or("(not UTF-8)");
    let named = |name: &'static str| request.headers.get(name).and_then(|v| v.to_str().ok());
    log.write(&Line {
        time_ms: super::unix().as_millis().try_into().unwrap_or(u64::MAX),
        method: request.method.as_str(),
        host: request.uri.host().or_else(|| named("host")),
        pool: answered.pool.as_ref().map(PoolName::as_str),
        path: &without_token(path, context.lane.as_ref().map(LaneId::as_str)),
        kind: answered.kind.as_str(),
        status: answered.status,
        bytes: answered.bytes,
        ms: answered.elapsed.as_secs_f64() * 1e3,
        cut: answered.cut,
        client: context.client.address.map(|address| address.to_string()),
        trace_id: named("x-amzn-trace-id"),
        cf_id: named("x-amz-cf-id"),
        request_id: named("x-request-id"),
    });
}
