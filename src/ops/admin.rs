//! The operators' HTTP service, on a listener of its own: a page, `/metrics`, `/status.json`, `/fleet.json`,
//! `/healthz`, `/readyz`, `/packagers/{id}/drain`, `/viewers/log`. What changes things is a POST with the admin token.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Method, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::drain::{self, DrainError, PackagerState};
use super::metrics::{Gauges, Metrics};
use super::viewers;
use crate::model::names::PackagerId;
use crate::model::viewers::log::Report;

/// A body must be here within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Settings of the operators' service.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What a change must show as `Authorization: Bearer ...`; none: nothing can be changed.
    pub admin_token: Option<String>,
}

/// What the rest of Segue tells and does for operators.
#[async_trait]
pub trait Operations: Send + Sync + 'static {
    /// Takes viewers: the configuration is loaded, the store open, no drain under way.
    fn ready(&self) -> bool;
    /// What stands now, for metrics.
    fn gauges(&self) -> Gauges;
    /// What stands now, for people: lanes, their packagers, splices and last decisions.
    fn status(&self) -> serde_json::Value;
    /// The other proxies, for people; null where there are none.
    fn fleet(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    /// Takes the changed configuration file, all of it or nothing. Errors: what is wrong with it.
    fn reload(&self) -> Result<(), String>;
    /// A packager as it stands.
    fn packager(&self, id: &PackagerId) -> Result<PackagerState, DrainError>;
    /// Takes a packager out, or brings it back. Harmless where it is so already.
    async fn drain(&self, id: &PackagerId, out: bool) -> Result<PackagerState, DrainError>;
    /// A CDN's log said how many watch: how many of its lanes belong to streams of ours.
    fn heard(&self, _report: Report) -> usize {
        0
    }
}

/// The service.
pub struct Admin<O> {
    metrics: Arc<Metrics>,
    operations: Arc<O>,
    settings: Arc<ArcSwap<Settings>>,
}

impl<O: Operations> Admin<O> {
    /// The service over what it shows. `settings` may be exchanged while it runs.
    pub fn new(
        metrics: Arc<Metrics>,
        operations: Arc<O>,
        settings: Arc<ArcSwap<Settings>>,
    ) -> Self {
        Self { metrics, operations, settings }
    }

    async fn answer(&self, method: &Method, path: &str, authorization: Option<&[u8]>) -> Reply {
        let reads = *method == Method::GET || *method == Method::HEAD;
        match path {
            "/metrics" if reads => Reply {
                status: 200,
                content_type: "text/plain; version=0.0.4",
                body: self.metrics.text(&self.operations.gauges()),
            },
            "/" | "/viewers" if reads => viewers::page(),
            "/status.json" if reads => Reply::json(&self.operations.status()),
            "/fleet.json" if reads => Reply::json(&self.operations.fleet()),
            "/healthz" if reads => Reply::line(200, "ok"),
            "/readyz" if reads && self.operations.ready() => Reply::line(200, "ready"),
            "/readyz" if reads => Reply::line(503, "not ready"),
            "/reload" => match self.refused(method, authorization) {
                Some(refusal) => refusal,
                None => match self.operations.reload() {
                    Ok(()) => Reply::line(200, "done"),
                    Err(reason) => Reply::line(422, &reason),
                },
            },
            "/" | "/viewers" | "/metrics" | "/status.json" | "/fleet.json" | "/healthz"
            | "/readyz" => Reply::line(405, "method not allowed"),
            path => match drain::asked(path) {
                Some((id, true)) if reads => drain::reply(self.operations.packager(&id)),
                Some((id, out)) => match self.refused(method, authorization) {
                    Some(refusal) => refusal,
                    None => drain::reply(self.operations.drain(&id, out).await),
                },
                None => Reply::line(404, "not found"),
            },
        }
    }

    /// A change is a POST with the admin token; anything else is answered so.
    fn refused(&self, method: &Method, authorization: Option<&[u8]>) -> Option<Reply> {
        let settings = self.settings.load();
        let Some(token) = settings.admin_token.as_deref().filter(|token| !token.is_empty()) else {
            return Some(Reply::line(404, "no admin_token is configured"));
        };
        if *method != Method::POST {
            return Some(Reply::line(405, "method not allowed"));
        }
        let Some(shown) = authorization else {
            return Some(Reply::line(401, "needs Authorization: Bearer"));
        };
        let right = bearer(shown).is_some_and(|shown| same(shown, token.as_bytes()));
        (!right).then(|| Reply::line(403, "wrong token"))
    }
}

fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// Compares by hash: how long it takes tells nothing of where the two differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    blake3::hash(one) == blake3::hash(other)
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec_pretty(value).unwrap_or_default();
        Self { status: 200, content_type: "application/json", body }
    }

    pub(super) fn line(status: u16, line: &str) -> Self {
        Self { status, content_type: "text/plain", body: format!("{line}\n").into_bytes() }
    }
}

/// The request's body; none where it is too long, or does not come.
async fn body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(piece)) = session.read_request_body().await {
            body.extend_from_slice(&piece);
            if body.len() > viewers::REPORT_BYTES_MAX {
                return None;
            }
        }
        Some(body)
    };
    tokio::time::timeout(BODY_WITHIN, read).await.ok()?
}

