//! Answers: status, headers, body. Nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderName, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

use super::auth::Auth;
use super::errors::Failure;
use super::gate::Gate;
use super::range::{Part, part};
use super::request::{accepts_gzip, none_match_names, text};
use super::settings::{PoolSettings, Settings};
use super::tenant::Tenant;
use crate::model::lane::{Header, Held};
use crate::model::names::PoolName;
use crate::stream::Printed;

/// The type of every playlist (RFC 8216, 4), by which CDNs know what to compress.
const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A CDN that keeps answers to OPTIONS would keep one that says nothing for a day.
const PREFLIGHT: HeaderValue = HeaderValue::from_static("max-age=60");
/// For one viewer alone.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Content-Length, Content-Range, Date, ETag, Age, X-Amz-Cf-Id, X-Cache",
);

/// What goes out.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub header: Box<ResponseHeader>,
    /// The body; not sent where the request was HEAD.
    pub body: Bytes,
}

impl Answer {
    /// It says something that whoever asked did not know.
    pub(super) fn is_new(&self) -> bool {
        self.header.status == StatusCode::OK
    }
}

/// Settings, and the header values made of them once.
pub struct Prepared {
    /// The settings.
    pub settings: Settings,
    pools: HashMap<PoolName, PoolAnswers>,
    others: PoolAnswers,
}

impl Prepared {
    /// Makes the values. A CORS origin that is no header value is left out. What tenants take goes on
    /// from `before`.
    #[must_use]
    pub fn new(settings: Settings, before: Option<&Self>) -> Self {
        let known = |name| before.and_then(|before| before.pools.get(name));
        Self {
            pools: settings
                .pools
                .iter()
                .map(|(name, pool)| (name.clone(), PoolAnswers::new(pool, &settings, known(name))))
                .collect(),
            others: PoolAnswers::new(
                &settings.others,
                &settings,
                before.map(|before| &before.others),
            ),
            settings,
        }
    }

    /// How `pool` is answered; none: before a request's pool is known.
    #[must_use]
    pub fn of(&self, pool: Option<&PoolName>) -> &PoolAnswers {
        pool.and_then(|pool| self.pools.get(pool)).unwrap_or(&self.others)
    }

    /// How the streams of `pool` are answered. None where other pools are named and this one is not: what
    /// holds for nobody in particular says nothing of who is let in to it.
    #[must_use]
    pub fn named(&self, pool: &PoolName) -> Option<&PoolAnswers> {
        self.pools.get(pool).or_else(|| self.pools.is_empty().then_some(&self.others))
    }
}

/// Whose pages may read answers.
enum Cors {
    Nobody,
    /// The same header for all, which caches like best.
    Fixed(HeaderValue),
    /// The request's Origin if it is among these: the answer varies by it.
    Among(Vec<HeaderValue>),
}

impl Cors {
    fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Fixed(HeaderValue::from_static("*"));
        }
        let mut values: Vec<_> =
            origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        match values.len() {
            0 => Self::Nobody,
            1 => values.pop().map_or(Self::Nobody, Self::Fixed),
            _ => Self::Among(values),
        }
    }
}

/// Header values of one pool, and the answers made with them.
pub struct PoolAnswers {
    /// Queries that are part of a stream's identity.
    pub identity_queries: Vec<String>,
    /// What its viewers may take.
    pub tenant: Arc<Tenant>,
    /// Who is let in.
    pub auth: Auth,
    /// What requests show that came through the CDN, where they must.
    pub gate: Option<Gate>,
    playlist_max_age: Option<u32>,
    cors: Cors,
    retry_after: HeaderValue,
    entry_cache: HeaderValue,
    segment_cache: HeaderValue,
}

