//! What scripted packagers can be taught to write.

use crate::content::{Container, now_ms};
use crate::packager::Packager;
use crate::script::{Kind, Ranges, Rendition, State, Window};

impl Packager {
    /// Streams are multivariant: file name, RESOLUTION, BANDWIDTH.
    pub fn variants(self, variants: &[(&str, &str, u32)]) -> Self {
        self.with(|s| {
            for (file, what, bandwidth) in variants {
                let video = s.video(file, what, *bandwidth);
                s.renditions.push(video);
            }
        })
    }

    /// Audio in that language beside the video, in segments of `ms`, with borders of its own.
    pub fn audio(self, language: &str, ms: u64) -> Self {
        self.beside(Kind::Audio, language, ms, Container::Ts)
    }
    /// The same as packed audio.
    pub fn packed_audio(self, language: &str, ms: u64) -> Self {
        self.beside(Kind::Audio, language, ms, Container::Packed)
    }
    /// Subtitles in that language, WebVTT in segments of `ms`.
    pub fn subtitles(self, language: &str, ms: u64) -> Self {
        let what = format!("{language}-text");
        self.beside(Kind::Subtitles, &what, ms, Container::Vtt)
    }

    fn beside(self, kind: Kind, what: &str, ms: u64, container: Container) -> Self {
        let file = format!("{}_{what}_{ms}", self.id());
        let what = what.to_owned();
        // Audio frames never end where pictures do.
        let shift_ms = if kind == Kind::Audio { 130 } else { 0 };
        self.with(|s| {
            with_video(s);
            let bandwidth = 64_000;
            s.renditions.push(Rendition { kind, file, what, bandwidth, ms, shift_ms, container });
        })
    }

    /// An I-frame playlist for each variant, with so many entries for each segment.
    pub fn iframes(self, per_segment: u64) -> Self {
        self.with(|s| {
            with_video(s);
            s.style.frames = per_segment;
            let videos = s.renditions.clone().into_iter().filter(|r| r.kind == Kind::Video);
            s.renditions.extend(videos.map(|v| Rendition {
                kind: Kind::IFrames,
                file: format!("{}_iframes", v.file),
                bandwidth: v.bandwidth / 10,
                ..v
            }));
        })
    }

    /// Segments of two seconds are MPEG-TS for real.
    pub fn media(self) -> Self {
        self.segments_of(2000, 2).with(|s| s.style.container = Container::Media)
    }
    /// Segments are fMP4, and need an init segment.
    pub fn fmp4(self) -> Self {
        self.with(|s| s.style.container = Container::Fmp4)
    }
    /// Segments are byte ranges of a resource that grows.
    pub fn ranges(self, ranges: Ranges) -> Self {
        self.with(|s| s.style.ranges = Some(ranges))
    }
    /// AES-128, with another key after so many segments, and the IV that a segment's number is.
    pub fn another_key_every(self, segments: u64) -> Self {
        self.with(|s| s.style.key_every = Some(segments))
    }
    /// Of so many keys' times one is in the clear.
    pub fn clear_one_in(self, periods: u64) -> Self {
        self.with(|s| s.style.clear_one_in = Some(periods))
    }
    /// This EXT-X-KEY line stands beside each of ours.
    pub fn also_keyed(self, line: &str) -> Self {
        self.with(|s| s.style.other_keys.push(line.to_owned()))
    }
    /// EXT-X-PROGRAM-DATE-TIME, by a clock that is so wrong.
    pub fn dated(self, error_ms: i64) -> Self {
        self.with(|s| s.style.clock_error_ms = Some(error_ms))
    }
    /// EXT-X-DATERANGE once in so many segments, with IDs that others use as well.
    pub fn a_break_every(self, segments: u64) -> Self {
        self.with(|s| s.style.daterange_every = Some(segments))
    }
    /// EXT-X-GAP: one segment in so many.
    pub fn gap_one_in(self, segments: u64) -> Self {
        self.with(|s| s.style.gap_one_in = Some(segments))
    }
    /// EXT-X-START.
    pub fn starting_at(self, offset: f64) -> Self {
        self.with(|s| s.style.start_offset = Some(offset))
    }
    /// A tag that nobody knows before each segment.
    pub fn with_unknown_tags(self) -> Self {
        self.with(|s| s.style.unknown_tags = true)
    }
    /// Low latency: so many parts in a segment.
    pub fn parts(self, parts: u64) -> Self {
        self.with(|s| s.style.parts = Some(parts))
    }

    /// A window of so many segments, all of them there.
    pub fn dvr(self, segments: u64) -> Self {
        self.with(|s| (s.listed, s.style.keeps_all) = (segments, true))
    }
    /// EVENT: it lists all since `segments` before now, to the second, however long other tests took.
    pub fn event(self, segments: u64) -> Self {
        let begun_ms = now_ms() / 1000 * 1000;
        self.with(|s| s.style.window = Window::Event(begun_ms - segments * s.segment_ms))
    }
    /// A file of so many segments, the same on every packager that has it.
    pub fn vod(self, segments: u64) -> Self {
        self.with(|s| s.style.window = Window::Vod(segments))
    }
}

/// One variant, where none was named.
fn with_video(state: &mut State) {
    if state.renditions.is_empty() {
        let video = state.video("video", "1280x720", 2_000_000);
        state.renditions.push(video);
    }
}
