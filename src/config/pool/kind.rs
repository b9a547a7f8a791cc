//! Which program a packager is, and how it is asked what it carries: `wowza: {}` or `wcs: {}`.

use std::time::Duration;

use super::super::section::Section;
use super::super::values::{PackagerUrl, Secret, secret_text};
use super::health::path_of;
use crate::model::load::{Bound, Kind, WowzaLoad};

/// What one of a kind is asked, beside streams.
#[derive(Clone, Debug, PartialEq)]
pub enum PackagerKind {
    /// Nothing.
    Generic,
    /// Wowza Streaming Engine: `/connectioncounts`.
    Wowza {
        /// How it is asked.
        report: Reports,
        /// What of the answer is its load.
        load: WowzaLoad,
    },
    /// Flashphoner Web Call Server: `?action=stat`.
    Wcs {
        /// How it is asked.
        report: Reports,
        /// The key that is its load.
        load: String,
        /// Beyond these it is down.
        bounds: Vec<Bound>,
        /// The first request for a stream may take so long before that counts as a failure.
        warm_up: Duration,
    },
}

/// How a packager is asked for what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Where; none: the packager's host, at the kind's own port.
    pub admin: Option<PackagerUrl>,
    /// What for.
    pub path: String,
    /// User and password, where it wants them.
    pub login: Option<(String, Secret<String>)>,
    /// From report to report.
    pub interval: Duration,
    /// For one report.
    pub timeout: Duration,
    /// Good reports in a row that make it usable again.
    pub rise: u32,
    /// Bad reports in a row after which its load is not known, or it is down.
    pub fall: u32,
    /// Without a report it is down.
    pub must_answer: bool,
}

impl PackagerKind {
    /// One word.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Generic => Kind::Generic,
            Self::Wowza { .. } => Kind::Wowza,
            Self::Wcs { .. } => Kind::Wcs,
        }
    }

    /// How it is asked for what it carries.
    #[must_use]
    pub const fn report(&self) -> Option<&Reports> {
        match self {
            Self::Generic => None,
            Self::Wowza { report, .. } | Self::Wcs { report, .. } => Some(report),
        }
    }

    /// Reads the sub-maps of a packager, of which there is one at most.
    pub(super) fn read(packager: &Section<'_>) -> Self {
        let wowza = packager.section("wowza", wowza);
        let wcs = packager.section("wcs", wcs);
        match (packager.has("wowza"), packager.has("wcs")) {
            (false, false) => Self::Generic,
            (true, false) => wowza,
            (false, true) => wcs,
            (true, true) => {
                packager.error("wcs", "stands beside `wowza`: a packager is one of them");
                Self::Generic
            }
        }
    }
}

fn wowza(section: &Section<'_>) -> PackagerKind {
    let load = section.parsed("load", |text| match text {
        "connections" => Ok(WowzaLoad::Connections),
        "sessions" => Ok(WowzaLoad::Sessions),
        "hls_sessions" => Ok(WowzaLoad::HlsSessions),
        _ => Err(format!("`{text}` is not one of connections, sessions, hls_sessions")),
    });
    PackagerKind::Wowza {
        report: Reports::read(section, Kind::Wowza),
        load: load.unwrap_or_default(),
    }
}

fn wcs(section: &Section<'_>) -> PackagerKind {
    let load = section.parsed("load", key);
    let mut bounds = Vec::new();
    let most = section.numbers("at_most", key);
    if !most.iter().any(|(key, _)| key == DEGRADED) {
        bounds.push(Bound::AtMost(DEGRADED.to_owned(), 20.0));
    }
    bounds.extend(most.into_iter().map(|(key, most)| Bound::AtMost(key, most)));
    let least = section.numbers("at_least", key);
    bounds.extend(least.into_iter().map(|(key, least)| Bound::AtLeast(key, least)));
    PackagerKind::Wcs {
        report: Reports::read(section, Kind::Wcs),
        load: load.unwrap_or_else(|| "connections_hls".to_owned()),
        bounds,
        warm_up: section.seconds("warm_up_seconds", 15, 0..=300),
    }
}

/// The part of its streams that a Web Call Server cannot keep up with.
const DEGRADED: &str = "degraded_streams_percent";

fn key(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if text.is_empty() || text.len() > 128 || !text.bytes().all(plain) {
        return Err(format!("`{text}` is no key of its statistics, such as streams_viewers"));
    }
    // The reader knows both spellings by this one.
    let one = if text == "connection_websocket" { "connections_websocket" } else { text };
    Ok(one.to_owned())
}

impl Reports {
    fn read(section: &Section<'_>, kind: Kind) -> Self {
        let admin = section.parsed("admin", admin);
        let path = section.parsed("path", path_of);
        let user = section.parsed("user", |text| {
            let ok = !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_control());
            if ok { Ok(text.to_owned()) } else { Err("is no name of a user".to_owned()) }
        });
        let password = section.parsed("password", |text| secret_text(text, 1));
        for (set, other) in [("user", "password"), ("password", "user")] {
            if section.has(set) && !section.has(other) {
                section.error(set, format!("stands without `{other}`"));
            }
        }
        let interval = section.seconds("interval_seconds", 5, 1..=300);
        let timeout = section.seconds("timeout_seconds", 3, 1..=60);
        Self {
            admin,
            path: path.unwrap_or_else(|| kind.admin_path().unwrap_or("/").to_owned()),
            login: user.zip(password),
            interval,
            timeout,
            rise: section.small("rise", 2, 1..=100),
            fall: section.small("fall", 3, 1..=100),
            must_answer: section.flag("must_answer", false),
        }
    }
}

fn admin(text: &str) -> Result<PackagerUrl, String> {
    // Never the text itself: it may hold a password.
    PackagerUrl::parse(text).map_err(|_| {
        "is no URL of a server; write http://HOST:PORT or https://HOST:PORT: path, user and password have \
         keys of their own"
            .to_owned()
    })
}
