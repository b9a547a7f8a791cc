//! The operators' HTTP service, on a listener of its own: `/metrics`, `/status.json`, `/healthz`,
//! `/readyz`. What changes things is a POST with the admin token.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Method, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::metrics::{Gauges, Metrics};

/// Settings of the operators' service.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What a change must show as `Authorization: Bearer ...`; none: nothing can be changed.
    pub admin_token: Option<String>,
}

/// What the rest of Segue tells and does for operators.
pub trait Operations: Send + Sync + 'static {
    /// Takes viewers: the configuration is loaded, the store open, no drain under way.
    fn ready(&self) -> bool;
    /// What stands now, for metrics.
    fn gauges(&self) -> Gauges;
    /// What stands now, for people: lanes, their packagers, splices and last decisions.
    fn status(&self) -> serde_json::Value;
    /// Takes the changed configuration file, all of it or nothing. Errors: what is wrong with it.
    fn reload(&self) -> Result<(), String>;
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

    fn answer(&self, method: &Method, path: &str, authorization: Option<&[u8]>) -> Reply {
        let reads = *method == Method::GET || *method == Method::HEAD;
        match path {
            "/metrics" if reads => Reply {
                status: 200,
                content_type: "text/plain; version=0.0.4",
                body: self.metrics.text(&self.operations.gauges()),
            },
            "/status.json" if reads => Reply {
                status: 200,
                content_type: "application/json",
                body: serde_json::to_vec_pretty(&self.operations.status()).unwrap_or_default(),
            },
            "/healthz" if reads => Reply::line(200, "ok"),
            "/readyz" if reads && self.operations.ready() => Reply::line(200, "ready"),
            "/readyz" if reads => Reply::line(503, "not ready"),
            "/reload" => self.change(method, authorization, || self.operations.reload()),
            "/metrics" | "/status.json" | "/healthz" | "/readyz" => {
                Reply::line(405, "method not allowed")
            }
            _ => Reply::line(404, "not found"),
        }
    }

    /// A change: a POST with the admin token.
    fn change(
        &self,
        method: &Method,
        authorization: Option<&[u8]>,
        act: impl FnOnce() -> Result<(), String>,
    ) -> Reply {
        let settings = self.settings.load();
        let Some(token) = settings.admin_token.as_deref().filter(|token| !token.is_empty()) else {
            return Reply::line(404, "no admin_token is configured");
        };
        if *method != Method::POST {
            return Reply::line(405, "method not allowed");
        }
        let Some(shown) = authorization else {
            return Reply::line(401, "needs Authorization: Bearer");
        };
        if !bearer(shown).is_some_and(|shown| same(shown, token.as_bytes())) {
            return Reply::line(403, "wrong token");
        }
        match act() {
            Ok(()) => Reply::line(200, "done"),
            Err(reason) => Reply::line(422, &reason),
        }
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

struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Reply {
    fn line(status: u16, line: &str) -> Self {
        Self { status, content_type: "text/plain", body: format!("{line}\n").into_bytes() }
    }
}

#[async_trait]
impl<O: Operations> ServeHttp for Admin<O> {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let head = request.method == Method::HEAD;
        let authorization =
            request.headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let reply = self.answer(&request.method, request.uri.path(), authorization);
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Stand {
        reloads: AtomicUsize,
    }

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
    }

    fn admin(token: Option<&str>) -> Admin<Stand> {
        let settings = Settings { admin_token: token.map(str::to_owned) };
        Admin::new(
            Arc::new(Metrics::new(&[]).unwrap()),
            Arc::default(),
            Arc::new(ArcSwap::from_pointee(settings)),
        )
    }

    #[test]
    fn only_the_admin_token_changes_things() {
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
            let reply = admin.answer(&method, "/reload", authorization.map(str::as_bytes));
            assert_eq!(reply.status, status, "{method} {authorization:?}");
        }
        assert_eq!(with.operations.reloads.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_can_be_read() {
        let admin = admin(None);
        let cases = [
            ("/healthz", 200),
            ("/readyz", 503),
            ("/status.json", 200),
            ("/metrics", 200),
            ("/", 404),
        ];
        for (path, status) in cases {
            assert_eq!(admin.answer(&Method::GET, path, None).status, status, "{path}");
        }
        assert_eq!(admin.answer(&Method::POST, "/metrics", None).status, 405);
    }
}
