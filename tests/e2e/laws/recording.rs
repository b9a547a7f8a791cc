//! All that was listed, on disk: what a viewer of the lane received. It can be written out again as
//! playlists of local files, one for each run between two discontinuities.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::list::{Map, Segment, attribute};
use crate::http::{self, Answer};

/// What a media playlist is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures, with sound or without.
    Variant,
    Sound,
    Captions,
    /// I-frames alone: parts of a variant's segments.
    Frames,
}

/// What is behind a URL, or a range of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub url: String,
    pub range: Option<(u64, u64)>,
}

impl Resource {
    pub fn get(&self, timeout: Duration) -> io::Result<Answer> {
        let Some((from, length)) = self.range else { return http::get(&self.url, timeout) };
        let range = format!("bytes={from}-{}", (from + length).saturating_sub(1));
        let answer = http::get_with(&self.url, &[("Range", &range)], timeout)?;
        if answer.status == 206 && answer.body.len() as u64 != length {
            return Err(io::Error::other(format!("{} bytes of {length}", answer.body.len())));
        }
        Ok(answer)
    }

    /// What a good answer says.
    pub const fn status(&self) -> u16 {
        if self.range.is_some() { 206 } else { 200 }
    }

    /// A file name for it: players look at the ending.
    fn file(&self) -> String {
        let path = self.url.split('?').next().unwrap_or_default();
        let ending = Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or("bin");
        let hash = blake3::hash(format!("{self:?}").as_bytes()).to_hex();
        format!("{}.{ending}", &hash[..16])
    }
}

/// A segment of a lane.
#[derive(Clone, Debug)]
pub struct Listed {
    pub segment: Segment,
    /// How many discontinuities the lane had up to it.
    pub discontinuity: u64,
}

/// One media playlist of the lane from the first refresh to the last.
pub struct Rendition {
    pub kind: Kind,
    pub url: String,
    pub segments: BTreeMap<u64, Listed>,
    folder: PathBuf,
}

/// A whole lane.
pub struct Recording {
    pub renditions: Vec<Rendition>,
}

/// Segments that follow each other without a discontinuity or a hole.
pub struct Stretch {
    /// The lane's discontinuity number.
    pub number: u64,
    /// The MSN of its first segment: an IV that is not written is made of it.
    pub first: u64,
    pub segments: Vec<Segment>,
}

impl Rendition {
    pub fn begin(kind: Kind, url: String, folder: &Path) -> Self {
        Self { kind, url, segments: BTreeMap::new(), folder: folder.to_owned() }
    }

    /// Keeps what was behind `resource`.
    pub fn keep(&self, resource: &Resource, bytes: &[u8]) {
        std::fs::write(self.folder.join(resource.file()), bytes).unwrap();
    }

    /// Where that of `uri` is kept.
    pub fn kept(&self, uri: &str, range: Option<(u64, u64)>) -> PathBuf {
        let resource = Resource { url: http::resolve(&self.url, uri), range };
        self.folder.join(resource.file())
    }

    /// What was received, cut at discontinuities, gaps and what never came.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut follows = None;
        for (msn, listed) in &self.segments {
            let (segment, number) = (&listed.segment, listed.discontinuity);
            if segment.is_gap() || !self.kept(&segment.uri, segment.range).exists() {
                continue;
            }
            let goes_on = follows == Some((*msn, number)) && !segment.has("#EXT-X-DISCONTINUITY");
            if let Some(last) = stretches.last_mut().filter(|_| goes_on) {
                last.segments.push(segment.clone());
            } else {
                let (first, segments) = (*msn, vec![segment.clone()]);
                stretches.push(Stretch { number, first, segments });
            }
            follows = Some((msn + 1, number));
        }
        stretches
    }

    /// Writes a playlist of local files that a player can play to its end.
    pub fn write_local(&self, stretch: &Stretch, file: &Path) {
        let longest = stretch.segments.iter().map(Segment::seconds).fold(1.0, f64::max);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            longest.ceil(),
            stretch.first
        );
        let (mut keys, mut map): (Vec<String>, Option<Map>) = (Vec::new(), None);
        for segment in &stretch.segments {
            if segment.map != map
                && let Some(new) = &segment.map
            {
                self.change_keys(&mut keys, &new.keys, &mut text);
                let init = self.kept(new.uri(), new.range());
                text.push_str(&format!("#EXT-X-MAP:URI=\"{}\"\n", init.display()));
            }
            map.clone_from(&segment.map);
            self.change_keys(&mut keys, &segment.keys, &mut text);
            segment.lines.iter().for_each(|l| text.push_str(&format!("{l}\n")));
            let path = self.kept(&segment.uri, segment.range);
            text.push_str(&format!("{}\n", path.display()));
        }
        text.push_str("#EXT-X-ENDLIST\n");
        std::fs::write(file, text).unwrap();
    }

    fn change_keys(&self, old: &mut Vec<String>, new: &[String], text: &mut String) {
        if *old == new {
            return;
        }
        if new.is_empty() {
            text.push_str("#EXT-X-KEY:METHOD=NONE\n");
        }
        for line in new {
            let uri = attribute(line, "URI").unwrap_or_default();
            let local = self.kept(uri, None).display().to_string();
            text.push_str(&format!("{}\n", line.replacen(uri, &local, 1)));
        }
        *old = new.to_vec();
    }
}
