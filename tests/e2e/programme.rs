//! What packagers have in common: one programme, encoded once in several sizes, with a clock of
//! its own. Whoever joins it, at any moment and under any fault, sends what is on air just then, so
//! that what two packagers show can be compared frame by frame.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::clip::{Clip, Recipe};
use crate::process::now_ms;

/// The sizes that it is encoded in, the smallest first.
pub const SIZES: [(u32, u32); 3] = [(320, 180), (480, 270), (640, 360)];

/// 540 s: longer than any run, and its frame numbers fit what a clip's pictures can carry.
const LENGTH_SECONDS: u32 = 540;

/// Seconds from keyframe to keyframe: where it can be joined.
const GOP_SECONDS: u32 = 2;

/// A programme on air.
pub struct Programme {
    clips: Vec<Clip>,
    captions: PathBuf,
    began_ms: u64,
}

impl Programme {
    /// Goes on air now, in the first `sizes` of [`SIZES`].
    pub fn begin(folder: &Path, sizes: usize) -> Self {
        let clips = SIZES
            .iter()
            .take(sizes)
            .map(|size| Clip::kept(folder, Recipe { size: *size, ..one_size() }));
        Self::of(folder, clips.collect())
    }

    /// Goes on air in one size that two encoders make: the same pictures, the second's keyframes a
    /// second later.
    pub fn by_two_encoders(folder: &Path) -> Self {
        let clips = [GOP_SECONDS, 1].map(|first_gop_seconds| {
            Clip::kept(folder, Recipe { first_gop_seconds, ..one_size() })
        });
        Self::of(folder, clips.to_vec())
    }

    fn of(folder: &Path, clips: Vec<Clip>) -> Self {
        let captions = folder.join("captions.vtt");
        std::fs::write(&captions, one_caption_a_second()).unwrap();
        Self { clips, captions, began_ms: now_ms() }
    }

    /// Waits for the next moment at which a segment of `grid` seconds begins for those who are
    /// `phase` seconds off, and says which second of the programme that is.
    pub fn next_border(&self, grid: u32, phase: u32) -> u32 {
        let now = now_ms() - self.began_ms;
        let (grid, phase) = (u64::from(grid), u64::from(phase));
        let second = (now.div_ceil(1000).saturating_sub(phase)).div_ceil(grid) * grid + phase;
        thread::sleep(Duration::from_millis((second * 1000).saturating_sub(now)));
        u32::try_from(second).unwrap()
    }

    /// Adds the inputs of `sizes` (or encoders), and the captions last, all from `second` on at the clock's pace.
    pub fn inputs(&self, ffmpeg: &mut Command, sizes: &[usize], captions: bool, second: u32) {
        let second = second.to_string();
        let clips = sizes.iter().map(|s| &self.clips[*s].path);
        for path in clips.chain(captions.then_some(&self.captions)) {
            ffmpeg.args(["-re", "-ss", &second, "-i"]).arg(path);
        }
    }
}

const fn one_size() -> Recipe {
    Recipe {
        size: SIZES[0],
        gop_seconds: GOP_SECONDS,
        first_gop_seconds: GOP_SECONDS,
        seconds: LENGTH_SECONDS,
        tone: 440,
    }
}

/// The second's number as text, for each second.
fn one_caption_a_second() -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for second in 0..LENGTH_SECONDS {
        let clock = |s: u32| format!("{:02}:{:02}:{:02}.000", s / 3600, s / 60 % 60, s % 60);
        let _ = write!(text, "{} --> {}\nsecond {second}\n\n", clock(second), clock(second + 1));
    }
    text
}