impl PoolAnswers {
    fn new(settings: &PoolSettings, all: &Settings, before: Option<&Self>) -> Self {
        Self {
            identity_queries: settings.identity_queries.clone(),
            tenant: Arc::new(Tenant::new(settings, before.map(|before| &*before.tenant))),
            auth: settings.auth.clone(),
            gate: settings.gate.as_ref().or(all.gate.as_ref()).cloned(),
            playlist_max_age: settings.playlist_max_age,
            cors: Cors::new(&settings.cors_origins),
            retry_after: HeaderValue::from(all.retry_after_seconds),
            entry_cache: if settings.entry_private || settings.auth.per_viewer {
                PRIVATE
            } else {
                max_age(settings.entry_max_age, "")
            },
            segment_cache: max_age(settings.segment_max_age, ", immutable"),
        }
    }

    fn start(&self, request: &RequestHeader, status: StatusCode, size_hint: usize) -> Head {
        let mut head = Head::new(status, size_hint);
        let allowed = match &self.cors {
            Cors::Nobody => None,
            Cors::Fixed(origin) => Some(origin.clone()),
            Cors::Among(origins) => {
                head.add(header::VARY, HeaderValue::from_static("Origin"));
                let asked = request.headers.get(header::ORIGIN);
                asked.filter(|asked| origins.contains(asked)).cloned()
            }
        };
        if let Some(origin) = allowed {
            head.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            head.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        head
    }

    /// A multivariant playlist.
    #[must_use]
    pub fn entry(&self, request: &RequestHeader, text: String) -> Answer {
        let mut head = self.start(request, StatusCode::OK, 8);
        head.set(header::CONTENT_TYPE, PLAYLIST_TYPE);
        head.set(header::CACHE_CONTROL, self.entry_cache.clone());
        head.with_body(Bytes::from(text))
    }

    /// A media playlist: whole, gzipped, or 304.
    #[must_use]
    pub fn playlist(&self, request: &RequestHeader, lane: &Header, printed: &Printed) -> Answer {
        let gzip = text(request, &header::ACCEPT_ENCODING).is_some_and(accepts_gzip);
        let (etag, body) =
            if gzip { (&printed.etag_gzip, &printed.gzip) } else { (&printed.etag, &printed.body) };
        let unchanged = text(request, &header::IF_NONE_MATCH)
            .is_some_and(|names| none_match_names(names, etag));
        let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut head = self.start(request, status, 12);
        head.set(header::CACHE_CONTROL, self.playlist_cache(lane.target_duration));
        head.add(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Ok(etag) = HeaderValue::from_str(etag) {
            head.set(header::ETAG, etag);
        }
        if unchanged {
            return head.without_body();
        }
        head.set(header::CONTENT_TYPE, PLAYLIST_TYPE);
        if gzip {
            head.set(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        head.with_body(body.clone())
    }

    fn playlist_cache(&self, target_duration: u32) -> HeaderValue {
        match self.playlist_max_age.unwrap_or((target_duration / 4).max(1)) {
            1 => HeaderValue::from_static("max-age=1"),
            2 => HeaderValue::from_static("max-age=2"),
            other => max_age(other, ""),
        }
    }

    /// A segment or init segment: whole, a range, or 304.
    pub fn segment(
        &self,
        request: &RequestHeader,
        stored: &Held,
        extension: &str,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let etag = format!("\"{}\"", stored.hash.to_hex().get(..32).unwrap_or_default());
        let unchanged = text(request, &header::IF_NONE_MATCH)
            .is_some_and(|names| none_match_names(names, &etag));
        // If-Range with another validator: the whole (RFC 9110, 13.1.5).
        let as_before = text(request, &header::IF_RANGE).is_none_or(|validator| validator == etag);
        let length = body.len() as u64;
        let wanted = match text(request, &header::RANGE) {
            Some(range) if as_before && !unchanged => part(range, length),
            _ => Part::Whole,
        };
        let status = match wanted {
            _ if unchanged => StatusCode::NOT_MODIFIED,
            Part::Whole => StatusCode::OK,
            Part::Bytes(..) => StatusCode::PARTIAL_CONTENT,
            Part::Unsatisfiable => return Err(Failure::Range(length)),
        };
        let mut head = self.start(request, status, 12);
        head.set(header::CACHE_CONTROL, self.segment_cache.clone());
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            head.set(header::ETAG, etag);
        }
        if unchanged {
            return Ok(head.without_body());
        }
        head.set(header::CONTENT_TYPE, segment_type(extension));
        head.set(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Part::Bytes(first, last) = wanted {
            if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{length}")) {
                head.set(header::CONTENT_RANGE, value);
            }
            let (first, end) = (clamp(first, body), clamp(last.saturating_add(1), body));
            return Ok(head.with_body(body.slice(first..end)));
        }
        Ok(head.with_body(body.clone()))
    }

    /// A key, which nobody may store, or data that the multivariant playlist names.
    pub fn shared(
        &self,
        request: &RequestHeader,
        stored: &Held,
        name: &str,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        if !name.starts_with("key-") {
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            return self.segment(request, stored, extension, body);
        }
        let mut head = self.start(request, StatusCode::OK, 8);
        head.set(header::CACHE_CONTROL, NO_STORE);
        head.set(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(head.with_body(body.clone()))
    }

    /// The answer to a CORS preflight.
    #[must_use]
    pub fn preflight(&self, request: &RequestHeader) -> Answer {
        let mut head = self.start(request, StatusCode::NO_CONTENT, 10);
        head.set(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        head.set(header::CACHE_CONTROL, PREFLIGHT);
        if head.has(&header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            head.set(
                header::ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static("GET, HEAD, OPTIONS"),
            );
            head.set(header::ACCESS_CONTROL_ALLOW_HEADERS, self.auth.preflight_headers());
            head.set(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
        head.without_body()
    }

    /// A request that gets no content, from the table in [`Failure::answer`].
    #[must_use]
    pub fn failure(&self, request: &RequestHeader, failure: &Failure) -> Answer {
        let (status, reason) = failure.answer();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut head = self.start(request, status, 10);
        head.set(header::CACHE_CONTROL, NO_STORE);
        head.set(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        match failure {
            Failure::Method => {
                head.set(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            }
            Failure::Range(length) => {
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                    head.set(header::CONTENT_RANGE, value);
                }
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                head.set(header::RETRY_AFTER, self.retry_after.clone());
            }
            _ => {}
        }
        head.with_body(Bytes::from(format!("{reason}\n")))
    }
}

/// Health: one line, never stored.
#[must_use]
pub fn health(line: &'static str) -> Answer {
    let mut head = Head::new(StatusCode::OK, 5);
    head.set(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    head.set(header::CACHE_CONTROL, NO_STORE);
    head.with_body(Bytes::from_static(line.as_bytes()))
}

/// Within `body`, also where `usize` is narrow.
fn clamp(at: u64, body: &Bytes) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX).min(body.len())
}

fn max_age(seconds: u32, more: &str) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={seconds}{more}")).unwrap_or(NO_STORE)
}

/// The type that goes with a segment's ending.
fn segment_type(extension: &str) -> HeaderValue {
    HeaderValue::from_static(match extension {
        "ts" => "video/mp2t",
        "mp4" | "m4s" | "m4v" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => "audio/mp4",
        "aac" => "audio/aac",
        "mp3" => "audio/mpeg",
        "ac3" => "audio/ac3",
        "ec3" => "audio/eac3",
        "vtt" | "webvtt" => "text/vtt",
        "json" => "application/json",
        _ => "application/octet-stream",
    })
}

/// A response header under construction. Names are lower case, as HTTP/2 wants them anyway.
struct Head(Box<ResponseHeader>);

impl Head {
    fn new(status: StatusCode, size_hint: usize) -> Self {
        // Building fails on impossible status numbers only, and `status` is none.
        match ResponseHeader::build_no_case(status, Some(size_hint)) {
            Ok(header) => Self(Box::new(header)),
            Err(_) => Self(Box::new(ResponseHeader::from(http::Response::new(()).into_parts().0))),
        }
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        // Fails beyond 32768 headers only.
        let _ = self.0.insert_header(name, value);
    }

    /// Beside others of that name.
    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.0.append_header(name, value);
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.0.headers.contains_key(name)
    }

    fn with_body(mut self, body: Bytes) -> Answer {
        self.set(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        Answer { header: self.0, body }
    }

    fn without_body(self) -> Answer {
        Answer { header: self.0, body: Bytes::new() }
    }
}
