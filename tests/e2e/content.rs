//! What a viewer of the lane received, judged with ffmpeg: each stretch between two discontinuities
//! decodes without an error, and since each picture carries its number, what is lost or shown twice
//! at a border is counted to the frame.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clip::FRAME_RATE;
use crate::laws::{Kind, Recording, Rendition, Stretch};
use crate::packagers::SEGMENT_SECONDS;

mod captions;
mod decode;
pub mod frames;
mod joined;
mod packets;

use decode::Decoded;

/// What may be lost or repeated at a border: one segment, and the frame that is neither's.
const BORDER_SECONDS_MAX: f64 = SEGMENT_SECONDS as f64 + 0.1;

/// Stretches whose clocks agree so well, and between which nothing is missing, are one.
const ONE_CLOCK_SECONDS: f64 = 0.02;

/// How far a programme's clock may be off the pictures, seconds.
const CLOCK_TOLERANCE: f64 = 0.1;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    pub findings: Vec<String>,
    pub borders: Vec<Border>,
    /// Stretches that were decoded.
    pub decoded: usize,
}

/// Where two stretches of one rendition meet.
#[derive(Clone, Debug, Serialize)]
pub struct Border {
    pub rendition: String,
    /// MSN of the first segment behind it.
    pub msn: u64,
    /// Seconds of content that are missing; negative where they came twice.
    pub lost_seconds: f64,
}

/// A stretch that was decoded, and where in the programme it lies.
struct Placed {
    number: u64,
    first: u64,
    /// Seconds of the programme.
    begin: f64,
    end: f64,
    clock: Clock,
}

/// Relates a stretch's timestamps to the programme.
#[derive(Clone, Copy)]
pub struct Clock {
    pts: f64,
    programme: f64,
}

impl Clock {
    /// The second of the programme that is shown at `pts`.
    pub fn programme(self, pts: f64) -> f64 {
        self.programme + pts - self.pts
    }
}

/// Judges all that was recorded, where the proxy said that it spliced at these MSNs; what is decoded is
/// kept in `folder`.
pub fn judge(recording: &Recording, splices: &BTreeSet<u64>, folder: &Path) -> Verdict {
    let folder = folder.join("content");
    std::fs::create_dir_all(&folder).unwrap();
    let mut verdict = Verdict::default();
    let mut pictures: Vec<Placed> = Vec::new();
    for (i, rendition) in of(recording, Kind::Variant) {
        let placed = verdict.pictures(rendition, &folder.join(format!("{i}-variant")));
        verdict.borders_of(&format!("variant {i}"), &placed, splices);
        if pictures.is_empty() {
            pictures = placed;
        }
    }
    for (i, rendition) in of(recording, Kind::Sound) {
        let placed = verdict.sound(rendition, &pictures, &folder.join(format!("{i}-sound")));
        verdict.borders_of(&format!("sound {i}"), &placed, splices);
    }
    for (i, rendition) in of(recording, Kind::Captions) {
        let placed = verdict.captions(rendition, &pictures);
        verdict.borders_of(&format!("captions {i}"), &placed, splices);
    }
    verdict
}

fn of(recording: &Recording, kind: Kind) -> impl Iterator<Item = (usize, &Rendition)> {
    recording.renditions.iter().enumerate().filter(move |(_, r)| r.kind == kind)
}

impl Verdict {
    /// For the report.
    pub fn text(&self) -> String {
        let mut text = format!("  content: {} stretches decoded\n", self.decoded);
        for border in &self.borders {
            let Border { rendition, msn, lost_seconds } = border;
            text.push_str(&format!("    {rendition}, MSN {msn}: {lost_seconds:+.3} s lost\n"));
        }
        let findings = self.findings.iter().take(12);
        findings.for_each(|f| text.push_str(&format!("    WRONG {f}\n")));
        text
    }

    fn find(&mut self, what: String) {
        self.findings.push(what);
    }

    fn decode(&mut self, rendition: &Rendition, stretch: &Stretch, base: &Path) -> Option<Decoded> {
        let file = PathBuf::from(format!("{}-{}.m3u8", base.display(), stretch.first));
        let decoded = Decoded::of(rendition, stretch, &file);
        self.decoded += 1;
        decoded.map_err(|e| self.find(format!("{}: {e}", file.display()))).ok()
    }

