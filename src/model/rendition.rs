//! Renditions: what they are, by which they are matched across packagers, never by URI.

use serde::{Deserialize, Serialize};

use crate::model::names::RenditionId;

/// One media playlist of a stream, by what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its name in our URLs: `v0`, `a0`, `s0`, `i0`.
    pub id: RenditionId,
    /// What it is.
    pub traits: Traits,
}

/// What a rendition is (RFC 8216, 4.3.4.1 to 4.3.4.3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    /// Variant, audio, subtitles, I-frames.
    pub kind: Kind,
    /// BANDWIDTH, bits per second; variants and I-frames only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// RESOLUTION, width and height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<(u64, u64)>,
    /// CODECS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codecs: Option<String>,
    /// FRAME-RATE, thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate_milli: Option<u64>,
    /// VIDEO-RANGE: SDR where there is none (RFC 8216bis, 4.4.6.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_range: Option<String>,
    /// GROUP-ID of an EXT-X-MEDIA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// LANGUAGE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// ASSOC-LANGUAGE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assoc_language: Option<String>,
    /// CHARACTERISTICS, such as `public.accessibility.describes-video`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characteristics: Option<String>,
    /// CHANNELS, such as `2` or `16/JOC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<String>,
    /// DEFAULT=YES.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// FORCED=YES; subtitles only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// The kinds of renditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// EXT-X-STREAM-INF.
    #[default]
    Variant,
    /// EXT-X-MEDIA TYPE=AUDIO with a URI.
    Audio,
    /// EXT-X-MEDIA TYPE=VIDEO with a URI.
    Video,
    /// EXT-X-MEDIA TYPE=SUBTITLES with a URI.
    Subtitles,
    /// EXT-X-I-FRAME-STREAM-INF: pictures for trick play.
    IFrames,
}

impl Kind {
    /// The order of a stream's renditions: what the others are aligned by first, then what
    /// viewers would miss most.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Variant => 0,
            Self::Video => 1,
            Self::Audio => 2,
            Self::Subtitles => 3,
            Self::IFrames => 4,
        }
    }

    /// Viewers play it, as opposed to searching by it.
    #[must_use]
    pub const fn is_played(self) -> bool {
        !matches!(self, Self::IFrames)
    }

    /// What its ids begin with: another camera angle is a `v` too.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Variant | Self::Video => 'v',
            Self::Audio => 'a',
            Self::Subtitles => 's',
            Self::IFrames => 'i',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_of_stored_logs_stay_readable() {
        let cases = [
            (r#"{"kind":"variant","bandwidth":1300000}"#, Kind::Variant),
            (r#"{"kind":"audio","group":"g","name":"n","language":"en"}"#, Kind::Audio),
            (r#"{"kind":"video"}"#, Kind::Video),
            (r#"{"kind":"subtitles"}"#, Kind::Subtitles),
            (r#"{"kind":"i_frames","forced":true}"#, Kind::IFrames),
        ];
        for (text, kind) in cases {
            let traits: Traits = serde_json::from_str(text).unwrap();
            assert_eq!(traits.kind, kind, "{text}");
            // What is not told is not written either.
            assert_eq!(serde_json::to_string(&traits).unwrap(), text);
        }
    }
}
