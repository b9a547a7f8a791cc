//! ffmpeg's HLS muxer: one media playlist, or a multivariant stream in any of its forms.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::LISTED;
use crate::clip::{Clip, ffmpeg};
use crate::programme::Programme;

/// Where a muxer's media comes from.
#[derive(Clone)]
pub enum Source {
    /// A clip of its own, again and again.
    Clip(Clip),
    /// What is on air for all.
    OnAir(Arc<Programme>),
}

/// Settings of ffmpeg's HLS muxer.
#[derive(Clone, Debug)]
pub struct Muxer {
    /// Content per segment, seconds.
    pub segment_seconds: u32,
    /// Where it cuts what is on air, seconds after the others.
    pub phase: u32,
    /// Added to all timestamps, seconds: another encoder has another clock.
    pub pts_offset: u32,
    /// Timestamps are the programme's, as where one encoder feeds all packagers; else each run begins
    /// with `pts_offset`.
    pub one_clock: bool,
    /// The first MSN.
    pub first_msn: u32,
    /// What its names begin with.
    pub prefix: &'static str,
    pub container: Container,
    /// All segments in one file, by byte ranges.
    pub single_file: bool,
    /// EXT-X-PROGRAM-DATE-TIME.
    pub date_time: bool,
    pub keys: Option<Iv>,
    /// Which of the programme's encoders it packages, where there are two.
    pub encoder: usize,
    /// None for one media playlist.
    pub variants: Option<Variants>,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Ts,
    Fmp4,
}

/// AES-128 with a key that changes every few segments. The IV is left to the MSN, or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iv {
    Implicit,
    Explicit,
}

/// A multivariant stream.
#[derive(Clone, Debug)]
pub struct Variants {
    /// Which sizes of the programme, in the order of the playlist.
    pub sizes: Vec<usize>,
    /// Languages of the sound, the default one first; empty where the variants carry it.
    pub sound: Vec<&'static str>,
    /// A subtitle rendition for each variant: ffmpeg knows no other way.
    pub captions: bool,
}

/// Where the clock begins that is the programme's, seconds.
pub(super) const ONE_CLOCK: u32 = 12;

impl Source {
    /// The second of the programme to begin with; waits for it.
    fn join(&self, muxer: &Muxer) -> u32 {
        match self {
            Self::Clip(_) => 0,
            Self::OnAir(programme) => programme.next_border(muxer.segment_seconds, muxer.phase),
        }
    }

    fn inputs(&self, ffmpeg: &mut Command, muxer: &Muxer, second: u32) {
        match self {
            Self::Clip(clip) => clip.for_ever(ffmpeg),
            Self::OnAir(programme) => {
                let captions = muxer.variants.as_ref().is_some_and(|v| v.captions);
                programme.inputs(ffmpeg, &muxer.sizes(), captions, second);
            }
        }
    }
}

impl Muxer {
    /// One media playlist with `segment_seconds`, numbers from `first_msn`.
    pub const fn plain(segment_seconds: u32, first_msn: u32) -> Self {
        Self {
            segment_seconds,
            phase: 0,
            pts_offset: 0,
            one_clock: false,
            first_msn,
            prefix: "cam",
            container: Container::Ts,
            single_file: false,
            date_time: false,
            keys: None,
            encoder: 0,
            variants: None,
        }
    }

    /// The first of two that show the same programme. Its clock does not begin at 0: with sound that
    /// begins before the picture, ffmpeg would move both.
    pub fn first() -> Self {
        Self { pts_offset: 10, ..Self::plain(4, 0) }
    }

    /// The second: other numbers, other names, another clock, cut elsewhere.
    pub fn second() -> Self {
        Self { phase: 2, pts_offset: 5000, first_msn: 100, prefix: "out", ..Self::plain(4, 0) }
    }

    fn sizes(&self) -> Vec<usize> {
        self.variants.as_ref().map_or_else(|| vec![self.encoder], |v| v.sizes.clone())
    }

