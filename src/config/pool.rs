//! A pool of the configuration and its packagers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::hosts;
use super::section::Section;
use super::values::{ByteSize, PackagerUrl, Secret};
use crate::model::names::{PackagerId, PoolName};

/// Packagers that carry the same streams, and how their streams are carried.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name, unique.
    pub name: PoolName,
    /// The hosts that lead to it: exact names, `*.example.com`, `*`; in lower case, unique over all pools.
    pub hosts: Vec<String>,
    /// Queries that are part of a stream's identity, such as `DVR`.
    pub identity_queries: Vec<String>,
    /// How many siblings of a lane's packager are watched with it.
    pub standbys: usize,
    /// The least EXT-X-TARGETDURATION that a lane opens with (RFC 8216, 4.3.3.1), seconds.
    pub target_duration_floor: Option<u32>,
    /// Where no keyframe fits a splice content is repeated (`splice: overlap`) instead of lost
    /// (`splice: gap`).
    pub overlap: bool,
    /// How much content a playlist lists at the least; none: as much as the packager.
    pub window: Option<Duration>,
    /// How much of a window is held, where none is set: what a packager lists beyond is fetched
    /// when it is asked for.
    pub hold: Duration,
    /// A stream that every healthy packager says is gone or ended for this long gets EXT-X-ENDLIST.
    pub end_after: Duration,
    /// A stream that nobody asked for this long is no longer watched.
    pub idle_after: Duration,
    /// The log of a lane that gained no step for this long is dropped.
    pub lane_expires: Duration,
    /// What stands before URIs in playlists, without a slash at its end; none: they are relative.
    pub url_base: Option<String>,
    /// Health checks.
    pub health: HealthChecks,
    /// Limits of what is asked of a packager.
    pub origin: OriginLimits,
    /// Headers of answers.
    pub answers: Answers,
    /// Never empty.
    pub packagers: Vec<Packager>,
}

/// Whether `splice` asks for content to be repeated.
fn overlaps(text: &str) -> Result<bool, String> {
    match text {
        "gap" => Ok(false),
        "overlap" => Ok(true),
        _ => Err("is neither gap nor overlap".to_owned()),
    }
}

/// One packager of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Packager {
    /// Its id, unique over all pools.
    pub id: PackagerId,
    /// Where it answers.
    pub url: PackagerUrl,
    /// The zone it stands in; empty for none.
    pub zone: String,
    /// Its share of new lanes against others, from 1.
    pub weight: u32,
    /// The Host header; none: that of the URL.
    pub host: Option<String>,
    /// Headers sent with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM file of the CA that signs its certificate; none: the system's.
    pub ca: Option<PathBuf>,
    /// The name that TLS asks for and checks; none: the host.
    pub sni: Option<String>,
}

/// How packagers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// The path asked for; none: a connection is enough.
    pub path: Option<String>,
    /// The status that is health.
    pub expect_status: u16,
    /// From check to check.
    pub interval: Duration,
    /// For connection and answer together.
    pub timeout: Duration,
    /// Good checks in a row that make it usable.
    pub rise: u32,
    /// Bad checks in a row that make it down.
    pub fall: u32,
}

/// Limits of what is asked of each packager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginLimits {
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// Requests outstanding at one packager.
    pub requests: usize,
    /// Requests waiting for one of those places.
    pub waiting: usize,
    /// The longest playlist taken, decompressed.
    pub playlist_bytes: ByteSize,
    /// The longest segment taken.
    pub segment_bytes: ByteSize,
}

/// Headers of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// `max-age` of playlists; none: a quarter of the target duration, at least 1 s.
    pub playlist_max_age: Option<Duration>,
    /// `max-age` of segments.
    pub segment_max_age: Duration,
    /// Origins that may read answers in a browser; `*` for all.
    pub cors_origins: Vec<String>,
}

const DAY_SECONDS: u64 = 86_400;

