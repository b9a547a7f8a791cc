//! Multivariant playlists: which renditions a packager has, and the text that viewers get.
//!
//! The text is the packager's own, line by line, with each URI that is carried replaced. m3u8-rs
//! says what a tag means; where its URI stands is found here, so that the rest of the line stays.

mod matching;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use m3u8_rs::{AlternativeMedia, MasterPlaylist, VariantStream};

pub use matching::match_renditions;

use crate::model::names::RenditionId;
use crate::model::playlist::attributes::{attribute, attributes};
use crate::model::playlist::lines::Lines;
use crate::model::playlist::variables::Variables;
use crate::model::playlist::{Limits, PlaylistError};
use crate::model::rendition::{Kind, Rendition, Traits};

/// Most renditions of a stream: each is refreshed and held.
pub const RENDITIONS_MAX: usize = 64;

/// A rendition as a packager's multivariant playlist lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is, and the id it has if a lane opens on this playlist.
    pub rendition: Rendition,
    /// The URI of its media playlist, verbatim; not resolved.
    pub uri: String,
}

/// A multivariant playlist as one packager showed it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Multivariant {
    /// The renditions it lists, each URI once; variants first, then audio, video, subtitles.
    /// Never empty.
    pub found: Vec<Found>,
    lines: Vec<Line>,
}

/// Why a multivariant playlist cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultivariantError {
    /// Its text cannot be read.
    #[error(transparent)]
    Text(#[from] PlaylistError),
    /// No variant with a URI.
    #[error("no variant")]
    NoVariant,
    /// More than [`RENDITIONS_MAX`].
    #[error("more than {RENDITIONS_MAX} renditions")]
    TooManyRenditions,
}

/// A line for viewers: where a URI was cut out, what stood before and after it.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    before: String,
    /// The URI that was cut out: an index into `found`.
    uri: Option<usize>,
    after: String,
}

/// Where a stream's URLs begin: what stands before and after the token in each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    prefix: String,
}

impl Place {
    /// Of the stream at `entry_path`, such as `/live/cam/playlist.m3u8`. URIs are relative to it,
    /// or absolute with `url_base`, such as `https://media-az1.example.com`.
    #[must_use]
    pub fn new(entry_path: &str, url_base: Option<&str>) -> Self {
        let stem = entry_path.strip_suffix(".m3u8").unwrap_or(entry_path);
        let name = stem.rsplit('/').next().unwrap_or(stem);
        let prefix = match url_base {
            Some(base) => format!("{}{stem}~", base.trim_end_matches('/')),
            // A colon in the first segment would make it a scheme (RFC 3986, 4.2).
            None if name.contains(':') => format!("./{name}~"),
            None => format!("{name}~"),
        };
        Self { prefix }
    }
}

/// Text with holes where the token belongs.
#[derive(Default)]
struct Pieces {
    done: Vec<String>,
    last: String,
}

impl Pieces {
    fn uri(&mut self, place: &Place, rendition: &RenditionId) {
        self.last.push_str(&place.prefix);
        self.done.push(std::mem::take(&mut self.last));
        // Writing to a String cannot fail.
        let _ = write!(self.last, "/{rendition}/index.m3u8");
    }

    fn finish(mut self) -> Vec<String> {
        self.done.push(self.last);
        self.done
    }
}

