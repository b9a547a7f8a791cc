//! A playlist's body as lines, within limits. Both kinds of playlists are read through this.

use std::borrow::Cow;

use super::{Limits, PlaylistError};

/// The lines after `#EXTM3U` that are not blank, trimmed, each with its number from 1. Tags and
/// comments come without control characters; a URI that holds one is the reader's to refuse.
#[derive(Clone, Debug)]
pub(in crate::model) struct Lines<'a> {
    rest: std::iter::Enumerate<std::str::Split<'a, char>>,
    line_bytes: usize,
}

impl<'a> Lines<'a> {
    /// Checks what can be checked of the whole: size, UTF-8, `#EXTM3U` (RFC 8216, 4.3.1.1).
    pub fn of(body: &'a [u8], limits: &Limits) -> Result<Self, PlaylistError> {
        if body.len() > limits.bytes {
            return Err(PlaylistError::TooLarge { limit: limits.bytes });
        }
        let text = std::str::from_utf8(begin(body)?).map_err(|_| PlaylistError::NotUtf8)?;
        Ok(Self { rest: text.split('\n').enumerate(), line_bytes: limits.line_bytes })
    }
}

/// The body from `#EXTM3U` on. A byte order mark is let pass: some editors and packagers write it.
pub(super) fn begin(body: &[u8]) -> Result<&[u8], PlaylistError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match body.strip_prefix(b"#EXTM3U").map(<[u8]>::first) {
        Some(None | Some(b'\r' | b'\n' | b' ' | b'\t')) => Ok(body),
        _ => Err(PlaylistError::NotPlaylist),
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<(usize, Cow<'a, str>), PlaylistError>;

    fn next(&mut self) -> Option<Self::Item> {
        for (index, line) in self.rest.by_ref() {
            let number = index + 1;
            if line.len() > self.line_bytes {
                return Some(Err(PlaylistError::LineTooLong {
                    line: number,
                    limit: self.line_bytes,
                }));
            }
            let line = printable(line.trim());
            if index == 0 || line.is_empty() {
                continue;
            }
            // Two playlists in one body: numbers of the second would be taken for the first's.
            if line == "#EXTM3U" {
                return Some(Err(PlaylistError::BadTag { line: number, tag: "EXTM3U" }));
            }
            return Some(Ok((number, line)));
        }
        None
    }
}

/// A tag or comment without control characters: some players take a lone CR for the end of a
/// line. What is left is trimmed again, so that nothing hides behind them.
fn printable(line: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !c.is_control();
    if !line.starts_with('#') || line.chars().all(harmless) {
        return Cow::Borrowed(line);
    }
    let kept: String = line.chars().filter(|&c| harmless(c)).collect();
    Cow::Owned(kept.trim().to_owned())
}
