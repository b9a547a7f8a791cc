//! A request's path to what it asks for. Nothing is copied: this stands before every answer.
//!
//! What is not certainly one of our names, or an entry playlist's path that a packager can be
//! asked for, is refused here and never reaches a packager.

use std::fmt;

use crate::model::multivariant::NO_RENDITION;
use crate::model::names::OutputMsn;
use crate::model::token::decimal;
use crate::model::uri::{is_init_extension, is_segment_extension};

/// Longest path, bytes.
pub const PATH_BYTES_MAX: usize = 2048;
/// Longest identity query, bytes.
pub const IDENTITY_BYTES_MAX: usize = crate::model::token::QUERY_BYTES_MAX;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// An entry playlist: join or open a lane.
    Entry {
        /// The path as the viewer wrote it.
        path: &'a str,
    },
    /// A lane's media playlist.
    Playlist(Place<'a>),
    /// A lane's segment.
    Segment {
        /// Whose.
        place: Place<'a>,
        /// Its number.
        msn: OutputMsn,
        /// The first 8 hex digits of its hash.
        short: &'a str,
        /// The ending of its name.
        extension: &'a str,
    },
    /// A lane's init segment.
    Init {
        /// Whose.
        place: Place<'a>,
        /// The first 8 hex digits of its hash.
        short: &'a str,
        /// The ending of its name.
        extension: &'a str,
    },
    /// A lane's key, or what its multivariant playlist names: it is of no rendition.
    Shared {
        /// Whose; the rendition is [`NO_RENDITION`].
        place: Place<'a>,
        /// Its file name.
        name: &'a str,
    },
    /// The proxy's own pages, under `/.segue/`.
    Own {
        /// The path from `/.segue/` on, without that.
        rest: &'a str,
    },
}

/// A rendition of a lane, as a path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The stream's entry path.
    pub stream: StreamPath<'a>,
    /// The token, not verified.
    pub token: &'a str,
    /// The rendition's id, such as `v0`.
    pub rendition: &'a str,
}

/// An entry path, told by what stands before its `.m3u8`. Prints as the whole path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamPath<'a> {
    stem: &'a str,
}

impl fmt::Display for StreamPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stem)?;
        f.write_str(".m3u8")
    }
}

impl PartialEq<str> for StreamPath<'_> {
    fn eq(&self, path: &str) -> bool {
        path.strip_suffix(".m3u8") == Some(self.stem)
    }
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Over 2 KiB.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Not absolute, or with a character that no path holds.
    #[error("not a path")]
    Malformed,
    /// An empty, `.` or `..` segment, also encoded.
    #[error("the path has an empty or dot segment")]
    Dots,
    /// An encoded slash, backslash or control character, or encoding that is not UTF-8.
    #[error("the path has encoding that is not allowed")]
    Encoding,
    /// Neither an entry playlist (`.m3u8`) nor one of our names.
    #[error("nothing of that name")]
    Unknown,
}

impl<'a> Route<'a> {
    /// Reads a path: what stands before the `?`, not decoded.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn parse(path: &'a str) -> Result<Self, RouteError> {
        check(path)?;
        if let Some(rest) = path.strip_prefix("/.segue/") {
            return Ok(Self::Own { rest });
        }
        if let Some((stem, token, rest)) = cut_token(path) {
            match named(stem, token, rest) {
                Some(route) => return Ok(route),
                None if token.starts_with("1.") => return Err(RouteError::Unknown),
                None => {}
            }
        } else if path.contains("~1.") {
            // A token in the wrong place: nothing that a packager knows.
            return Err(RouteError::Unknown);
        }
        match path.strip_suffix(".m3u8") {
            Some(stem) if !stem.ends_with('/') => Ok(Self::Entry { path }),
            _ => Err(RouteError::Unknown),
        }
    }
}

/// `/live/cam/playlist~<token>/v0/index.m3u8` to stem, token and the rest. The stem has a name.
fn cut_token(path: &str) -> Option<(&str, &str, &str)> {
    let (folders, _) = path.rsplit_once('/')?;
    let (folders, _) = folders.rsplit_once('/')?;
    let rest = path.get(folders.len() + 1..)?;
    let (stem, token) = folders.rsplit_once('~')?;
    (!stem.is_empty() && !stem.ends_with('/') && !token.contains('/'))
        .then_some((stem, token, rest))
}

/// What a lane's path names, if it is one.
fn named<'a>(stem: &'a str, token: &'a str, rest: &'a str) -> Option<Route<'a>> {
    let (rendition, file) = rest.split_once('/')?;
    if !is_rendition(rendition) {
        return None;
    }
    let place = Place { stream: StreamPath { stem }, token, rendition };
    if file == "index.m3u8" && rendition != NO_RENDITION {
        return Some(Route::Playlist(place));
    }
    if rendition == NO_RENDITION {
        return is_shared(file).then_some(Route::Shared { place, name: file });
    }
    let (name, extension) = file.split_once('.')?;
    let (kind, short) = name.split_once('-')?;
    if short.len() != 8 || !short.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    if kind == "init" {
        return is_init_extension(extension).then_some(Route::Init { place, short, extension });
    }
    let msn = OutputMsn(decimal(kind)?);
    is_segment_extension(extension).then_some(Route::Segment { place, msn, short, extension })
}

