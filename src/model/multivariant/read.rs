//! Reading a multivariant playlist line by line: which lines go on as they are, which get our
//! URIs, and which viewers cannot use.

use super::{
    Found, Hole, Line, Multivariant, MultivariantError, RENDITIONS_MAX, Resource, SessionResource,
    traits,
};
use crate::model::names::RenditionId;
use crate::model::playlist::attributes::{Attribute, attribute, attributes};
use crate::model::playlist::lines::Lines;
use crate::model::playlist::{Context, Limits, PlaylistError, Variables};
use crate::model::rendition::{Kind, Rendition, Traits};
use crate::model::uri::{UriError, resolve};

/// Most I-frame playlists, besides [`RENDITIONS_MAX`]: the rest are left out, since trick play
/// is the least to miss.
const I_FRAMES_MAX: usize = 16;
/// Most session resources: each is fetched before a lane opens. The rest are left out.
const RESOURCES_MAX: usize = 16;

/// How a playlist was asked for: what tells where its URIs lead.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Absolute path and query on the packager.
    pub path: &'a str,
    /// The names by which the packager may call itself, as [`resolve`] takes them.
    pub own_hosts: &'a [String],
}

/// Where a URI leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To the packager.
    Here,
    /// To another host, or into the URI itself (`data:`): not ours to change.
    Elsewhere,
    /// Nowhere.
    Nowhere,
}

impl Asked<'_> {
    fn leads(&self, uri: &str) -> Leads {
        match resolve(self.path, uri, self.own_hosts) {
            Ok(_) => Leads::Here,
            Err(UriError::Elsewhere { .. } | UriError::Scheme) => Leads::Elsewhere,
            Err(UriError::Bad | UriError::TooLong) => Leads::Nowhere,
        }
    }
}

/// What becomes of a tag, by its attribute that is a URI.
enum Fate<'a> {
    /// It goes on as it is: no URI, or one that leads elsewhere.
    Kept,
    /// Nobody can follow its URI.
    LeftOut,
    /// The URI is the packager's.
    Ours(Attribute<'a>),
}

pub(super) fn read(
    body: &[u8],
    limits: &Limits,
    asked: &Asked<'_>,
) -> Result<Multivariant, MultivariantError> {
    let query = asked.path.split_once('?').map(|(_, query)| query);
    let imports = Variables::default();
    let context = Context { imports: &imports, query };
    let mut variables = Variables::default();
    let mut reader = Reader::new(asked);
    let mut kept = 0_usize;
    for line in Lines::of(body, limits)? {
        let (number, text) = line?;
        if let Some(list) = text.strip_prefix("#EXT-X-DEFINE:") {
            variables.define(list, number, &context)?;
            continue;
        }
        let line = variables.resolve(&text, number, limits.line_bytes)?;
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
    reader.finish(variables)
}

struct Reader<'a> {
    asked: &'a Asked<'a>,
    /// In the order of the text; ids and order come in `finish`.
    found: Vec<(Traits, String)>,
    resources: Vec<SessionResource>,
    lines: Vec<Line>,
    /// An EXT-X-STREAM-INF whose URI has not come, with where `lines` ended before it.
    variant: Option<(Traits, usize)>,
}

