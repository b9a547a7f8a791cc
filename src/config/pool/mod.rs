//! A pool of the configuration. Each of its sub-maps has a file here.

mod answers;
mod auth;
mod group;
mod health;
mod kind;
mod labels;
mod limits;
mod origin;
mod packager;
mod selection;
mod viewers;
mod zone_hosts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hosts;
use super::section::Section;
use crate::model::load::Kind;
use crate::model::names::PoolName;
use crate::model::paths::{AllowedPaths, PATTERNS_MAX, PathPattern};
use crate::model::url_base::UrlBase;

pub use answers::Answers;
pub use auth::{Auth, Credentials};
pub use group::{Group, GroupSource};
pub use health::HealthChecks;
pub use kind::{PackagerKind, Reports};
pub use limits::PoolLimits;
pub use origin::OriginLimits;
pub use packager::Packager;
pub(super) use packager::headers;
pub use selection::Selection;
pub use viewers::Viewers;

/// Packagers that carry the same streams, and how their streams are carried.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name, unique.
    pub name: PoolName,
    /// The hosts that lead to it: exact names, `*.example.com`, `*`; in lower case, unique over all pools.
    pub hosts: Vec<String>,
    /// Entry paths that its viewers may ask for.
    pub paths: AllowedPaths,
    /// What its metrics are labelled with, by name.
    pub labels: BTreeMap<String, String>,
    /// Hosts that lead to it and name the zone whose packagers their viewers get first; in lower case.
    pub zone_hosts: Vec<(String, String)>,
    /// Queries that are part of a stream's identity, such as `DVR`.
    pub identity_queries: Vec<String>,
    /// Who is let in.
    pub auth: Auth,
    /// How many siblings of a lane's packager are watched with it.
    pub standbys: usize,
    /// Which packagers new viewers go to.
    pub selection: Selection,
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
    /// What stands before URIs in playlists; none: they are relative.
    pub url_base: Option<UrlBase>,
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
    /// Never empty. One may stand for a group.
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

fn paths(section: &Section<'_>) -> AllowedPaths {
    let patterns = section.parsed_list("paths", &[], |_, text| {
        PathPattern::parse(text).map_err(|why| format!("`{text}` {why}"))
    });
    if patterns.len() > PATTERNS_MAX {
        section.error("paths", format!("has {} and may have {PATTERNS_MAX}", patterns.len()));
    }
    AllowedPaths::new(patterns)
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
        let packagers: Vec<Packager> = packagers.into_iter().flatten().collect();
        let identity = of_kinds(&packagers, Kind::identity_queries);
        let identity_queries =
            section.parsed_list("identity_queries", &identity, |_, text| query_name(text));
        let authentication = of_kinds(&packagers, Kind::authentication_queries);
        let hosts = section.parsed_list("hosts", &["*"], |path, text| {
            let host = hosts::host_pattern(text)?;
            section.report.claim("host", &host, path).map(|()| host)
        });
        let zone_hosts = zone_hosts::read(section, &hosts);
        zone_hosts::check(section, &zone_hosts, url_base.as_ref(), &packagers);
        let pool = Self {
            auth: Auth::read(section, &identity_queries, &authentication),
            name: PoolName::new(name.as_deref().unwrap_or_default()),
            hosts,
            zone_hosts,
            paths: paths(section),
            labels: labels::labels(section),
            identity_queries,
            standbys: section.count("standbys", 1, 0..=8),
            selection: Selection::read(section),
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
            packagers,
        };
        pool.no_header_twice(section);
        name.map(|_| pool)
    }
}

impl Pool {
    /// What a packager's `headers` hold goes with requests in viewers' names as well: there it would let
    /// in whoever does not write that header.
    fn no_header_twice(&self, section: &Section<'_>) {
        let named = self.packagers.iter().flat_map(|p| &p.headers);
        for (name, _) in named.filter(|(name, _)| self.auth.headers.contains(name)) {
            let text = format!(
                "names `{name}`, which stands in the headers of a packager: move it there to `credentials`"
            );
            section.error("auth_headers", text);
        }
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

/// What the kinds of the packagers take, each once, where nothing else is said.
fn of_kinds(
    packagers: &[Packager],
    take: impl Fn(Kind) -> &'static [&'static str],
) -> Vec<&'static str> {
    let all = packagers.iter().flat_map(|p| take(p.kind.kind()).iter().copied());
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

fn query_name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err(format!("`{text}` is no name of a query; write the name alone, such as DVR"));
    }
    Ok(text.to_owned())
}

/// Where it holds `{zone}`, viewers whose host names no zone are sent to the proxy's.
fn url_base(text: &str, zone: &str) -> Result<UrlBase, String> {
    let base = UrlBase::parse(text).map_err(|why| why.to_string())?;
    if base.has_zone() && zone.is_empty() {
        return Err("holds {zone}, but the key `zone` is not set".to_owned());
    }
    Ok(base)
}
