//! The truth: one encoder, whose timeline each packager cuts into segments of its own, with its
//! own numbers, names, delay and faults. Pure; time comes in as a value, in milliseconds.
//!
//! A segment's bytes say what it is, so that whoever holds them can check where they belong.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::programme::{PICTURE_MS, PICTURE_TICKS, Packaging};

/// How a packager packages, whatever happens to it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its id.
    pub id: &'static str,
    /// From the encoder to a segment's end being known here.
    pub delay: u64,
    /// Of a segment.
    pub duration: u64,
    /// Segments are longer by up to this.
    pub jitter: u64,
    /// EXT-X-TARGETDURATION, seconds.
    pub target: u32,
    /// How many segments it lists.
    pub list: usize,
    /// The first number of its first run; later runs begin at 0.
    pub first: u64,
    /// Later runs take other names.
    pub names_per_run: bool,
    /// How many renditions: with one, the entry playlist is the media playlist.
    pub variants: usize,
    /// The numbers of the second rendition are higher by this.
    pub offset: u64,
    /// Writes EXT-X-PROGRAM-DATE-TIME.
    pub dates: bool,
    /// Marks the first segment after a gap or a restart with EXT-X-DISCONTINUITY.
    pub marks: bool,
    /// Its segments are media, cut at keyframes; else they are labels.
    pub media: Option<Media>,
}

/// A packager of media.
#[derive(Clone, Copy, Debug)]
pub struct Media {
    pub packaging: Packaging,
    /// Where its borders lie beside those of one that began with the programme, GOPs.
    pub apart: u64,
    /// Each later run has a timeline of its own.
    pub rebases: bool,
}

impl Media {
    fn gop_ms(&self) -> u64 {
        self.packaging.gop * PICTURE_MS
    }

    /// The first keyframe from a moment on.
    fn keyframe(&self, ms: u64) -> u64 {
        let phase = self.packaging.phase * PICTURE_MS;
        ms.saturating_sub(phase).next_multiple_of(self.gop_ms()) + phase
    }

    fn segment(&self, truth: &Truth, text: &str) -> Vec<u8> {
        let Packaging { base, encoder, .. } = self.packaging;
        let moved = mix(truth.run.into()) % 1_000_000 * PICTURE_TICKS.unsigned_abs();
        let rebased = self.rebases && truth.run > 1;
        let base = base + if rebased { moved.cast_signed() } else { 0 };
        // Each rendition is coded by itself.
        let encoder = encoder + 16 * u8::try_from(truth.variant).unwrap();
        let packaging = Packaging { encoder, base, ..self.packaging };
        packaging.segment(truth.start / PICTURE_MS..truth.end / PICTURE_MS, truth.n, text)
    }
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Up,
    Frozen,
    Down,
}

/// What happens to its playlists, or to its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Right,
    Status(u16),
    Garbage,
    Empty,
    Truncated,
    Stalls,
}

#[derive(Clone, Debug)]
pub struct Seg {
    pub n: u64,
    pub start: u64,
    pub end: u64,
    pub marked: bool,
}

#[derive(Clone, Debug)]
pub struct Packager {
    pub shape: Shape,
    pub run: u32,
    pub process: Process,
    pub fed: bool,
    /// Neither taken out nor said to be down.
    pub usable: bool,
    pub playlists: Answer,
    pub segments: Answer,
    /// Since when nothing has been wrong with it.
    pub good_since: Option<u64>,
    segs: VecDeque<Seg>,
    /// Encoder time at which the segment being made began.
    cursor: u64,
    next: u64,
    mark_next: bool,
}

/// What a segment is, read from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    pub packager: String,
    pub run: u32,
    pub variant: usize,
    pub n: u64,
    pub start: u64,
    pub end: u64,
    pub marked: bool,
}

impl Truth {
    fn text(&self) -> String {
        let Self { packager, run, variant, n, start, end, marked } = self;
        let marked = if *marked { "marked" } else { "" };
        format!("G|{packager}|{run}|{variant}|{n}|{start}|{end}|{marked}|")
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let f: Vec<&str> = text.split('|').collect();
        Some(Self {
            packager: (*f.get(1)?).to_owned(),
            run: f.get(2)?.parse().ok()?,
            variant: f.get(3)?.parse().ok()?,
            n: f.get(4)?.parse().ok()?,
            start: f.get(5)?.parse().ok()?,
            end: f.get(6)?.parse().ok()?,
            marked: *f.get(7)? == "marked",
        })
    }

    /// This comes right after `before` in one run.
    pub fn follows(&self, before: &Self) -> bool {
        self.packager == before.packager && self.run == before.run && self.n == before.n + 1
    }
}

/// Files of segments that have left the list stay this many segments longer.
const FILES_STAY: usize = 3;

impl Packager {
    pub fn new(shape: Shape, now: u64) -> Self {
        let cursor = now.saturating_sub(shape.delay + shape.duration * shape.list as u64);
        let apart = |m: &Media| cursor / shape.duration * shape.duration + m.apart * m.gop_ms();
        let cursor = shape.media.as_ref().map_or(cursor, |m| m.keyframe(apart(m)));
        let next = shape.first;
        let mut new = Self {
            shape,
            run: 1,
            process: Process::Up,
            fed: true,
            usable: true,
            playlists: Answer::Right,
            segments: Answer::Right,
            good_since: Some(0),
            segs: VecDeque::new(),
            cursor,
            next,
            mark_next: false,
        };
        new.advance(now);
        new
    }

