//! Reading a media playlist: tolerant to what real packagers write, strict where carrying on
//! would harm a lane (numbers, times, URIs, sizes).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::attributes::attribute;
use super::date::unix_ms;
use super::keys::InForce;
use super::lines::{Lines, begin};
use super::variables::{Context, Variables};
use super::{Extent, Limits, Map, MediaPlaylist, PlaylistError, Segment, Shape};
use crate::model::lane::ByteRange;
use crate::model::names::PackagerMsn;

/// Higher numbers come from a broken packager, and leave no room to count.
const MSN_MAX: u64 = 1 << 62;
/// The same for bytes of a resource.
const OFFSET_MAX: u64 = 1 << 62;
/// No live segment, and no target duration, is longer.
const SECONDS_MAX: f64 = 3600.0;

/// What kind of playlist `body` is, by the first tag that only one kind has.
///
/// # Errors
/// [`PlaylistError::NotPlaylist`] if it does not begin with `#EXTM3U` or has no such tag.
pub fn shape(body: &[u8]) -> Result<Shape, PlaylistError> {
    for line in begin(body)?.split(|&b| b == b'\n') {
        let line = line.trim_ascii();
        let name = line.split(|&b| b == b':').next().unwrap_or(line);
        match name {
            b"#EXT-X-STREAM-INF" | b"#EXT-X-I-FRAME-STREAM-INF" | b"#EXT-X-MEDIA" => {
                return Ok(Shape::Multivariant);
            }
            b"#EXTINF" | b"#EXT-X-TARGETDURATION" | b"#EXT-X-MEDIA-SEQUENCE" => {
                return Ok(Shape::Media);
            }
            _ => {}
        }
    }
    Err(PlaylistError::NotPlaylist)
}

/// Reads a media playlist (RFC 8216, 4.3.2 and 4.3.3).
///
/// Tags after the last segment belong to a segment that is not there yet: they are passed over,
/// and come again with it.
///
/// # Errors
/// See [`PlaylistError`]: whatever would give a wrong number, time or URI, and whatever is over
/// `limits`.
pub fn parse(body: &[u8], limits: &Limits) -> Result<MediaPlaylist, PlaylistError> {
    parse_with(body, limits, &Context { imports: &Variables::default(), query: None })
}

/// The same, where EXT-X-DEFINE may take values from the multivariant playlist and the query.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    body: &[u8],
    limits: &Limits,
    context: &Context<'_>,
) -> Result<MediaPlaylist, PlaylistError> {
    let mut reader = Reader::new(limits, context);
    reader.to_skip = segments_in(body).saturating_sub(limits.kept);
    for line in Lines::of(body, limits)? {
        let (number, line) = line?;
        reader.line = number;
        if !line.starts_with('#') {
            reader.uri(&line)?;
        } else if line.starts_with("#EXT") {
            reader.tag(&line)?;
        } else if !reader.segments.is_empty() {
            // A comment in the head is about the file, not about a segment.
            reader.next.lines.push(line.into_owned());
        }
    }
    reader.finish()
}

/// How many URIs it has, at little cost.
fn segments_in(body: &[u8]) -> usize {
    let lines = body.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| line.first().is_some_and(|&b| b != b'#')).count()
}

/// What stands before the next URI.
#[derive(Debug, Default)]
struct Pending {
    duration: Option<Duration>,
    discontinuity: bool,
    gap: bool,
    range: Option<(u64, Option<u64>)>,
    program_date_time: Option<u64>,
    lines: Vec<String>,
}

#[derive(Debug)]
struct Reader<'l> {
    limits: &'l Limits,
    context: &'l Context<'l>,
    line: usize,
    version: u16,
    target_duration: Option<u32>,
    media_sequence: Option<u64>,
    independent_segments: bool,
    ended: bool,
    extent: Extent,
    i_frames_only: bool,
    start: Option<String>,
    variables: Variables,
    /// Bytes kept on top of the body's own: repeated MAPs and resolved variables.
    extra: usize,
    map: Option<Arc<Map>>,
    keys: InForce,
    next: Pending,
    /// Segments that are counted and not kept: the oldest of a long list.
    to_skip: usize,
    skipped: usize,
    /// What the last segment leaves to the next one.
    before: Before,
    segments: Vec<Segment>,
}

