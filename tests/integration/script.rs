//! What a scripted packager is like: its renditions, what it writes into its lists, and where its
//! segments lie in time.

use std::collections::HashMap;
use std::time::Instant;

use crate::content::{Container, now_ms};
use crate::faults::Fault;
use crate::guard::Guard;

/// What a media playlist shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    Subtitles,
    IFrames,
}

/// A media playlist of a packager.
#[derive(Clone, Debug)]
pub struct Rendition {
    pub kind: Kind,
    /// Its file name on this packager, without `.m3u8`.
    pub file: String,
    /// What it is, on every packager: a resolution, a language.
    pub what: String,
    pub bandwidth: u32,
    /// Length of its segments, and where their borders lie beside the video's.
    pub ms: u64,
    pub shift_ms: u64,
    pub container: Container,
}

impl Rendition {
    pub fn has_init(&self) -> bool {
        self.container == Container::Fmp4 && self.kind != Kind::Subtitles
    }
}

/// Byte ranges in a resource that grows with each segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Each writes its offset.
    WithOffset,
    /// Only where it must be written.
    Short,
}

/// How long its lists are, and whether they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Live,
    /// EVENT: all since this moment.
    Event(u64),
    /// A file of so many segments, there since ever.
    Vod(u64),
}

/// What it writes beside segments.
#[derive(Clone, Debug)]
pub struct Style {
    pub container: Container,
    pub ranges: Option<Ranges>,
    /// AES-128: another key after so many video segments.
    pub key_every: Option<u64>,
    /// Of so many keys' times one is in the clear.
    pub clear_one_in: Option<u64>,
    /// EXT-X-KEY lines that stand beside ours.
    pub other_keys: Vec<String>,
    /// EXT-X-PROGRAM-DATE-TIME, and how wrong its clock is.
    pub clock_error_ms: Option<i64>,
    /// EXT-X-DATERANGE once in so many segments.
    pub daterange_every: Option<u64>,
    /// EXT-X-GAP: one segment in so many.
    pub gap_one_in: Option<u64>,
    /// EXT-X-START: TIME-OFFSET.
    pub start_offset: Option<f64>,
    /// Tags that nobody knows, between segments.
    pub unknown_tags: bool,
    /// Low latency: parts of a segment.
    pub parts: Option<u64>,
    pub window: Window,
    /// Whatever was made stays there.
    pub keeps_all: bool,
    /// Entries of the I-frame playlists for each segment.
    pub frames: u64,
}

/// What a packager is like and what it does now.
pub struct State {
    /// The first moment of the life that is on, and its first number.
    pub begun_ms: u64,
    pub first_number: u64,
    pub life: u32,
    /// Borders of segments lie here, plus multiples of the duration.
    pub offset_ms: u64,
    pub segment_ms: u64,
    pub target: u32,
    pub listed: u64,
    /// Length of a segment, packets of 188 bytes.
    pub packets: usize,
    /// Empty: a lone media playlist.
    pub renditions: Vec<Rendition>,
    pub style: Style,
    pub ended: bool,
    /// Nothing new comes after this moment.
    pub frozen_ms: Option<u64>,
    /// The same of one rendition.
    pub halted_ms: HashMap<String, u64>,
    pub playlists: HashMap<String, Fault>,
    pub segments: HashMap<String, Fault>,
    pub requests: Vec<(Instant, String)>,
    /// Who is let in; none: everybody.
    pub guard: Option<Guard>,
    pub copies_queries: bool,
}

impl State {
    pub fn new() -> Self {
        let style = Style {
            container: Container::Ts,
            ranges: None,
            key_every: None,
            clear_one_in: None,
            other_keys: Vec::new(),
            clock_error_ms: None,
            daterange_every: None,
            gap_one_in: None,
            start_offset: None,
            unknown_tags: false,
            parts: None,
            window: Window::Live,
            keeps_all: false,
            frames: 2,
        };
        Self {
            begun_ms: 0,
            first_number: 0,
            life: 1,
            offset_ms: 0,
            segment_ms: 1000,
            target: 2,
            listed: 7,
            packets: 100,
            renditions: Vec::new(),
            style,
            ended: false,
            frozen_ms: None,
            halted_ms: HashMap::new(),
            playlists: HashMap::new(),
            segments: HashMap::new(),
            requests: Vec::new(),
            guard: None,
            copies_queries: false,
        }
    }

