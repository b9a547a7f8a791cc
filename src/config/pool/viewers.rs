//! How viewers are counted.

use std::time::Duration;

use super::super::section::Section;
use super::DAY_SECONDS;

/// How a pool's viewers are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewers {
    /// Each viewer gets an id in his URLs (`sessions: viewer`), so that viewers are told exactly.
    pub sessions: bool,
    /// People before one viewer's screen, hundredths.
    pub people_hundredths: u32,
    /// A stream that nobody watched for this long has ended its event.
    pub event_gap: Duration,
}

impl Viewers {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            sessions: section.parsed("sessions", sessions).unwrap_or_default(),
            people_hundredths: section.hundredths("people_per_stream", 170, 100..=10_000),
            event_gap: section.seconds("event_gap_seconds", 600, 10..=7 * DAY_SECONDS),
        }
    }
}

/// Whether `sessions` asks for an id of each viewer.
fn sessions(text: &str) -> Result<bool, String> {
    match text {
        "lane" => Ok(false),
        "viewer" => Ok(true),
        _ => Err(format!("`{text}` is neither lane nor viewer")),
    }
}
