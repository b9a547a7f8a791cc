//! Who is let in to a pool's streams, and what Segue itself shows to its packagers.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::hosts;
use super::super::section::Section;
use super::super::values::{OriginSecret, Secret};
use super::packager::{OWN_HEADERS, headers};
use super::{DAY_SECONDS, query_name};
use crate::model::query::is_among;

/// Who is let in to a pool's streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// A packager is asked for each viewer (`auth: per_viewer`); else everybody is let in.
    pub per_viewer: bool,
    /// Queries that authorise a viewer; with a `*` at the end what names begin with.
    pub queries: Vec<String>,
    /// Headers that authorise a viewer.
    pub headers: Vec<HeaderName>,
    /// A viewer who was let in comes again after this.
    pub expires: Duration,
    /// The query that names an end of its own.
    pub expiry_query: Option<String>,
    /// What Segue's own requests show.
    pub credentials: Credentials,
    /// What shows that a request came through the CDN, in place of what holds for all pools.
    pub origin_secret: Option<OriginSecret>,
}

/// What Segue's own requests show to the packagers of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Credentials {
    /// Names and values of queries.
    pub queries: Vec<(String, Secret<String>)>,
    /// Headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Credentials {
    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.headers.is_empty()
    }
}

impl Auth {
    /// Reads the keys of a pool that are about authorisation.
    /// `of_kinds`: the queries by which these packagers know who may watch, where none are named.
    pub(super) fn read(
        section: &Section<'_>,
        identity_queries: &[String],
        of_kinds: &[&str],
    ) -> Self {
        let per_viewer = section.parsed("auth", per_viewer).unwrap_or_default();
        let queries = if per_viewer { of_kinds } else { &[] };
        let auth = Self {
            per_viewer,
            queries: section.parsed_list("auth_queries", queries, |_, text| {
                let pattern = query_pattern(text)?;
                let patterns = [pattern.clone()];
                match identity_queries.iter().find(|name| is_among(name, &patterns)) {
                    Some(name) => Err(format!(
                        "`{text}` is `{name}` of identity_queries as well: a query names a stream or authorises a \
                         viewer; take it out of one of them"
                    )),
                    None => Ok(pattern),
                }
            }),
            headers: section.parsed_list("auth_headers", &[], |_, text| header_name(text)),
            expires: section.seconds("auth_expires_seconds", 3600, 10..=30 * DAY_SECONDS),
            expiry_query: section.parsed("auth_expiry_query", query_name),
            credentials: section
                .section("credentials", |section| Credentials::read(section, identity_queries)),
            origin_secret: OriginSecret::read(section),
        };
        if let Some(name) = auth.expiry_query.as_ref().filter(|name| !is_among(name, &auth.queries))
        {
            section.error(
                "auth_expiry_query",
                format!("`{name}` is not among auth_queries; name it there"),
            );
        }
        auth.warn(section);
        auth
    }

    fn warn(&self, section: &Section<'_>) {
        let warning = |key, text| section.report.warning(&section.path.key(key), text);
        let named = !self.queries.is_empty() || !self.headers.is_empty();
        if !self.per_viewer {
            let key = if self.queries.is_empty() { "auth_headers" } else { "auth_queries" };
            if named {
                warning(
                    key,
                    "are not looked at with `auth: none`: packagers are asked with the pool's own credentials and \
                     every viewer gets in; set `auth: per_viewer` if they are to decide",
                );
            }
            return;
        }
        if !named {
            warning(
                "auth",
                "is per_viewer, but neither auth_queries nor auth_headers are named: packagers are asked for each \
                 viewer and cannot tell one from another",
            );
        }
        if self.credentials.is_empty() {
            warning(
                "auth",
                "is per_viewer without `credentials`: packagers that refuse who shows nothing refuse Segue's own \
                 requests as well, and nobody sees anything",
            );
        }
    }
}

impl Credentials {
    fn read(section: &Section<'_>, identity_queries: &[String]) -> Self {
        let mut queries: Vec<(String, Secret<String>)> = Vec::new();
        for (path, name, value) in section.names("queries") {
            let own = |name: String| {
                // What stands in a URL already is not put in again.
                if identity_queries.contains(&name) {
                    let why = "stands in identity_queries: a viewer's would take its place";
                    return Err(format!("`{name}` {why}"));
                }
                Ok(name)
            };
            match query_name(&name).and_then(own).and_then(|name| Ok((name, query_value(value)?))) {
                Ok(pair) => queries.push(pair),
                Err(why) => section.report.error(&path, why),
            }
        }
        Self { queries, headers: headers(section, &OWN_HEADERS) }
    }
}

fn per_viewer(text: &str) -> Result<bool, String> {
    match text {
        "none" => Ok(false),
        "per_viewer" => Ok(true),
        _ => Err(format!("`{text}` is neither none nor per_viewer")),
    }
}

fn query_pattern(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    if name.is_empty() {
        return Err(format!(
            "`{text}` would pass on everything; write names, or such as wowzatoken*"
        ));
    }
    query_name(name).map(|_| text.to_owned())
}

/// A value as it stands in a URL. Never in a message: it is a secret.
fn query_value(text: &str) -> Result<Secret<String>, String> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"&#\"<>\\^`{|}'".contains(&b);
    if text.is_empty() || text.len() > 2048 || !text.bytes().all(plain) {
        return Err("is empty, too long, or has a letter that cannot stand in a query; \
                    percent-encode it"
            .to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = hosts::header_name(text)?;
    if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-") {
        return Err(format!("`{text}` cannot be passed on: Segue sets this header itself"));
    }
    Ok(name)
}
