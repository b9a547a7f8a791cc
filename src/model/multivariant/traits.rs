//! What a tag says of its rendition, as m3u8-rs reads it: where a URI stands is found elsewhere,
//! what an attribute means is not judged again here.

use std::fmt::Write as _;

use m3u8_rs::{AlternativeMedia, MasterPlaylist, VariantStream};

use crate::model::playlist::attributes::attributes;
use crate::model::rendition::{Kind, Traits};

/// One tag as m3u8-rs reads it. Each alone: in a whole playlist it lets a URI slip to the
/// variant before where it cannot read a tag, and an attribute list run into the next line.
/// Empty values and those of `without` are left out, since it cannot read a tag with those.
fn one_tag(tag: &str, list: &str, without: &[&str]) -> Option<MasterPlaylist> {
    let mut text = format!("#EXTM3U\n{tag}:");
    for a in attributes(list).filter(|a| !a.value.is_empty() && !without.contains(&a.name)) {
        let quote = if a.quoted { "\"" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{}={quote}{}{quote},", a.name, a.value);
    }
    text.push('\n');
    m3u8_rs::parse_master_playlist_res(text.as_bytes()).ok()
}

/// Of an EXT-X-STREAM-INF (RFC 8216, 4.3.4.2).
pub(super) fn of_variant(list: &str) -> Traits {
    streamed(Kind::Variant, "#EXT-X-STREAM-INF", list)
}

/// Of an EXT-X-I-FRAME-STREAM-INF (RFC 8216, 4.3.4.3).
pub(super) fn of_i_frames(list: &str) -> Traits {
    streamed(Kind::IFrames, "#EXT-X-I-FRAME-STREAM-INF", list)
}

fn streamed(kind: Kind, tag: &str, list: &str) -> Traits {
    let read = one_tag(tag, list, &[]).and_then(|mut p| p.variants.pop());
    let Some(VariantStream { bandwidth, codecs, resolution, frame_rate, other_attributes, .. }) =
        read
    else {
        return Traits { kind, ..Traits::default() };
    };
    let mut other = other_attributes.unwrap_or_default();
    let mut other = |name| other.remove(name).map(|value| value.as_str().to_owned());
    Traits {
        kind,
        bandwidth: Some(bandwidth),
        resolution: resolution.map(|r| (r.width, r.height)),
        codecs,
        frame_rate_milli: frame_rate.and_then(milli),
        video_range: other("VIDEO-RANGE"),
        name: other("NAME"),
        ..Traits::default()
    }
}

/// Frames in a thousand seconds; none for what is no frame rate.
fn milli(rate: f64) -> Option<u64> {
    let seconds = std::time::Duration::try_from_secs_f64(rate).ok()?;
    u64::try_from(seconds.as_micros().checked_add(500)? / 1000).ok()
}

/// Of an EXT-X-MEDIA (RFC 8216, 4.3.4.1).
pub(super) fn of_media(list: &str, kind: Kind) -> Traits {
    // Some write all attributes on all types: `FORCED=NO` for audio.
    let without: &[&str] =
        if kind == Kind::Subtitles { &["INSTREAM-ID"] } else { &["INSTREAM-ID", "FORCED"] };
    let read = one_tag("#EXT-X-MEDIA", list, without).and_then(|mut p| p.alternatives.pop());
    let Some(media) = read else {
        return Traits { kind, ..Traits::default() };
    };
    let AlternativeMedia { group_id, name, language, assoc_language, .. } = media;
    Traits {
        kind,
        group: Some(group_id),
        name: Some(name),
        language,
        assoc_language,
        characteristics: media.characteristics,
        channels: media.channels,
        default: media.default,
        forced: media.forced,
        ..Traits::default()
    }
}
