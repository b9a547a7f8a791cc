//! A tolerant reader of media playlists: whatever a player could still use is read, and what the
//! rules compare is kept as text.

use std::sync::Arc;
use std::time::Duration;

use super::shown::{Kind, Listed, Moment, Shown};
use super::variables::Variables;
use crate::model::playlist::date::unix_ms;

/// Why a text is no media playlist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// RFC 8216, 4.3.1.1.
    #[error("it does not begin with #EXTM3U")]
    NoHeader,
    /// A multivariant playlist where a media playlist was.
    #[error("it is a multivariant playlist")]
    Multivariant,
    /// RFC 8216, 4.3.3.1.
    #[error("it has no EXT-X-TARGETDURATION")]
    NoTarget,
    /// A number that is none.
    #[error("{0} is not a number that its tag may have: {1:?}")]
    Number(&'static str, String),
    /// RFC 8216, 4.3.2.1.
    #[error("segment {0:?} has no EXTINF")]
    NoDuration(String),
    /// RFC 8216, 4.3.2.2.
    #[error("segment {0:?} has an EXT-X-BYTERANGE without offset, and no predecessor")]
    NoOffset(String),
    /// A delta update, which nobody asked for: it says nothing without the playlist before it.
    #[error("it is a delta update (EXT-X-SKIP), which was not asked for")]
    Delta,
    /// More than [`SEGMENTS_MAX`].
    #[error("it lists more than {SEGMENTS_MAX} segments")]
    TooMany,
}

/// No playlist that a player reloads is longer than this.
pub const SEGMENTS_MAX: usize = 100_000;
/// Keys that apply together, at the most.
const KEYS_MAX: usize = 16;
/// Nor does one hold more dates of things to come.
const DATERANGES_MAX: usize = 10_000;

/// Tags that stand between segments and belong to none of them, or come and go by right.
const NOT_OF_A_SEGMENT: [&str; 5] = [
    "#EXT-X-PART",
    "#EXT-X-PRELOAD-HINT",
    "#EXT-X-RENDITION-REPORT",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-START",
];

const OF_THE_PLAYLIST: [&str; 3] =
    ["#EXT-X-VERSION", "#EXT-X-ALLOW-CACHE", "#EXT-X-INDEPENDENT-SEGMENTS"];

/// Reads a media playlist.
///
/// # Errors
/// Where a player could not use the text.
pub fn read(text: &str) -> Result<Shown, Unreadable> {
    read_with(text, &Variables::default())
}

/// The same of a playlist that may import variables (EXT-X-DEFINE).
///
/// # Errors
/// Where a player could not use the text.
pub fn read_with(text: &str, imports: &Variables) -> Result<Shown, Unreadable> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_end);
    if lines.next() != Some("#EXTM3U") {
        return Err(Unreadable::NoHeader);
    }
    let mut reader = Reader::default();
    for line in lines.filter(|l| !l.is_empty()) {
        if line.starts_with("#EXT-X-DEFINE:") {
            reader.variables.define(line, imports);
            continue;
        }
        let resolved = reader.variables.resolve(line);
        reader.line(&resolved)?;
    }
    let target = reader.target.ok_or(Unreadable::NoTarget)?;
    Ok(Shown { target: Duration::from_secs(target), ..reader.shown })
}

#[derive(Default)]
struct Reader {
    shown: Shown,
    target: Option<u64>,
    discontinuities: u64,
    map: Option<Arc<str>>,
    keys: Arc<[String]>,
    /// EXTINF, and what it may have been rounded by.
    duration: Option<(Duration, u64)>,
    discontinuity: bool,
    gap: bool,
    range: Option<(u64, Option<u64>)>,
    before: Option<(String, u64)>,
    date: Option<String>,
    /// Where the segment before ended.
    end: Option<Moment>,
    pending: Vec<String>,
    variables: Variables,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Unreadable> {
        if !line.starts_with('#') {
            return self.uri(line);
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-STREAM-INF" | "#EXT-X-MEDIA" => return Err(Unreadable::Multivariant),
            "#EXT-X-TARGETDURATION" => {
                self.target = Some(number("EXT-X-TARGETDURATION", value)?);
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                self.shown.first_msn = number("EXT-X-MEDIA-SEQUENCE", value)?;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.shown.discontinuity_sequence = number("EXT-X-DISCONTINUITY-SEQUENCE", value)?;
            }
            "#EXT-X-ENDLIST" => self.shown.ended = true,
            "#EXT-X-PLAYLIST-TYPE" => {
                self.shown.kind = match value.trim() {
                    "EVENT" => Some(Kind::Event),
                    "VOD" => Some(Kind::Vod),
                    _ => None,
                };
            }
            "#EXT-X-I-FRAMES-ONLY" => self.shown.iframes_only = true,
            "#EXT-X-SKIP" => return Err(Unreadable::Delta),
            "#EXT-X-DISCONTINUITY" => {
                self.discontinuity = true;
                self.discontinuities += 1;
            }
            "#EXT-X-GAP" => self.gap = true,
            "#EXT-X-MAP" => self.map(line),
            "#EXT-X-DATERANGE" if self.shown.dateranges.len() >= DATERANGES_MAX => {}
            "#EXT-X-DATERANGE" => self.shown.dateranges.push(line.to_owned()),
            "#EXT-X-KEY" => self.key(line),
            "#EXT-X-PROGRAM-DATE-TIME" => self.date = Some(value.to_owned()),
            "#EXT-X-BYTERANGE" => {
                let (length, offset) = match value.split_once('@') {
                    Some((length, offset)) => (length, Some(number("EXT-X-BYTERANGE", offset)?)),
                    None => (value, None),
                };
                self.range = Some((number("EXT-X-BYTERANGE", length)?, offset));
            }
            "#EXTINF" => {
                self.duration = Some(extinf(value)?);
                self.pending.push(line.to_owned());
            }
            _ if NOT_OF_A_SEGMENT.iter().any(|t| tag.starts_with(t)) => {}
            _ if line.starts_with("#EXT") && !OF_THE_PLAYLIST.contains(&tag) => {
                self.pending.push(line.to_owned());
            }
            _ => {} // a comment (RFC 8216, 4.1), or a tag of the whole playlist
        }
        Ok(())
    }

