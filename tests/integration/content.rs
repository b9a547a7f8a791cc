//! What scripted segments are made of: every segment says in its bytes who made it and which
//! moment it shows, so that whoever reads it can tell a wrong byte and a hidden splice.

use std::sync::OnceLock;
use std::time::Instant;

use segue::model::names::ContentHash;

use crate::programme::{PICTURE_MS, Packaging, read};

/// Content that was there before the tests began, milliseconds: lists are full at once, also those
/// that go back for hours.
pub const BEFORE_MS: u64 = 20_000_000;

/// The moment of the stream that is live now, milliseconds. One clock for all packagers, as if one
/// encoder fed them.
pub fn now_ms() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
    BEFORE_MS + u64::try_from(elapsed.as_millis()).unwrap()
}

/// How segments are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// MPEG-TS packets as far as their first byte and their length go.
    Ts,
    /// MPEG-TS for real: pictures and sound of one encoder, a keyframe each second.
    Media,
    /// Boxes of fMP4, with an init segment of their own.
    Fmp4,
    /// Packed audio behind an ID3 tag.
    Packed,
    /// WebVTT with X-TIMESTAMP-MAP.
    Vtt,
}

impl Container {
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Ts | Self::Media => "ts",
            Self::Fmp4 => "m4s",
            Self::Packed => "aac",
            Self::Vtt => "vtt",
        }
    }
}

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub packager: String,
    /// Which life of the packager, from 1: a restart begins the next.
    pub life: u32,
    pub stream: String,
    /// What the rendition is, on whichever packager and under whichever name.
    pub rendition: String,
    /// Its number on the packager.
    pub number: u64,
    /// The moment it begins with, milliseconds.
    pub start_ms: u64,
    pub duration_ms: u64,
    /// Where this moment lies on the packager's own timeline, milliseconds.
    pub pts_ms: u64,
}

const PACKET: usize = 188;

impl Label {
    fn text(&self) -> String {
        let Self { packager, life, stream, rendition, number, start_ms, duration_ms, pts_ms } =
            self;
        format!(
            "G|{packager}|{life}|{stream}|{rendition}|{number}|{start_ms}|{duration_ms}|{pts_ms}|"
        )
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split('|').collect();
        let ["G", packager, life, stream, rendition, number, start, duration, pts, _] = fields[..]
        else {
            return Err(format!("no segment of ours: {}", &text[..40.min(text.len())]));
        };
        Ok(Self {
            packager: packager.to_owned(),
            life: life.parse().map_err(|_| "life")?,
            stream: stream.to_owned(),
            rendition: rendition.to_owned(),
            number: number.parse().map_err(|_| "number")?,
            start_ms: start.parse().map_err(|_| "start")?,
            duration_ms: duration.parse().map_err(|_| "duration")?,
            pts_ms: pts.parse().map_err(|_| "pts")?,
        })
    }

    /// The segment, about so many packets of 188 bytes long.
    pub fn bytes(&self, container: Container, packets: usize) -> Vec<u8> {
        let text = self.text();
        let filler = vec![0xff; packets * PACKET];
        match container {
            Container::Ts => {
                let mut packet = text.into_bytes();
                packet.resize(PACKET, 0xff);
                packet.repeat(packets)
            }
            Container::Media => self.media(),
            Container::Fmp4 => [
                mp4_box(*b"styp", b"msdh"),
                mp4_box(*b"moof", text.as_bytes()),
                mp4_box(*b"mdat", &filler),
            ]
            .concat(),
            Container::Packed => {
                let size = u8::try_from(text.len()).unwrap();
                let tag = [b"ID3\x04\0\0\0\0", &[size >> 7, size & 0x7f][..], text.as_bytes()];
                [&tag.concat()[..], &filler].concat()
            }
            Container::Vtt => self.vtt().into_bytes(),
        }
    }

    /// The pictures of these moments, each with the label's text. Of each packager sound lags otherwise.
    fn media(&self) -> Vec<u8> {
        let ms = self.pts_ms.cast_signed() - self.start_ms.cast_signed();
        let base = ms * 90;
        let byte = |text: &str| ContentHash::of(text.as_bytes()).0[0];
        let sound_late = i64::from(byte(&self.packager)) * 40;
        let encoder = byte(&self.rendition);
        let plain = Packaging { frames_in_one: 4, ..Packaging::default() };
        let packaging = Packaging { encoder, base, sound_late, ..plain };
        let pictures = self.start_ms / PICTURE_MS..self.end_ms() / PICTURE_MS;
        packaging.segment(pictures, self.number, &self.text())
    }

