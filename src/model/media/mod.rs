//! What is inside a segment: when its pictures and sound are shown, where it can be joined, and the
//! cut of it that begins there.
//!
//! `ts` and `fmp4` read and cut one container each; all else is said in the words of `content`, so
//! that a splice does not know which one it is. One pass over borrowed bytes, no copy but what a cut
//! returns. Bytes come from outside: damage is a fact, never a panic.

mod content;
mod damage;
mod fmp4;
mod nal;
mod ts;

pub use content::{Audio, Codec, Content, Joint, Keyframe, PictureHash, Span, Ticks, Video};
pub use damage::Damage;

use bytes::Bytes;

/// What a segment is read with.
#[derive(Clone, Copy, Debug)]
pub enum Container<'a> {
    /// MPEG-TS.
    Ts,
    /// fMP4, with the bytes of its init segment.
    Fmp4 {
        /// The init segment.
        init: &'a [u8],
    },
}

/// What is in a segment.
pub fn inspect(container: Container<'_>, segment: &[u8]) -> Result<Content, Damage> {
    match container {
        Container::Ts => ts::inspect(segment),
        Container::Fmp4 { init } => fmp4::inspect(init, segment),
    }
}

/// It may be MPEG-TS: it begins as its packets do.
#[must_use]
pub fn begins_as_ts(bytes: &[u8]) -> bool {
    ts::begins(bytes)
}

/// The keyframes that are whole in the first part of a segment of MPEG-TS: enough to know its run by.
#[must_use]
pub fn glimpse(part: &[u8]) -> Vec<Keyframe> {
    let Ok(content) = ts::inspect(ts::packets_of(part)) else { return Vec::new() };
    let Some(Video { dts, keyframes, .. }) = content.video else { return Vec::new() };
    // The last picture may go on in what was not asked for.
    keyframes.into_iter().filter(|keyframe| keyframe.dts < dts.last).collect()
}

/// The tail of a segment from a joint on, the same bytes wherever it is made; the segment itself where
/// nothing comes before the joint. Sound that it does not have cannot be invented (`Content::lacks_sound`).
pub fn cut(container: Container<'_>, segment: &Bytes, joint: &Joint) -> Result<Bytes, Damage> {
    match container {
        Container::Ts => ts::cut(segment, *joint),
        Container::Fmp4 { init } => fmp4::cut(init, segment, *joint),
    }
}