impl<'a> Reader<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        Self { asked, found: Vec::new(), resources: Vec::new(), lines: Vec::new(), variant: None }
    }

    fn line(&mut self, line: &str) -> Result<(), MultivariantError> {
        let (name, list) = line.split_once(':').unwrap_or((line, ""));
        match name {
            _ if !line.starts_with('#') => return self.variant_uri(line),
            "#EXT-X-STREAM-INF" => {
                self.drop_variant();
                self.variant = Some((traits::of_variant(list), self.lines.len()));
                self.keep(line);
            }
            "#EXT-X-MEDIA" => return self.media(line, list),
            "#EXT-X-I-FRAME-STREAM-INF" => return self.i_frames(line, list),
            "#EXT-X-SESSION-DATA" => self.resource(line, list, "URI", Resource::Data),
            "#EXT-X-SESSION-KEY" => self.resource(line, list, "URI", Resource::Key),
            "#EXT-X-CONTENT-STEERING" => {
                self.resource(line, list, "SERVER-URI", Resource::Steering);
            }
            _ if self.strands(line, list) => {}
            _ => self.keep(line),
        }
        Ok(())
    }

    fn keep(&mut self, line: &str) {
        self.lines.push(Line { before: line.to_owned(), hole: None, after: String::new() });
    }

    /// A tag that is not known, with a URI that would lead nowhere from our paths.
    fn strands(&self, line: &str, list: &str) -> bool {
        let uri = |a: &Attribute| a.name == "URI" || a.name.ends_with("-URI");
        line.starts_with("#EXT")
            && attributes(list).filter(uri).any(|a| self.asked.leads(a.value) != Leads::Elsewhere)
    }

    /// What becomes of a tag with the attributes `list`, of which `name` is a URI.
    fn fate<'l>(&self, list: &'l str, name: &str) -> Fate<'l> {
        let mut uris = attributes(list).filter(|a| a.name == name && !a.value.is_empty());
        match (uris.next(), uris.next()) {
            (None, _) => Fate::Kept,
            (Some(uri), None) => match self.asked.leads(uri.value) {
                Leads::Here => Fate::Ours(uri),
                Leads::Elsewhere => Fate::Kept,
                Leads::Nowhere => Fate::LeftOut,
            },
            // Players differ on which of two is meant, and the other one would stay.
            (Some(_), Some(_)) => Fate::LeftOut,
        }
    }

    /// Keeps a tag without its URI, which `hole` fills. An unquoted URI ends at a comma, which
    /// ours never holds.
    fn cut(&mut self, line: &str, list: &str, uri: &Attribute<'_>, hole: Hole) {
        let at = line.len() - list.len() + uri.at;
        if let (Some(before), Some(after)) = (line.get(..at), line.get(at + uri.value.len()..)) {
            let (before, after) = (before.to_owned(), after.to_owned());
            self.lines.push(Line { before, hole: Some(hole), after });
        }
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
        if self.variant.is_none() {
            // A URI without a tag names nothing either.
            return Ok(());
        }
        match self.asked.leads(uri) {
            Leads::Nowhere => self.drop_variant(),
            Leads::Elsewhere => {
                self.variant = None;
                self.keep(uri);
            }
            Leads::Here => {
                let traits = self.variant.take().map(|(traits, _)| traits).unwrap_or_default();
                let hole = Some(Hole::Rendition(self.found(traits, uri)?));
                self.lines.push(Line { before: String::new(), hole, after: String::new() });
            }
        }
        Ok(())
    }

    /// EXT-X-MEDIA (RFC 8216, 4.3.4.1): without URI it is in the variants' own segments.
    fn media(&mut self, line: &str, list: &str) -> Result<(), MultivariantError> {
        match self.fate(list, "URI") {
            Fate::Kept => self.keep(line),
            Fate::LeftOut => {}
            Fate::Ours(uri) => {
                let kind = match attribute(list, "TYPE").map(|kind| kind.value) {
                    Some("AUDIO") => Kind::Audio,
                    Some("VIDEO") => Kind::Video,
                    Some("SUBTITLES") => Kind::Subtitles,
                    _ => return Ok(()),
                };
                let index = self.found(traits::of_media(list, kind), uri.value)?;
                self.cut(line, list, &uri, Hole::Rendition(index));
            }
        }
        Ok(())
    }

    /// EXT-X-I-FRAME-STREAM-INF (RFC 8216, 4.3.4.3): its URI is an attribute, and must be there.
    fn i_frames(&mut self, line: &str, list: &str) -> Result<(), MultivariantError> {
        match self.fate(list, "URI") {
            Fate::Kept if attribute(list, "URI").is_some_and(|uri| !uri.value.is_empty()) => {
                self.keep(line);
            }
            Fate::Kept | Fate::LeftOut => {}
            Fate::Ours(uri) => {
                let known = self.found.iter().any(|(_, known)| known == uri.value);
                let room = self.count(|kind| kind == Kind::IFrames) < I_FRAMES_MAX;
                if known || room {
                    let index = self.found(traits::of_i_frames(list), uri.value)?;
                    self.cut(line, list, &uri, Hole::Rendition(index));
                }
            }
        }
        Ok(())
    }

    /// EXT-X-SESSION-DATA, EXT-X-SESSION-KEY (RFC 8216, 4.3.4.4 and 4.3.4.5) and
    /// EXT-X-CONTENT-STEERING (RFC 8216bis, 4.4.6.6).
    fn resource(&mut self, line: &str, list: &str, name: &str, kind: Resource) {
        match self.fate(list, name) {
            Fate::Kept => self.keep(line),
            Fate::LeftOut => {}
            Fate::Ours(uri) => {
                let same = |r: &SessionResource| r.kind == kind && r.uri == uri.value;
                let index = self.resources.iter().position(same).or_else(|| {
                    let room = self.resources.len() < RESOURCES_MAX;
                    room.then(|| {
                        self.resources.push(SessionResource { kind, uri: uri.value.to_owned() });
                        self.resources.len() - 1
                    })
                });
                if let Some(index) = index {
                    self.cut(line, list, &uri, Hole::Resource(index));
                }
            }
        }
    }

    fn count(&self, of: impl Fn(Kind) -> bool) -> usize {
        self.found.iter().filter(|(traits, _)| of(traits.kind)).count()
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
        if traits.kind != Kind::IFrames
            && self.count(|kind| kind != Kind::IFrames) >= RENDITIONS_MAX
        {
            return Err(MultivariantError::TooManyRenditions);
        }
        self.found.push((traits, uri.to_owned()));
        Ok(self.found.len() - 1)
    }

    fn finish(mut self, variables: Variables) -> Result<Multivariant, MultivariantError> {
        self.drop_variant();
        if self.count(|kind| kind == Kind::Variant) == 0 {
            return Err(MultivariantError::NoVariant);
        }
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|index| self.found.get(*index).map(|(traits, _)| traits.kind.rank()));
        let mut places = vec![0; order.len()];
        let mut found: Vec<Found> = Vec::with_capacity(order.len());
        for index in order {
            if let (Some(place), Some((traits, uri))) =
                (places.get_mut(index), self.found.get(index))
            {
                *place = found.len();
                let letter = traits.kind.letter();
                let same = |f: &&Found| f.rendition.traits.kind.letter() == letter;
                let count = found.iter().filter(same).count();
                let id = RenditionId::new(format!("{letter}{count}"));
                let rendition = Rendition { id, traits: traits.clone() };
                found.push(Found { rendition, uri: uri.clone() });
            }
        }
        for line in &mut self.lines {
            if let Some(Hole::Rendition(index)) = &mut line.hole {
                *index = places.get(*index).copied().unwrap_or_default();
            }
        }
        Ok(Multivariant { found, resources: self.resources, variables, lines: self.lines })
    }
}
