//! What scripted segments are made of: every segment says in its bytes who made it and which
//! moment it shows, so that whoever reads it can tell a wrong byte and a hidden splice.

use std::sync::OnceLock;
use std::time::Instant;

/// Content that was there before the tests began, milliseconds: lists are full at once.
const BEFORE_MS: u64 = 600_000;

/// The moment of the stream that is live now, milliseconds. One clock for all packagers, as if one
/// encoder fed them.
pub fn now_ms() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
    BEFORE_MS + u64::try_from(elapsed.as_millis()).unwrap()
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
}

const PACKET: usize = 188;

impl Label {
    /// The segment: MPEG-TS packets as far as their first byte and their length go.
    pub fn bytes(&self, packets: usize) -> Vec<u8> {
        let Self { packager, life, stream, rendition, number, start_ms, duration_ms } = self;
        let text =
            format!("G|{packager}|{life}|{stream}|{rendition}|{number}|{start_ms}|{duration_ms}|");
        let mut packet = text.into_bytes();
        packet.resize(PACKET, 0xff);
        packet.repeat(packets)
    }

    /// Reads what [`Label::bytes`] wrote. The error says what stands there instead.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (packet, _) = bytes.split_at_checked(PACKET).ok_or("shorter than a packet")?;
        let text = String::from_utf8_lossy(packet);
        let fields: Vec<&str> = text.split('|').collect();
        let ["G", packager, life, stream, rendition, number, start, duration, _] = fields[..]
        else {
            return Err(format!("no segment of ours: {}", &text[..40.min(text.len())]));
        };
        let label = Self {
            packager: packager.to_owned(),
            life: life.parse().map_err(|_| "life")?,
            stream: stream.to_owned(),
            rendition: rendition.to_owned(),
            number: number.parse().map_err(|_| "number")?,
            start_ms: start.parse().map_err(|_| "start")?,
            duration_ms: duration.parse().map_err(|_| "duration")?,
        };
        if label.bytes(bytes.len() / PACKET) == bytes {
            Ok(label)
        } else {
            Err(format!("damaged: {label:?}"))
        }
    }

    pub fn end_ms(&self) -> u64 {
        self.start_ms + self.duration_ms
    }

    /// It comes right after `before`, from the same life of the same packager.
    pub fn follows(&self, before: &Self) -> bool {
        self.packager == before.packager
            && self.life == before.life
            && self.number == before.number + 1
    }
}