    /// The media playlists it has.
    pub fn all(&self) -> Vec<Rendition> {
        if self.renditions.is_empty() {
            return vec![self.video("playlist", "lone", 0)];
        }
        let of_now = |r: &Rendition| match r.kind {
            Kind::Video | Kind::IFrames => {
                Rendition { ms: self.segment_ms, container: self.style.container, ..r.clone() }
            }
            Kind::Audio if r.container == Container::Ts => {
                Rendition { container: self.style.container, ..r.clone() }
            }
            _ => r.clone(),
        };
        self.renditions.iter().map(of_now).collect()
    }

    /// A rendition with the video's segments.
    pub fn video(&self, file: &str, what: &str, bandwidth: u32) -> Rendition {
        Rendition {
            kind: Kind::Video,
            file: file.to_owned(),
            what: what.to_owned(),
            bandwidth,
            ms: self.segment_ms,
            shift_ms: 0,
            container: self.style.container,
        }
    }

    /// EXT-X-TARGETDURATION: the same in all.
    pub fn target(&self) -> u64 {
        let longest = self.renditions.iter().map(|r| r.ms.div_ceil(1000)).max();
        longest.unwrap_or_default().max(u64::from(self.target))
    }

    fn now_ms(&self, what: &str) -> u64 {
        let halted = self.halted_ms.get(what).copied();
        [self.frozen_ms, halted].into_iter().flatten().min().unwrap_or_else(now_ms)
    }

    /// Segments of the life that is on are counted from 0 here.
    pub fn start_of(&self, rendition: &Rendition, k: u64) -> u64 {
        let border = self.offset_ms + rendition.shift_ms;
        let before = self.begun_ms.saturating_sub(border).div_ceil(rendition.ms);
        border + (before + k) * rendition.ms
    }

    /// How many segments the life has made.
    pub fn made(&self, rendition: &Rendition) -> u64 {
        if let Window::Vod(count) = self.style.window {
            return count * self.segment_ms / rendition.ms;
        }
        let live = self.now_ms(&rendition.what);
        live.saturating_sub(self.start_of(rendition, 0)) / rendition.ms
    }

    /// How much content a live list holds: three target durations at the least (RFC 8216, 6.2.2).
    fn window_ms(&self) -> u64 {
        (self.listed * self.segment_ms).max(3 * 1000 * self.target())
    }

    /// The first that is listed: all list as much content.
    pub fn first_listed(&self, rendition: &Rendition) -> u64 {
        let made = self.made(rendition);
        match self.style.window {
            Window::Live => made.saturating_sub(self.window_ms().div_ceil(rendition.ms)),
            Window::Event(since_ms) => {
                (0..made).find(|k| self.start_of(rendition, *k) >= since_ms).unwrap_or(made)
            }
            Window::Vod(_) => 0,
        }
    }

    /// It can still be had: those that left a short time ago, too.
    pub fn keeps(&self, rendition: &Rendition, k: u64) -> bool {
        let made = self.made(rendition);
        let all = self.style.keeps_all || self.style.window != Window::Live;
        let kept = (self.window_ms() + 4 * self.segment_ms).div_ceil(rendition.ms);
        k < made && (all || k + kept >= made)
    }

    /// Nobody has that segment: EXT-X-GAP.
    pub fn is_gap(&self, number: u64) -> bool {
        self.style.gap_one_in.is_some_and(|n| number % n == n - 1)
    }

    /// Which key encrypts what begins at that moment: the same for all renditions. None in the
    /// clear.
    pub fn key_period(&self, start_ms: u64) -> Option<u64> {
        let period = start_ms / (self.style.key_every? * self.segment_ms);
        let clear = self.style.clear_one_in.is_some_and(|n| period.is_multiple_of(n));
        (!clear).then_some(period)
    }

    /// What EXT-X-PROGRAM-DATE-TIME says, in Unix milliseconds.
    pub fn date_ms(&self, start_ms: u64) -> Option<u64> {
        (EPOCH_MS + start_ms).checked_add_signed(self.style.clock_error_ms?)
    }
}

/// The date of moment 0, by a clock that is right: 2026-01-01.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

/// ISO 8601 of Unix milliseconds in 2026.
pub fn iso(unix_ms: u64) -> String {
    let since = unix_ms - EPOCH_MS;
    let (s, ms) = (since / 1000, since % 1000);
    assert!(s < 31 * 86_400, "a date of January");
    let (day, hour, minute) = (1 + s / 86_400, s / 3600 % 24, s / 60 % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{:02}.{ms:03}Z", s % 60)
}
