//! A playlist's body as lines, within limits. Both kinds of playlists are read through this.

use std::borrow::Cow;

use super::{Limits, PlaylistError};

/// The lines after `#EXTM3U` that are not blank, trimmed, each with its number from 1. Tags and
/// comments come without control characters; a URI that holds one is the reader's to refuse.
#[derive(Clone, Debug)]
pub(in crate::model) struct Lines<'a> {
    rest: std::str::Split<'a, char>,
    /// Of the line that came last.
    number: usize,
    line_bytes: usize,
}

impl<'a> Lines<'a> {
    /// Checks what can be checked of the whole: size, UTF-8, `#EXTM3U` (RFC 8216, 4.3.1.1).
    pub fn of(body: &'a [u8], limits: &Limits) -> Result<Self, PlaylistError> {
        Ok(Self::from(text(body, limits)?, 0, limits))
    }

    /// The lines of `text`, which stands after so many.
    pub(super) fn from(text: &'a str, number: usize, limits: &Limits) -> Self {
        Self { rest: text.split('\n'), number, line_bytes: limits.line_bytes }
    }

    /// The number of the line that came last.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// The next line as it stands there.
    pub(super) fn raw(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.rest.next()
    }

    /// The line that came last, clean. None where it is blank, or `#EXTM3U`.
    pub(super) fn clean(
        &self,
        raw: &'a str,
    ) -> Option<Result<(usize, Cow<'a, str>), PlaylistError>> {
        let (line, limit) = (self.number, self.line_bytes);
        if raw.len() > limit {
            return Some(Err(PlaylistError::LineTooLong { line, limit }));
        }
        let text = printable(raw.trim());
        if line == 1 || text.is_empty() {
            return None;
        }
        // Two playlists in one body: numbers of the second would be taken for the first's.
        if text == "#EXTM3U" {
            return Some(Err(PlaylistError::BadTag { line, tag: "EXTM3U" }));
        }
        Some(Ok((line, text)))
    }
}

/// A body as text, where it is a playlist.
pub(super) fn text<'a>(body: &'a [u8], limits: &Limits) -> Result<&'a str, PlaylistError> {
    if body.len() > limits.bytes {
        return Err(PlaylistError::TooLarge { limit: limits.bytes });
    }
    std::str::from_utf8(begin(body)?).map_err(|_| PlaylistError::NotUtf8)
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
        loop {
            let raw = self.raw()?;
            if let Some(line) = self.clean(raw) {
                return Some(line);
            }
        }
    }
}

/// A tag or comment without control characters: some players take a lone CR for the end of a
/// line. What is left is trimmed again, so that nothing hides behind them.
pub(super) fn printable(line: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !c.is_control();
    if !line.starts_with('#') || line.chars().all(harmless) {
        return Cow::Borrowed(line);
    }
    let kept: String = line.chars().filter(|&c| harmless(c)).collect();
    Cow::Owned(kept.trim().to_owned())
}
