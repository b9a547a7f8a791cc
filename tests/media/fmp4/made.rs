//! Real segments: of ffmpeg and Shaka Packager, made on the fly; and what ffprobe and ffmpeg say of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use segue::model::media::Ticks;

/// Frames are distinguishable, sound is not silent.
const PICTURES: &str = "testsrc2=size=160x90:rate=";
const SOUND: &str = "sine=frequency=440:sample_rate=48000";

/// An init segment and segments.
pub struct Made {
    pub folder: tempfile::TempDir,
    pub init: Vec<u8>,
    pub segments: Vec<Vec<u8>>,
}

pub fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {log}");
    log
}

fn ffmpeg(folder: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder).args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
    ffmpeg
}

/// ffmpeg with a test programme of so many seconds as its inputs.
pub fn encoder(folder: &Path, rate: &str, seconds: u32) -> Command {
    let mut encoder = ffmpeg(folder);
    encoder.args(["-f", "lavfi", "-i", &format!("{PICTURES}{rate}")]);
    encoder.args(["-f", "lavfi", "-i", SOUND, "-t", &seconds.to_string()]);
    encoder.args(["-threads", "1", "-sc_threshold", "0"]);
    encoder
}

/// H.264 with a keyframe each second, at 25 frames a second, and AAC.
pub const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "3",
    "-g",
    "25",
    "-keyint_min",
    "25",
    "-c:a",
    "aac",
];

/// Six seconds in segments of four, by ffmpeg's HLS muxer.
pub fn hls(rate: &str, codecs: &[&str], more: &[&str]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let mut command = encoder(folder.path(), rate, 6);
    command.args(codecs);
    muxed(folder, command, more)
}

/// What is in a file, without encoding it again.
pub fn copy(source: &Path, more: &[&str]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ffmpeg(folder.path());
    command.args(["-copyts", "-i"]).arg(source).args(["-c", "copy", "-bsf:a", "aac_adtstoasc"]);
    muxed(folder, command, more)
}

fn muxed(folder: tempfile::TempDir, mut command: Command, more: &[&str]) -> Made {
    command.args(["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"]);
    command.args(["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]);
    command.args(more).arg("list.m3u8");
    run(command);
    listed(folder, "list.m3u8", "init.mp4")
}

/// What a playlist lists.
pub fn listed(folder: tempfile::TempDir, list: &str, init: &str) -> Made {
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let list = String::from_utf8(read(list)).unwrap();
    let segments = list.lines().filter(|line| !line.starts_with('#')).map(read);
    let mut segments: Vec<Vec<u8>> = segments.collect();
    let mut init = read(init);
    // Told to make several fragments, ffmpeg's HLS muxer puts those of the first segment into the init
    // segment, before the segment's head.
    if let Some(at) = fragments(&init).first() {
        segments[0].extend(init.split_off(*at));
    }
    Made { folder, init, segments }
}

/// A fragmented file, taken apart into segments of two fragments each. Padding after the init segment
/// keeps each of them where it was, for readers that count from the start of the file.
pub fn file(movflags: &str) -> Vec<Made> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = encoder(folder.path(), "25", 6);
    command.args(H264).args(["-movflags", movflags, "file.mp4"]);
    run(command);
    let bytes = std::fs::read(folder.path().join("file.mp4")).unwrap();
    let begins: Vec<usize> = fragments(&bytes).into_iter().step_by(2).collect();
    let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
    let part = |(begin, end): (&usize, usize)| {
        let mut init = bytes[..begins[0]].to_vec();
        let padding = begin - begins[0];
        if padding > 0 {
            init.extend([&(padding as u32).to_be_bytes()[..], b"free"].concat());
            init.resize(*begin, 0);
        }
        let folder = tempfile::tempdir().unwrap();
        Made { folder, init, segments: vec![bytes[*begin..end].to_vec()] }
    };
    begins.iter().zip(ends).map(part).collect()
}

/// Where fragments begin.
pub fn fragments(bytes: &[u8]) -> Vec<usize> {
    borders(bytes).into_iter().filter(|at| bytes[at + 4..].starts_with(b"moof")).collect()
}

/// Where the outermost boxes begin.
pub fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut borders = Vec::new();
    while at < bytes.len() {
        borders.push(at);
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    borders
}

/// Shaka Packager on the same programme, pictures and sound apart: what it makes of the pictures, and
/// of the sound.
pub fn shaka(more: &[&str]) -> [Made; 2] {
    let source = tempfile::tempdir().unwrap();
    let mut command = encoder(source.path(), "30000/1001", 6);
    command.args(H264).args(["-f", "mpegts", "in.ts"]);
    run(command);
    let parts = [("video", "v"), ("audio", "a")].map(|(stream, name)| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(source.path().join("in.ts"), folder.path().join("in.ts")).unwrap();
        let mut shaka = Command::new(shaka_program());
        shaka.current_dir(folder.path()).arg(format!(
            "in=in.ts,stream={stream},init_segment={name}_init.mp4,\
             segment_template={name}_$Number$.m4s,playlist_name={name}.m3u8"
        ));
        shaka.args(["--segment_duration", "4", "--fragment_duration", "1"]);
        shaka.args(["--hls_master_playlist_output", "all.m3u8"]).args(more);
        run(shaka);
        (folder, format!("{name}.m3u8"), format!("{name}_init.mp4"))
    });
    parts.map(|(folder, list, init)| listed(folder, &list, &init))
}

