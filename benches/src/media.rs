//! What looking into a segment costs, beside copying its bytes once, hashing them, and fetching them
//! over loopback, of which the receiving side alone counts.

use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use segue::model::media::{Container, cut, inspect};

use crate::load::median;

const ROUNDS: usize = 25;
/// In one round, so that the clock's grain does not count.
const TIMES: u32 = 50;
const ENCODED: &str = "-f lavfi -i testsrc2=size=1280x720:rate=25 \
    -f lavfi -i sine=frequency=440:sample_rate=48000 -t 4 -pix_fmt yuv420p \
    -c:v libx264 -preset veryfast -b:v 4M -minrate 4M -maxrate 4M -bufsize 4M \
    -x264-params nal-hrd=cbr -g 25 -c:a aac -b:a 128k -f mpegts";

/// What was measured, processor microseconds.
pub struct Media {
    /// Of the segment.
    pub bytes: usize,
    pub inspect: f64,
    pub cut: f64,
    pub copy: f64,
    pub hash: f64,
    pub fetch: f64,
}

pub fn measure(folder: &Path) -> Result<Media> {
    let segment = segment(&folder.join("media.ts"))?;
    let content = inspect(Container::Ts, &segment)?;
    let video = content.video.context("pictures")?;
    let key = video.keyframes.get(1).context("a keyframe to cut at")?.pts;
    let mut works: [Box<dyn FnMut() -> Result<()>>; 5] = [
        Box::new(|| {
            black_box(inspect(Container::Ts, &segment))?;
            Ok(())
        }),
        Box::new(|| {
            black_box(cut(Container::Ts, &segment, key))?;
            Ok(())
        }),
        Box::new(|| {
            let copy = black_box(segment.to_vec());
            black_box(copy.as_slice());
            Ok(())
        }),
        Box::new(|| {
            black_box(blake3::hash(&segment));
            Ok(())
        }),
        Box::new(fetches(segment.clone())?),
    ];
    let mut rounds = [const { Vec::new() }; 5];
    // In turn, so that what else the machine does meets all.
    for _ in 0..ROUNDS {
        for (work, found) in works.iter_mut().zip(&mut rounds) {
            let began = cpu_ns()?;
            for _ in 0..TIMES {
                work()?;
            }
            found.push((cpu_ns()? - began) / 1e3 / f64::from(TIMES));
        }
    }
    let [inspect, cut, copy, hash, fetch] = rounds.map(median);
    Ok(Media { bytes: segment.len(), inspect, cut, copy, hash, fetch })
}

fn segment(path: &Path) -> Result<Bytes> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error", "-y"]);
    let made = ffmpeg.args(ENCODED.split_whitespace()).arg(path).status();
    ensure!(made.context("ffmpeg is not installed")?.success(), "ffmpeg makes no segment");
    Ok(fs::read(path)?.into())
}

/// Receives the segment once with each call, into a buffer of its own as a fetch does.
fn fetches(segment: Bytes) -> Result<impl FnMut() -> Result<()>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut receiver = TcpStream::connect(listener.local_addr()?)?;
    let (mut sender, _) = listener.accept()?;
    let length = segment.len();
    // It ends when nobody receives any more.
    thread::spawn(move || while sender.write_all(&segment).is_ok() {});
    Ok(move || {
        let mut body = vec![0; length];
        receiver.read_exact(&mut body)?;
        black_box(body.as_slice());
        Ok(())
    })
}

/// Nanoseconds that this thread has had a processor.
fn cpu_ns() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("schedstat")?;
    Ok(first.parse()?)
}