    /// ffmpeg, to be started now: it begins with what is on air.
    pub(super) fn command(&self, source: &Source, hls: &Path, keys: &Path) -> Command {
        let mut ffmpeg = ffmpeg();
        let second = source.join(self);
        source.inputs(&mut ffmpeg, self, second);
        self.maps(&mut ffmpeg);
        let offset = if self.one_clock { ONE_CLOCK + second } else { self.pts_offset };
        ffmpeg.args(["-output_ts_offset", &offset.to_string()]);
        ffmpeg.args(["-f", "hls", "-hls_time", &self.segment_seconds.to_string()]);
        ffmpeg.args(["-hls_list_size", &LISTED.to_string(), "-hls_delete_threshold", "4"]);
        ffmpeg.args(["-hls_flags", &self.flags()]);
        ffmpeg.args(["-start_number", &self.first_msn.to_string()]);
        if self.keys.is_some() {
            ffmpeg.arg("-hls_key_info_file").arg(keys);
        }
        self.names(&mut ffmpeg, hls);
        ffmpeg
    }

    fn flags(&self) -> String {
        let mut flags = vec!["independent_segments", "temp_file", "delete_segments"];
        if self.single_file {
            flags = vec!["independent_segments", "single_file"];
        }
        if self.date_time {
            flags.push("program_date_time");
        }
        if self.keys.is_some() {
            flags.push("periodic_rekey");
        }
        flags.join("+")
    }

    fn maps(&self, ffmpeg: &mut Command) {
        let Some(variants) = &self.variants else {
            ffmpeg.args(["-map", "0:v", "-map", "0:a", "-c", "copy"]);
            return;
        };
        let count = variants.sizes.len();
        for i in 0..count {
            ffmpeg.args(["-map", &format!("{i}:v")]);
            if variants.sound.is_empty() {
                ffmpeg.args(["-map", &format!("{i}:a")]);
            }
            if variants.captions {
                ffmpeg.args(["-map", &format!("{count}:s")]);
            }
        }
        for _ in &variants.sound {
            ffmpeg.args(["-map", "0:a"]);
        }
        // The filter gives the muxer what it needs to write CODECS.
        ffmpeg.args(["-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-c:a", "copy"]);
        if variants.captions {
            ffmpeg.args(["-c:s", "webvtt"]);
        }
    }

    fn names(&self, ffmpeg: &mut Command, hls: &Path) {
        let prefix = self.prefix;
        let (ending, kind) = match self.container {
            Container::Ts => ("ts", "mpegts"),
            Container::Fmp4 if self.single_file => ("mp4", "fmp4"),
            Container::Fmp4 => ("m4s", "fmp4"),
        };
        ffmpeg.args(["-hls_segment_type", kind]);
        if self.container == Container::Fmp4 {
            // Else the clock's beginning would be in an edit list, which players in browsers ignore.
            ffmpeg.args(["-hls_segment_options", "movflags=+frag_discont"]);
        }
        let each = if self.variants.is_some() { "_%v" } else { "" };
        if self.container == Container::Fmp4 && !self.single_file {
            ffmpeg.args(["-hls_fmp4_init_filename", &format!("{prefix}{each}_init.mp4")]);
        }
        let number = if self.single_file { "" } else { "_%05d" };
        ffmpeg.arg("-hls_segment_filename");
        ffmpeg.arg(hls.join(format!("{prefix}{each}{number}.{ending}")));
        if let Some(variants) = &self.variants {
            ffmpeg.args(["-var_stream_map", &variants.map(), "-master_pl_name", "cam.m3u8"]);
            ffmpeg.arg(hls.join(format!("{prefix}_%v.m3u8")));
        } else {
            ffmpeg.arg(hls.join("cam.m3u8"));
        }
    }
}

impl Variants {
    /// ffmpeg's `-var_stream_map`. Streams are counted by kind.
    fn map(&self) -> String {
        let mut parts = Vec::new();
        for (i, size) in self.sizes.iter().enumerate() {
            let mut part = format!("v:{i}");
            if self.captions {
                part.push_str(&format!(",s:{i},sgroup:subs"));
                // Said of the subtitles; two defaults in a group are not allowed.
                part.push_str(if i == 0 { ",language:en,default:yes" } else { ",language:en" });
            }
            part.push_str(&if self.sound.is_empty() {
                format!(",a:{i}")
            } else {
                ",agroup:sound".to_owned()
            });
            parts.push(format!("{part},name:p{size}"));
        }
        for (i, language) in self.sound.iter().enumerate() {
            let default = if i == 0 { ",default:yes" } else { "" };
            let name = format!("name:{language},language:{language}{default}");
            parts.push(format!("a:{i},agroup:sound,{name}"));
        }
        parts.join(" ")
    }
}