    /// Keys of several KEYFORMATs apply together; METHOD=NONE ends all (RFC 8216, 4.3.2.4).
    fn key(&mut self, line: &str) {
        if attribute(line, "METHOD") == Some("NONE") {
            self.keys = Arc::default();
            return;
        }
        if self.keys.iter().any(|k| k == line) || self.keys.len() >= KEYS_MAX {
            return;
        }
        // In its place, so that the order stays the one in which they came first.
        let this = key_format(line);
        let mut keys = self.keys.to_vec();
        match keys.iter_mut().find(|k| key_format(k) == this) {
            Some(key) => line.clone_into(key),
            None => keys.push(line.to_owned()),
        }
        self.keys = keys.into();
    }

    /// An init segment is encrypted with the keys that stand before it, and has no number that an
    /// IV could be taken from (RFC 8216, 4.3.2.5).
    fn map(&mut self, line: &str) {
        let no_iv = |k: &String| is_identity_aes_128(k) && attribute(k, "IV").is_none();
        if self.keys.iter().any(no_iv) {
            self.shown.map_without_iv.get_or_insert_with(|| line.to_owned());
        }
        if self.map.as_deref() != Some(line) {
            self.map = Some(line.into());
        }
    }

    fn uri(&mut self, uri: &str) -> Result<(), Unreadable> {
        let Some((duration, blur_ms)) = self.duration.take() else {
            return Err(Unreadable::NoDuration(uri.chars().take(80).collect()));
        };
        if self.shown.segments.len() >= SEGMENTS_MAX {
            return Err(Unreadable::TooMany);
        }
        let before = u64::try_from(self.shown.segments.len()).unwrap_or(u64::MAX);
        let Some(msn) = self.shown.first_msn.checked_add(before) else {
            return Err(Unreadable::Number(
                "EXT-X-MEDIA-SEQUENCE",
                self.shown.first_msn.to_string(),
            ));
        };
        let range = self.range(uri)?;
        let date = self.date.take();
        let told = date.as_deref().and_then(|d| unix_ms(d.trim()));
        let told = told.map(|ms| Moment { ms, blur_ms: 0 });
        let moment = told.or(self.end.take().filter(|_| !self.discontinuity));
        self.end = moment.map(|m| m.after(duration, blur_ms));
        self.shown.segments.push(Listed {
            msn,
            uri: uri.to_owned(),
            duration,
            discontinuity: std::mem::take(&mut self.discontinuity),
            discontinuity_number: self
                .shown
                .discontinuity_sequence
                .saturating_add(self.discontinuities),
            gap: std::mem::take(&mut self.gap),
            range,
            map: self.map.clone(),
            keys: Arc::clone(&self.keys),
            date,
            moment,
            blur_ms,
            lines: std::mem::take(&mut self.pending),
            head: before == 0,
        });
        Ok(())
    }

    /// Without an offset it follows its predecessor on the same resource (RFC 8216, 4.3.2.2).
    fn range(&mut self, uri: &str) -> Result<Option<(u64, u64)>, Unreadable> {
        let Some((length, offset)) = self.range.take() else {
            self.before = None;
            return Ok(None);
        };
        let follows = self.before.take().filter(|(before, _)| before == uri).map(|(_, end)| end);
        let offset = offset
            .or(follows)
            .ok_or_else(|| Unreadable::NoOffset(uri.chars().take(80).collect()))?;
        self.before = Some((uri.to_owned(), offset.saturating_add(length)));
        Ok(Some((length, offset)))
    }
}

fn number(tag: &'static str, value: &str) -> Result<u64, Unreadable> {
    value.trim().parse().map_err(|_| Unreadable::Number(tag, value.chars().take(40).collect()))
}

/// EXTINF's duration: finite, not negative, at most a day; and what its rounding may hide.
fn extinf(value: &str) -> Result<(Duration, u64), Unreadable> {
    let text = value.split(',').next().unwrap_or_default().trim();
    let wrong = || Unreadable::Number("EXTINF", text.chars().take(40).collect());
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(wrong());
    }
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let blur_ms = [500, 50, 5].get(decimals).copied().unwrap_or(1);
    Ok((Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?, blur_ms))
}

/// An attribute's value without its quotes (RFC 8216, 4.2).
pub(super) fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = line.split_once(':')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = next;
    }
}

/// Which keys replace each other (RFC 8216, 4.3.2.4).
pub(super) fn key_format(line: &str) -> &str {
    attribute(line, "KEYFORMAT").unwrap_or("identity")
}

/// The key is 16 plain bytes, and whole segments are encrypted with it.
pub(super) fn is_identity_aes_128(line: &str) -> bool {
    attribute(line, "METHOD") == Some("AES-128") && key_format(line) == "identity"
}

/// The last element of a URI's path: what is the same at several proxies that give different
/// tokens or prefixes.
pub(super) fn last_element(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}

/// A tag line with only the last element of its URI.
pub(super) fn with_last_element(line: &str) -> String {
    match attribute(line, "URI") {
        Some(uri) => line.replace(uri, last_element(uri)),
        None => line.to_owned(),
    }
}
