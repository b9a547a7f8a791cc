//! What is on air: a test picture with a running time code, and a tone. Encoded once for all runs
//! of a test process and copied from then on, so that encoding takes nothing from the players.

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
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Hertz of the tone.
    pub tone: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { gop_seconds: 2, size: (320, 180), tone: 440 }
    }
}

const FRAME_RATE: u32 = 15;
/// 320 s are whole frames of video (15/s) and of AAC (48000 / 1024 a second): the loop closes
/// without a hole, and no run is so long that it comes round.
const LENGTH_SECONDS: u32 = 320;

impl Clip {
    /// Encodes a clip as `folder/name.mp4`.
    pub fn encode(folder: &Path, name: &str, recipe: Recipe) -> Self {
        let path = folder.join(format!("{name}.mp4"));
        let (width, height) = recipe.size;
        let gop = (recipe.gop_seconds * FRAME_RATE).to_string();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"]);
        ffmpeg.args(["-f", "lavfi", "-i"]);
        ffmpeg.arg(format!("testsrc2=size={width}x{height}:rate={FRAME_RATE}"));
        ffmpeg.args(["-f", "lavfi", "-i"]);
        ffmpeg.arg(format!("sine=frequency={}:sample_rate=48000", recipe.tone));
        ffmpeg.args(["-t", &LENGTH_SECONDS.to_string(), "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
        ffmpeg.args(["-crf", "32", "-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"]);
        ffmpeg.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1"]);
        ffmpeg.args(["-movflags", "+faststart"]).arg(&path);
        let mut encoder = Process::spawn(&format!("encode-{name}"), ffmpeg, folder);
        let status = encoder.wait_end(Duration::from_secs(120));
        assert!(status.success(), "ffmpeg: {}", encoder.log_text());
        Self { path }
    }

    /// An ffmpeg that reads the clip at the pace of its clock, for ever; `-c copy` is for the
    /// caller to say, after all inputs.
    pub fn on_air(&self) -> Command {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "warning"]);
        ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]).arg(&self.path);
        ffmpeg
    }
}
