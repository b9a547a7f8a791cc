//! Short clips as HLS segments, each made once for all tests of the process.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::ffmpeg::ffmpeg;

/// How a clip is coded: a name for messages, the encoder of the pictures and that of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clip {
    pub name: &'static str,
    pub video: &'static str,
    pub audio: &'static str,
}

const X264: &str = "-c:v libx264 -preset veryfast -g 25 -keyint_min 25 -sc_threshold 0";

pub const PLAIN: Clip = Clip {
    name: "H.264 without B-frames, AAC of 44.1 kHz",
    video: "-c:v libx264 -preset veryfast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
    audio: "-c:a aac -ar 44100",
};
pub const BIDIRECTIONAL: Clip =
    Clip { name: "H.264 with B-frames, MP3", video: X264, audio: "-c:a libmp3lame -ar 48000" };
pub const SLICED: Clip = Clip {
    name: "H.264 in slices, AC-3 of 44.1 kHz",
    video: "-c:v libx264 -preset veryfast -g 25 -bf 2 -slices 4",
    audio: "-c:a ac3 -ar 44100 -b:a 96k",
};
pub const INTERLACED: Clip = Clip {
    name: "H.264 in fields, MP3 of a low rate",
    video: "-c:v libx264 -preset veryfast -g 25 -flags +ilme+ildct -x264-params tff=1",
    audio: "-c:a libmp3lame -ar 22050",
};
pub const H265: Clip = Clip {
    name: "H.265 with closed GOPs, AC-3",
    video: "-c:v libx265 -preset ultrafast -g 25 -x265-params log-level=error:keyint=25:min-keyint=25:scenecut=0:open-gop=0",
    audio: "-c:a ac3 -ar 48000 -b:a 96k",
};
pub const OPEN: Clip = Clip {
    name: "H.265 with open GOPs, AAC",
    video: "-c:v libx265 -preset veryfast -bf 3 -x265-params log-level=error:keyint=24:min-keyint=24:scenecut=0:open-gop=1",
    audio: "-c:a aac -ar 48000",
};
pub const SOUND: Clip = Clip { name: "AAC alone", video: "-vn", audio: "-c:a aac -ar 48000" };
pub const SILENT: Clip = Clip { name: "H.264 alone", video: X264, audio: "-an" };

pub const OTHER: Clip =
    Clip { name: "MPEG-2", video: "-c:v mpeg2video -g 25", audio: "-c:a mp2 -ar 48000" };
pub const OTHER_SOUND: Clip =
    Clip { name: "H.264, E-AC-3", video: X264, audio: "-c:a eac3 -ar 48000" };

/// All that are read and cut.
pub const ALL: [Clip; 8] = [PLAIN, BIDIRECTIONAL, SLICED, INTERLACED, H265, OPEN, SOUND, SILENT];

impl Clip {
    /// Two MPEG-TS segments of four seconds, a keyframe each second.
    pub fn segments(self) -> Vec<Bytes> {
        static MADE: OnceLock<Mutex<HashMap<Clip, Vec<Bytes>>>> = OnceLock::new();
        let mut made = MADE.get_or_init(Mutex::default).lock();
        let segments = made.entry(self).or_insert_with(|| {
            let folder = tempfile::tempdir().unwrap();
            self.make(folder.path(), &[]);
            (0..2).map(|n| read(&folder.path().join(format!("{n}.ts")))).collect()
        });
        segments.clone()
    }

    /// The same frames with the same times as two packagers have them, in segments of four seconds and
    /// of three.
    pub fn packaged_twice(self) -> (Vec<Bytes>, Vec<Bytes>) {
        let folder = tempfile::tempdir().unwrap();
        self.make(folder.path(), &["-hls_time", "8"]);
        let packaged = |seconds: usize| {
            let (whole, to) = (folder.path().join("0.ts"), folder.path().join(seconds.to_string()));
            std::fs::create_dir(&to).unwrap();
            let mut ffmpeg = ffmpeg();
            ffmpeg.args(["-copyts", "-i"]).arg(whole).args("-c copy -muxdelay 0 -f hls".split(' '));
            ffmpeg.args(["-hls_list_size", "0", "-hls_time", &seconds.to_string()]);
            ffmpeg.arg("-hls_segment_filename").arg(to.join("%d.ts")).arg(to.join("list.m3u8"));
            assert!(ffmpeg.status().unwrap().success());
            (0..8_usize.div_ceil(seconds)).map(|n| read(&to.join(format!("{n}.ts")))).collect()
        };
        (packaged(4), packaged(3))
    }

    /// Into a folder, with more options of the muxer.
    pub fn make(self, folder: &Path, more: &[&str]) {
        let mut ffmpeg = ffmpeg();
        ffmpeg.args("-f lavfi -i testsrc2=size=320x180:rate=25".split(' '));
        ffmpeg.args("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 8".split(' '));
        ffmpeg.args("-pix_fmt yuv420p".split(' '));
        ffmpeg.args(self.video.split(' ')).args(self.audio.split(' '));
        ffmpeg.args("-f hls -hls_time 4 -hls_list_size 0".split(' ')).args(more);
        ffmpeg.arg("-hls_segment_filename").arg(folder.join("%d.ts"));
        ffmpeg.arg(folder.join("list.m3u8"));
        let made = ffmpeg.output().expect("ffmpeg is installed");
        assert!(made.status.success(), "{self:?}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

pub fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}
