//! What a multivariant playlist lists, as far as a watch needs it: a URI and a name for each
//! rendition.

use super::read::attribute;
use super::variables::Variables;

/// A media playlist that a multivariant playlist lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `v0`, `v1` for variants, `a0` audio, `s0` subtitles, `i0` I-frames, in their order.
    pub name: String,
    /// Its URI, verbatim.
    pub uri: String,
    /// What a human knows it by.
    pub title: String,
}

/// More renditions than this are not watched.
pub const VARIANTS_MAX: usize = 32;

/// The media playlists that `text` lists, each URI once; none if it is no multivariant playlist.
/// What it defines is added to `variables`.
#[must_use]
pub fn variants(text: &str, variables: &mut Variables) -> Vec<Variant> {
    let mut found: Vec<Variant> = Vec::new();
    let (mut v, mut a, mut s, mut i) = (0, 0, 0, 0);
    let mut stream_inf: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#EXT-X-DEFINE:") {
            let imports = variables.clone();
            variables.define(line, &imports);
            continue;
        }
        let line = &*variables.resolve(line);
        if line.starts_with("#EXT-X-STREAM-INF:") {
            stream_inf = Some(line.to_owned());
        } else if line.starts_with("#EXT-X-I-FRAME-STREAM-INF:") {
            let Some(uri) = attribute(line, "URI") else { continue };
            push(&mut found, 'i', &mut i, uri, title(line));
        } else if line.starts_with("#EXT-X-MEDIA:") {
            let Some(uri) = attribute(line, "URI") else { continue };
            let (letter, count) = match attribute(line, "TYPE") {
                Some("AUDIO") => ('a', &mut a),
                Some("SUBTITLES") => ('s', &mut s),
                _ => ('v', &mut v),
            };
            let title = attribute(line, "NAME").unwrap_or_default().to_owned();
            push(&mut found, letter, count, uri, title);
        } else if !line.is_empty() && !line.starts_with('#') {
            let Some(inf) = stream_inf.take() else { continue };
            push(&mut found, 'v', &mut v, line, title(&inf));
        }
    }
    found
}

fn title(inf: &str) -> String {
    let parts = [attribute(inf, "RESOLUTION"), attribute(inf, "BANDWIDTH")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn push(found: &mut Vec<Variant>, letter: char, count: &mut usize, uri: &str, title: String) {
    if found.len() < VARIANTS_MAX && found.iter().all(|f| f.uri != uri) {
        found.push(Variant { name: format!("{letter}{count}"), uri: uri.to_owned(), title });
        *count += 1;
    }
}