    /// Makes the segments that are whole by now.
    pub fn advance(&mut self, now: u64) {
        if self.process != Process::Up || !self.fed {
            return;
        }
        loop {
            let d = self.length(self.next);
            let end = self.cursor + d;
            if end + self.shape.delay > now {
                break;
            }
            let marked = self.mark_next && self.shape.marks;
            self.segs.push_back(Seg { n: self.next, start: self.cursor, end, marked });
            self.mark_next = false;
            self.cursor = end;
            self.next += 1;
        }
        while self.segs.len() > self.shape.list + FILES_STAY {
            self.segs.pop_front();
        }
    }

    fn length(&self, n: u64) -> u64 {
        let spread = mix(n ^ (u64::from(self.run) << 32) ^ u64::from(self.shape.id.as_bytes()[0]));
        let jitter = if self.shape.jitter == 0 { 0 } else { spread % (self.shape.jitter + 1) };
        let whole = self.shape.media.map_or(1, |media| media.gop_ms());
        self.shape.duration + jitter / whole * whole
    }

    pub fn kill(&mut self, now: u64) {
        self.advance(now);
        self.process = Process::Down;
        self.segs.clear();
    }

    pub fn start_again(&mut self, now: u64) {
        self.process = Process::Up;
        self.fed = true;
        self.good_since = None;
        self.run += 1;
        self.segs.clear();
        self.next = 0;
        self.cursor = self.joins(now);
        self.mark_next = true;
    }

    pub fn freeze(&mut self, now: u64) {
        self.advance(now);
        if self.process == Process::Up {
            self.process = Process::Frozen;
        }
    }

    pub fn thaw(&mut self, now: u64) {
        if self.process == Process::Frozen {
            self.process = Process::Up;
        }
        self.advance(now);
    }

    pub fn lose_feed(&mut self, now: u64) {
        self.advance(now);
        self.fed = false;
    }

    pub fn feed_again(&mut self, now: u64) {
        self.fed = true;
        self.cursor = self.cursor.max(self.joins(now));
        self.mark_next = true;
    }

    /// Where a packager begins that is fed from now on.
    fn joins(&self, now: u64) -> u64 {
        let from = now.saturating_sub(self.shape.delay);
        self.shape.media.map_or(from, |media| media.keyframe(from))
    }

    /// Notes whether anything is wrong with it, after a change.
    pub fn settle(&mut self, now: u64) {
        let good = self.process == Process::Up
            && self.fed
            && self.usable
            && self.playlists == Answer::Right
            && self.segments == Answer::Right;
        self.good_since = good.then(|| self.good_since.unwrap_or(now));
    }

    fn name(&self, n: u64) -> String {
        if self.shape.names_per_run {
            format!("w{}_{n}.ts", self.run)
        } else {
            format!("cam-{n}.ts")
        }
    }

    /// The playlist at `path`; none where there is no such file.
    pub fn playlist(&self, path: &str) -> Option<String> {
        if self.segs.is_empty() {
            return None;
        }
        if path == "/live/cam.m3u8" {
            return Some(if self.shape.variants == 1 {
                self.media(0)
            } else {
                self.multivariant()
            });
        }
        let v = path.strip_prefix("/live/v")?.strip_suffix("/list.m3u8")?.parse().ok()?;
        (self.shape.variants > 1 && v < self.shape.variants).then(|| self.media(v))
    }

    fn multivariant(&self) -> String {
        let mut out = "#EXTM3U\n".to_owned();
        for v in 0..self.shape.variants {
            let (bandwidth, height) = (3_000_000 / (v + 1), 1080 / (v + 1));
            let _ = write!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={}x{height}\nv{v}/list.m3u8\n",
                height * 16 / 9
            );
        }
        out
    }

    fn number(&self, v: usize, n: u64) -> u64 {
        n + self.shape.offset * v as u64
    }

    fn media(&self, v: usize) -> String {
        let from = self.segs.len().saturating_sub(self.shape.list);
        let listed = || self.segs.iter().skip(from);
        let first = listed().next().map_or(0, |s| self.number(v, s.n));
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
            self.shape.target
        );
        for s in listed() {
            if s.marked {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if self.shape.dates {
                let at = 1_800_000_000_000 + s.start;
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(at));
            }
            let d = s.end - s.start;
            let name = self.name(self.number(v, s.n));
            let _ = write!(out, "#EXTINF:{}.{:03},\n{name}\n", d / 1000, d % 1000);
        }
        out
    }

    /// The bytes at `path`; none where there is no such file.
    pub fn segment(&self, path: &str) -> Option<Vec<u8>> {
        let rest = path.strip_prefix("/live/")?;
        let (v, name) = if self.shape.variants == 1 {
            (0, rest)
        } else {
            let (v, name) = rest.strip_prefix('v')?.split_once('/')?;
            (v.parse().ok()?, name)
        };
        let s = self.segs.iter().find(|s| self.name(self.number(v, s.n)) == name)?;
        let Seg { n, start, end, marked } = *s;
        let (packager, run) = (self.shape.id.to_owned(), self.run);
        let truth = Truth { packager, run, variant: v, n, start, end, marked };
        let text = truth.text();
        // Packets as far as their first byte and their length go: nothing can be told of what is in them.
        let label = || format!("{text:188}").repeat(3).into_bytes();
        Some(self.shape.media.map_or_else(label, |media| media.segment(&truth, &text)))
    }
}

/// Unix milliseconds as EXT-X-PROGRAM-DATE-TIME writes them; good for a day from the base.
fn date(ms: u64) -> String {
    // 2027-01-15T08:00:00Z is 1 800 000 000 s.
    let s = 8 * 3600 + (ms / 1000 - 1_800_000_000);
    format!("2027-01-15T{:02}:{:02}:{:02}.{:03}Z", s / 3600, s / 60 % 60, s % 60, ms % 1000)
}

/// Spreads a number over all (splitmix64).
pub fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
