//! Who is let in. With `auth: per_viewer` a packager is asked for each newcomer, the answer is for him alone,
//! and his token ends; then he comes again.

use http::header::{self, HeaderValue};
use pingora::http::RequestHeader;

use super::answer::Answer;
use super::errors::Failure;
use super::lanes::Lanes;
use super::{Context, Front, unix_s};
use crate::model::names::StreamKey;
use crate::model::query::{auth_query, expiry};
use crate::model::shown::Shown;

/// Who is let in to a pool's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// A packager is asked for each newcomer. Else everybody is let in.
    pub per_viewer: bool,
    /// The queries that it is asked with, beside those of the stream's identity; with a `*` at the end what
    /// names begin with.
    pub queries: Vec<String>,
    /// The headers that it is asked with.
    pub headers: Vec<header::HeaderName>,
    /// How long a token holds, seconds.
    pub expires_s: u64,
    /// The query that names an end of its own, Unix seconds.
    pub expiry_query: Option<String>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            per_viewer: false,
            queries: Vec::new(),
            headers: Vec::new(),
            expires_s: 3600,
            expiry_query: None,
        }
    }
}

impl Auth {
    /// A token that ends at `expires` holds at `now`, which is read only then. One without an end was given to
    /// somebody who was not asked for, before that was configured.
    pub(super) fn holds(
        &self,
        expires: Option<u64>,
        now: impl FnOnce() -> u64,
    ) -> Result<(), Failure> {
        if expires.map_or(self.per_viewer, |expires| now() >= expires) {
            return Err(Failure::TokenExpired);
        }
        Ok(())
    }

    /// What pages of other sites may send along. `*` does not stand for Authorization (Fetch, 3.3.3).
    pub(super) fn preflight_headers(&self) -> HeaderValue {
        let mut all = "*, Range".to_owned();
        for name in &self.headers {
            all.push_str(", ");
            all.push_str(name.as_str());
        }
        HeaderValue::try_from(all).unwrap_or(HeaderValue::from_static("*, Range"))
    }

    /// What is passed on of a request.
    fn shown(&self, request: &RequestHeader, query: Option<&str>) -> Result<Shown, Failure> {
        let query = auth_query(query, &self.queries).map_err(|_| Failure::UriTooLong)?;
        let values = |name| request.headers.get_all(name).iter().map(move |value| (name, value));
        let headers = self.headers.iter().flat_map(values);
        // What is not text is no credential that a packager would take.
        let headers = headers
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        Ok(Shown { query, headers: headers.collect(), address: None })
    }
}

impl<L: Lanes> Front<L> {
    /// Asks whether the newcomer is let in, and notes when his token ends. Where everybody is, nobody is
    /// asked.
    pub(super) async fn admit(
        &self,
        request: &RequestHeader,
        query: Option<&str>,
        stream: &StreamKey,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let current = self.current();
        let answers = current.of(Some(&stream.pool));
        let auth = &answers.auth;
        if !auth.per_viewer {
            return Ok(());
        }
        let mut shown = auth.shown(request, query)?;
        let client = context.client;
        shown.address = client.address.filter(|_| client.certain).map(|ip| ip.to_string());
        let waiting = self.wait(&answers.tenant)?;
        self.lanes.admit(stream, &shown).await?;
        drop(waiting);
        let now = unix_s();
        let end = expiry(&shown.query, auth.expiry_query.as_deref(), now, auth.expires_s);
        context.expires_unix_s = Some(end);
        auth.holds(Some(end), || now)
    }
}

/// The answer, to be kept by caches no longer than the token holds that it was asked for with.
pub(super) fn no_longer_than(mut answer: Answer, expires_unix_s: Option<u64>) -> Answer {
    let Some(left) = expires_unix_s.map(|expires| expires.saturating_sub(unix_s())) else {
        return answer;
    };
    let value = answer.header.headers.get(header::CACHE_CONTROL).and_then(|v| v.to_str().ok());
    let shorter = value.and_then(|value| limited(value, left));
    if let Some(value) = shorter.and_then(|text| HeaderValue::try_from(text).ok()) {
        // Fails beyond 32768 headers only.
        let _ = answer.header.insert_header(header::CACHE_CONTROL, value);
    }
    answer
}

/// `Cache-Control` with at most `left` seconds of `max-age`. None: it is so already.
fn limited(value: &str, left: u64) -> Option<String> {
    let rest = value.strip_prefix("max-age=")?;
    let (seconds, more) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
    (seconds.parse::<u64>().ok()? > left).then(|| format!("max-age={left}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_hold_until_their_end() {
        let none = Auth::default();
        let per_viewer = Auth { per_viewer: true, ..Auth::default() };
        for (auth, expires, now, holds) in [
            (&none, None, 5, true),
            (&none, Some(5), 4, true),
            (&none, Some(5), 5, false),
            (&per_viewer, Some(5), 4, true),
            (&per_viewer, Some(5), 5, false),
            (&per_viewer, None, 0, false),
        ] {
            assert_eq!(auth.holds(expires, || now).is_ok(), holds, "{expires:?} at {now}");
        }
    }

    #[test]
    fn caches_keep_nothing_beyond_the_token() {
        for (value, left, wanted) in [
            ("max-age=3600, immutable", 100, Some("max-age=100, immutable")),
            ("max-age=3600, immutable", 3600, None),
            ("max-age=2", 1, Some("max-age=1")),
            ("max-age=2", 0, Some("max-age=0")),
            ("private, no-store", 1, None),
            ("no-store", 0, None),
        ] {
            assert_eq!(limited(value, left).as_deref(), wanted, "{value} {left}");
        }
    }

    #[test]
    fn only_what_is_named_is_passed_on() {
        let auth = Auth {
            queries: vec!["token*".to_owned()],
            headers: vec![header::AUTHORIZATION],
            ..Auth::default()
        };
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in
            [("Authorization", "Bearer x"), ("Cookie", "c"), ("X-Forwarded-For", "6.6.6.6")]
        {
            request.append_header(name, value).unwrap();
        }
        let shown = auth.shown(&request, Some("DVR&token1=a&b=c&tokens=d")).unwrap();
        assert_eq!(shown.query, "token1=a&tokens=d");
        assert_eq!(shown.headers, [("authorization".to_owned(), "Bearer x".to_owned())]);
        let long = format!("token={}", "x".repeat(5000));
        assert_eq!(auth.shown(&request, Some(&long)), Err(Failure::UriTooLong));
    }
}