/// What goes on from a segment that need not be kept itself.
#[derive(Debug, Default)]
struct Before {
    uri: String,
    range: Option<ByteRange>,
    /// The date of its end, Unix milliseconds.
    date: Option<f64>,
}

impl<'l> Reader<'l> {
    fn new(limits: &'l Limits, context: &'l Context<'l>) -> Self {
        Self {
            limits,
            context,
            line: 0,
            version: 1,
            target_duration: None,
            media_sequence: None,
            independent_segments: false,
            ended: false,
            extent: Extent::Sliding,
            i_frames_only: false,
            start: None,
            variables: Variables::default(),
            extra: 0,
            map: None,
            keys: InForce::default(),
            next: Pending::default(),
            to_skip: 0,
            skipped: 0,
            before: Before::default(),
            segments: Vec::new(),
        }
    }

    fn tag(&mut self, line: &str) -> Result<(), PlaylistError> {
        let line = self.resolved(line)?;
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.trim();
        match name.trim_end() {
            "#EXTINF" => return self.extinf(&line, value),
            "#EXT-X-VERSION" => self.version = value.parse().unwrap_or(1),
            "#EXT-X-TARGETDURATION" => self.target_duration = Some(self.target(value)?),
            "#EXT-X-MEDIA-SEQUENCE" => return self.sequence(value),
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.independent_segments = true,
            "#EXT-X-ENDLIST" => self.ended = true,
            "#EXT-X-DEFINE" => return self.variables.define(value, self.line, self.context),
            "#EXT-X-DISCONTINUITY" => self.next.discontinuity = true,
            "#EXT-X-BYTERANGE" => {
                self.next.range = Some(self.range(value, "EXT-X-BYTERANGE")?);
            }
            "#EXT-X-MAP" => self.map = Some(Arc::new(self.map(value)?)),
            "#EXT-X-KEY" => return self.key(value),
            "#EXT-X-PLAYLIST-TYPE" => {
                self.extent = match value {
                    "EVENT" => Extent::Event,
                    "VOD" => Extent::Whole,
                    _ => Extent::Sliding,
                }
            }
            "#EXT-X-I-FRAMES-ONLY" => self.i_frames_only = true,
            "#EXT-X-START" => self.start = Some(line.into_owned()),
            // A delta of a list that was not kept (RFC 8216bis, 4.4.5.2): never asked for.
            "#EXT-X-SKIP" => return Err(PlaylistError::Delta),
            "#EXT-X-STREAM-INF" | "#EXT-X-MEDIA" | "#EXT-X-I-FRAME-STREAM-INF" => {
                return Err(PlaylistError::Multivariant);
            }
            // About the whole list (the printer writes its own), and low latency: parts are not
            // carried (yet), so none may be promised.
            "#EXT-X-DISCONTINUITY-SEQUENCE"
            | "#EXT-X-ALLOW-CACHE"
            | "#EXT-X-PART"
            | "#EXT-X-PART-INF"
            | "#EXT-X-PRELOAD-HINT"
            | "#EXT-X-PREFETCH"
            | "#EXT-X-RENDITION-REPORT"
            | "#EXT-X-SERVER-CONTROL" => {}
            name => {
                match name {
                    "#EXT-X-GAP" => self.next.gap = true,
                    "#EXT-X-PROGRAM-DATE-TIME" => self.next.program_date_time = unix_ms(value),
                    _ => {}
                }
                if !self.skips() {
                    self.next.lines.push(line.into_owned());
                }
            }
        }
        Ok(())
    }

