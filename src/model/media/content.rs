//! What a segment holds, whatever it is packed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on a packager's media timeline, 90 kHz. In MPEG-TS it is what the packets say, 33 bits, unwrapped
/// within one segment from its first; in fMP4 it is rounded down from the track's own timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub i64);

impl Ticks {
    /// A second.
    pub const SECOND: i64 = 90_000;
    /// MPEG-TS counts to here, and begins again.
    const ROUND: i64 = 1 << 33;

    /// How long after `other` it is, negative where it is before: the shorter way round, since
    /// timelines of MPEG-TS begin again every day.
    #[must_use]
    pub fn since(self, other: Self) -> i64 {
        let ahead = self.0.wrapping_sub(other.0).rem_euclid(Self::ROUND);
        if ahead > Self::ROUND / 2 { ahead - Self::ROUND } else { ahead }
    }

    /// So much later.
    #[must_use]
    pub const fn plus(self, ticks: i64) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// A length in ticks as time; nothing where it is negative.
    #[must_use]
    pub fn duration(ticks: i64) -> Duration {
        Duration::from_nanos(u64::try_from(ticks).unwrap_or(0).saturating_mul(100_000) / 9)
    }

    /// A length in ticks, or how far apart two moments are, as milliseconds.
    #[must_use]
    pub const fn ms(ticks: i64) -> i64 {
        ticks.saturating_mul(1000) / Self::SECOND
    }

    /// A length as ticks.
    #[must_use]
    pub fn of(duration: Duration) -> i64 {
        i64::try_from(duration.as_nanos().saturating_mul(9) / 100_000).unwrap_or(i64::MAX)
    }
}

/// From the first to the last of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest.
    pub first: Ticks,
    /// The latest.
    pub last: Ticks,
}

/// Where a tail begins: the pictures and the sound of a segment rarely end at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Joint {
    /// When the first picture that is kept is shown: a closed keyframe's time, exactly. None: all are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<Ticks>,
    /// Where the sound that came before it ended: of each track the first frame that is kept is the one whose
    /// start is nearest. None: nearest to the picture; without one, all is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Ticks>,
}

impl Joint {
    /// At a picture, with the sound nearest to it.
    #[must_use]
    pub fn at(pts: Ticks) -> Self {
        Self { video: Some(pts), audio: None }
    }
}

/// All that is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// None in a segment of sound alone.
    pub video: Option<Video>,
    /// In the order of the tracks.
    pub audio: Vec<Audio>,
    /// MPEG-TS: the first programme clock reference, 27 MHz.
    pub pcr: Option<u64>,
}

impl Content {
    /// Where what follows begins, of the first track of each kind: the next joint, on this timeline. It is
    /// at most two ticks early, for a time and a length are rounded down. Since it is told by the media
    /// anew each time, and the nearest frame is meant, that does not add up.
    #[must_use]
    pub fn end(&self) -> Joint {
        let video = self.video.as_ref().map(|video| Ticks(video.pts.last.0 + video.frame.0));
        let audio = self.audio.first().map(|audio| Ticks(audio.pts.last.0 + audio.frame.0));
        Joint { video, audio }
    }

    /// Its sound begins after the joint's: what lies between is at the end of the segment before it. The
    /// two, one after the other, can be cut as one.
    #[must_use]
    pub fn lacks_sound(&self, joint: &Joint) -> bool {
        let first = self.audio.first().zip(joint.audio);
        first.is_some_and(|(audio, from)| 2 * (audio.pts.first.0 - from.0) > audio.frame.0)
    }
}

/// The pictures of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// How it is coded.
    pub codec: Codec,
    /// Hash of the parameter sets (SPS, PPS, VPS), each counted once, by type and bytes; if the segment or its
    /// init segment has them.
    pub parameter_sets: Option<PictureHash>,
    /// Presentation times of all pictures, the earliest and the latest.
    pub pts: Span,
    /// Decoding times, in the order of the stream.
    pub dts: Span,
    /// How many; two fields that make one frame count once.
    pub pictures: u32,
    /// How long the last picture is taken to be shown: the distance that most pictures have; 0 of one alone.
    pub frame: Ticks,
    /// In the order of the stream.
    pub keyframes: Vec<Keyframe>,
}

/// A picture that decoding can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// When it is shown.
    pub pts: Ticks,
    /// When it is decoded.
    pub dts: Ticks,
    /// Of the coded picture alone, the same in every container.
    pub hash: PictureHash,
    /// No picture after it in the stream is shown before it, and its parameter sets are at hand: what comes
    /// before can be cut off.
    pub closed: bool,
}

/// The first half of BLAKE3 over the slices of a coded picture (or over parameter sets), each with its length
/// before it: NAL units without start codes, lengths, trailing zeros, delimiters and SEI, which packagers
/// write as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PictureHash(pub [u8; 16]);

/// In hex.
impl Serialize for PictureHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for PictureHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(d)?;
        let number = u128::from_str_radix(&text, 16);
        let number = number.map_err(|_| serde::de::Error::custom("not a picture's hash in hex"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// The sound of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// How it is coded.
    pub codec: Codec,
    /// Presentation times of the first and the last frame. One that the segment does not have whole does
    /// not count.
    pub pts: Span,
    /// How long one frame lasts, rounded down.
    pub frame: Ticks,
    /// How many.
    pub frames: u32,
}

/// How a track is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// AAC.
    Aac,
    /// MP3.
    Mp3,
    /// AC-3.
    Ac3,
    /// Anything else: it is carried, and cut at packets.
    Other,
}
