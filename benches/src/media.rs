//! What it costs to look into a segment, and to cut it, beside copying its bytes in memory and beside
//! taking them off a socket and hashing them, which is the least that fetching them is.

use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use segue::model::media::{Container, Joint, Ticks, cut, inspect};
use segue::model::names::ContentHash;

use crate::load::median;
use crate::pieces::us;

/// Four seconds of H.264, a keyframe each second, and AAC, 4 Mbit/s.
const ENCODE: &str = "-f lavfi -i testsrc2=s=1280x720:r=25,noise=alls=30:allf=t \
    -f lavfi -i sine=r=48000 -t 4 -c:v libx264 -preset superfast -bf 2 -b:v 4M -maxrate 4M -bufsize 4M \
    -g 25 -sc_threshold 0 -c:a aac -f mpegts whole.ts";
const FMP4: &str = "-i whole.ts -c copy -bsf:a aac_adtstoasc -f hls -hls_time 4 \
    -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_segment_filename whole-%d.m4s whole.m3u8";

/// As much as a connection reads at a time.
const PIECE: usize = 32 << 10;
const TIMES: usize = 51;

/// Processor microseconds for one segment.
pub struct Looked {
    pub name: &'static str,
    pub bytes: usize,
    pub copy: f64,
    pub fetch: f64,
    pub inspect: f64,
    /// At a keyframe in the middle.
    pub cut: f64,
}

pub fn measure(folder: &Path) -> Result<Vec<Looked>> {
    let folder = folder.join("media");
    fs::create_dir_all(&folder)?;
    for args in [ENCODE, FMP4] {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.current_dir(&folder).args(["-v", "error", "-nostdin"]);
        let status = ffmpeg.args(args.split_whitespace()).status().context("ffmpeg")?;
        if !status.success() {
            bail!("ffmpeg: {status}");
        }
    }
    let init = fs::read(folder.join("init.mp4"))?;
    let of_fmp4 = Container::Fmp4 { init: &init };
    [("MPEG-TS", Container::Ts, "whole.ts"), ("fMP4", of_fmp4, "whole-0.m4s")]
        .into_iter()
        .map(|(name, container, file)| {
            looked(name, container, &fs::read(folder.join(file))?.into())
        })
        .collect()
}

fn looked(name: &'static str, container: Container<'_>, segment: &Bytes) -> Result<Looked> {
    let content = inspect(container, segment).context(name)?;
    let keyframes = content.video.map(|video| video.keyframes).unwrap_or_default();
    let middle = keyframes.get(keyframes.len() / 2).map_or(Ticks(0), |keyframe| keyframe.pts);
    let middle = Joint::at(middle);
    let zero = ContentHash::of(&[]);
    let mut copied = vec![0; segment.len()];
    let mut copy = || {
        black_box(&mut copied).copy_from_slice(black_box(segment));
        true
    };
    Ok(Looked {
        name,
        bytes: segment.len(),
        copy: us(&mut copy),
        fetch: receive(segment)? + us(&mut || ContentHash::of(black_box(segment)) != zero),
        inspect: us(&mut || inspect(container, black_box(segment)).is_ok()),
        cut: us(&mut || cut(container, black_box(segment), &middle).is_ok()),
    })
}

/// Reading it off a socket that has it, a piece at a time; writing it there is another's work.
fn receive(segment: &[u8]) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let mut buffer = vec![0; PIECE];
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut took = Duration::ZERO;
        for piece in segment.chunks(PIECE) {
            sender.write_all(piece)?;
            let began = Instant::now();
            receiver.read_exact(&mut buffer[..piece.len()])?;
            took += began.elapsed();
        }
        times.push(took.as_secs_f64() * 1e6);
    }
    Ok(median(times))
}
