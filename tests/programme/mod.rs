//! A programme that is made up, as packagers write it in MPEG-TS: 25 pictures a second and sound of
//! 48 kHz, each of which says which one it is. The same moment of one encoder is the same coded
//! picture whoever packages it, so that splices can be looked for, and judged, by what is shown.
//!
//! Pure. `coded` the pictures and the sound, `packets` what they are packed in, `read` takes it apart
//! again, `spoilt` what is wrong with segments. Several test programs include this folder.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::similar_names,
    dead_code,
    unused_imports,
    reason = "a test may, and none needs all of it"
)]

pub mod coded;
mod packets;
mod read;
mod spoilt;

use std::ops::Range;

pub use read::{Seen, read};
pub use spoilt::{sound_alone, torn, without_pictures};

use coded::{Place, picture, sound};
use packets::{AUDIO, Pes, VIDEO, tables};

/// Ticks of 90 kHz.
pub const PICTURE_TICKS: i64 = 3600;
pub const SOUND_TICKS: i64 = 1920;
pub const PICTURE_MS: u64 = 40;
/// Packets of a keyframe; any other picture fits into one.
const KEY_PACKETS: u64 = 4;
/// From a clock reference to when the picture beside it is decoded.
const DELAY_TICKS: i64 = 45_000;

/// How one packager packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packaging {
    /// Others code the same moment differently.
    pub encoder: u8,
    /// Pictures from one keyframe to the next, and the first that is one.
    pub gop: u64,
    pub phase: u64,
    /// Pictures are shown in another order than they are decoded in.
    pub reorders: bool,
    /// Where the programme begins on its timeline, 90 kHz.
    pub base: i64,
    /// By how much sound is written later than what is shown with it, ticks: what one packager has at
    /// the end of a segment another has at the beginning of the next.
    pub sound_late: i64,
    /// Frames of sound in a PES packet.
    pub frames_in_one: u64,
    /// Its packets are counted from here.
    pub counter: u64,
}

impl Default for Packaging {
    fn default() -> Self {
        Self {
            encoder: 1,
            gop: 25,
            phase: 0,
            reorders: false,
            base: 0,
            sound_late: 0,
            frames_in_one: 1,
            counter: 0,
        }
    }
}

impl Packaging {
    /// The segment with these pictures, the packager's `number`, each picture with this text. What it
    /// goes on from is known without the segments before it.
    pub fn segment(&self, pictures: Range<u64>, number: u64, text: &str) -> Vec<u8> {
        let mut units = self.pictures(pictures.clone(), text);
        units.extend(self.sound(pictures));
        units.sort_by_key(|(at, ..)| *at);
        let mut out = tables(&[VIDEO, AUDIO], self.counter + number);
        for (_, count, counter, pes) in units {
            pes.write(count, self.counter + counter, &mut out);
        }
        out
    }

    /// PES packets with when they are written, how many packets each has, and the first one's counter.
    fn pictures(&self, pictures: Range<u64>, text: &str) -> Vec<(i64, usize, u64, Pes)> {
        let keys = |until: u64| (until + self.gop - self.phase - 1) / self.gop;
        let mut counter = pictures.start + (KEY_PACKETS - 1) * keys(pictures.start);
        let mut order: Vec<u64> = pictures.collect();
        order.sort_by_key(|n| self.decoded(*n));
        let pes = |number: u64| {
            let place = self.place(number);
            let (pts, dts) = (self.ticks(number), self.ticks(self.decoded(number)));
            let dts = dts - if self.reorders { PICTURE_TICKS } else { 0 };
            let data = picture(&place, self.gop, self.reorders, text);
            let (pcr, is_key) = (Some(dts - DELAY_TICKS), place.since_key == 0);
            let count = if is_key { KEY_PACKETS } else { 1 };
            counter += count;
            let pes = Pes { pid: VIDEO, pts, dts, pcr, is_key, data };
            (dts - self.base, count as usize, counter - count, pes)
        };
        order.into_iter().map(pes).collect()
    }

    fn sound(&self, pictures: Range<u64>) -> Vec<(i64, usize, u64, Pes)> {
        let frames = self.frames(&pictures);
        let (mut out, mut from) = (Vec::new(), frames.start);
        while from < frames.end {
            let to = (from + self.frames_in_one).min(frames.end);
            let data = (from..to).flat_map(|frame| sound(self.encoder, frame)).collect();
            let pts = self.base + SOUND_TICKS * from as i64;
            // It is written once it is whole.
            let at = SOUND_TICKS * (to - 1) as i64 + self.sound_late;
            let pes = Pes { pid: AUDIO, pts, dts: pts, pcr: None, is_key: false, data };
            out.push((at, (to - from) as usize, from, pes));
            from = to;
        }
        out
    }

    /// The frames of sound of the segment that has these pictures.
    pub fn frames(&self, pictures: &Range<u64>) -> Range<u64> {
        let first = |picture: u64| {
            let at = PICTURE_TICKS * picture as i64 - self.sound_late;
            at.max(0).unsigned_abs().div_ceil(SOUND_TICKS.unsigned_abs())
        };
        first(pictures.start)..first(pictures.end)
    }

    fn ticks(&self, picture: u64) -> i64 {
        self.base + PICTURE_TICKS * picture as i64
    }

    fn since_key(&self, picture: u64) -> u64 {
        (picture + self.gop - self.phase) % self.gop
    }

    /// Which one it is in the order of decoding: of each two the second comes first.
    fn decoded(&self, picture: u64) -> u64 {
        match self.since_key(picture) {
            since if !self.reorders || since == 0 => picture,
            since if since % 2 == 0 => picture - 1,
            since if since + 1 < self.gop => picture + 1,
            _ => picture,
        }
    }

    fn place(&self, number: u64) -> Place {
        let since_key = self.since_key(number);
        let is_reference = self.decoded(number) <= number;
        let references = match since_key {
            since if !self.reorders => since,
            since => since.div_ceil(2) + u64::from(!is_reference),
        };
        Place { encoder: self.encoder, number, since_key, references, is_reference }
    }
}
