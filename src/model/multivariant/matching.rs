//! Which rendition of one packager stands for which of another: by what they are, never by URI.

use super::Found;
use crate::model::rendition::{Rendition, Traits};

/// How far two renditions of one kind are apart, the weightiest first: what players cannot
/// switch between, then what viewers would see or hear.
type Distance = (u8, u64, u64, u64, u8, u8, u8, u8);

/// For each of `wanted` the index in `found` of the nearest of its kind; none where there is no
/// rendition of that kind.
///
/// One of `found` may stand for several, where there are fewer of them; among those equally
/// near, one that stands for nothing yet goes first, then the one listed first.
#[must_use]
pub fn match_renditions(wanted: &[Rendition], found: &[Found]) -> Vec<Option<usize>> {
    let mut used = vec![false; found.len()];
    let nearest = |used: &[bool], traits: &Traits| {
        (0_usize..)
            .zip(found.iter().zip(used))
            .filter(|(_, (f, _))| f.rendition.traits.kind == traits.kind)
            .min_by_key(|(_, (f, used))| (distance(traits, &f.rendition.traits), **used))
            .map(|(index, _)| index)
    };
    wanted
        .iter()
        .map(|rendition| {
            let index = nearest(&used, &rendition.traits)?;
            if let Some(used) = used.get_mut(index) {
                *used = true;
            }
            Some(index)
        })
        .collect()
}

fn distance(a: &Traits, b: &Traits) -> Distance {
    let pixels = |t: &Traits| t.resolution.map(|(width, height)| width.saturating_mul(height));
    (
        families_differ(a.codecs.as_deref(), b.codecs.as_deref()),
        apart(pixels(a), pixels(b)),
        apart(a.bandwidth, b.bandwidth),
        apart(a.frame_rate_milli, b.frame_rate_milli),
        differ(a.codecs.as_deref(), b.codecs.as_deref()),
        languages_differ(a.language.as_deref(), b.language.as_deref()),
        differ(a.name.as_deref(), b.name.as_deref()),
        differ(a.group.as_deref(), b.group.as_deref()),
    )
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

/// 0 equal, 1 alike (`en`, `eng`, `en-GB`), 2 one side does not tell, 3 different.
fn languages_differ(a: Option<&str>, b: Option<&str>) -> u8 {
    let (Some(a), Some(b)) = (a, b) else {
        return if a == b { 0 } else { 2 };
    };
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    let (first, second) = (primary(a), primary(b));
    match () {
        () if a.eq_ignore_ascii_case(b) => 0,
        () if first.starts_with(&second) || second.starts_with(&first) => 1,
        () => 3,
    }
}