fn shaka_program() -> PathBuf {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/players/node_modules/shaka-packager/bin")
        .join(format!("packager-linux-{machine}"));
    assert!(program.exists(), "`make players` installs Shaka Packager");
    program
}

/// A packet, as ffprobe reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub video: bool,
    pub key: bool,
    /// Seconds as a fraction of the stream's time base.
    pub pts: i64,
    pub dts: i64,
    pub base: (i64, i64),
    /// Of its bytes.
    pub hash: String,
}

impl Packet {
    pub fn pts(&self) -> Ticks {
        self.ticks(self.pts)
    }

    pub fn dts(&self) -> Ticks {
        self.ticks(self.dts)
    }

    fn ticks(&self, time: i64) -> Ticks {
        Ticks((time * Ticks::SECOND * self.base.0).div_euclid(self.base.1))
    }
}

impl Made {
    fn joined(&self, segment: &[u8]) -> PathBuf {
        let path = self.folder.path().join("joined.mp4");
        std::fs::write(&path, [&self.init, segment].concat()).unwrap();
        path
    }

    /// Its packets by their bytes, in the order of each stream.
    pub fn packets(&self, segment: &[u8]) -> Vec<Packet> {
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-show_streams", "-show_packets", "-show_data_hash", "md5"]);
        probe.args(["-of", "compact", "-i"]).arg(self.joined(segment));
        let output = probe.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<HashMap<&str, &str>> = text
            .lines()
            .map(|line| line.split('|').filter_map(|field| field.split_once('=')).collect())
            .collect();
        let kind = |line: &&str, kind: &str| line.starts_with(kind);
        let of_kind = |wanted: &'static str| {
            let lines = text.lines().zip(&lines);
            lines.filter(move |(line, _)| kind(line, wanted)).map(|(_, fields)| fields)
        };
        let bases: HashMap<&str, (i64, i64)> = of_kind("stream|")
            .map(|fields| {
                let (over, under) = fields["time_base"].split_once('/').unwrap();
                (fields["index"], (over.parse().unwrap(), under.parse().unwrap()))
            })
            .collect();
        of_kind("packet|")
            .map(|fields| Packet {
                video: fields["codec_type"] == "video",
                key: fields["flags"].starts_with('K'),
                pts: fields["pts"].parse().unwrap(),
                dts: fields["dts"].parse().unwrap(),
                base: bases[fields["stream_index"]],
                hash: fields["data_hash"].to_owned(),
            })
            .collect()
    }

    /// What ffmpeg complains of when it decodes all of it.
    pub fn decoded(&self, segment: &[u8]) -> String {
        let mut command = ffmpeg(self.folder.path());
        command.args(["-threads", "1", "-i"]).arg(self.joined(segment));
        command.args(["-map", "0", "-f", "null", "-"]);
        run(command)
    }
}