#[async_trait]
impl<O: Operations> ServeHttp for Admin<O> {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let head = request.method == Method::HEAD;
        let authorization =
            request.headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let reply = if request.uri.path() == "/viewers/log" {
            match self.refused(&request.method, authorization) {
                Some(refusal) => refusal,
                None => viewers::heard(body(session).await.as_deref(), |report| {
                    self.operations.heard(report)
                }),
            }
        } else {
            self.answer(&request.method, request.uri.path(), authorization).await
        };
        let mut response = Response::builder()
            .status(reply.status)
            .header(header::CONTENT_TYPE, reply.content_type)
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::CONTENT_LENGTH, reply.body.len());
        match reply.status {
            401 => response = response.header(header::WWW_AUTHENTICATE, "Bearer"),
            503 => response = response.header(header::RETRY_AFTER, "1"),
            _ => {}
        }
        let body = if head { Vec::new() } else { reply.body };
        response.body(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Stand {
        reloads: AtomicUsize,
        out: AtomicBool,
    }

    #[async_trait]
    impl Operations for Stand {
        fn ready(&self) -> bool {
            false
        }
        fn gauges(&self) -> Gauges {
            Gauges::default()
        }
        fn status(&self) -> serde_json::Value {
            serde_json::json!({"lanes": []})
        }
        fn reload(&self) -> Result<(), String> {
            if self.reloads.fetch_add(1, Ordering::SeqCst) == 0 {
                Ok(())
            } else {
                Err("pools[0]: no packagers (line 7)".to_owned())
            }
        }
        fn packager(&self, id: &PackagerId) -> Result<PackagerState, DrainError> {
            let drained = self.out.load(Ordering::SeqCst);
            match id.as_str() {
                "a" => Ok(PackagerState {
                    packager: id.clone(),
                    pool: "live".to_owned(),
                    health: "up".to_owned(),
                    drained,
                    drained_since: None,
                    lanes: 2,
                    siblings: 1,
                }),
                "cut" => Err(DrainError::Store("the store cannot be reached".to_owned())),
                _ => Err(DrainError::NoPackager(vec![PackagerId::new("a"), PackagerId::new("b")])),
            }
        }
        async fn drain(&self, id: &PackagerId, out: bool) -> Result<PackagerState, DrainError> {
            self.out.store(out, Ordering::SeqCst);
            self.packager(id)
        }
    }

    fn admin(token: Option<&str>) -> Admin<Stand> {
        let settings = Settings { admin_token: token.map(str::to_owned) };
        Admin::new(
            Arc::new(Metrics::new(&[]).unwrap()),
            Arc::default(),
            Arc::new(ArcSwap::from_pointee(settings)),
        )
    }

    #[tokio::test]
    async fn only_the_admin_token_changes_things() {
        let with = admin(Some("secret"));
        let without = admin(None);
        let cases: [(&Admin<Stand>, Method, Option<&str>, u16); 9] = [
            (&without, Method::POST, Some("Bearer secret"), 404),
            (&with, Method::GET, Some("Bearer secret"), 405),
            (&with, Method::POST, None, 401),
            (&with, Method::POST, Some("Bearer"), 403),
            (&with, Method::POST, Some("Bearer "), 403),
            (&with, Method::POST, Some("Bearer secretx"), 403),
            (&with, Method::POST, Some("Basic secret"), 403),
            (&with, Method::POST, Some("Bearer secret"), 200),
            (&with, Method::POST, Some("bearer secret"), 422),
        ];
        for (admin, method, authorization, status) in cases {
            let reply = admin.answer(&method, "/reload", authorization.map(str::as_bytes)).await;
            assert_eq!(reply.status, status, "{method} {authorization:?}");
        }
        assert_eq!(with.operations.reloads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn packagers_are_taken_out_and_brought_back() {
        let (with, without) = (admin(Some("secret")), admin(None));
        let right = Some("Bearer secret");
        let cases = [
            (&with, Method::GET, "/packagers/a/drain", None, 200, false),
            (&without, Method::GET, "/packagers/a/drain", None, 200, false),
            (&without, Method::POST, "/packagers/a/drain", right, 404, false),
            (&with, Method::POST, "/packagers/a/drain", None, 401, false),
            (&with, Method::POST, "/packagers/a/drain", Some("Bearer wrong"), 403, false),
            (&with, Method::POST, "/packagers/a/drain", right, 200, true),
            (&with, Method::POST, "/packagers/a/drain", right, 200, true),
            (&with, Method::PUT, "/packagers/a/undrain", right, 405, true),
            (&with, Method::GET, "/packagers/a/undrain", right, 405, true),
            (&with, Method::POST, "/packagers/a/undrain", right, 200, false),
            (&with, Method::POST, "/packagers/cut/drain", right, 503, true),
            (&with, Method::POST, "/packagers/a/dance", right, 404, true),
        ];
        for (admin, method, path, authorization, status, out) in cases {
            let reply = admin.answer(&method, path, authorization.map(str::as_bytes)).await;
            let got = (reply.status, admin.operations.out.load(Ordering::SeqCst));
            assert_eq!(got, (status, out), "{method} {path} {authorization:?}");
            if status == 200 {
                let state: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
                assert_eq!((&state["drained"], &state["lanes"]), (&out.into(), &2.into()));
            }
        }
        let unknown = with.answer(&Method::POST, "/packagers/z/drain", right.map(str::as_bytes));
        let unknown = unknown.await;
        assert_eq!(unknown.status, 404);
        assert_eq!(unknown.body, b"no such packager; there are a, b\n");
    }

    #[tokio::test]
    async fn what_can_be_read() {
        let admin = admin(None);
        let cases = [
            ("/healthz", 200),
            ("/readyz", 503),
            ("/status.json", 200),
            ("/fleet.json", 200),
            ("/metrics", 200),
            ("/", 200),
            ("/viewers", 200),
            ("/viewers/log", 404),
            ("/no", 404),
        ];
        for (path, status) in cases {
            assert_eq!(admin.answer(&Method::GET, path, None).await.status, status, "{path}");
        }
        assert_eq!(admin.answer(&Method::POST, "/metrics", None).await.status, 405);
    }
}
