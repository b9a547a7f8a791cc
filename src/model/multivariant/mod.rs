//! Multivariant playlists: which renditions a packager has, and the text that viewers get.
//!
//! The text is the packager's own, line by line, with each URI that leads to the packager
//! replaced; those that lead elsewhere stay, and are no renditions of a lane. m3u8-rs says what a
//! tag means (`traits`); where its URI stands is found here (`read`), so that the rest of the line
//! stays.

mod language;
mod matching;
mod read;
#[cfg(test)]
mod tests;
mod traits;

use std::fmt::Write as _;

pub use matching::{Match, match_renditions};
pub use read::Asked;

use crate::model::playlist::{Limits, PlaylistError, Variables};
use crate::model::rendition::Rendition;

/// Most renditions of a stream, without I-frames: each is refreshed and held.
pub const RENDITIONS_MAX: usize = 64;
/// What stands for a rendition in the URLs of what belongs to none: session resources.
pub const NO_RENDITION: &str = "x0";

/// A rendition as a packager's multivariant playlist lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is, and the id it has if a lane opens on this playlist.
    pub rendition: Rendition,
    /// The URI of its media playlist on the packager, verbatim; not resolved.
    pub uri: String,
}

/// What a resource that belongs to no rendition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// EXT-X-SESSION-DATA: text for the app around the player.
    Data,
    /// EXT-X-SESSION-KEY: a key that players may fetch before they need it.
    Key,
    /// EXT-X-CONTENT-STEERING: a manifest of pathways.
    Steering,
}

/// A resource of the packager that belongs to no rendition. Viewers get it from us if it can be
/// fetched; if not, the lines that name it are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionResource {
    /// What it is.
    pub kind: Resource,
    /// Its URI on the packager, verbatim; not resolved.
    pub uri: String,
}

/// A multivariant playlist as one packager showed it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Multivariant {
    /// The renditions it lists on the packager, each URI once; by [`Kind::rank`], so variants
    /// first. Never empty.
    ///
    /// [`Kind::rank`]: crate::model::rendition::Kind::rank
    pub found: Vec<Found>,
    /// The resources of the packager that belong to no rendition, each once.
    pub resources: Vec<SessionResource>,
    variables: Variables,
    lines: Vec<Line>,
}

/// Why a multivariant playlist cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultivariantError {
    /// Its text cannot be read.
    #[error(transparent)]
    Text(#[from] PlaylistError),
    /// No variant with a URI that leads to the packager.
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
    hole: Option<Hole>,
    after: String,
}

/// What a URI that was cut out named.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hole {
    /// An index into `found`.
    Rendition(usize),
    /// An index into `resources`.
    Resource(usize),
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

    /// The URIs of a playlist that was cut where the token belongs begin here.
    #[must_use]
    pub fn is_of(&self, pieces: &[String]) -> bool {
        let before = pieces.first().and_then(|piece| piece.strip_suffix(self.prefix.as_str()));
        // A relative one is the end of an absolute one as well.
        before.is_some_and(|before| before.ends_with(['\n', '"']))
    }
}

/// A media playlist's file name.
const INDEX: &str = "index.m3u8";

/// Text with holes where the token belongs.
#[derive(Default)]
struct Pieces {
    done: Vec<String>,
    last: String,
}

impl Pieces {
    fn uri(&mut self, place: &Place, rendition: &str, file: &str) {
        self.last.push_str(&place.prefix);
        self.done.push(std::mem::take(&mut self.last));
        // Writing to a String cannot fail.
        let _ = write!(self.last, "/{rendition}/{file}");
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
    pieces.uri(place, "v0", INDEX);
    pieces.last.push('\n');
    pieces.finish()
}

impl Multivariant {
    /// Reads a multivariant playlist (RFC 8216, 4.3.4) that was asked for as `asked` says.
    ///
    /// # Errors
    /// See [`MultivariantError`]. A tag that cannot be read costs its rendition its traits, not
    /// the viewers their stream.
    pub fn read(
        body: &[u8],
        limits: &Limits,
        asked: &Asked<'_>,
    ) -> Result<Self, MultivariantError> {
        read::read(body, limits, asked)
    }

    /// The renditions, for a lane's header.
    #[must_use]
    pub fn renditions(&self) -> Vec<Rendition> {
        self.found.iter().map(|found| found.rendition.clone()).collect()
    }

    /// What it defined: media playlists may import it.
    #[must_use]
    pub const fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The text for viewers, cut where the token belongs: printed as `pieces.join(token)`.
    ///
    /// `names` are the file names of `resources`, in that order; the lines of one that has none
    /// are left out, and so are those of a name that no URI may hold.
    #[must_use]
    pub fn pieces(&self, place: &Place, names: &[Option<String>]) -> Vec<String> {
        let mut pieces = Pieces { last: "#EXTM3U\n".to_owned(), ..Pieces::default() };
        for line in &self.lines {
            let uri = match line.hole {
                None => None,
                Some(Hole::Rendition(index)) => {
                    self.found.get(index).map(|found| (found.rendition.id.as_str(), INDEX))
                }
                Some(Hole::Resource(index)) => {
                    let name = names.get(index).and_then(Option::as_deref);
                    let Some(name) = name.filter(|name| is_file_name(name)) else { continue };
                    Some((NO_RENDITION, name))
                }
            };
            pieces.last.push_str(&line.before);
            if let Some((rendition, file)) = uri {
                pieces.uri(place, rendition, file);
            }
            pieces.last.push_str(&line.after);
            pieces.last.push('\n');
        }
        pieces.finish()
    }
}

/// A name that ends no attribute and leaves no folder.
fn is_file_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.bytes().all(plain) && !name.is_empty() && !name.starts_with('.')
}
