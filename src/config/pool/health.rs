//! How packagers are checked.

use std::time::Duration;

use super::super::section::Section;

/// How packagers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// The path asked for; none: a connection is enough.
    pub path: Option<String>,
    /// The status that is health.
    pub expect_status: u16,
    /// A playlist that must advance: its path.
    pub playlist: Option<String>,
    /// It may show nothing new for this long.
    pub playlist_stands: Duration,
    /// From check to check.
    pub interval: Duration,
    /// For connection and answer together.
    pub timeout: Duration,
    /// Good checks in a row that make it usable.
    pub rise: u32,
    /// Bad checks in a row that make it down.
    pub fall: u32,
}

impl HealthChecks {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            path: section.parsed("path", path_of),
            expect_status: u16::try_from(section.small("expect_status", 200, 100..=599))
                .unwrap_or(200),
            playlist: section.parsed("playlist", path_of),
            playlist_stands: section.seconds("playlist_stands_seconds", 30, 2..=3600),
            interval: section.seconds("interval_seconds", 2, 1..=300),
            timeout: section.seconds("timeout_seconds", 2, 1..=60),
            rise: section.small("rise", 2, 1..=100),
            fall: section.small("fall", 3, 1..=100),
        }
    }
}

/// What is asked of a packager: a path, with a query where one belongs to it.
pub(super) fn path_of(text: &str) -> Result<String, String> {
    let ok = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
    if ok { Ok(text.to_owned()) } else { Err(format!("`{text}` is no path; it begins with /")) }
}
