//! Whom to tell what happens.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::pool::headers;
use super::section::Section;
use super::values::{Secret, secret_text};
use super::{hosts, one_of};
use crate::model::notify::Kind;

/// A receiver of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// What it is called in the log, in metrics and by `segue webhooks test`; unique. The host of the URL
    /// where none is set.
    pub name: String,
    /// Where messages are sent. With many receivers the URL is the secret.
    pub url: Secret<String>,
    /// What is told.
    pub events: Vec<Kind>,
    /// Headers sent with every message.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What messages are signed with; none: they are not.
    pub secret: Option<Secret<String>>,
    /// For connection and answer together.
    pub timeout: Duration,
    /// A message that is not taken is sent again for so long.
    pub retry_for: Duration,
    /// Messages that wait at the most.
    pub queue: usize,
}

/// Headers that are set for every message.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "x-segue-event",
    "x-segue-signature",
];

impl Webhook {
    /// Reads one item of `webhooks`. None where it has no usable URL, which is a problem told.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        if !section.has("url") {
            section.error("url", "is missing");
        }
        let url = section.parsed("url", url);
        let named = section.parsed("name", hosts::id);
        let has_name = named.is_some();
        let name = named.or_else(|| url.as_ref().map(|(_, host)| host.clone()));
        if let Some(name) = &name
            && let Err(why) = section.report.claim("webhook", name, &section.path.key("name"))
        {
            let hint = if has_name { "" } else { "; give each a `name`" };
            section.error("name", format!("{why}{hint}"));
        }
        let all = Kind::ALL.map(Kind::as_str);
        let events = section.parsed_list("events", &all, |_, text| {
            one_of(text, &Kind::ALL.map(|kind| (kind.as_str(), kind)))
        });
        if events.is_empty() {
            section.error("events", "is empty; leave it out for all events");
        }
        let read = Self {
            name: name.unwrap_or_default(),
            url: Secret::new(url.as_ref().map(|(url, _)| url.clone()).unwrap_or_default()),
            events,
            headers: headers(section, &OWN_HEADERS),
            secret: section.parsed("secret", |text| secret_text(text, 16)),
            timeout: section.seconds("timeout_seconds", 5, 1..=60),
            retry_for: section.seconds("retry_for_seconds", 600, 0..=86_400),
            queue: section.count("queue", 1000, 1..=100_000),
        };
        url.map(|_| read)
    }
}

/// The URL, and its host and port. It never stands in a message: it may be a secret.
fn url(text: &str) -> Result<(String, String), String> {
    let wanted = "is no URL; write https://HOST/PATH or http://HOST/PATH";
    let uri: http::Uri = text.parse().map_err(|_| wanted.to_owned())?;
    let authority = uri.authority().filter(|a| !a.host().is_empty()).ok_or(wanted)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || text.contains('#') {
        return Err(wanted.to_owned());
    }
    if authority.as_str().contains('@') {
        return Err(
            "wants no user and password; set the header Authorization under `headers`".to_owned()
        );
    }
    Ok((text.to_owned(), authority.as_str().to_ascii_lowercase()))
}