    /// EXTINF (RFC 8216, 4.3.2.1). Its line goes on as it is: full precision, and the title.
    fn extinf(&mut self, line: &str, value: &str) -> Result<(), PlaylistError> {
        if self.next.duration.is_some() {
            return Err(PlaylistError::NoUri { line: self.line });
        }
        let seconds = value.split(',').next().unwrap_or(value);
        self.next.duration = Some(Duration::from_secs_f64(self.seconds(seconds, "EXTINF")?));
        if !self.skips() {
            self.next.lines.push(line.to_owned());
        }
        Ok(())
    }

    /// The segment to come is not kept.
    const fn skips(&self) -> bool {
        self.skipped < self.to_skip
    }

    /// A time in seconds that is one: finite, not negative, at most an hour.
    fn seconds(&self, text: &str, tag: &'static str) -> Result<f64, PlaylistError> {
        let seconds = text.trim().parse().unwrap_or(f64::NAN);
        if (0.0..=SECONDS_MAX).contains(&seconds) { Ok(seconds) } else { Err(self.bad(tag)) }
    }

    /// EXT-X-TARGETDURATION (RFC 8216, 4.3.3.1): an integer, though some write `4.000`. Rounded
    /// up, and 1 at the least: it paces requests.
    fn target(&self, value: &str) -> Result<u32, PlaylistError> {
        let seconds = self.seconds(value, "EXT-X-TARGETDURATION")?;
        let whole = Duration::from_secs_f64(seconds.ceil()).as_secs();
        Ok(u32::try_from(whole).unwrap_or(u32::MAX).max(1))
    }

    fn sequence(&mut self, value: &str) -> Result<(), PlaylistError> {
        let msn = value.parse().ok().filter(|&msn| msn <= MSN_MAX);
        let msn = msn.ok_or_else(|| self.bad("EXT-X-MEDIA-SEQUENCE"))?;
        if self.media_sequence.is_some_and(|first| first != msn) {
            return Err(self.bad("EXT-X-MEDIA-SEQUENCE"));
        }
        self.media_sequence = Some(msn);
        Ok(())
    }

    /// `length[@offset]` (RFC 8216, 4.3.2.2).
    fn range(&self, value: &str, tag: &'static str) -> Result<(u64, Option<u64>), PlaylistError> {
        let number = |text: &str| text.trim().parse().ok().filter(|&n| n <= OFFSET_MAX);
        let (length, offset) = match value.split_once('@') {
            Some((length, offset)) => (length, Some(number(offset).ok_or_else(|| self.bad(tag))?)),
            None => (value, None),
        };
        match number(length) {
            Some(length) if length > 0 => Ok((length, offset)),
            _ => Err(self.bad(tag)),
        }
    }

    fn map(&self, list: &str) -> Result<Map, PlaylistError> {
        let uri = attribute(list, "URI").ok_or_else(|| self.bad("EXT-X-MAP"))?.value;
        let range = attribute(list, "BYTERANGE")
            .map(|range| self.range(range.value, "EXT-X-MAP"))
            .transpose()?
            .map(|(length, offset)| ByteRange { offset: offset.unwrap_or(0), length });
        Ok(Map { uri: self.checked(uri)?.to_owned(), range, keys: self.keys.all() })
    }

    fn key(&mut self, list: &str) -> Result<(), PlaylistError> {
        let grown = self.keys.take(list).ok_or_else(|| self.bad("EXT-X-KEY"))?;
        self.grow(grown)
    }

