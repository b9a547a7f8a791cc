//! Short clips as packagers cut them, each made once for all tests of the process.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Frames in a second, and two keyframes.
const RATE: &str = "24";
const GOP: &str = "12";
/// Seconds of the clips.
const LENGTH: &str = "12";

/// A packager's files: segments of a second, with an init segment if they are fMP4.
#[derive(Clone, Debug)]
pub struct Made {
    pub init: Option<Vec<u8>>,
    pub segments: Vec<Vec<u8>>,
}

/// How a packager cuts what an encoder gives it.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Which encoder.
    pub encoder: Encoder,
    /// At which second it begins to listen.
    pub from: &'static str,
    /// What it adds to the encoder's times.
    pub shift: &'static str,
    pub fmp4: bool,
}

/// Encoders of one picture, both beginning at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    One,
    /// Another bit rate: no picture is coded like one of the first.
    Other,
    /// Segments begin with pictures that need what comes before them.
    Open,
    /// No picture but the first can be joined at.
    Keyless,
}

impl Cut {
    pub const fn of(encoder: Encoder) -> Self {
        Self { encoder, from: "0", shift: "0", fmp4: false }
    }

    pub fn make(self) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let mut ffmpeg = ffmpeg(folder.path());
        ffmpeg.args(["-copyts", "-ss", self.from, "-i"]).arg(encoded(self.encoder));
        ffmpeg.args(["-c", "copy", "-output_ts_offset", self.shift, "-muxdelay", "0", "-f", "hls"]);
        ffmpeg.args(["-hls_time", "1", "-hls_list_size", "0"]);
        if self.fmp4 {
            ffmpeg.args(["-bsf:a", "aac_adtstoasc"]);
            ffmpeg.args(["-hls_segment_type", "fmp4", "-hls_segment_filename", "%d.m4s"]);
        } else {
            ffmpeg.args(["-hls_segment_filename", "%d.ts"]);
        }
        run(ffmpeg.arg("list.m3u8"));
        let list = std::fs::read_to_string(folder.path().join("list.m3u8")).unwrap();
        let files = list.lines().filter(|line| !line.starts_with('#'));
        let segments = files.map(|f| std::fs::read(folder.path().join(f)).unwrap()).collect();
        let init = self.fmp4.then(|| std::fs::read(folder.path().join("init.mp4")).unwrap());
        Made { init, segments }
    }
}

/// What an encoder sends.
fn encoded(encoder: Encoder) -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static FILES: [OnceLock<std::path::PathBuf>; 4] = [const { OnceLock::new() }; 4];
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path();
    FILES[encoder as usize].get_or_init(|| {
        let to = folder.join(format!("{encoder:?}.ts"));
        let mut ffmpeg = ffmpeg(folder);
        let pictures = format!("testsrc2=size=160x90:rate={RATE}");
        ffmpeg.args(["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", "sine", "-t", LENGTH]);
        let coder = if encoder == Encoder::Open { "libx265" } else { "libx264" };
        ffmpeg.args(["-pix_fmt", "yuv420p", "-c:v", coder, "-preset", "ultrafast", "-bf", "2"]);
        ffmpeg.args(["-threads", "1", "-g", GOP, "-keyint_min", GOP, "-sc_threshold", "0"]);
        let open = "log-level=error:keyint=12:min-keyint=12:scenecut=0:open-gop=1";
        ffmpeg.args(match encoder {
            Encoder::One => ["-crf", "23"],
            Encoder::Other => ["-crf", "33"],
            Encoder::Open => ["-x265-params", open],
            Encoder::Keyless => ["-x264-params", "open_gop=1"],
        });
        run(ffmpeg.args(["-c:a", "aac", "-muxdelay", "0"]).arg(&to));
        to
    })
}

fn ffmpeg(folder: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder).args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
    ffmpeg
}

fn run(command: &mut Command) {
    let output = command.output().expect("ffmpeg is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {log}");
}