    fn pictures(&mut self, rendition: &Rendition, base: &Path) -> Vec<Placed> {
        let mut placed = Vec::new();
        for stretch in rendition.stretches() {
            let Some(decoded) = self.decode(rendition, &stretch, base) else { continue };
            let what = format!("{}, from MSN {}", base.display(), stretch.first);
            let (Some(first), Some(last)) = (decoded.frames.first(), decoded.frames.last()) else {
                self.find(format!("{what}: no picture"));
                continue;
            };
            for pair in decoded.frames.windows(2).filter(|p| p[1] != p[0] + 1) {
                self.find(format!("{what}: frame {} follows {}", pair[1], pair[0]));
            }
            let Some(picture) = decoded.picture else { continue };
            let begin = seconds(*first);
            let clock = Clock { pts: picture.first, programme: begin };
            self.same_clock(&what, clock, picture.last, seconds(*last));
            if let Some(sound) = decoded.sound {
                let apart =
                    (sound.first - picture.first).abs().max((sound.end - picture.end).abs());
                if apart > 1.0 {
                    let spans = [(picture.first, picture.end), (sound.first, sound.end)];
                    self.find(format!("{what}: picture and sound, seconds: {spans:?}"));
                }
            }
            let end = seconds(*last + 1);
            let (number, first) = (stretch.number, stretch.first);
            placed.push(Placed { number, first, begin, end, clock });
        }
        placed
    }

    /// Timestamps run as the pictures do.
    fn same_clock(&mut self, what: &str, clock: Clock, pts: f64, shown: f64) {
        let off = clock.programme(pts) - shown;
        if off.abs() > CLOCK_TOLERANCE {
            self.find(format!("{what}: timestamps run {off:.3} s off the pictures"));
        }
    }

    fn sound(&mut self, rendition: &Rendition, pictures: &[Placed], base: &Path) -> Vec<Placed> {
        let mut placed = Vec::new();
        for stretch in rendition.stretches() {
            let Some(decoded) = self.decode(rendition, &stretch, base) else { continue };
            let what = format!("{}, from MSN {}", base.display(), stretch.first);
            let Some(sound) = decoded.sound else {
                self.find(format!("{what}: no sound"));
                continue;
            };
            if sound.longest_step > 0.1 {
                self.find(format!("{what}: {:.3} s of sound are missing", sound.longest_step));
            }
            if let Some(picture) = pictures.iter().find(|p| p.number == stretch.number) {
                let clock = picture.clock;
                let (begin, end) = (clock.programme(sound.first), clock.programme(sound.end));
                self.near(&what, picture, begin, end);
                let (number, first) = (stretch.number, stretch.first);
                placed.push(Placed { number, first, begin, end, clock });
            }
        }
        placed
    }

    fn captions(&mut self, rendition: &Rendition, pictures: &[Placed]) -> Vec<Placed> {
        let mut placed = Vec::new();
        for stretch in rendition.stretches() {
            let Some(picture) = pictures.iter().find(|p| p.number == stretch.number) else {
                continue;
            };
            let what = format!("captions from MSN {}", stretch.first);
            let cues = captions::read(rendition, &stretch, picture.clock);
            let mut cues = match cues {
                Ok(cues) => cues,
                Err(e) => {
                    self.find(format!("{what}: {e}"));
                    continue;
                }
            };
            cues.dedup();
            for pair in cues.windows(2).filter(|p| p[1] != p[0] + 1) {
                self.find(format!("{what}: second {} follows {}", pair[1], pair[0]));
            }
            if let (Some(first), Some(last)) = (cues.first(), cues.last()) {
                let (begin, end) = (f64::from(*first), f64::from(*last + 1));
                self.near(&what, picture, begin, end);
                let (number, first, clock) = (stretch.number, stretch.first, picture.clock);
                placed.push(Placed { number, first, begin, end, clock });
            }
        }
        placed
    }

    /// A rendition's part of a stretch begins and ends where the pictures do, or a segment off.
    fn near(&mut self, what: &str, picture: &Placed, begin: f64, end: f64) {
        let off = (begin - picture.begin).abs().max((end - picture.end).abs());
        if off > BORDER_SECONDS_MAX {
            let pictures = (picture.begin, picture.end);
            self.find(format!("{what}: seconds {:?}, the pictures {pictures:?}", (begin, end)));
        }
    }

    /// At `splices` a discontinuity is due, however well all goes on.
    fn borders_of(&mut self, rendition: &str, placed: &[Placed], splices: &BTreeSet<u64>) {
        for pair in placed.windows(2) {
            let lost = pair[1].begin - pair[0].end;
            let (msn, rendition) = (pair[1].first, rendition.to_owned());
            if lost.abs() > BORDER_SECONDS_MAX {
                self.find(format!(
                    "{rendition}, MSN {msn}: {lost:.3} s lost (repeated if negative)"
                ));
            }
            let apart = pair[1].clock.programme(0.0) - pair[0].clock.programme(0.0);
            let one = lost.abs() < ONE_CLOCK_SECONDS && apart.abs() < ONE_CLOCK_SECONDS;
            if one && !splices.contains(&msn) {
                self.find(format!("{rendition}, MSN {msn}: a discontinuity where all goes on"));
            }
            self.borders.push(Border { rendition, msn, lost_seconds: lost });
        }
    }
}

fn seconds(frame: u32) -> f64 {
    f64::from(frame) / f64::from(FRAME_RATE)
}
