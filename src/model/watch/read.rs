//! A tolerant reader of media playlists: whatever a player could still use is read, and what the
//! rules compare is kept as text.

use std::time::Duration;

/// A media playlist as it was shown once.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// EXT-X-TARGETDURATION.
    pub target: Duration,
    /// EXT-X-MEDIA-SEQUENCE; 0 if absent (RFC 8216, 4.3.3.2).
    pub first_msn: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE; 0 if absent (RFC 8216, 4.3.3.3).
    pub discontinuity_sequence: u64,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// The segments in order.
    pub segments: Vec<Listed>,
}

impl Shown {
    /// The newest MSN; none in an empty list.
    #[must_use]
    pub fn last_msn(&self) -> Option<u64> {
        self.segments.last().map(|s| s.msn)
    }
    /// All the content it lists.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|s| s.duration).sum()
    }
}

/// One segment as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub msn: u64,
    /// Its URI, verbatim.
    pub uri: String,
    /// EXTINF.
    pub duration: Duration,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Its discontinuity number (RFC 8216, 4.3.3.3).
    pub discontinuity_number: u64,
    /// EXT-X-GAP.
    pub gap: bool,
    /// EXT-X-BYTERANGE: length and offset.
    pub range: Option<(u64, u64)>,
    /// The EXT-X-MAP line in force.
    pub map: Option<String>,
    /// The EXT-X-KEY lines in force.
    pub keys: Vec<String>,
    /// EXT-X-PROGRAM-DATE-TIME, verbatim. Some servers write it at the head of the window only,
    /// so it is compared where both sides have it.
    pub date: Option<String>,
    /// The other tag lines of the segment, in order.
    pub lines: Vec<String>,
    /// It stands first, so that unknown tags among its lines may be the whole playlist's.
    pub head: bool,
}

impl Listed {
    /// The lines that say the same wherever the segment stands in the list.
    pub(super) fn comparable(&self, head: bool) -> Vec<&str> {
        let own = |l: &&str| l.starts_with("#EXTINF") || l.starts_with("#EXT-X-BYTERANGE");
        self.lines.iter().map(String::as_str).filter(|l| !head || own(l)).collect()
    }
}

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
    /// More than [`SEGMENTS_MAX`].
    #[error("it lists more than {SEGMENTS_MAX} segments")]
    TooMany,
}

/// No playlist that a player reloads is longer than this.
pub const SEGMENTS_MAX: usize = 100_000;

/// Tags that stand between segments and belong to none of them, or come and go by right.
const NOT_OF_A_SEGMENT: [&str; 8] = [
    "#EXT-X-DATERANGE",
    "#EXT-X-PART",
    "#EXT-X-PRELOAD-HINT",
    "#EXT-X-RENDITION-REPORT",
    "#EXT-X-SKIP",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-START",
    "#EXT-X-DEFINE",
];

const OF_THE_PLAYLIST: [&str; 5] = [
    "#EXT-X-VERSION",
    "#EXT-X-ALLOW-CACHE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-I-FRAMES-ONLY",
];

/// Reads a media playlist.
///
/// # Errors
/// Where a player could not use the text.
pub fn read(text: &str) -> Result<Shown, Unreadable> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_end);
    if lines.next() != Some("#EXTM3U") {
        return Err(Unreadable::NoHeader);
    }
    let mut reader = Reader::default();
    for line in lines.filter(|l| !l.is_empty()) {
        reader.line(line)?;
    }
    let target = reader.target.ok_or(Unreadable::NoTarget)?;
    Ok(Shown {
        target: Duration::from_secs(target),
        first_msn: reader.first_msn,
        discontinuity_sequence: reader.discontinuity_sequence,
        ended: reader.ended,
        segments: reader.segments,
    })
}

#[derive(Default)]
struct Reader {
    target: Option<u64>,
    first_msn: u64,
    discontinuity_sequence: u64,
    discontinuities: u64,
    ended: bool,
    segments: Vec<Listed>,
    map: Option<String>,
    keys: Vec<String>,
    duration: Option<Duration>,
    discontinuity: bool,
    gap: bool,
    range: Option<(u64, Option<u64>)>,
    before: Option<(String, u64)>,
    date: Option<String>,
    pending: Vec<String>,
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
            "#EXT-X-MEDIA-SEQUENCE" => self.first_msn = number("EXT-X-MEDIA-SEQUENCE", value)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = number("EXT-X-DISCONTINUITY-SEQUENCE", value)?;
            }
            "#EXT-X-ENDLIST" => self.ended = true,
            "#EXT-X-DISCONTINUITY" => {
                self.discontinuity = true;
                self.discontinuities += 1;
            }
            "#EXT-X-GAP" => self.gap = true,
            "#EXT-X-MAP" => self.map = Some(line.to_owned()),
            "#EXT-X-KEY" => self.key(line),
            "#EXT-X-PROGRAM-DATE-TIME" => self.date = Some(value.to_owned()),
            "#EXT-X-BYTERANGE" => {
                let (length, offset) = match value.split_once('@') {
                    Some((length, offset)) => (length, Some(number("EXT-X-BYTERANGE", offset)?)),
                    None => (value, None),
                };
                self.range = Some((number("EXT-X-BYTERANGE", length)?, offset));
                self.pending.push(line.to_owned());
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
        if line.contains("METHOD=NONE") {
            self.keys.clear();
            return;
        }
        let format = |l: &str| attribute(l, "KEYFORMAT").unwrap_or("identity").to_owned();
        let this = format(line);
        self.keys.retain(|k| format(k) != this);
        self.keys.push(line.to_owned());
    }

    fn uri(&mut self, uri: &str) -> Result<(), Unreadable> {
        let Some(duration) = self.duration.take() else {
            return Err(Unreadable::NoDuration(uri.chars().take(80).collect()));
        };
        if self.segments.len() >= SEGMENTS_MAX {
            return Err(Unreadable::TooMany);
        }
        let before = u64::try_from(self.segments.len()).unwrap_or(u64::MAX);
        let Some(msn) = self.first_msn.checked_add(before) else {
            return Err(Unreadable::Number("EXT-X-MEDIA-SEQUENCE", self.first_msn.to_string()));
        };
        let range = self.range(uri)?;
        self.segments.push(Listed {
            msn,
            uri: uri.to_owned(),
            duration,
            discontinuity: std::mem::take(&mut self.discontinuity),
            discontinuity_number: self.discontinuity_sequence.saturating_add(self.discontinuities),
            gap: std::mem::take(&mut self.gap),
            range,
            map: self.map.clone(),
            keys: self.keys.clone(),
            date: self.date.take(),
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

/// EXTINF's duration: finite, not negative, at most a day.
fn extinf(value: &str) -> Result<Duration, Unreadable> {
    let text = value.split(',').next().unwrap_or_default().trim();
    let wrong = || Unreadable::Number("EXTINF", text.chars().take(40).collect());
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
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