impl Pool {
    /// Reads one item of `pools`. None where it has no usable name, which is a problem told.
    pub(super) fn read(section: &Section<'_>, zone: &str) -> Option<Self> {
        let name = required(section, "name", "pool");
        let url_base = section.parsed("url_base", |text| url_base(text, zone));
        let window = section.number_if_set("window_seconds", 3..=DAY_SECONDS);
        let floor = section.number_if_set("target_duration_seconds", 1..=60);
        if let (Some(window), Some(floor)) = (window, floor)
            && window < 3 * floor
        {
            let text = format!(
                "wants at least {}: a live playlist lists three target durations",
                3 * floor
            );
            section.error("window_seconds", text);
        }
        let packagers = section.sections("packagers", Packager::read);
        if packagers.is_empty() {
            section.error(
                "packagers",
                "is empty; name one or more, such as - { id: a, url: \"http://10.0.0.1:1935\" }",
            );
        }
        let pool = Self {
            name: PoolName::new(name.as_deref().unwrap_or_default()),
            hosts: section.parsed_list("hosts", &["*"], |path, text| {
                let host = hosts::host_pattern(text)?;
                section.report.claim("host", &host, path).map(|()| host)
            }),
            identity_queries: section
                .parsed_list("identity_queries", &["DVR"], |_, text| query_name(text)),
            standbys: section.count("standbys", 1, 0..=8),
            target_duration_floor: floor.and_then(|seconds| u32::try_from(seconds).ok()),
            overlap: section.parsed("splice", overlaps).unwrap_or_default(),
            window: window.map(Duration::from_secs),
            hold: section.seconds("hold_seconds", 300, 30..=DAY_SECONDS),
            end_after: section.seconds("end_after_seconds", 60, 5..=DAY_SECONDS),
            idle_after: section.seconds("idle_after_seconds", 60, 10..=DAY_SECONDS),
            lane_expires: section.seconds(
                "lane_expires_seconds",
                DAY_SECONDS,
                300..=30 * DAY_SECONDS,
            ),
            url_base,
            health: section.section("health", HealthChecks::read),
            origin: section.section("origin", OriginLimits::read),
            answers: section.section("answers", Answers::read),
            packagers: packagers.into_iter().flatten().collect(),
        };
        name.map(|_| pool)
    }
}

/// A name that must be there, unique among all of `what`.
fn required(section: &Section<'_>, key: &'static str, what: &'static str) -> Option<String> {
    must_be_there(section, key);
    section.parsed(key, |text| {
        let id = hosts::id(text)?;
        section.report.claim(what, &id, &section.path.key(key)).map(|()| id)
    })
}

fn must_be_there(section: &Section<'_>, key: &'static str) {
    if !section.has(key) {
        section.error(key, "is missing");
    }
}

impl Packager {
    /// Reads one item of `packagers`. None where id or URL are missing or bad, which is a problem told.
    fn read(section: &Section<'_>) -> Option<Self> {
        let id = required(section, "id", "packager");
        must_be_there(section, "url");
        let url = section.parsed("url", PackagerUrl::parse);
        let ca = section.parsed("ca", ca_file);
        let sni = section.parsed("sni", hosts::server_name);
        if url.as_ref().is_some_and(|url| !url.tls) {
            for (key, set) in [("ca", ca.is_some()), ("sni", sni.is_some())] {
                if set {
                    section.error(key, "is of use only with an https url");
                }
            }
        }
        let zone = section.parsed("zone", hosts::id).unwrap_or_default();
        let weight = section.small("weight", 1, 1..=1000);
        let host = section.parsed("host", hosts::host_header);
        let headers = headers(section);
        Some(Self { id: PackagerId::new(id?), url: url?, zone, weight, host, headers, ca, sni })
    }
}

/// Headers that Segue sets itself.
const OWN_HEADERS: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-none-match",
    "range",
    "te",
    "transfer-encoding",
];

fn headers(section: &Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = BTreeMap::new();
    for (path, name, value) in section.names("headers") {
        let Ok(name) = HeaderName::try_from(&name) else {
            section.report.error(&path, "is no name of a header");
            continue;
        };
        if OWN_HEADERS.contains(&name.as_str()) {
            let hint = if name == http::header::HOST {
                "use the key `host`"
            } else {
                "Segue sets this header itself"
            };
            section.report.error(&path, format!("cannot be set here: {hint}"));
            continue;
        }
        let Ok(mut value) = HeaderValue::try_from(value) else {
            section.report.error(&path, "has a value that no header can carry: visible ASCII only");
            continue;
        };
        // Often an Authorization: not for logs.
        value.set_sensitive(true);
        if headers.insert(name.as_str().to_owned(), (name, value)).is_some() {
            section.report.error(&path, "stands twice: names of headers do not differ by case");
        }
    }
    headers.into_values().collect()
}