/// The multivariant playlist of a stream that is a lone media playlist: one variant, `v0`, cut
/// where the token belongs. `bandwidth` is measured, bits per second.
#[must_use]
pub fn wrap(place: &Place, bandwidth: u64, codecs: Option<&str>) -> Vec<String> {
    let mut pieces = Pieces::default();
    let _ = write!(pieces.last, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={}", bandwidth.max(1));
    // A quote would end the attribute.
    if let Some(codecs) = codecs.filter(|c| c.chars().all(|c| c != '"' && !c.is_control())) {
        let _ = write!(pieces.last, ",CODECS=\"{codecs}\"");
    }
    pieces.last.push('\n');
    pieces.uri(place, &RenditionId::new("v0"));
    pieces.last.push('\n');
    pieces.finish()
}

impl Multivariant {
    /// Reads a multivariant playlist (RFC 8216, 4.3.4).
    ///
    /// # Errors
    /// See [`MultivariantError`]. A tag that cannot be read costs its rendition its traits, not
    /// the viewers their stream.
    pub fn read(body: &[u8], limits: &Limits) -> Result<Self, MultivariantError> {
        let mut reader = Reader::default();
        let mut kept = 0_usize;
        for line in Lines::of(body, limits)? {
            let (number, text) = line?;
            if let Some(list) = text.strip_prefix("#EXT-X-DEFINE:") {
                reader.variables.define(list, number)?;
                continue;
            }
            let line = reader.variables.resolve(&text, number, limits.line_bytes)?;
            let uri = !text.starts_with('#');
            if uri && (line.starts_with('#') || line.chars().any(char::is_control)) {
                return Err(PlaylistError::BadUri { line: number }.into());
            }
            // Variables may unfold: what is kept has the body's limit.
            kept = kept.saturating_add(line.len());
            if kept > limits.bytes {
                return Err(PlaylistError::TooLarge { limit: limits.bytes }.into());
            }
            reader.line(&line)?;
        }
        reader.finish()
    }

    /// The renditions, for a lane's header.
    #[must_use]
    pub fn renditions(&self) -> Vec<Rendition> {
        self.found.iter().map(|found| found.rendition.clone()).collect()
    }

    /// The text for viewers, cut where the token belongs: printed as `pieces.join(token)`.
    #[must_use]
    pub fn pieces(&self, place: &Place) -> Vec<String> {
        let mut pieces = Pieces { last: "#EXTM3U\n".to_owned(), ..Pieces::default() };
        for line in &self.lines {
            pieces.last.push_str(&line.before);
            if let Some(found) = line.uri.and_then(|index| self.found.get(index)) {
                pieces.uri(place, &found.rendition.id);
            }
            pieces.last.push_str(&line.after);
            pieces.last.push('\n');
        }
        pieces.finish()
    }
}

#[derive(Default)]
struct Reader {
    variables: Variables,
    /// In the order of the text; ids and order come in `finish`.
    found: Vec<(Traits, String)>,
    lines: Vec<Line>,
    /// An EXT-X-STREAM-INF whose URI has not come, with where `lines` ended before it.
    variant: Option<(Traits, usize)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), MultivariantError> {
        let (name, list) = line.split_once(':').unwrap_or((line, ""));
        match name {
            _ if !line.starts_with('#') => return self.variant_uri(line),
            "#EXT-X-STREAM-INF" => {
                self.drop_variant();
                self.variant = Some((variant_traits(list), self.lines.len()));
                self.keep(line);
            }
            "#EXT-X-MEDIA" => return self.media(line, list),
            // Not carried yet: trick play, session data and keys, steering. Each holds URIs of
            // its own.
            "#EXT-X-I-FRAME-STREAM-INF"
            | "#EXT-X-SESSION-DATA"
            | "#EXT-X-SESSION-KEY"
            | "#EXT-X-CONTENT-STEERING" => {}
            // The same for tags not known: relative to our paths their URIs would lead nowhere.
            _ if line.starts_with("#EXT")
                && attributes(list).any(|a| a.name == "URI" || a.name.ends_with("-URI")) => {}
            _ => self.keep(line),
        }
        Ok(())
    }

    fn keep(&mut self, line: &str) {
        self.lines.push(Line { before: line.to_owned(), uri: None, after: String::new() });
    }

    /// An EXT-X-STREAM-INF that no URI followed names nothing.
    fn drop_variant(&mut self) {
        if let Some((_, at)) = self.variant.take()
            && at < self.lines.len()
        {
            self.lines.remove(at);
        }
    }

    fn variant_uri(&mut self, uri: &str) -> Result<(), MultivariantError> {
        // A URI without a tag names nothing either.
        if let Some((traits, _)) = self.variant.take() {
            let index = self.found(traits, uri)?;
            self.lines.push(Line { before: String::new(), uri: Some(index), after: String::new() });
        }
        Ok(())
    }

    /// EXT-X-MEDIA (RFC 8216, 4.3.4.1): without URI it is in the variants' own segments.
    fn media(&mut self, line: &str, list: &str) -> Result<(), MultivariantError> {
        let Some(uri) = attribute(list, "URI").filter(|uri| !uri.value.is_empty()) else {
            self.keep(line);
            return Ok(());
        };
        let kind = match attribute(list, "TYPE").map(|kind| kind.value) {
            Some("AUDIO") => Kind::Audio,
            Some("VIDEO") => Kind::Video,
            Some("SUBTITLES") => Kind::Subtitles,
            _ => return Ok(()),
        };
        let at = line.len() - list.len() + uri.at;
        let (Some(before), Some(after)) = (line.get(..at), line.get(at + uri.value.len()..)) else {
            return Ok(());
        };
        let index = self.found(media_traits(list, kind), uri.value)?;
        // An unquoted URI ends at a comma, which ours never holds.
        self.lines.push(Line {
            before: before.to_owned(),
            uri: Some(index),
            after: after.to_owned(),
        });
        Ok(())
    }

    fn found(&mut self, traits: Traits, uri: &str) -> Result<usize, MultivariantError> {
        if let Some(index) = self.found.iter().position(|(_, known)| known == uri) {
            // One media playlist under two tags is told by its variant, wherever that stands.
            if let Some((known, _)) = self.found.get_mut(index)
                && known.kind != Kind::Variant
                && traits.kind == Kind::Variant
            {
                *known = traits;
            }
            return Ok(index);
        }
        if self.found.len() >= RENDITIONS_MAX {
            return Err(MultivariantError::TooManyRenditions);
        }
        self.found.push((traits, uri.to_owned()));
        Ok(self.found.len() - 1)
    }

    fn finish(mut self) -> Result<Multivariant, MultivariantError> {
        self.drop_variant();
        if !self.found.iter().any(|(traits, _)| traits.kind == Kind::Variant) {
            return Err(MultivariantError::NoVariant);
        }
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        let rank = |index: &usize| self.found.get(*index).map(|(traits, _)| traits.kind as u8);
        order.sort_by_key(rank);
        let mut places = vec![0; order.len()];
        let mut found = Vec::with_capacity(order.len());
        let mut ids = Ids::default();
        for index in order {
            if let (Some(place), Some((traits, uri))) =
                (places.get_mut(index), self.found.get(index))
            {
                *place = found.len();
                let rendition = Rendition { id: ids.next(traits.kind), traits: traits.clone() };
                found.push(Found { rendition, uri: uri.clone() });
            }
        }
        for line in &mut self.lines {
            line.uri = line.uri.and_then(|index| places.get(index).copied());
        }
        Ok(Multivariant { found, lines: self.lines })
    }
}

