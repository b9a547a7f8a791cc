//! The judge of exact splices: of all that a viewer received, each picture comes once and in order,
//! and sound neither stops nor comes twice, over every border. It reads what pictures carry and when
//! packets are shown, and knows nothing of how the border was made.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::decode::Decoded;
use super::{of, packets};
use crate::clip::FRAME_RATE;
use crate::laws::{Kind, Recording, Rendition, Stretch};

/// Milliseconds of a picture, and of a frame of sound (1024 samples of 48 kHz).
pub const PICTURE_MS: f64 = 1000.0 / FRAME_RATE as f64;
pub const SOUND_MS: f64 = 1024.0 / 48.0;

/// RTMP counts whole milliseconds, and nginx-rtmp lets sound drift by two before it moves it.
const PICTURE_STEP_OFF_MS: f64 = 2.5;
const SOUND_STEP_OFF_MS: f64 = 6.0;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Frames {
    pub findings: Vec<String>,
    pub joins: Vec<Join>,
    /// Pictures in all.
    pub pictures: usize,
    /// All that was received was also read in one go, with one clock.
    pub read_whole: bool,
}

/// Where two stretches meet.
#[derive(Clone, Debug, Serialize)]
pub struct Join {
    /// MSN of the first segment behind it.
    pub msn: u64,
    /// Pictures that never came; negative where they came twice.
    pub lost_frames: i64,
    /// How long there is no sound; negative where it overlaps. None where there is none.
    pub sound_gap_ms: Option<f64>,
    /// By how much the clock of pictures runs ahead of the one before.
    pub clock_step_ms: f64,
    /// EXTINF of the first segment, and how long its pictures last.
    pub first_entry_ms: f64,
}

impl Join {
    /// Nothing lost and nothing twice, by as little as players and ears can tell.
    pub fn exact(&self) -> bool {
        self.lost_frames == 0 && self.sound_gap_ms.is_none_or(|ms| ms.abs() < SOUND_MS)
    }

    /// Content lost, or repeated where negative.
    pub fn lost_ms(&self) -> f64 {
        self.lost_frames as f64 * PICTURE_MS
    }
}

/// One stretch on the programme's clock, milliseconds.
struct Placed {
    msn: u64,
    first: u32,
    last: u32,
    sound: Option<(f64, f64)>,
    /// The programme's clock less that of the packets.
    clock: f64,
    first_entry_ms: f64,
}

/// How the packets of a rendition are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// One encoder's clock is in all: what was received is one recording.
    One,
    /// Each run may have its own.
    Many,
}

/// Judges all variants that were recorded; what is decoded is kept in `folder`.
pub fn judge(recording: &Recording, clocks: Clocks, folder: &Path) -> Frames {
    let folder = folder.join("frames");
    std::fs::create_dir_all(&folder).unwrap();
    let mut frames = Frames::default();
    for (i, rendition) in of(recording, Kind::Variant) {
        frames.rendition(rendition, clocks, &folder.join(format!("variant-{i}")));
    }
    if frames.pictures == 0 {
        frames.find("no picture was received".to_owned());
    }
    frames
}

impl Frames {
    /// For the report.
    pub fn text(&self) -> String {
        let whole = if self.read_whole { ", also read in one go" } else { "" };
        let mut text = format!("  frames: {} pictures{whole}\n", self.pictures);
        for join in &self.joins {
            let Join { msn, lost_frames, sound_gap_ms, clock_step_ms, first_entry_ms } = join;
            let sound = sound_gap_ms.map_or_else(|| "no".to_owned(), |ms| format!("{ms:+.1} ms"));
            text.push_str(&format!(
                "    MSN {msn}: {lost_frames:+} frames lost, {sound} gap of sound, clock {clock_step_ms:+.0} \
                 ms, first entry {first_entry_ms:.0} ms\n"
            ));
        }
        let findings = self.findings.iter().take(12);
        findings.for_each(|f| text.push_str(&format!("    WRONG {f}\n")));
        text
    }

    pub fn join_at(&self, msn: u64) -> Option<&Join> {
        self.joins.iter().find(|j| j.msn == msn)
    }

    fn find(&mut self, what: String) {
        self.findings.push(what);
    }

    fn rendition(&mut self, rendition: &Rendition, clocks: Clocks, base: &Path) {
        let stretches = rendition.stretches();
        let mut placed = Vec::new();
        for stretch in &stretches {
            let what = format!("from MSN {}", stretch.first);
            let file = PathBuf::from(format!("{}-{}.bin", base.display(), stretch.first));
            std::fs::write(&file, bytes(rendition, std::slice::from_ref(stretch))).unwrap();
            let Some(decoded) = self.decode(&what, &file) else { continue };
            let Some(one) = self.place(&what, stretch, &decoded) else { continue };
            self.pictures += decoded.frames.len();
            let wrong = packets::wrong(&std::fs::read(&file).unwrap());
            wrong.iter().take(4).for_each(|w| self.find(format!("{what}: {w}")));
            placed.push(one);
        }
        self.joins.extend(placed.windows(2).map(|pair| join(&pair[0], &pair[1])));
        if clocks == Clocks::One && inits(rendition, &stretches).len() <= 1 {
            self.whole(rendition, &stretches, &base.with_extension("whole"));
        }
    }

    fn decode(&mut self, what: &str, file: &Path) -> Option<Decoded> {
        let decoded = Decoded::of_file(&[], file, &file.with_extension("codes"));
        decoded.map_err(|e| self.find(format!("{what}: {e}"))).ok()
    }