/// `key-1795452715-0`, `data-0.json`.
fn is_shared(file: &str) -> bool {
    const BYTES_MAX: usize = 64;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let known = file.starts_with("key-") || file.starts_with("data-");
    known && !file.ends_with('-') && file.len() <= BYTES_MAX && file.bytes().all(plain)
}

/// A letter and a number, as [`crate::model::multivariant`] gives them out.
fn is_rendition(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && (2..=5).contains(&id.len())
        && bytes.all(|b| b.is_ascii_digit())
}

fn check(path: &str) -> Result<(), RouteError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(RouteError::TooLong);
    }
    if !path.starts_with('/') {
        return Err(RouteError::Malformed);
    }
    let mut encoded = false;
    // Length of the segment so far, and whether it is all dots.
    let mut length = 0;
    let mut dots = true;
    for byte in path.bytes().skip(1).chain([b'/']) {
        match byte {
            b'/' => {
                if dots && length <= 2 {
                    return Err(RouteError::Dots);
                }
                length = 0;
                dots = true;
                continue;
            }
            0..=0x20
            | 0x7f..
            | b'"'
            | b'<'
            | b'>'
            | b'\\'
            | b'^'
            | b'`'
            | b'{'
            | b'|'
            | b'}'
            | b'?'
            | b'#' => return Err(RouteError::Malformed),
            b'%' => encoded = true,
            _ => {}
        }
        length += 1;
        dots &= byte == b'.';
    }
    if encoded { check_encoding(path) } else { Ok(()) }
}

/// Decodes once to see that nothing hides in it. Rare, so it may allocate.
fn check_encoding(path: &str) -> Result<(), RouteError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(RouteError::Encoding);
        };
        match u8::try_from(high * 16 + low) {
            Ok(b'/' | b'\\' | 0..=0x1f | 0x7f) | Err(_) => return Err(RouteError::Encoding),
            Ok(byte) => decoded.push(byte),
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| RouteError::Encoding)?;
    // Controls beyond ASCII.
    if decoded.chars().any(char::is_control) {
        return Err(RouteError::Encoding);
    }
    if decoded.split('/').any(|part| part == "." || part == "..") {
        return Err(RouteError::Dots);
    }
    // A token that is written otherwise is none, and is asked of no packager.
    let tokens = |text: &str| text.matches("~1.").count();
    if tokens(&decoded) > tokens(path) { Err(RouteError::Unknown) } else { Ok(()) }
}

