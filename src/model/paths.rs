//! Which entry paths a tenant may ask for. A path is compared as a packager reads it, decoded once,
//! so that no way of writing it leads past a pattern.

use std::fmt;

/// Patterns at most.
pub const PATTERNS_MAX: usize = 256;
/// Bytes of one at most.
const PATTERN_BYTES_MAX: usize = 512;

/// Paths that are allowed. Without a pattern all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedPaths(Vec<PathPattern>);

/// One pattern: `/live/*/playlist.m3u8`, `/live/acme-*/*`, `/live/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    /// It ends in `**`: one segment or more may follow.
    any_depth: bool,
}

/// What one segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exactly(String),
    /// What stands before and after the `*`, which may stand for nothing where either is written.
    Around(String, String),
}

/// Why a text is no pattern, in the words of who reads a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not absolute, or longer than 512 bytes.
    #[error("begins with / and has {PATTERN_BYTES_MAX} bytes at most")]
    Shape,
    /// An empty, `.` or `..` segment.
    #[error("has an empty or dot segment, which no path has")]
    Dots,
    /// `**` before the end, or more than one `*` in a segment.
    #[error("may have one * in a segment, and ** as its last segment alone")]
    Stars,
    /// A `%`, `?` or `#`, a backslash or a control character.
    #[error(
        "holds what no decoded path holds: write paths without %, ?, #, \\ and control characters"
    )]
    Encoded,
}

impl AllowedPaths {
    /// These patterns; of more than 256 the first.
    #[must_use]
    pub fn new(mut patterns: Vec<PathPattern>) -> Self {
        patterns.truncate(PATTERNS_MAX);
        Self(patterns)
    }

    /// No path is refused.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// `path`, as a viewer wrote it and [`super::route::Route`] took it, is allowed.
    #[must_use]
    pub fn allow(&self, path: &str) -> bool {
        if self.are_all() {
            return true;
        }
        decoded(path).is_some_and(|path| self.0.iter().any(|pattern| pattern.fits(&path)))
    }
}

impl fmt::Display for AllowedPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, pattern) in self.0.iter().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{}", pattern.text)?;
        }
        Ok(())
    }
}

impl PathPattern {
    /// Reads a pattern, which is written decoded.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('/').filter(|_| text.len() <= PATTERN_BYTES_MAX) else {
            return Err(PatternError::Shape);
        };
        if text.contains(['%', '?', '#', '\\']) || text.chars().any(char::is_control) {
            return Err(PatternError::Encoded);
        }
        let (rest, any_depth) = match rest.strip_suffix("**") {
            Some("") => ("", true),
            Some(before) => (before.strip_suffix('/').ok_or(PatternError::Stars)?, true),
            None => (rest, false),
        };
        let parts = rest.split('/').filter(|_| !(any_depth && rest.is_empty()));
        let segments = parts.map(segment).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.to_owned(), segments, any_depth })
    }

    fn fits(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut parts = rest.split('/');
        let begins = self.segments.iter().all(|wanted| parts.next().is_some_and(|p| wanted.is(p)));
        begins && parts.next().is_some() == self.any_depth
    }
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    if matches!(text, "" | "." | "..") {
        return Err(PatternError::Dots);
    }
    match text.split_once('*') {
        None => Ok(Segment::Exactly(text.to_owned())),
        Some((_, after)) if after.contains('*') => Err(PatternError::Stars),
        Some((before, after)) => Ok(Segment::Around(before.to_owned(), after.to_owned())),
    }
}

impl Segment {
    fn is(&self, part: &str) -> bool {
        match self {
            Self::Exactly(text) => part == text,
            Self::Around(before, after) => {
                part.strip_prefix(before.as_str()).is_some_and(|rest| rest.ends_with(after))
            }
        }
    }
}