    /// All is as one packager made it, up to its end.
    fn place(&mut self, what: &str, stretch: &Stretch, decoded: &Decoded) -> Option<Placed> {
        let (frames, picture) = (&decoded.frames, decoded.picture.as_ref());
        let (Some(picture), Some(first), Some(last)) = (picture, frames.first(), frames.last())
        else {
            self.find(format!("{what}: no picture"));
            return None;
        };
        if frames.len() != picture.times.len() {
            let counts = (picture.times.len(), frames.len());
            self.find(format!("{what}: packets of pictures, and pictures: {counts:?}"));
        }
        for pair in frames.windows(2).filter(|p| p[1] != p[0] + 1) {
            self.find(format!("{what}: frame {} follows {}", pair[1], pair[0]));
        }
        self.steps(what, "pictures", &picture.times, (PICTURE_MS, PICTURE_STEP_OFF_MS));
        if let Some(sound) = &decoded.sound {
            self.steps(what, "sound", &sound.sent, (SOUND_MS, SOUND_STEP_OFF_MS));
        }
        let off = |(number, time): (&u32, &f64)| f64::from(*number) * PICTURE_MS - time * 1000.0;
        let offs: Vec<f64> = frames.iter().zip(&picture.times).map(off).collect();
        let clock = offs.iter().sum::<f64>() / offs.len() as f64;
        let sound = decoded.sound.as_ref();
        let sound = sound.map(|s| (s.first * 1000.0 + clock, s.last * 1000.0 + SOUND_MS + clock));
        let first_entry_ms = stretch.segments.first().map_or(0.0, |s| s.seconds() * 1000.0);
        let (msn, first, last) = (stretch.first, *first, *last);
        Some(Placed { msn, first, last, sound, clock, first_entry_ms })
    }

    /// Packets come one after the other, `due` milliseconds apart or `off` beside that.
    fn steps(&mut self, what: &str, kind: &str, times: &[f64], (due, off): (f64, f64)) {
        let mut wrong = Vec::new();
        for pair in times.windows(2) {
            let step = (pair[1] - pair[0]) * 1000.0;
            if (step - due).abs() > off {
                wrong.push(format!("{step:.1} ms after {:.3}", pair[0]));
            }
        }
        if !wrong.is_empty() {
            let count = wrong.len();
            wrong.truncate(4);
            self.find(format!("{what}: {count} steps of {kind}: {}", wrong.join(", ")));
        }
    }

    /// One recording from the first segment to the last: where all borders are exact nobody sees one.
    fn whole(&mut self, rendition: &Rendition, stretches: &[Stretch], file: &Path) {
        std::fs::write(file, bytes(rendition, stretches)).unwrap();
        let Some(decoded) = self.decode("in one go", file) else { return };
        for pair in decoded.frames.windows(2).filter(|p| p[1] != p[0] + 1) {
            self.find(format!("in one go: frame {} follows {}", pair[1], pair[0]));
        }
        if let Some(picture) = &decoded.picture {
            self.steps("in one go", "pictures", &picture.times, (PICTURE_MS, PICTURE_STEP_OFF_MS));
        }
        if let Some(sound) = &decoded.sound {
            self.steps("in one go", "sound", &sound.sent, (SOUND_MS, SOUND_MS));
        }
        self.read_whole = true;
    }
}

fn join(before: &Placed, after: &Placed) -> Join {
    let sound = before.sound.zip(after.sound);
    Join {
        msn: after.msn,
        lost_frames: i64::from(after.first) - i64::from(before.last) - 1,
        sound_gap_ms: sound.map(|((_, end), (begin, _))| begin - end),
        clock_step_ms: before.clock - after.clock,
        first_entry_ms: after.first_entry_ms,
    }
}

/// The init segments of a rendition, each once.
fn inits(rendition: &Rendition, stretches: &[Stretch]) -> Vec<Vec<u8>> {
    let maps = stretches.iter().flat_map(|s| &s.segments).filter_map(|s| s.map.as_ref());
    let mut inits: Vec<Vec<u8>> = Vec::new();
    for map in maps {
        let init = std::fs::read(rendition.kept(map.uri(), map.range())).unwrap_or_default();
        if !inits.contains(&init) {
            inits.push(init);
        }
    }
    inits
}

/// All bytes as they came, behind their init segment.
fn bytes(rendition: &Rendition, stretches: &[Stretch]) -> Vec<u8> {
    let mut all = inits(rendition, stretches).concat();
    for segment in stretches.iter().flat_map(|s| &s.segments) {
        all.extend(std::fs::read(rendition.kept(&segment.uri, segment.range)).unwrap_or_default());
    }
    all
}

#[test]
fn what_is_lost_or_comes_twice_is_counted() {
    let placed = |msn, first, last, sound| Placed {
        msn,
        first,
        last,
        sound: Some(sound),
        clock: 0.0,
        first_entry_ms: 0.0,
    };
    let before = placed(7, 0, 59, (0.0, 3990.0));
    let exact = join(&before, &placed(8, 60, 99, (3995.0, 6600.0)));
    assert!(exact.exact() && exact.lost_frames == 0);
    let lost = join(&before, &placed(8, 61, 99, (3990.0, 6600.0)));
    assert!(!lost.exact() && lost.lost_frames == 1);
    let twice = join(&before, &placed(8, 30, 99, (2000.0, 6600.0)));
    assert_eq!((twice.lost_frames, twice.sound_gap_ms), (-30, Some(-1990.0)));
    assert!(!join(&before, &placed(8, 60, 99, (4020.0, 6600.0))).exact(), "a frame of sound");
}