    /// What is shown in a segment of [`Label::media`], or in the tail of one.
    fn of_media(bytes: &[u8]) -> Result<Self, String> {
        let seen = read(bytes)?;
        let (first, last) = seen.pictures.first().zip(seen.pictures.last()).ok_or("no picture")?;
        let whole = Self::of_text(&first.text)?;
        let start_ms = first.number * PICTURE_MS;
        let duration_ms = (last.number + 1) * PICTURE_MS - start_ms;
        let label = Self { start_ms, duration_ms, ..whole.clone() };
        let base = first.base;
        let shown = seen.pictures.windows(2).all(|p| {
            p[1].number == p[0].number + 1 && (&p[1].text, p[1].base) == (&first.text, base)
        });
        let heard = seen.sounds.windows(2).all(|s| s[1].number == s[0].number + 1);
        let in_step = seen.sounds.iter().all(|s| s.base == base);
        let up_to_the_end = label.end_ms() == whole.end_ms() && first.is_key;
        let as_made = label != whole || bytes == whole.media();
        if !(shown && heard && in_step && up_to_the_end && as_made) || seen.sounds.is_empty() {
            return Err(format!("damaged: {label:?}"));
        }
        Ok(label)
    }

    /// One cue over the whole segment, in local time, and where that lies on the timeline of the
    /// video (RFC 8216, 3.5).
    fn vtt(&self) -> String {
        let clock = |ms: u64| {
            let (s, ms) = (ms / 1000, ms % 1000);
            format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
        };
        format!(
            "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{}\n\n{} --> {}\n{}\n",
            self.pts_ms * 90 % (1 << 33),
            clock(0),
            clock(self.duration_ms),
            self.text()
        )
    }

    /// Reads what [`Label::bytes`] wrote. The error says what stands there instead.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.first() == Some(&b'G') && !bytes.starts_with(b"G|") {
            return Self::of_media(bytes);
        }
        let (container, text, filler) = Self::unwrap(bytes).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&bytes[..40.min(bytes.len())]).into_owned();
            format!("no segment of ours, {} bytes: {shown:?}", bytes.len())
        })?;
        let label = Self::of_text(&text)?;
        if label.bytes(container, filler / PACKET) == bytes {
            Ok(label)
        } else {
            Err(format!("damaged: {label:?}"))
        }
    }

    /// The container, the label's text, and the bytes of filling.
    fn unwrap(bytes: &[u8]) -> Option<(Container, String, usize)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if bytes.starts_with(b"WEBVTT") {
            let all = text(bytes);
            let label = all.lines().find(|l| l.starts_with("G|"))?;
            return Some((Container::Vtt, label.to_owned(), 0));
        }
        if bytes.starts_with(b"ID3") {
            let size = usize::from(bytes[8]) << 7 | usize::from(bytes[9]);
            let (label, filler) = bytes.get(10..)?.split_at_checked(size)?;
            return Some((Container::Packed, text(label), filler.len()));
        }
        if bytes.get(4..8)? == b"styp" {
            let (_, rest) = bytes.split_at_checked(12)?;
            let length =
                usize::try_from(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
            let (moof, mdat) = rest.split_at_checked(length)?;
            return Some((Container::Fmp4, text(moof.get(8..)?), mdat.len().checked_sub(8)?));
        }
        let (packet, _) = bytes.split_at_checked(PACKET)?;
        Some((Container::Ts, text(packet), bytes.len()))
    }

    pub fn end_ms(&self) -> u64 {
        self.start_ms + self.duration_ms
    }

    /// Who made it, in which life: one timeline, one init segment.
    pub fn run(&self) -> (&str, u32) {
        (&self.packager, self.life)
    }

    /// It comes right after `before`, from the same life of the same packager.
    pub fn follows(&self, before: &Self) -> bool {
        self.run() == before.run() && self.number == before.number + 1
    }
}

fn mp4_box(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &kind, body].concat()
}

/// An init segment, and who made it: another one for each life of each packager.
pub fn init(packager: &str, life: u32, rendition: &str) -> Vec<u8> {
    let text = format!("I|{packager}|{life}|{rendition}|");
    [mp4_box(*b"ftyp", b"isom"), mp4_box(*b"moov", text.as_bytes())].concat()
}

/// Who made an init segment: packager, life and rendition.
pub fn read_init(bytes: &[u8]) -> Result<(String, u32, String), String> {
    let text = String::from_utf8_lossy(bytes.get(20..).unwrap_or_default()).into_owned();
    let fields: Vec<&str> = text.split('|').collect();
    let ["I", packager, life, rendition, ""] = fields[..] else {
        return Err(format!("no init segment of ours: {text:?}"));
    };
    let life = life.parse().map_err(|_| "life")?;
    if init(packager, life, rendition) != bytes {
        return Err("damaged".to_owned());
    }
    Ok((packager.to_owned(), life, rendition.to_owned()))
}