    /// The URI line that makes a segment of what stood before it.
    fn uri(&mut self, line: &str) -> Result<(), PlaylistError> {
        if self.segments.len() + self.skipped >= self.limits.segments {
            return Err(PlaylistError::TooManySegments { limit: self.limits.segments });
        }
        let uri = self.resolved(line)?;
        self.checked(&uri)?;
        let mut next = std::mem::take(&mut self.next);
        let duration = next.duration.ok_or(PlaylistError::NoDuration { line: self.line })?;
        let range = next.range.map(|range| self.placed(range, &uri)).transpose()?;
        // The date of a segment that is not kept must not be lost with it.
        let goes_on = self.before.date.filter(|_| !next.discontinuity);
        #[allow(clippy::cast_precision_loss)] // milliseconds of some thousand years
        let begins = next.program_date_time.map(|ms| ms as f64).or(goes_on);
        self.before.date = begins.map(|ms| ms + duration.as_secs_f64() * 1000.0);
        if range.is_some() || self.before.range.is_some() {
            uri.as_ref().clone_into(&mut self.before.uri);
            self.before.range = range;
        }
        if self.skips() {
            self.skipped += 1;
            return Ok(());
        }
        if self.segments.is_empty() && self.skipped > 0 {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // as above
            let worked_out = begins.map(|ms| ms.round() as u64);
            next.program_date_time = next.program_date_time.or(worked_out);
        }
        self.segments.push(Segment {
            // Numbered in `finish`.
            msn: PackagerMsn(0),
            uri: uri.into_owned(),
            duration,
            discontinuity: next.discontinuity,
            gap: next.gap,
            range,
            program_date_time: next.program_date_time,
            map: self.map.clone(),
            keys: self.keys.all(),
            lines: next.lines,
        });
        Ok(())
    }

    /// A range with its offset written out: without one it follows the segment before it, which
    /// must be a part of the same resource (RFC 8216, 4.3.2.2).
    fn placed(
        &self,
        (length, offset): (u64, Option<u64>),
        uri: &str,
    ) -> Result<ByteRange, PlaylistError> {
        let before = || self.before.range.filter(|_| self.before.uri == uri);
        let offset = offset
            .or_else(|| before().map(|r| r.offset.saturating_add(r.length)))
            .filter(|&offset| offset.saturating_add(length) <= OFFSET_MAX)
            .ok_or(PlaylistError::NoPredecessor { line: self.line })?;
        Ok(ByteRange { offset, length })
    }

    fn resolved<'a>(&mut self, text: &'a str) -> Result<Cow<'a, str>, PlaylistError> {
        let resolved = self.variables.resolve(text, self.line, self.limits.line_bytes)?;
        if let Cow::Owned(resolved) = &resolved {
            self.grow(resolved.len())?;
        }
        Ok(resolved)
    }

    /// Counts bytes kept on top of the body's own, so that a small body cannot unfold.
    fn grow(&mut self, bytes: usize) -> Result<(), PlaylistError> {
        self.extra = self.extra.saturating_add(bytes);
        if self.extra > self.limits.bytes {
            return Err(PlaylistError::TooLarge { limit: self.limits.bytes });
        }
        Ok(())
    }

    fn checked<'a>(&self, uri: &'a str) -> Result<&'a str, PlaylistError> {
        if uri.is_empty() || uri.starts_with('#') || uri.chars().any(char::is_control) {
            return Err(PlaylistError::BadUri { line: self.line });
        }
        Ok(uri)
    }

    fn bad(&self, tag: &'static str) -> PlaylistError {
        PlaylistError::BadTag { line: self.line, tag }
    }

    fn finish(mut self) -> Result<MediaPlaylist, PlaylistError> {
        let target_duration = self.target_duration.ok_or(PlaylistError::NoTargetDuration)?;
        let skipped = self.skipped as u64;
        let mut msn = PackagerMsn(self.media_sequence.unwrap_or(0).saturating_add(skipped));
        for segment in &mut self.segments {
            segment.msn = msn;
            msn = msn.next();
        }
        Ok(MediaPlaylist {
            version: self.version,
            target_duration,
            independent_segments: self.independent_segments,
            ended: self.ended,
            extent: self.extent,
            i_frames_only: self.i_frames_only,
            start: self.start,
            skipped,
            segments: self.segments,
        })
    }
}
