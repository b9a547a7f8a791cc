//! Renditions: what they are, by which they are matched across packagers, never by URI.

use serde::{Deserialize, Serialize};

use crate::model::names::RenditionId;

/// One media playlist of a stream, by what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its name in our URLs: `v0`, `a0`, `s0`.
    pub id: RenditionId,
    /// What it is.
    pub traits: Traits,
}

/// What a rendition is (RFC 8216, 4.3.4.1 and 4.3.4.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    /// Variant, audio, subtitles.
    pub kind: Kind,
    /// BANDWIDTH, bits per second; variants only.
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
    /// GROUP-ID of an EXT-X-MEDIA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// LANGUAGE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
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
    /// EXT-X-I-FRAME-STREAM-INF.
    IFrames,
}
