//! The frames of a stream of sound: ADTS, MPEG audio and AC-3, told by their headers. Each says how
//! long it is, so that what is in it is passed over.

use super::super::{Audio, Codec, Damage, Span, Ticks};
use super::pictures::usual_distance;
use super::read::{Pes, Place};

/// More frames than a segment has: twenty minutes of AAC.
const FRAMES_MAX: usize = 60_000;
/// What a header is told by.
const HEADER_BYTES: usize = 7;

/// A frame that begins in this segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) pts: i64,
}

/// Takes a stream's bytes.
#[derive(Debug)]
pub(super) struct Frames {
    codec: Codec,
    found: Vec<Frame>,
    /// What is left of the open frame.
    skip: usize,
    /// A header that is not whole yet, and where it begins.
    head: Vec<u8>,
    begins: Place,
    /// The last time that was written, for which PES packet, and what came since.
    base: Option<(usize, i64)>,
    samples: u64,
    kind: Option<Kind>,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    bytes: usize,
    samples: u32,
    rate: u32,
    codec: Codec,
}

impl Kind {
    /// For so many samples.
    fn ticks(self, samples: u64) -> i64 {
        let ticks = samples * Ticks::SECOND.unsigned_abs() / u64::from(self.rate.max(1));
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }
}

impl Frames {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            found: Vec::new(),
            skip: 0,
            head: Vec::with_capacity(HEADER_BYTES),
            begins: Place { pes: 0, offset: 0 },
            base: None,
            samples: 0,
            kind: None,
        }
    }

    /// What a PES packet holds from `place` on; `pts` is what its header says.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        place: Place,
        pts: Option<i64>,
    ) -> Result<(), Damage> {
        let mut at = 0;
        while self.codec != Codec::Other {
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
            if self.skip > 0 {
                let passed = self.skip.min(rest.len());
                (self.skip, at) = (self.skip - passed, at + passed);
                continue;
            }
            if self.head.is_empty() {
                self.begins = Place { pes: place.pes, offset: place.offset + at };
            }
            let wanted = HEADER_BYTES - self.head.len();
            let taken = rest.get(..wanted).unwrap_or(rest);
            self.head.extend_from_slice(taken);
            at += taken.len();
            if self.head.len() < HEADER_BYTES {
                break;
            }
            match read(self.codec, &self.head) {
                Some(kind) => self.begin(kind, pts.filter(|_| self.begins.pes == place.pes))?,
                None => self.lost(),
            }
        }
        Ok(())
    }

    /// Where it goes on: with the next byte that can be the first of a header.
    fn lost(&mut self) {
        let first: u8 = if self.codec == Codec::Ac3 { 0x0b } else { 0xff };
        let next = self.head.iter().skip(1).position(|byte| *byte == first);
        let gone = next.map_or(self.head.len(), |next| next + 1);
        self.head.drain(..gone);
        self.begins.offset += gone;
    }

    fn begin(&mut self, kind: Kind, pts: Option<i64>) -> Result<(), Damage> {
        if self.found.len() == FRAMES_MAX {
            return Err(Damage::Malformed("it has more sound than a segment has"));
        }
        self.head.clear();
        self.skip = kind.bytes.saturating_sub(HEADER_BYTES);
        let pes = self.begins.pes;
        if let Some(pts) = pts.filter(|_| self.base.is_none_or(|(last, _)| last != pes)) {
            (self.base, self.samples) = (Some((pes, pts)), 0);
        }
        if let Some((_, base)) = self.base {
            self.found.push(Frame { place: self.begins, pts: base + kind.ticks(self.samples) });
        }
        self.samples += u64::from(kind.samples);
        self.kind = Some(kind);
        Ok(())
    }

    /// All of them; of what is not read, each PES packet is taken for one.
    pub(super) fn finish(mut self, pes: &[Pes]) -> Heard {
        if self.codec == Codec::Other {
            let timed = pes.iter().enumerate().filter_map(|(n, pes)| {
                Some(Frame { place: Place { pes: n, offset: 0 }, pts: pes.pts? })
            });
            self.found = timed.collect();
        }
        if self.skip > 0 {
            // The last one is torn.
            self.found.pop();
        }
        let mut times: Vec<i64> = self.found.iter().map(|frame| frame.pts).collect();
        let (codec, frame) = match self.kind {
            Some(kind) => (kind.codec, kind.ticks(kind.samples.into())),
            None => (self.codec, usual_distance(&mut times)),
        };
        Heard { codec, frame, frames: self.found }
    }
}