/// The part of a request's query that belongs to the stream's identity: the pairs whose names
/// are in `names` (such as `DVR`), as they were written, sorted, each once, `&`-joined.
///
/// What is over [`IDENTITY_BYTES_MAX`], or could not stand in a URI, is left out.
#[must_use]
pub fn identity_query(query: Option<&str>, names: &[String]) -> String {
    let Some(query) = query.filter(|_| !names.is_empty()) else {
        return String::new();
    };
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'#');
    let mut pairs: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or(pair);
            names.iter().any(|wanted| wanted == name) && pair.bytes().all(plain)
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut kept = String::new();
    for pair in pairs {
        if kept.len() + pair.len() < IDENTITY_BYTES_MAX {
            if !kept.is_empty() {
                kept.push('&');
            }
            kept.push_str(pair);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(stem: &'a str, token: &'a str, rendition: &'a str) -> Place<'a> {
        Place { stream: StreamPath { stem }, token, rendition }
    }

    #[test]
    fn our_names() {
        let cam = place("/live/cam/playlist", "1.00ff.a-9f.MAC", "v0");
        let cases = [
            ("/live/cam/playlist.m3u8", Route::Entry { path: "/live/cam/playlist.m3u8" }),
            ("/cam.m3u8", Route::Entry { path: "/cam.m3u8" }),
            ("/~user/v0/index.m3u8", Route::Entry { path: "/~user/v0/index.m3u8" }),
            ("/a~b/c/d.m3u8", Route::Entry { path: "/a~b/c/d.m3u8" }),
            ("/my%20cam.m3u8", Route::Entry { path: "/my%20cam.m3u8" }),
            ("/.segue/healthz", Route::Own { rest: "healthz" }),
            ("/live/cam/playlist~1.00ff.a-9f.MAC/v0/index.m3u8", Route::Playlist(cam)),
            ("/cam~x/s12/index.m3u8", Route::Playlist(place("/cam", "x", "s12"))),
            ("/c~am~x/v0/index.m3u8", Route::Playlist(place("/c~am", "x", "v0"))),
            (
                "/live/cam/playlist~1.00ff.a-9f.MAC/v0/1794834570-00c0ffee.ts",
                Route::Segment {
                    place: cam,
                    msn: OutputMsn(1_794_834_570),
                    short: "00c0ffee",
                    extension: "ts",
                },
            ),
            (
                "/live/cam/playlist~1.00ff.a-9f.MAC/v0/init-00c0ffee.mp4",
                Route::Init { place: cam, short: "00c0ffee", extension: "mp4" },
            ),
            (
                "/cam~x/x0/key-17-0",
                Route::Shared { place: place("/cam", "x", "x0"), name: "key-17-0" },
            ),
            (
                "/cam~x/x0/data-0.json",
                Route::Shared { place: place("/cam", "x", "x0"), name: "data-0.json" },
            ),
        ];
        for (path, wanted) in cases {
            assert_eq!(Route::parse(path), Ok(wanted), "{path}");
        }
        assert_eq!(cam.stream.to_string(), "/live/cam/playlist.m3u8");
        assert!(cam.stream == *"/live/cam/playlist.m3u8");
        assert!(cam.stream != *"/live/cam/playlist");
    }

    #[test]
    fn what_is_refused() {
        use RouteError::{Dots, Encoding, Malformed, TooLong, Unknown};
        let cases = [
            ("", Malformed),
            ("cam.m3u8", Malformed),
            ("*", Malformed),
            ("/", Dots),
            ("/a//b.m3u8", Dots),
            ("//a.m3u8", Dots),
            ("/a/../b.m3u8", Dots),
            ("/a/./b.m3u8", Dots),
            ("/..", Dots),
            ("/a/%2e%2E/b.m3u8", Dots),
            ("/a/.%2e/b.m3u8", Dots),
            ("/.segue/../x", Dots),
            ("/a%2fb.m3u8", Encoding),
            ("/a%5Cb.m3u8", Encoding),
            ("/a%00b.m3u8", Encoding),
            ("/a%0d%0ab.m3u8", Encoding),
            ("/a%c2%85b.m3u8", Encoding),
            ("/a%ffb.m3u8", Encoding),
            ("/a%zzb.m3u8", Encoding),
            ("/a.m3u8%", Encoding),
            ("/a\\b.m3u8", Malformed),
            ("/a b.m3u8", Malformed),
            ("/ü.m3u8", Malformed),
            ("/a\u{0}.m3u8", Malformed),
            ("/a.m3u8?x", Malformed),
            ("/live/cam.ts", Unknown),
            ("/cam%7E1.00ff.a-1.mac/v0/index.m3u8", Unknown),
            ("/cam~%31.00ff.a-1.mac/v0/index.m3u8", Unknown),
            ("/favicon.ico", Unknown),
            ("/a/.m3u8", Unknown),
            ("/cam~1.x/v0/index.mpd", Unknown),
            ("/cam~1.x/v0/1-00c0ffee.exe", Unknown),
            ("/cam~1.x/v0/01-00c0ffee.ts", Unknown),
            ("/cam~1.x/v0/-00c0ffee.ts", Unknown),
            ("/cam~1.x/v0/1-00C0FFEE.ts", Unknown),
            ("/cam~1.x/v0/1-00c0ffe.ts", Unknown),
            ("/cam~1.x/v0/99999999999999999999-00c0ffee.ts", Unknown),
            ("/cam~1.x/v0/init-00c0ffee.ts", Unknown),
            ("/cam~1.x/0v/index.m3u8", Unknown),
            ("/cam~1.x/x0/key-", Unknown),
            ("/cam~1.x/x0/other-1", Unknown),
            ("/cam~1.x/x0/key-%41", Unknown),
            ("/cam~1.x/v0/key-17-0", Unknown),
            ("/cam~1.x/index.m3u8", Unknown),
            ("/cam~1.x/v0/a/index.m3u8", Unknown),
        ];
        for (path, wanted) in cases {
            assert_eq!(Route::parse(path), Err(wanted), "{path}");
        }
        let long = format!("/{}.m3u8", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(Route::parse(&long), Err(TooLong));
    }

    #[test]
    fn the_identity_of_a_query() {
        let names = ["DVR".to_owned(), "b".to_owned()];
        let cases = [
            (None, ""),
            (Some(""), ""),
            (Some("DVR"), "DVR"),
            (Some("x=1&DVR&y"), "DVR"),
            (Some("b=2&DVR&b=1&b=2"), "DVR&b=1&b=2"),
            (Some("DVRX&xDVR=1&dvr"), ""),
            (Some("b=a\"b&DVR"), "DVR"),
        ];
        for (query, wanted) in cases {
            assert_eq!(identity_query(query, &names), wanted, "{query:?}");
        }
        assert_eq!(identity_query(Some("DVR"), &[]), "");
        let long = format!("b={}&DVR", "x".repeat(600));
        assert_eq!(identity_query(Some(&long), &names), "DVR");
    }
}
