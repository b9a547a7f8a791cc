//! A pool of the configuration. Each of its sub-maps has a file here.

mod answers;
mod health;
mod limits;
mod origin;
mod packager;
mod viewers;

use std::time::Duration;

use super::hosts;
use super::section::Section;
use super::values::Secret;
use crate::model::names::PoolName;

pub use answers::Answers;
pub use health::HealthChecks;
pub use limits::PoolLimits;
pub use origin::OriginLimits;
pub use packager::Packager;
pub use viewers::Viewers;

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
    /// What this tenant may take.
    pub limits: PoolLimits,
    /// How its viewers are counted.
    pub viewers: Viewers,
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

const DAY_SECONDS: u64 = 86_400;

impl Pool {
    /// Reads one item of `pools`. None where it has no usable name, which is a problem told.
    pub(in crate::config) fn read(section: &Section<'_>, zone: &str) -> Option<Self> {
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
            limits: section.section("limits", PoolLimits::read),
            viewers: Viewers::read(section),
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

/// What a secret of the file may be shown as.
pub(in crate::config) fn secret_text(
    text: &str,
    shortest: usize,
) -> Result<Secret<String>, String> {
    if text.len() < shortest {
        return Err(format!("has {} letters and wants {shortest} or more", text.len()));
    }
    Ok(Secret::new(text.to_owned()))
}