/// The sound of one stream.
#[derive(Debug)]
pub(super) struct Heard {
    codec: Codec,
    frame: i64,
    pub(super) frames: Vec<Frame>,
}

impl Heard {
    /// None: nothing begins in this segment.
    pub(super) fn audio(&self) -> Option<Audio> {
        let (first, last) = self.frames.first().zip(self.frames.last())?;
        Some(Audio {
            codec: self.codec,
            pts: Span { first: Ticks(first.pts), last: Ticks(last.pts) },
            frame: Ticks(self.frame),
            frames: u32::try_from(self.frames.len()).unwrap_or(u32::MAX),
        })
    }

    /// The first that does not begin more than half of one before `from`, and which it is.
    pub(super) fn nearest(&self, from: i64) -> Option<(usize, &Frame)> {
        let mut frames = self.frames.iter().enumerate();
        frames.find(|(_, frame)| 2 * (frame.pts - from) + self.frame >= 0)
    }
}

fn read(codec: Codec, head: &[u8]) -> Option<Kind> {
    match codec {
        Codec::Aac => adts(head),
        Codec::Mp3 => mpeg_audio(head),
        Codec::Ac3 => ac3(head),
        _ => None,
    }
}

/// ISO/IEC 13818-7, 6.2.
fn adts(head: &[u8]) -> Option<Kind> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let &[0xff, second, third, fourth, fifth, sixth, seventh, ..] = head else { return None };
    let bytes = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    let rate = *RATES.get(usize::from(third >> 2 & 0x0f))?;
    let samples = (u32::from(seventh & 3) + 1) * 1024;
    let valid = second & 0xf6 == 0xf0 && bytes >= HEADER_BYTES;
    valid.then_some(Kind { bytes, samples, rate, codec: Codec::Aac })
}

/// ISO/IEC 11172-3, 2.4.1.3, and 13818-3; the lower rates of MPEG-2.5 too.
fn mpeg_audio(head: &[u8]) -> Option<Kind> {
    const KBITS: [[u32; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    const RATES: [u32; 3] = [44_100, 48_000, 32_000];
    let &[0xff, second, third, ..] = head else { return None };
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    let full = RATES.get(usize::from(third >> 2 & 3))?;
    let (rate, is_low) = match version {
        0 => (full / 4, true),
        2 => (full / 2, true),
        3 => (*full, false),
        _ => return None,
    };
    // The layer is written backwards: 3 is I, 2 is II, 1 is III.
    let (row, samples, slot) = match (layer, is_low) {
        (3, false) => (0, 384, 4),
        (3, true) => (3, 384, 4),
        (2, false) => (1, 1152, 1),
        (1, false) => (2, 1152, 1),
        (2, true) => (4, 1152, 1),
        (1, true) => (4, 576, 1),
        _ => return None,
    };
    let index = usize::from(third >> 4).checked_sub(1)?;
    let kbits = KBITS.get(row)?.get(index)?;
    let slots = samples / 8 * 1000 * kbits / rate / slot + u32::from(third >> 1 & 1);
    let bytes = usize::try_from(slots * slot).ok()?;
    let codec = if layer == 1 { Codec::Mp3 } else { Codec::Other };
    (second & 0xe0 == 0xe0).then_some(Kind { bytes, samples, rate, codec })
}

/// ATSC A/52, 5.4.1 and table 5.18. Of `bsid` 9 and 10 the rates are halved; above it is E-AC-3.
fn ac3(head: &[u8]) -> Option<Kind> {
    const KBITS: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let &[0x0b, 0x77, _, _, sizes, id, ..] = head else { return None };
    let kbits = *KBITS.get(usize::from(sizes >> 1 & 0x1f))?;
    let (rate, words) = match sizes >> 6 {
        0 => (48_000, kbits * 2),
        1 => (44_100, kbits * 320 / 147 + u32::from(sizes & 1)),
        2 => (32_000, kbits * 3),
        _ => return None,
    };
    let halved = match id >> 3 {
        0..=8 => 0,
        9 => 1,
        10 => 2,
        _ => return None,
    };
    let bytes = usize::try_from(words * 2).ok()?;
    Some(Kind { bytes, samples: 1536, rate: rate >> halved, codec: Codec::Ac3 })
}
