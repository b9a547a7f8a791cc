//! A segment as the parts that a cut of it may keep: fragments, and what stands before them.

use super::atoms::{Atom, Atoms};
use crate::model::media::Damage;

/// A fragment for each picture of a minute, for two tracks.
const PARTS_MAX: usize = 16_384;
/// Pictures and sound of an hour, near enough.
const SAMPLES_MAX: u32 = 1 << 18;

/// What a cut may keep. Indexes, padding and what nobody knows are not among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// styp, emsg, prft or moof.
    pub atom: Atom<'a>,
    /// Of a fragment: where its boxes of samples begin and end.
    pub data: usize,
    pub end: usize,
    /// Of how many bytes, if it is the last fragment.
    last_of: Option<usize>,
}

impl Part<'_> {
    pub fn is_fragment(&self) -> bool {
        self.atom.kind == *b"moof"
    }

    /// Samples that end after their fragment: it was cut off, or never was right.
    pub fn too_short(&self) -> Damage {
        let malformed = Damage::Malformed("samples that are not in their fragment");
        self.last_of.map_or(malformed, Damage::Truncated)
    }
}

/// The parts of a segment.
pub(super) fn parts(segment: &[u8]) -> Result<Vec<Part<'_>>, Damage> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for atom in Atoms::of_file(segment) {
        let atom = atom?;
        let end = atom.at + atom.whole.len();
        match (&atom.kind, parts.last_mut()) {
            (b"styp" | b"emsg" | b"prft" | b"moof", _) => {
                parts.push(Part { atom, data: end, end, last_of: None });
            }
            (b"mdat", Some(part)) if part.is_fragment() => part.end = end,
            _ => {}
        }
        if parts.len() > PARTS_MAX {
            return Err(Damage::Malformed("a segment with too many boxes"));
        }
    }
    if let Some(last) = parts.iter_mut().rfind(|part| part.is_fragment()) {
        last.last_of = Some(segment.len());
    }
    Ok(parts)
}

/// What a segment may make its reader do: no more than its own bytes once, so that runs of samples
/// that name the same bytes again and again end somewhere.
#[derive(Debug)]
pub(super) struct Budget {
    samples: u32,
    bytes: usize,
}

impl Budget {
    pub fn of(segment: &[u8]) -> Self {
        Self { samples: SAMPLES_MAX, bytes: segment.len() }
    }

    pub fn samples(&mut self, count: u32) -> Result<(), Damage> {
        let left = self.samples.checked_sub(count);
        self.samples = left.ok_or(Damage::Malformed("a segment with too many samples"))?;
        Ok(())
    }

    pub fn bytes(&mut self, count: usize) -> Result<(), Damage> {
        let left = self.bytes.checked_sub(count);
        self.bytes = left.ok_or(Damage::Malformed("samples that share their bytes"))?;
        Ok(())
    }
}
