//! Shaka Packager: live fMP4 with sound and I-frames in renditions of their own, fed over a named
//! pipe by an ffmpeg that sends what is on air.
//!
//! It cannot write METHOD=AES-128. Encrypted, its segments are SAMPLE-AES (`cbcs`) or
//! SAMPLE-AES-CTR (`cenc`), and its EXT-X-KEY stands after the EXT-X-MAP, which is clear.

use std::path::Path;
use std::process::{Command, Stdio};

use super::LISTED;
use super::keys::hex;
use super::muxer::ONE_CLOCK;
use crate::clip::ffmpeg;
use crate::player::browser::SCRIPTS;
use crate::process::Process;
use crate::programme::Programme;

/// Settings of Shaka Packager.
#[derive(Clone, Debug)]
pub struct Shaka {
    /// Content per segment, seconds.
    pub segment_seconds: u32,
    /// Where it cuts what is on air, seconds after the others.
    pub phase: u32,
    /// Added to all timestamps, seconds; whole segments, so that the first one is a whole one.
    pub pts_offset: u32,
    /// See [`super::Muxer::one_clock`]. Where it cuts is then the same for all.
    pub one_clock: bool,
    /// The first MSN.
    pub first_msn: u32,
    /// What its names begin with.
    pub prefix: &'static str,
    /// Which sizes of the programme, in the order of the playlist.
    pub sizes: Vec<usize>,
    /// `cbcs` or `cenc`; clear where there is none.
    pub scheme: Option<&'static str>,
}

/// The key in the playlist's folder, new for each run and of the same name.
const KEY: &str = "key.bin";
/// MPEG-TS begins at 1.4 s in ffmpeg, and cuts are made at multiples of the duration: a little behind
/// one, so that sound that begins a packet before the picture does not have its first segment alone.
const MUXER_DELAY_MS: u32 = 1400 - 40;

impl Shaka {
    /// The first of two.
    pub fn first(sizes: &[usize], scheme: Option<&'static str>) -> Self {
        Self {
            segment_seconds: 4,
            phase: 0,
            pts_offset: 12,
            one_clock: true,
            first_msn: 0,
            prefix: "cam",
            sizes: sizes.to_vec(),
            scheme,
        }
    }

    /// The second: other numbers, other names, another clock, cut elsewhere.
    pub fn second(sizes: &[usize], scheme: Option<&'static str>) -> Self {
        let first = Self::first(sizes, scheme);
        Self { phase: 2, pts_offset: 5000, first_msn: 100, prefix: "out", ..first }
    }

    /// Starts both; the packager first, so that nothing on air is lost.
    pub(super) fn start(&self, name: &str, programme: &Programme, hls: &Path) -> Vec<Process> {
        let logs = hls.parent().and_then(Path::parent).unwrap_or(hls);
        let pipe = hls.with_file_name("feed.ts");
        let _ = std::fs::remove_file(&pipe);
        let made = Command::new("mkfifo").arg(&pipe).stdin(Stdio::null()).status().unwrap();
        assert!(made.success(), "mkfifo {}", pipe.display());
        let second = programme.next_border(self.segment_seconds, self.phase);
        let packager = Process::spawn(&format!("{name}-shaka"), self.command(hls, &pipe), logs);
        let mut feed = ffmpeg();
        programme.inputs(&mut feed, &self.sizes, false, second);
        for i in 0..self.sizes.len() {
            feed.args(["-map", &format!("{i}:v")]);
        }
        let offset = if self.one_clock { ONE_CLOCK + second } else { self.pts_offset };
        let offset = offset * 1000 - MUXER_DELAY_MS;
        feed.args(["-map", "0:a", "-c", "copy", "-output_ts_offset", &format!("{offset}ms")]);
        feed.args(["-f", "mpegts", "-flush_packets", "1", "-y"]).arg(&pipe);
        vec![packager, Process::spawn(&format!("{name}-feed"), feed, logs)]
    }

    fn command(&self, hls: &Path, pipe: &Path) -> Command {
        let mut shaka = Command::new(program());
        shaka.current_dir(hls);
        let (pipe, prefix) = (pipe.display(), self.prefix);
        let stream = |number: usize, name: &str, more: &str| {
            format!(
                "in={pipe},stream={number},init_segment={prefix}_{name}_init.mp4,\
                 segment_template={prefix}_{name}_$Number$.m4s,playlist_name={prefix}_{name}.m3u8,{more}"
            )
        };
        for (i, size) in self.sizes.iter().enumerate() {
            let frames = format!("iframe_playlist_name={prefix}_p{size}_frames.m3u8");
            shaka.arg(stream(i, &format!("p{size}"), &frames));
        }
        let group = "hls_group_id=sound,hls_name=English,lang=en";
        shaka.arg(stream(self.sizes.len(), "en", group));
        shaka.args(["--segment_duration", &self.segment_seconds.to_string()]);
        shaka.args(["--hls_master_playlist_output", "cam.m3u8", "--hls_playlist_type", "LIVE"]);
        let depth = self.segment_seconds * LISTED;
        shaka.args(["--time_shift_buffer_depth", &depth.to_string()]);
        shaka.args(["--preserved_segments_outside_live_window", "6"]);
        shaka.args(["--default_language", "en"]);
        shaka.args(["--start_segment_number", &self.first_msn.to_string()]);
        shaka.args(["--hls_media_sequence_number", &self.first_msn.to_string()]);
        // A block must be full before it is read.
        shaka.args(["--io_block_size", "1880"]);
        if let Some(scheme) = self.scheme {
            Self::encrypt(&mut shaka, scheme, hls);
        }
        shaka
    }

    fn encrypt(shaka: &mut Command, scheme: &str, hls: &Path) {
        // Each run has a key of its own under the same name. Its id is its own too, as ids must be.
        let (key, id): ([u8; 16], [u8; 16]) = (rand::random(), rand::random());
        std::fs::write(hls.join(KEY), key).unwrap();
        shaka.arg("--enable_raw_key_encryption");
        shaka.args(["--keys", &format!("label=:key_id={}:key={}", hex(id), hex(key))]);
        shaka.args(["--protection_scheme", scheme, "--hls_key_uri", KEY, "--clear_lead", "0"]);
    }
}

/// The npm package ships one binary for each system; its wrapper would be one process more.
fn program() -> String {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("{SCRIPTS}/node_modules/shaka-packager/bin/packager-linux-{machine}")
}