/// Gives out `v0`, `v1`, `a0`, `s0`: another camera angle is a `v` too.
#[derive(Default)]
struct Ids {
    video: usize,
    audio: usize,
    subtitles: usize,
}

impl Ids {
    fn next(&mut self, kind: Kind) -> RenditionId {
        let (letter, count) = match kind {
            Kind::Variant | Kind::Video => ('v', &mut self.video),
            Kind::Audio => ('a', &mut self.audio),
            Kind::Subtitles => ('s', &mut self.subtitles),
            Kind::IFrames => ('i', &mut self.subtitles),
        };
        let id = format!("{letter}{count}");
        *count += 1;
        RenditionId::new(id)
    }
}

/// One tag as m3u8-rs reads it. Each alone: in a whole playlist it lets a URI slip to the
/// variant before where it cannot read a tag, and an attribute list run into the next line.
/// Empty values are left out, since it cannot read those at all.
fn one_tag(tag: &str, list: &str) -> Option<MasterPlaylist> {
    let mut text = format!("#EXTM3U\n{tag}:");
    for a in attributes(list).filter(|a| !a.value.is_empty()) {
        let quote = if a.quoted { "\"" } else { "" };
        let _ = write!(text, "{}={quote}{}{quote},", a.name, a.value);
    }
    text.push('\n');
    m3u8_rs::parse_master_playlist_res(text.as_bytes()).ok()
}

fn variant_traits(list: &str) -> Traits {
    let read = one_tag("#EXT-X-STREAM-INF", list).and_then(|mut p| p.variants.pop());
    let Some(VariantStream { bandwidth, codecs, resolution, frame_rate, other_attributes, .. }) =
        read
    else {
        return Traits::default();
    };
    let name = other_attributes.and_then(|mut other| other.remove("NAME"));
    Traits {
        kind: Kind::Variant,
        bandwidth: Some(bandwidth),
        resolution: resolution.map(|r| (r.width, r.height)),
        codecs,
        frame_rate_milli: frame_rate.and_then(milli),
        name: name.map(|name| name.as_str().to_owned()),
        ..Traits::default()
    }
}

/// Frames in a thousand seconds; none for what is no frame rate.
fn milli(rate: f64) -> Option<u64> {
    let seconds = std::time::Duration::try_from_secs_f64(rate).ok()?;
    u64::try_from(seconds.as_micros().checked_add(500)? / 1000).ok()
}

fn media_traits(list: &str, kind: Kind) -> Traits {
    let read = one_tag("#EXT-X-MEDIA", list).and_then(|mut p| p.alternatives.pop());
    let Some(AlternativeMedia { group_id, name, language, .. }) = read else {
        return Traits { kind, ..Traits::default() };
    };
    Traits { kind, group: Some(group_id), name: Some(name), language, ..Traits::default() }
}
