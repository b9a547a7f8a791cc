//! What a player sees of a live stream over time, judged against RFC 8216 and ARCHITECTURE.md's laws.
//!
//! `read` reads a playlist tolerantly into what `shown` holds; `observer` takes every answer and
//! returns the breaches in it. One playlist is judged in itself (`within`, `dates`, `dateranges`)
//! and against its own past (`track`, `frozen`), `across`, `split` and `renditions` against the others, and `bytes`
//! judges what segments, keys and init segments are. Pure: time comes in as a value, so that a table of
//! playlists tests each rule.

use std::fmt;
use std::time::Duration;

mod across;
mod bytes;
mod dateranges;
mod dates;
mod frozen;
pub mod multivariant;
mod observer;
mod read;
mod renditions;
mod rule;
mod shown;
mod split;
#[cfg(test)]
mod tests;
mod track;
mod variables;
mod within;

pub use bytes::{Fetched, Resource, ResourceKind, Wanted};
pub use observer::{Answer, Observer, Polled, Seen, Summary};
pub use read::{Unreadable, read, read_with};
pub use rule::Rule;
pub use shown::{Kind, Listed, Moment, Shown};
pub use split::Split;
pub use variables::Variables;

/// One playlist under watch: which of the URLs given, and which rendition of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the URL on the command line, from 0.
    pub url: usize,
    /// The rendition: `v0`, `a0`, `s0`, `i0`, or empty for a lone media playlist.
    pub rendition: String,
}

impl Place {
    /// What it shows, by its name's first letter: v(ideo), a(udio), s(ubtitles), i(-frames).
    pub(super) fn letter(&self) -> char {
        self.rendition.chars().next().unwrap_or('v')
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url + 1;
        match self.rendition.as_str() {
            "" => write!(f, "{url}"),
            rendition => write!(f, "{url}/{rendition}"),
        }
    }
}

/// One breach, with both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What was broken.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// The playlist that it disagrees with, of a split.
    pub other: Option<Place>,
    /// When, since the watch began.
    pub at: Duration,
    /// The segment it is about.
    pub msn: Option<u64>,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// The same in one sentence.
    pub sentence: String,
}

/// What the rules have to tell; `observer` adds where and when.
#[derive(Debug)]
struct Finding {
    rule: Rule,
    msn: Option<u64>,
    other: Option<Place>,
    expected: String,
    found: String,
    sentence: String,
}

impl Finding {
    #[allow(clippy::needless_pass_by_value)] // texts and numbers alike, as they come
    fn new(
        rule: Rule,
        msn: Option<u64>,
        expected: impl ToString,
        found: impl ToString,
        sentence: String,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self { rule, msn, other: None, expected, found, sentence }
    }
}

/// Seconds with a tenth, as sentences show them.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