fn ca_file(text: &str) -> Result<PathBuf, String> {
    match std::fs::read(text) {
        Ok(bytes) if bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => {
            Ok(PathBuf::from(text))
        }
        Ok(_) => Err(format!("`{text}` holds no certificate; wants a PEM file")),
        Err(why) => Err(format!("`{text}` cannot be read: {why}")),
    }
}

fn query_name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err(format!("`{text}` is no name of a query; write the name alone, such as DVR"));
    }
    Ok(text.to_owned())
}

/// Puts the zone in and checks what comes out.
fn url_base(text: &str, zone: &str) -> Result<String, String> {
    if text.contains("{zone}") && zone.is_empty() {
        return Err("holds {zone}, but the key `zone` is not set".to_owned());
    }
    let url = text.replace("{zone}", zone);
    if url.contains(['{', '}']) {
        return Err("may hold {zone} and no other name in braces".to_owned());
    }
    let base = url.trim_end_matches('/');
    let uri: Option<http::Uri> = base.parse().ok();
    let absolute = |uri: &http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
    };
    if !uri.is_some_and(|uri| absolute(&uri)) || base.contains(['#', '"']) {
        return Err(format!(
            "`{text}` is no URL to begin others with; write such as https://media-{{zone}}.example.com"
        ));
    }
    Ok(base.to_owned())
}

impl HealthChecks {
    fn read(section: &Section<'_>) -> Self {
        Self {
            path: section.parsed("path", |text| {
                let ok = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
                if ok {
                    Ok(text.to_owned())
                } else {
                    Err(format!("`{text}` is no path; it begins with /"))
                }
            }),
            expect_status: u16::try_from(section.small("expect_status", 200, 100..=599))
                .unwrap_or(200),
            interval: section.seconds("interval_seconds", 2, 1..=300),
            timeout: section.seconds("timeout_seconds", 2, 1..=60),
            rise: section.small("rise", 2, 1..=100),
            fall: section.small("fall", 3, 1..=100),
        }
    }
}

impl OriginLimits {
    fn read(section: &Section<'_>) -> Self {
        Self {
            connect_timeout: Duration::from_millis(section.number(
                "connect_timeout_ms",
                1000,
                10..=60_000,
            )),
            requests: section.count("requests", 32, 1..=10_000),
            waiting: section.count("waiting", 1024, 1..=1_000_000),
            playlist_bytes: section.size(
                "playlist_bytes",
                ByteSize::mib(4),
                ByteSize::kib(4)..=ByteSize::mib(256),
            ),
            segment_bytes: section.size(
                "segment_bytes",
                ByteSize::mib(64),
                ByteSize::kib(64)..=ByteSize::gib(4),
            ),
        }
    }
}

impl Answers {
    fn read(section: &Section<'_>) -> Self {
        Self {
            playlist_max_age: section
                .number_if_set("playlist_max_age_seconds", 0..=60)
                .map(Duration::from_secs),
            segment_max_age: section.seconds(
                "segment_max_age_seconds",
                3600,
                0..=365 * DAY_SECONDS,
            ),
            cors_origins: section.parsed_list("cors_origins", &["*"], |_, text| cors_origin(text)),
        }
    }
}

fn cors_origin(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if text == "*" || rest.is_some_and(|host| hosts::host_header(host).is_ok()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{text}` is no origin; write https://HOST[:PORT] without a path, or *"))
}

/// What a secret of the file may be shown as.
pub(super) fn secret_text(text: &str, shortest: usize) -> Result<Secret<String>, String> {
    if text.len() < shortest {
        return Err(format!("has {} letters and wants {shortest} or more", text.len()));
    }
    Ok(Secret::new(text.to_owned()))
}
