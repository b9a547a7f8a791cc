//! What scripted packagers answer for segments, init segments and keys.

use segue::model::names::ContentHash;

use crate::cipher::{self, Key};
use crate::content::{Label, init};
use crate::lists::IN_ONE;
use crate::packager::Source;
use crate::script::{Kind, Ranges, Rendition, State, Window};

/// Packets of an I-frame.
const FRAME_PACKETS: u64 = 4;
const PACKET: u64 = 188;

impl State {
    /// The file of that name, and what the rendition is whose it is; none if it is not there.
    pub fn file(&self, source: &Source, file: &str) -> Option<(String, Vec<u8>)> {
        let (stem, _) = file.rsplit_once('.')?;
        let (name, number) = stem.rsplit_once('-')?;
        if name == "key" {
            let key = self.key(source, number.parse().ok()?);
            return Some(("key".to_owned(), key.to_vec()));
        }
        let (name, all) = name.strip_suffix("-all").map_or((name, false), |name| (name, true));
        let rendition = self.all().into_iter().find(|r| r.file == name)?;
        let what = rendition.what.clone();
        if number == "init" {
            let (packager, life) = self.maker(source);
            return Some((what.clone(), init(&packager, life, &what)));
        }
        let number: u64 = number.parse().ok()?;
        if !all {
            let k = number.checked_sub(self.first_number)?;
            let there = self.keeps(&rendition, k) && !self.is_gap(number);
            return there.then(|| (what, self.segment(source, &rendition, k)));
        }
        let of_this = number * IN_ONE..(number + 1) * IN_ONE;
        let made = of_this
            .filter_map(|n| n.checked_sub(self.first_number))
            .filter(|k| *k < self.made(&rendition));
        let bytes: Vec<u8> = made.flat_map(|k| self.segment(source, &rendition, k)).collect();
        (!bytes.is_empty()).then_some((what, bytes))
    }

    /// Who made it. A file that is the same on all was made elsewhere.
    fn maker(&self, source: &Source) -> (String, u32) {
        match self.style.window {
            Window::Vod(_) => ("file".to_owned(), 1),
            _ => (source.id.clone(), self.life),
        }
    }

    fn segment(&self, source: &Source, rendition: &Rendition, k: u64) -> Vec<u8> {
        let (packager, life) = self.maker(source);
        let (start_ms, number) = (self.start_of(rendition, k), self.first_number + k);
        // A file has one timeline, whoever has a copy of it.
        let file = matches!(self.style.window, Window::Vod(_));
        let timeline_ms = if file { 0 } else { source.timeline_ms };
        let label = Label {
            packager,
            life,
            stream: source.stream.clone(),
            rendition: rendition.what.clone(),
            number,
            start_ms,
            duration_ms: rendition.ms,
            pts_ms: start_ms - self.begun_ms.min(start_ms) + timeline_ms,
        };
        let bytes = label.bytes(rendition.container, self.packets);
        match self.key_period(start_ms) {
            None => bytes,
            Some(period) => {
                let key = self.key(source, period);
                cipher::encrypt(&bytes, &key, cipher::implicit_iv(number))
            }
        }
    }

    /// Another one for each life of each packager, under the same name.
    fn key(&self, source: &Source, period: u64) -> Key {
        let (packager, life) = self.maker(source);
        let text = format!("{packager}|{life}|{}|{period}", source.stream);
        ContentHash::of(text.as_bytes()).0[..16].try_into().unwrap()
    }

    pub fn ranges(&self, rendition: &Rendition) -> Option<Ranges> {
        self.style.ranges.filter(|_| rendition.kind != Kind::Subtitles)
    }

    /// Where a segment lies in its resource: offset and length.
    pub fn range(&self, source: &Source, rendition: &Rendition, k: u64) -> (usize, usize) {
        let number = self.first_number + k;
        let length = |k| self.segment(source, rendition, k).len();
        let first = number / IN_ONE * IN_ONE;
        let before = (first..number).filter_map(|n| n.checked_sub(self.first_number));
        (before.map(length).sum(), length(k))
    }

    /// Where a frame lies in its segment: offset and length.
    pub fn frame(&self, frame: u64) -> (u64, u64) {
        let apart = self.packets as u64 / self.style.frames;
        (frame * apart * PACKET, FRAME_PACKETS.min(apart) * PACKET)
    }
}
