//! What is on air: a test picture that carries its own number, and a tone. Encoded once and copied
//! from then on, so that encoding takes nothing from the players.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// An encoded clip on disk.
#[derive(Clone)]
pub struct Clip {
    pub path: PathBuf,
}

/// How a clip is encoded.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// Seconds from keyframe to keyframe.
    pub gop_seconds: u32,
    /// Seconds from the first keyframe to the second: another encoder has its keyframes elsewhere.
    pub first_gop_seconds: u32,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Hertz of the tone.
    pub tone: u32,
    /// How long it lasts.
    pub seconds: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            gop_seconds: 2,
            first_gop_seconds: 2,
            size: (320, 180),
            tone: 440,
            seconds: LENGTH_SECONDS,
        }
    }
}

/// Frames a second.
pub const FRAME_RATE: u32 = 15;
/// 320 s are whole frames of video (15/s) and of AAC (48000 / 1024 a second): the loop closes
/// without a hole, and no run is so long that it comes round.
const LENGTH_SECONDS: u32 = 320;

/// Each picture carries its number in the clip, the lowest bit first, as squares along its upper
/// edge: white is one. The squares are of one size in pixels whatever the picture's.
pub const CODE_BITS: u32 = 14;
/// Pixels of a square's side, and those left of the first.
pub const CODE_SQUARE: u32 = 16;
pub const CODE_LEFT: u32 = 8;

impl Clip {
    /// Encodes a clip as `folder/name.mp4`.
    pub fn encode(folder: &Path, name: &str, recipe: Recipe) -> Self {
        let path = folder.join(format!("{name}.mp4"));
        let mut ffmpeg = recipe.command();
        ffmpeg.arg(&path);
        let mut encoder = Process::spawn(&format!("encode-{name}"), ffmpeg, folder);
        let status = encoder.wait_end(Duration::from_secs(240));
        assert!(status.success(), "ffmpeg: {}", encoder.log_text());
        Self { path }
    }

    /// The same, kept for all runs of one build: the name is made of all that it was made from.
    pub fn kept(folder: &Path, recipe: Recipe) -> Self {
        let clips = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clips");
        std::fs::create_dir_all(&clips).unwrap();
        let from = format!("{:?}", recipe.command());
        let name = format!("{}.mp4", blake3::hash(from.as_bytes()).to_hex());
        let path = clips.join(name);
        if !path.exists() {
            let made = Self::encode(folder, &format!("clip-{}", recipe.size.1), recipe);
            // Under its name it is whole. The folder may lie on another disk.
            let partial = clips.join(format!("{}.partial", std::process::id()));
            std::fs::copy(&made.path, &partial).unwrap();
            std::fs::rename(&partial, &path).unwrap();
        }
        Self { path }
    }

    /// Adds the clip as an input at the pace of its clock, for ever.
    pub fn for_ever(&self, ffmpeg: &mut Command) {
        ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]).arg(&self.path);
    }
}

/// An ffmpeg that says little.
pub fn ffmpeg() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "warning"]);
    ffmpeg
}

impl Recipe {
    /// ffmpeg that encodes it; the output's path is for the caller to add.
    fn command(&self) -> Command {
        let (width, height) = self.size;
        let gop = (self.gop_seconds * FRAME_RATE).to_string();
        let mut ffmpeg = ffmpeg();
        ffmpeg.args(["-y", "-f", "lavfi", "-i"]);
        ffmpeg.arg(format!("testsrc2=size={width}x{height}:rate={FRAME_RATE},{}", code()));
        ffmpeg.args(["-f", "lavfi", "-i"]);
        ffmpeg.arg(format!("sine=frequency={}:sample_rate=48000", self.tone));
        ffmpeg.args(["-t", &self.seconds.to_string(), "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
        ffmpeg.args(["-crf", "32", "-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"]);
        let second = self.first_gop_seconds * FRAME_RATE;
        ffmpeg.args(["-force_key_frames", &format!("expr:eq(n,{second})")]);
        ffmpeg.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1"]);
        ffmpeg.args(["-movflags", "+faststart"]);
        ffmpeg
    }
}

/// The filters that paint the frame's number.
fn code() -> String {
    let width = CODE_LEFT * 2 + CODE_BITS * CODE_SQUARE;
    let mut filters = vec![format!("drawbox=w={width}:h={CODE_SQUARE}:color=black:t=fill")];
    for bit in 0..CODE_BITS {
        let (left, weight) = (CODE_LEFT + bit * CODE_SQUARE, 1 << bit);
        filters.push(format!(
            "drawbox=x={left}:w={CODE_SQUARE}:h={CODE_SQUARE}:color=white:t=fill:\
             enable='gte(mod(n,{}),{weight})'",
            weight * 2
        ));
    }
    filters.join(",")
}
