//! Pingora's hooks: every answer is made here, none comes from upstream.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::Front;
use super::access_log::{AccessLog, Line, without_token};
use super::answer::Answer;
use super::lanes::Lanes;
use super::observe::{Answered, Kind};
use super::settings::Settings;
use super::stage::InFlight;
use crate::model::names::{LaneId, PoolName};

/// The front as Pingora runs it.
pub struct Hooks<L: Lanes>(pub Arc<Front<L>>);

/// What is remembered of a request until it is logged.
pub struct Context {
    began: Instant,
    /// What was asked.
    pub(super) kind: Kind,
    /// The pool that its host leads to, once that is known.
    pub(super) pool: Option<PoolName>,
    /// Who is at the other end of the connection: the viewer, or what stands between.
    pub(super) peer: Option<IpAddr>,
    /// The viewer whom its token names.
    pub(super) viewer: Option<Arc<str>>,
    /// The lane of its token, for the access log.
    pub(super) lane: Option<LaneId>,
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
            peer: None,
            viewer: None,
            lane: None,
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
        let current = self.0.current.load();
        context.peer = session.client_addr().and_then(|a| a.as_inet()).map(SocketAddr::ip);
        connection(session, &current.settings, self.0.stages.closing());
        let answer = match self.0.answer(session.req_header(), context).await {
            Ok(answer) => answer,
            Err(failure) => {
                current.of(context.pool.as_ref()).failure(session.req_header(), &failure)
            }
        };
        let limit = time_limit(&current.settings, answer.body.len());
        let slice = current.settings.slice_bytes.max(1);
        drop(current);
        match tokio::time::timeout(limit, send(session, answer, slice)).await {
            Ok(sent) => sent.map_err(Error::into_down)?,
            Err(_) => {
                return Err(
                    Error::explain(ErrorType::WriteTimedout, "the viewer is too slow").into_down()
                );
            }
        }
        Ok(true)
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let status = session.response_written().map_or(0, |written| written.status.as_u16());
        let answered = Answered {
            kind: context.kind,
            status,
            bytes: session.body_bytes_sent() as u64,
            elapsed: context.began.elapsed(),
            cut: error.is_some(),
        };
        self.0.observer.answered(answered);
        if let Some(log) = &self.0.access_log {
            write_line(log, session, context, &answered);
        }
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

/// All of an answer must be gone by then.
fn time_limit(settings: &Settings, bytes: usize) -> std::time::Duration {
    let rate = u64::from(settings.send_rate_min.max(1));
    settings.write_timeout + std::time::Duration::from_secs(bytes as u64 / rate)
}

async fn send(session: &mut Session, answer: Answer, slice: usize) -> Result<()> {
    let Answer { header, mut body } = answer;
    let body_wanted = session.req_header().method != http::Method::HEAD;
    if body.is_empty() || !body_wanted {
        return session.write_response_header(header, true).await;
    }
    session.write_response_header(header, false).await?;
    while body.len() > slice {
        let piece = body.split_to(slice);
        session.write_response_body(Some(piece), false).await?;
    }
    session.write_response_body(Some(body), true).await
}

fn write_line(log: &AccessLog, session: &Session, context: &Context, answered: &Answered) {
    let request = session.req_header();
    let path = std::str::from_utf8(request.raw_path()).unwrap_or("(not UTF-8)");
    let named = |name: &'static str| request.headers.get(name).and_then(|v| v.to_str().ok());
    log.write(&Line {
        time_ms: super::unix().as_millis().try_into().unwrap_or(u64::MAX),
        method: request.method.as_str(),
        host: request.uri.host().or_else(|| named("host")),
        path: &without_token(path, context.lane.as_ref().map(LaneId::as_str)),
        kind: answered.kind.as_str(),
        status: answered.status,
        bytes: answered.bytes,
        ms: answered.elapsed.as_secs_f64() * 1e3,
        cut: answered.cut,
        client: session.client_addr().map(ToString::to_string),
        trace_id: named("x-amzn-trace-id"),
        cf_id: named("x-amz-cf-id"),
        request_id: named("x-request-id"),
    });
}