/// The path with its encoding undone once. None for what a packager could read as another path:
/// what is encoded twice, an encoded slash, and segments that are dots or dots with parameters
/// (`..;x`), which servers in Java take for `..`.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if matches!(byte, b'%' | b'/' | b'\\' | b'?' | b'#') {
            return None;
        }
        bytes.push(byte);
    }
    let path = String::from_utf8(bytes).ok()?;
    let hides = |part: &str| {
        let name = part.split(';').next().unwrap_or(part);
        !part.is_empty() && name.bytes().all(|b| b == b'.')
    };
    (!path.split('/').any(hides)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::route::Route;

    fn allowed(patterns: &[&str]) -> AllowedPaths {
        AllowedPaths::new(patterns.iter().map(|p| PathPattern::parse(p).unwrap()).collect())
    }

    #[test]
    fn what_patterns_allow() {
        let cases: [(&str, &[&str], &[&str]); 7] = [
            (
                "/live/*",
                &["/live/cam.m3u8", "/live/%63am.m3u8", "/%6Cive/cam.m3u8"],
                &[
                    "/live/cam/playlist.m3u8",
                    "/live.m3u8",
                    "/other/cam.m3u8",
                    "/liveX/cam.m3u8",
                    "/LIVE/cam.m3u8",
                ],
            ),
            (
                "/live/*/playlist.m3u8",
                &["/live/cam/playlist.m3u8"],
                &[
                    "/live/a/b/playlist.m3u8",
                    "/live/playlist.m3u8",
                    "/live/cam/playlist.m3u8/x.m3u8",
                ],
            ),
            (
                "/live/**",
                &["/live/cam.m3u8", "/live/a/b/c/d.m3u8"],
                &["/live.m3u8", "/livex/a.m3u8", "/x/live/a.m3u8"],
            ),
            ("/**", &["/a.m3u8", "/a/b.m3u8"], &[]),
            (
                "/live/acme-*/*.m3u8",
                &["/live/acme-1/a.m3u8", "/live/acme-/a.m3u8", "/live/%61cme-1/a.m3u8"],
                &["/live/acme/a.m3u8", "/live/other-acme-1/a.m3u8", "/live/acme-1/b/a.m3u8"],
            ),
            ("/a b/ü.m3u8", &["/a%20b/%c3%bc.m3u8"], &["/a%2520b/%c3%bc.m3u8"]),
            ("/ab*ba", &["/abba", "/ab.ba"], &["/aba"]),
        ];
        for (pattern, good, bad) in cases {
            for path in good {
                assert!(allowed(&[pattern]).allow(path), "{pattern} {path}");
            }
            for path in bad {
                assert!(!allowed(&[pattern]).allow(path), "{pattern} {path}");
            }
        }
        let two = allowed(&["/a/*", "/b/**"]);
        assert!(two.allow("/a/x") && two.allow("/b/x/y") && !two.allow("/a/x/y"));
        assert_eq!(two.to_string(), "/a/* /b/**");
        assert!(AllowedPaths::default().allow("/anything/%25"));
    }

    /// Each is refused by the route or by the patterns, whatever they say.
    #[test]
    fn no_way_of_writing_a_path_leads_past_a_pattern() {
        let all = allowed(&["/live/**", "/**"]);
        for path in [
            "/live/../secret/cam.m3u8",
            "/live/%2e%2e/secret/cam.m3u8",
            "/live/.%2E/secret/cam.m3u8",
            "/live/..%2fsecret/cam.m3u8",
            "/live%2fcam.m3u8",
            "/live/..%5csecret/cam.m3u8",
            "/live/%252e%252e/secret/cam.m3u8",
            "/live/%252e%252e%252fsecret/cam.m3u8",
            "/live/..%252fsecret/cam.m3u8",
            "/live/%25%32%65%25%32%65/secret/cam.m3u8",
            "/live/..;/secret/cam.m3u8",
            "/live/..;a=b/secret/cam.m3u8",
            "/live/%2e%2e%3b/secret/cam.m3u8",
            "/live/.;/cam.m3u8",
            "/live/;/cam.m3u8",
            "/live/.../cam.m3u8",
            "/live//cam.m3u8",
            "//live/cam.m3u8",
            "/live/cam%3f/x.m3u8",
            "/live/cam%23/x.m3u8",
            "/live/%c0%ae%c0%ae/secret/cam.m3u8",
            "/live/%u002e/cam.m3u8",
            "/live/cam%00.m3u8",
        ] {
            let taken = Route::parse(path).is_ok() && all.allow(path);
            assert!(!taken, "{path}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        use PatternError::{Dots, Encoded, Shape, Stars};
        let long = format!("/{}", "a".repeat(PATTERN_BYTES_MAX));
        for (text, wanted) in [
            ("", Shape),
            ("live/*", Shape),
            (long.as_str(), Shape),
            ("/", Dots),
            ("/live/", Dots),
            ("/live//x", Dots),
            ("/live/../x", Dots),
            ("/live/**/x", Stars),
            ("/live/x**", Stars),
            ("/live/***", Stars),
            ("/live/*x*", Stars),
            ("/live/%20", Encoded),
            ("/live/a?b", Encoded),
            ("/live/a\\b", Encoded),
        ] {
            assert_eq!(PathPattern::parse(text), Err(wanted), "{text}");
        }
    }
}
