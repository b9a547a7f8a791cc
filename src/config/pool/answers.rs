//! Headers of answers.

use std::time::Duration;

use super::super::hosts;
use super::super::section::Section;
use super::DAY_SECONDS;

/// Headers of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// `max-age` of playlists; none: a quarter of the target duration, at least 1 s.
    pub playlist_max_age: Option<Duration>,
    /// `max-age` of multivariant playlists: how long a CDN sends newcomers to one lane.
    pub entry_max_age: Duration,
    /// `max-age` of segments.
    pub segment_max_age: Duration,
    /// Origins that may read answers in a browser; `*` for all.
    pub cors_origins: Vec<String>,
}

impl Answers {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            playlist_max_age: section
                .number_if_set("playlist_max_age_seconds", 0..=60)
                .map(Duration::from_secs),
            entry_max_age: section.seconds("entry_max_age_seconds", 1, 0..=60),
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
