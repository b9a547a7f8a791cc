//! What ffmpeg and ffprobe make of bytes.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;

/// An ffmpeg that says nothing but warnings.
pub fn ffmpeg() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-y", "-loglevel", "warning"]);
    ffmpeg
}

/// A packet, of pictures or of sound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    pub is_video: bool,
    pub pts: i64,
    pub dts: i64,
    pub is_key: bool,
    pub size: usize,
}

/// The packets of a segment, in the order of the stream.
pub fn probe(segment: &[u8]) -> Vec<Packet> {
    let file = kept(segment, ".ts");
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args("-v error -show_packets -of compact=p=0".split(' ')).arg(file.path());
    let out = ffprobe.output().expect("ffprobe is installed");
    let text = String::from_utf8(out.stdout).unwrap();
    let packet = |line: &str| {
        let field = |name: &str| {
            let mut fields = line.split('|').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let number = |name| field(name)?.parse().ok();
        Some(Packet {
            is_video: field("codec_type")? == "video",
            pts: number("pts")?,
            dts: number("dts").or(number("pts"))?,
            is_key: field("flags")?.contains('K'),
            size: field("size")?.parse().ok()?,
        })
    };
    text.lines().filter_map(packet).collect()
}

/// One frame of `framemd5`: its stream, its time, and the hash of what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    pub stream: usize,
    pub pts: i64,
    pub hash: String,
}

/// All frames of a segment, decoded or as they are, which must not make ffmpeg warn.
pub fn frames(segment: &[u8], decode: bool) -> Vec<Frame> {
    let file = kept(segment, ".ts");
    let mut ffmpeg = ffmpeg();
    ffmpeg.args(["-copyts", "-i"]).arg(file.path());
    ffmpeg.args("-map 0 -fps_mode passthrough -enc_time_base 1:90000".split(' '));
    if !decode {
        ffmpeg.args(["-c", "copy"]);
    }
    let out = ffmpeg.args(["-f", "framemd5", "-"]).output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(out.stdout).unwrap();
    let frame = |line: &str| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let (stream, pts, hash) = (fields[0].parse().unwrap(), fields[2], fields[5].to_owned());
        Frame { stream, pts: pts.parse().unwrap(), hash }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(frame).collect()
}

/// How many pictures ffmpeg shows of bytes that may be damaged, whatever it says of them.
pub fn pictures_of(bytes: &[u8], ending: &str) -> usize {
    let file = kept(bytes, ending);
    let mut ffmpeg = ffmpeg();
    ffmpeg.arg("-i").arg(file.path());
    let out = ffmpeg.args("-map 0:v:0 -fps_mode passthrough -f framemd5 -".split(' ')).output();
    let text = String::from_utf8(out.expect("ffmpeg is installed").stdout).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// The same packets in another container, or at another time, and back in MPEG-TS.
pub fn remuxed(segment: &[u8], through: Option<&str>, more: &[&str]) -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.ts"), folder.path().join("to.ts"));
    std::fs::write(&from, segment).unwrap();
    let copy = |from: &Path, to: &Path, more: &[&str]| {
        let mut ffmpeg = ffmpeg();
        ffmpeg.args(["-copyts", "-i"]).arg(from);
        ffmpeg.args(["-map", "0", "-c", "copy"]).args(more).arg(to);
        let out = ffmpeg.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    match through {
        Some(extension) => {
            let other = folder.path().join("other").with_extension(extension);
            copy(&from, &other, &[]);
            copy(&other, &to, more);
        }
        None => copy(&from, &to, more),
    }
    std::fs::read(&to).unwrap().into()
}

fn kept(bytes: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}
