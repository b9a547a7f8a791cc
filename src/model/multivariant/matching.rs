//! Which rendition of one packager stands for which of another: by what they are, never by URI.

use super::Found;
use super::language::{self, Apart, told};
use crate::model::rendition::{Kind, Rendition, Traits};

/// What stands for a rendition on another packager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its place in the list of those found.
    pub index: usize,
    /// Viewers see and hear the same. If not, it is the nearest of those there are and stands
    /// in: another resolution, bit rate (by more than a quarter), codec, language or the like.
    /// What only one side tells is no difference.
    pub exact: bool,
}

/// For each of `wanted` the nearest of its kind in `found`; none where nothing may stand in.
///
/// One of `found` may stand for several, where there are fewer of them; among those equally
/// near, one that stands for nothing yet goes first, then the one listed first.
///
/// Sound in another language stands in where there is none in the right one: going on beats
/// silence (ARCHITECTURE.md, law 6), and players cannot do without the track that they chose.
/// Subtitles in another language do not: none are better than wrong ones.
#[must_use]
pub fn match_renditions(wanted: &[Rendition], found: &[Found]) -> Vec<Option<Match>> {
    let mut used = vec![false; found.len()];
    let nearest = |used: &[bool], traits: &Traits| {
        (0_usize..)
            .zip(found.iter().zip(used))
            .filter(|(_, (f, _))| may_stand_in(traits, &f.rendition.traits))
            .min_by_key(|(_, (f, used))| (distance(traits, &f.rendition.traits), **used))
            .map(|(index, (f, _))| Match { index, exact: exact(traits, &f.rendition.traits) })
    };
    wanted
        .iter()
        .map(|rendition| {
            let found = nearest(&used, &rendition.traits)?;
            if let Some(used) = used.get_mut(found.index) {
                *used = true;
            }
            Some(found)
        })
        .collect()
}

fn may_stand_in(a: &Traits, b: &Traits) -> bool {
    a.kind == b.kind && (a.kind != Kind::Subtitles || tongue(a, b) <= Apart::Region)
}

/// The language of an EXT-X-MEDIA: where it is not told on both sides, its name says it.
fn tongue(a: &Traits, b: &Traits) -> Apart {
    match (told(a.language.as_deref()), told(b.language.as_deref())) {
        (Some(a), Some(b)) => language::apart(Some(a), Some(b)),
        _ => match (&a.name, &b.name) {
            (Some(a), Some(b)) if a.to_lowercase() != b.to_lowercase() => Apart::Other,
            _ => Apart::Same,
        },
    }
}

/// Whether viewers see and hear the same.
fn exact(a: &Traits, b: &Traits) -> bool {
    let told_apart = |a: Option<(u64, u64)>, b| matches!((a, b), (Some(a), Some(b)) if a != b);
    let far = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) > a.max(b) / 4,
        _ => false,
    };
    let media = !matches!(a.kind, Kind::Variant | Kind::IFrames);
    let channels = |t: &Traits| channels(t).map(|count| (count, 0));
    families_differ(a.codecs.as_deref(), b.codecs.as_deref()) == 0
        && !told_apart(a.resolution, b.resolution)
        && !told_apart(channels(a), channels(b))
        && !far(a.bandwidth, b.bandwidth)
        && !far(a.frame_rate_milli, b.frame_rate_milli)
        && range(a) == range(b)
        && a.forced == b.forced
        && alike(a.characteristics.as_deref(), b.characteristics.as_deref())
        && (!media || tongue(a, b) <= Apart::Less)
}

/// How far two renditions of one kind are apart, the weightiest first: what players cannot
/// switch between, then what viewers would see or hear.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // each is compared, none is a state
struct Distance {
    codec_families: u8,
    language: Apart,
    forced: bool,
    characteristics: bool,
    range: bool,
    pixels: u64,
    bandwidth: u64,
    frame_rate: u64,
    codecs: u8,
    /// Variants' names come last: they name nothing that viewers see.
    name: u8,
    channels: u64,
    assoc_language: Apart,
    default: bool,
    group: u8,
}

fn distance(a: &Traits, b: &Traits) -> Distance {
    let pixels = |t: &Traits| t.resolution.map(|(width, height)| width.saturating_mul(height));
    Distance {
        codec_families: families_differ(a.codecs.as_deref(), b.codecs.as_deref()),
        language: language::apart(a.language.as_deref(), b.language.as_deref()),
        forced: a.forced != b.forced,
        characteristics: !alike(a.characteristics.as_deref(), b.characteristics.as_deref()),
        range: range(a) != range(b),
        pixels: apart(pixels(a), pixels(b)),
        bandwidth: apart(a.bandwidth, b.bandwidth),
        frame_rate: apart(a.frame_rate_milli, b.frame_rate_milli),
        codecs: differ(a.codecs.as_deref(), b.codecs.as_deref()),
        name: differ(a.name.as_deref(), b.name.as_deref()),
        channels: apart(channels(a), channels(b)),
        assoc_language: language::apart(a.assoc_language.as_deref(), b.assoc_language.as_deref()),
        default: a.default != b.default,
        group: differ(a.group.as_deref(), b.group.as_deref()),
    }
}

/// What only one side tells is as far apart as can be.
fn apart(a: Option<u64>, b: Option<u64>) -> u64 {
    match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b),
        (None, None) => 0,
        _ => u64::MAX,
    }
}

/// 0 equal, 1 one side does not tell, 2 different.
fn differ(a: Option<&str>, b: Option<&str>) -> u8 {
    match (a, b) {
        _ if a == b => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    }
}

/// Both list the same, in any order; no list is an empty one.
fn alike(a: Option<&str>, b: Option<&str>) -> bool {
    let items = |list: Option<&str>| {
        let mut items: Vec<_> =
            list.unwrap_or_default().split(',').map(|i| i.trim().to_owned()).collect();
        items.sort_unstable();
        items
    };
    items(a) == items(b)
}

/// How many channels: what stands before a `/` (RFC 8216, 4.3.4.1).
fn channels(traits: &Traits) -> Option<u64> {
    traits.channels.as_deref()?.split('/').next()?.trim().parse().ok()
}

fn range(traits: &Traits) -> &str {
    traits.video_range.as_deref().unwrap_or("SDR")
}

/// AVC does not go on in HEVC: 1 if both sides tell their codecs and a codec of one is of a
/// family that the other lacks.
fn families_differ(a: Option<&str>, b: Option<&str>) -> u8 {
    let (Some(a), Some(b)) = (a, b) else {
        return 0;
    };
    let all_in = |a: &str, b: &str| families(a).all(|family| families(b).any(|f| f == family));
    u8::from(!(all_in(a, b) && all_in(b, a)))
}

fn families(codecs: &str) -> impl Iterator<Item = &str> {
    codecs.split(',').map(|codec| match codec.trim().split('.').next().unwrap_or_default() {
        "avc3" => "avc1",
        "hev1" => "hvc1",
        "dvhe" => "dvh1",
        family => family,
    })
}
