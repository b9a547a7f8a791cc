//! Which rendition of A is which of B, and which pair of them is looked into.

use crate::model::multivariant::{Found, Match, match_renditions};
use crate::model::rendition::{Kind, Traits};

/// The renditions of two packagers, side by side.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    /// For each of A.
    pub(super) of_a: Vec<Option<Match>>,
    /// Those of B that stand for none of A.
    pub(super) only_b: Vec<usize>,
    main: Result<(usize, usize), String>,
}

impl Matching {
    pub(super) fn of(a: &[Found], b: &[Found], asked: Option<&str>) -> Self {
        let wanted: Vec<_> = a.iter().map(|f| f.rendition.clone()).collect();
        let of_a = match_renditions(&wanted, b);
        let stands = |index: &usize| of_a.iter().flatten().any(|m| m.index == *index);
        let only_b = (0..b.len()).filter(|index| !stands(index)).collect();
        let main = main(a, &of_a, asked);
        Self { of_a, only_b, main }
    }

    /// The places of the two that are looked into.
    pub(super) fn main(&self) -> Option<(usize, usize)> {
        self.main.as_ref().ok().copied()
    }

    /// Viewers see and hear the same in both that are looked into.
    pub(super) fn main_is_exact(&self) -> bool {
        let found = self.main().and_then(|(a, _)| *self.of_a.get(a)?);
        found.is_some_and(|m| m.exact)
    }

    /// Why there are none.
    pub(super) fn why_not(&self) -> Option<&str> {
        self.main.as_ref().err().map(String::as_str)
    }
}

fn main(
    a: &[Found],
    of_a: &[Option<Match>],
    asked: Option<&str>,
) -> Result<(usize, usize), String> {
    let pairs = || a.iter().zip(of_a).enumerate();
    if let Some(asked) = asked {
        let (index, (_, found)) =
            pairs().find(|(_, (f, _))| is_called(f, asked)).ok_or_else(|| {
                let names: Vec<_> = a.iter().map(name).collect();
                format!("a has no rendition {asked}; it has {}", names.join(", "))
            })?;
        let found = found.ok_or_else(|| format!("b has nothing that could stand for {asked}"))?;
        return Ok((index, found.index));
    }
    pairs()
        .filter(|(_, (f, _))| f.rendition.traits.kind == Kind::Variant)
        .filter_map(|(index, (f, found))| Some((index, f, (*found)?)))
        .max_by_key(|(index, f, found)| {
            let Traits { resolution, bandwidth, .. } = &f.rendition.traits;
            let pixels = resolution.map(|(width, height)| width.saturating_mul(height));
            (found.exact, pixels, *bandwidth, std::cmp::Reverse(*index))
        })
        .map(|(index, _, found)| (index, found.index))
        .ok_or_else(|| "b has nothing that could stand for a variant of a".to_owned())
}

/// By its id, its resolution or the height of that.
fn is_called(found: &Found, asked: &str) -> bool {
    let resolution = found.rendition.traits.resolution;
    let sizes = resolution.map(|(w, h)| [format!("{w}x{h}"), h.to_string(), format!("{h}p")]);
    found.rendition.id.as_str() == asked || sizes.is_some_and(|s| s.iter().any(|s| s == asked))
}

/// What people know a rendition by.
pub(super) fn name(found: &Found) -> String {
    let Traits { resolution, bandwidth, name, language, .. } = &found.rendition.traits;
    let mut name_parts = vec![found.rendition.id.to_string()];
    name_parts.extend(resolution.map(|(width, height)| format!("{width}x{height}")));
    name_parts.extend(bandwidth.map(|b| format!("{} kbit/s", b / 1000)));
    name_parts.extend(name.clone().or_else(|| language.clone()));
    name_parts.join(" ")
}
