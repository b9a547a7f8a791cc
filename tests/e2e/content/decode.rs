//! ffmpeg and ffprobe over one stretch of a rendition.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clip::{CODE_BITS, CODE_LEFT, CODE_SQUARE, ffmpeg};
use crate::laws::{Rendition, Segment, Stretch, attribute};

/// What a stretch holds.
pub struct Decoded {
    /// The number that each picture carries, in the order of showing.
    pub frames: Vec<u32>,
    pub picture: Option<Span>,
    pub sound: Option<Span>,
}

/// The timestamps of one kind of packets, seconds.
#[derive(Clone, Debug)]
pub struct Span {
    pub first: f64,
    pub last: f64,
    /// Of the last packet.
    pub end: f64,
    /// The longest time without a packet.
    pub longest_step: f64,
    /// Of all packets, in the order of showing.
    pub times: Vec<f64>,
    /// The same in the order in which they came.
    pub sent: Vec<f64>,
}

impl Decoded {
    /// Writes the stretch to `file` and decodes it: what ffmpeg complains of is the error.
    pub fn of(rendition: &Rendition, stretch: &Stretch, file: &Path) -> Result<Self, String> {
        let input = ["-allowed_extensions", "ALL"].map(str::to_owned);
        rendition.write_local(stretch, file);
        let (input, media) = match sample_key(rendition, stretch) {
            Some(key) => (Vec::new(), in_the_clear(rendition, stretch, &key, file)?),
            None => (input.to_vec(), file.to_owned()),
        };
        Self::of_file(&input, &media, &file.with_extension("codes"))
    }

    /// The same of anything that ffmpeg reads; the pictures' squares are kept in `codes`.
    pub fn of_file(input: &[String], media: &Path, codes: &Path) -> Result<Self, String> {
        let mut run = ffmpeg();
        run.args(["-loglevel", "error", "-y"]).args(input).arg("-i").arg(media);
        run.args(["-map", "0:v:0?", "-vf", &read_code(), "-fps_mode", "passthrough"]);
        run.args(["-f", "rawvideo"]).arg(codes);
        run.args(["-map", "0:a:0?", "-f", "null", "-"]);
        let has = |kind: &str| span(input, media, kind);
        let (picture, sound) = (has("v:0")?, has("a:0")?);
        if picture.is_none() {
            run = ffmpeg();
            run.args(["-loglevel", "error"]).args(input).arg("-i").arg(media);
            run.args(["-map", "0:a:0", "-f", "null", "-"]);
        }
        said_nothing(&run.output().unwrap())?;
        let codes = std::fs::read(codes).unwrap_or_default();
        let frames = codes.chunks_exact(CODE_BITS as usize).map(number).collect();
        Ok(Self { frames, picture, sound })
    }
}

/// Cuts the squares out and makes each one grey pixel.
fn read_code() -> String {
    let (width, half) = (CODE_BITS * CODE_SQUARE, CODE_SQUARE / 2);
    let top = CODE_SQUARE / 4;
    format!("crop={width}:{half}:{CODE_LEFT}:{top},scale={CODE_BITS}:1:flags=area,format=gray")
}

fn number(squares: &[u8]) -> u32 {
    (0..).zip(squares).map(|(bit, level)| u32::from(*level > 127) << bit).sum()
}

fn said_nothing(output: &Output) -> Result<(), String> {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.trim().is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = said.lines().take(6).collect();
    Err(format!("{}: {}", output.status, lines.join(" / ")))
}

/// The timestamps of a kind of packets; none where there are none.
fn span(input: &[String], media: &Path, kind: &str) -> Result<Option<Span>, String> {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error"]).args(input).args(["-select_streams", kind]);
    probe.args(["-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"]).arg(media);
    let output = probe.output().unwrap();
    said_nothing(&output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut packets: Vec<(f64, f64)> = text.lines().filter_map(packet).collect();
    let sent = packets.iter().map(|p| p.0).collect();
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some(first), Some(last)) = (packets.first(), packets.last()) else { return Ok(None) };
    let steps = packets.windows(2).map(|p| p[1].0 - p[0].0);
    let longest_step = steps.fold(0.0, f64::max);
    let end = last.0 + last.1;
    let (first, last) = (first.0, last.0);
    let times = packets.iter().map(|p| p.0).collect();
    Ok(Some(Span { first, last, end, longest_step, times, sent }))
}

fn packet(line: &str) -> Option<(f64, f64)> {
    let mut fields = line.split(',');
    let pts = fields.next()?.parse().ok()?;
    Some((pts, fields.next().and_then(|d| d.parse().ok()).unwrap_or(0.0)))
}

/// The key of a stretch of fMP4 whose samples are encrypted, in hex.
fn sample_key(rendition: &Rendition, stretch: &Stretch) -> Option<String> {
    let first = stretch.segments.first()?;
    first.map.as_ref()?;
    let key = first.keys.iter().find(|k| k.contains("METHOD=SAMPLE-AES"))?;
    let bytes = std::fs::read(rendition.kept(attribute(key, "URI")?, None)).ok()?;
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Each segment decrypted by itself, and all in one: ffmpeg's HLS reader knows SAMPLE-AES in MPEG-TS
/// alone, and its MP4 reader loses its place where another fragment begins.
fn in_the_clear(
    rendition: &Rendition,
    stretch: &Stretch,
    key: &str,
    file: &Path,
) -> Result<PathBuf, String> {
    let read = |uri: &str, range| std::fs::read(rendition.kept(uri, range)).unwrap_or_default();
    let map = stretch.segments.first().and_then(|s: &Segment| s.map.as_ref());
    let init = map.map(|m| read(m.uri(), m.range())).unwrap_or_default();
    let (one, clear) = (file.with_extension("mp4"), file.with_extension("clear.ts"));
    let mut all = Vec::new();
    for segment in &stretch.segments {
        std::fs::write(&one, [init.clone(), read(&segment.uri, segment.range)].concat()).unwrap();
        let mut run = ffmpeg();
        run.args(["-loglevel", "error", "-y", "-copyts", "-decryption_key", key, "-i"]).arg(&one);
        run.args(["-c", "copy", "-muxdelay", "0", "-f", "mpegts"]).arg(&clear);
        said_nothing(&run.output().unwrap()).map_err(|e| format!("{}: {e}", segment.uri))?;
        all.extend(std::fs::read(&clear).unwrap());
    }
    std::fs::write(&clear, all).unwrap();
    Ok(clear)
}
