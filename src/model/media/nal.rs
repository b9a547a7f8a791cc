//! NAL units of H.264 and H.265: which are coded pictures, and what a picture's hash is made of.
//!
//! A unit is given as the pieces it lies in, for in MPEG-TS it is torn into packets and is not put
//! together again; a unit that lies in one piece is a list of one. Own code: the readers there are
//! hold a copy of each unit, and none knows H.265 too.

use std::collections::BTreeSet;

use memchr::memmem;

use super::{Codec, Damage, PictureHash};

/// As many parameter sets, and as long ones, are looked at; encoders have a handful of short ones.
pub(super) const SETS_MAX: usize = 64;
pub(super) const SET_BYTES_MAX: usize = 4096;

/// What a NAL unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A slice of a picture that decoding can begin with: IDR, or in H.265 any IRAP.
    Key,
    /// A slice of another picture.
    Slice,
    /// SPS, PPS, VPS.
    ParameterSet,
    /// Delimiters and SEI that stand before the slices of the picture they belong to.
    Prefix,
    /// Anything else, and slices of enhancement layers.
    Other,
}

impl Unit {
    /// By its first two bytes. Of other codecs nothing is known.
    pub(super) fn of(codec: Codec, head: &[u8]) -> Self {
        let Some(&first) = head.first() else { return Unit::Other };
        match codec {
            Codec::H264 => match first & 0x1f {
                5 => Unit::Key,
                // Of a slice in partitions the first one (A) alone has a slice header that counts.
                1..=4 => Unit::Slice,
                7 | 8 | 13 | 15 => Unit::ParameterSet,
                6 | 9 | 14 | 16..=18 => Unit::Prefix,
                _ => Unit::Other,
            },
            Codec::H265 => {
                let layer = (first & 1) << 5 | head.get(1).map_or(0, |second| second >> 3);
                match first >> 1 & 0x3f {
                    _ if layer != 0 => Unit::Other,
                    16..=21 => Unit::Key,
                    0..=9 => Unit::Slice,
                    32..=34 => Unit::ParameterSet,
                    35 | 39 | 41..=44 | 48..=55 => Unit::Prefix,
                    _ => Unit::Other,
                }
            }
            _ => Unit::Other,
        }
    }

    /// It is (part of) a coded picture.
    pub(super) fn is_slice(self) -> bool {
        matches!(self, Unit::Key | Unit::Slice)
    }
}

/// Whether a slice is the first of its picture (or field), by its first three bytes.
pub(super) fn begins_picture(codec: Codec, head: &[u8]) -> bool {
    match (codec, head) {
        // `first_mb_in_slice` is 0; the second and third partition of a slice begin none.
        (Codec::H264, [first, second, ..]) => !matches!(first & 0x1f, 3 | 4) && second & 0x80 != 0,
        // `first_slice_segment_in_pic_flag`.
        (Codec::H265, [_, _, third, ..]) => third & 0x80 != 0,
        _ => false,
    }
}

/// Units with their length before each, as MP4 has them. The first that its sample is too short for
/// is an error, and the last.
pub(super) fn length_prefixed(
    mut sample: &[u8],
    length_bytes: usize,
) -> impl Iterator<Item = Result<&[u8], Damage>> {
    std::iter::from_fn(move || {
        if sample.is_empty() {
            return None;
        }
        let found = sample.split_at_checked(length_bytes).and_then(|(length, rest)| {
            let length = length.iter().fold(0, |n: usize, byte| n << 8 | usize::from(*byte));
            rest.split_at_checked(length)
        });
        sample = found.map_or(&[], |(_, rest)| rest);
        Some(found.map(|(unit, _)| unit).ok_or(Damage::Malformed("a NAL unit ends its sample")))
    })
}

/// A unit of an Annex B stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'u, 'a, P> {
    pub(super) pieces: &'u [&'a [u8]],
    /// The mark of the piece that its first byte lies in, and how far in.
    pub(super) mark: P,
    pub(super) offset: usize,
}

/// Takes an Annex B stream apart that comes in pieces.
#[derive(Debug)]
pub(super) struct AnnexB<'a, P> {
    start_code: memmem::Finder<'static>,
    /// Of the unit that is not ended yet. What stands before the first start code is none.
    pieces: Vec<&'a [u8]>,
    begun: Option<(P, usize)>,
    /// The last bytes that were zero, two at most: a start code may be torn too.
    zeros: usize,
}

impl<'a, P: Copy> AnnexB<'a, P> {
    pub(super) fn new() -> Self {
        let start_code = memmem::Finder::new(&[0, 0, 1]);
        Self { start_code, pieces: Vec::new(), begun: None, zeros: 0 }
    }

    /// The next piece; `each` gets the units that end in it.
    pub(super) fn push(
        &mut self,
        piece: &'a [u8],
        mark: P,
        mut each: impl FnMut(Found<'_, 'a, P>),
    ) {
        let mut at = 0;
        let torn = match (self.zeros, piece) {
            (2, [1, ..]) => Some(1),
            (1.., [0, 1, ..]) => Some(2),
            _ => None,
        };
        if let Some(after) = torn {
            self.end(&mut each);
            self.begun = Some((mark, after));
            at = after;
        }
        while let Some(rest) = piece.get(at..) {
            let Some(length) = self.start_code.find(rest) else {
                self.keep(rest);
                break;
            };
            self.keep(rest.get(..length).unwrap_or_default());
            self.end(&mut each);
            at += length + 3;
            self.begun = Some((mark, at));
        }
        self.zeros = match piece {
            [.., 0, 0] => 2,
            [0] => (self.zeros + 1).min(2),
            [.., 0] => 1,
            [] => self.zeros,
            _ => 0,
        };
    }

    /// No more comes: the last unit.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Found<'_, 'a, P>)) {
        self.end(&mut each);
        self.zeros = 0;
    }

    fn keep(&mut self, piece: &'a [u8]) {
        if self.begun.is_some() && !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(Found<'_, 'a, P>)) {
        if let Some((mark, offset)) = self.begun.take() {
            each(Found { pieces: &self.pieces, mark, offset });
            self.pieces.clear();
        }
    }
}

/// The first bytes of a unit, zeros where it is shorter, and how many there are.
pub(super) fn head<const N: usize>(pieces: &[&[u8]]) -> ([u8; N], usize) {
    let mut head = [0; N];
    let mut count = 0;
    for (to, from) in head.iter_mut().zip(pieces.iter().copied().flatten()) {
        *to = *from;
        count += 1;
    }
    (head, count)
}

/// Its length without the zeros at its end, which belong to the byte stream around it.
pub(super) fn length(pieces: &[&[u8]]) -> usize {
    let all: usize = pieces.iter().map(|piece| piece.len()).sum();
    let bytes = pieces.iter().rev().flat_map(|piece| piece.iter().rev());
    all - bytes.take_while(|byte| **byte == 0).count()
}

/// Pieces are gathered until there are so many bytes: BLAKE3 is several times as fast with much at once.
const GATHERED_BYTES: usize = 32 * 1024;

/// Makes the hash of a picture from its slices.
#[derive(Debug, Default)]
pub(super) struct PictureHasher {
    hasher: blake3::Hasher,
    gathered: Vec<u8>,
}

impl PictureHasher {
    /// The next unit, in the order of the stream.
    pub(super) fn unit(&mut self, pieces: &[&[u8]]) {
        let mut left = length(pieces);
        // No unit is longer than its segment.
        self.add(&u32::try_from(left).unwrap_or(u32::MAX).to_be_bytes());
        for piece in pieces {
            let piece = piece.get(..left).unwrap_or(piece);
            self.add(piece);
            left -= piece.len();
        }
    }

    fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            // Full to the byte, for it hashes powers of two at once.
            let room = GATHERED_BYTES.saturating_sub(self.gathered.len());
            let (now, later) = piece.split_at_checked(room).unwrap_or((piece, &[]));
            self.gathered.extend_from_slice(now);
            if now.len() == room {
                self.flush();
            }
            piece = later;
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.gathered);
        self.gathered.clear();
    }

    /// Of all that came; it begins anew with the next.
    pub(super) fn finish(&mut self) -> PictureHash {
        self.flush();
        let mut half = [0; 16];
        self.hasher.finalize_xof().fill(&mut half);
        self.hasher.reset();
        PictureHash(half)
    }
}

/// The parameter sets of a segment. Packagers repeat them at will, and in another order: each counts
/// once, by type and bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct ParameterSets {
    sets: BTreeSet<(u8, Vec<u8>)>,
}

impl ParameterSets {
    pub(super) fn add(&mut self, codec: Codec, pieces: &[&[u8]]) {
        let length = length(pieces);
        if self.sets.len() < SETS_MAX && length <= SET_BYTES_MAX {
            let mut bytes = pieces.concat();
            bytes.truncate(length);
            self.sets.insert((kind_of_set(codec, pieces), bytes));
        }
    }

    /// There is one of each type that decoding needs.
    pub(super) fn suffice(&self, codec: Codec) -> bool {
        let kinds = self.sets.iter().fold(0, |kinds, (kind, _)| kinds | 1 << kind);
        kinds & needed_sets(codec) == needed_sets(codec)
    }

    /// None of the others is one that these do not have.
    pub(super) fn include(&self, others: &Self) -> bool {
        self.sets.is_superset(&others.sets)
    }

    /// None: there were none.
    pub(super) fn hash(&self) -> Option<PictureHash> {
        let mut hasher = PictureHasher::default();
        for (_, set) in &self.sets {
            hasher.unit(&[set]);
        }
        (!self.sets.is_empty()).then(|| hasher.finish())
    }
}

/// The types of parameter sets that decoding needs, a bit for each.
pub(super) fn needed_sets(codec: Codec) -> u64 {
    match codec {
        Codec::H265 => 1 << 32 | 1 << 33 | 1 << 34,
        _ => 1 << 7 | 1 << 8,
    }
}

/// The type of a parameter set, as its codec numbers it.
pub(super) fn kind_of_set(codec: Codec, pieces: &[&[u8]]) -> u8 {
    let (first, _) = head::<1>(pieces);
    match codec {
        Codec::H265 => first[0] >> 1 & 0x3f,
        _ => first[0] & 0x1f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three- and four-byte start codes, zeros at the end of a unit, and what stands before the first.
    const STREAM: &[u8] = &[
        9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 0, 3, 0, 0, 0, 0, 0, 1, 0x65, 0x88, 0, 0, 3, 0,
        0, 1, 0x41, 0x9a, 0, 0, 1,
    ];
    const UNITS: [&[u8]; 5] =
        [&[0x67, 1, 2], &[0x68, 0, 3], &[0x65, 0x88, 0, 0, 3], &[0x41, 0x9a], &[]];

    fn split(pieces: &[&[u8]]) -> Vec<(Vec<u8>, usize, usize)> {
        let mut units = Vec::new();
        let mut each = |found: Found<'_, '_, usize>| {
            let mut unit = found.pieces.concat();
            unit.truncate(length(found.pieces));
            units.push((unit, found.mark, found.offset));
        };
        let mut stream = AnnexB::new();
        for (mark, piece) in pieces.iter().enumerate() {
            stream.push(piece, mark, &mut each);
        }
        stream.finish(&mut each);
        units
    }

    #[test]
    fn units_are_the_same_however_the_stream_is_torn() {
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                let begins = [0, first, second];
                let units = split(&pieces);
                let bytes: Vec<_> = units.iter().map(|(unit, ..)| unit.as_slice()).collect();
                assert_eq!(bytes, UNITS, "torn at {first} and {second}");
                let places = units.iter().map(|(_, mark, offset)| begins[*mark] + offset);
                assert_eq!(places.collect::<Vec<_>>(), [5, 11, 20, 28, 33]);
            }
        }
        let bytes: Vec<_> = STREAM.chunks(1).collect();
        assert_eq!(split(&bytes).len(), UNITS.len());
    }

    #[test]
    fn a_hash_is_of_the_units_alone() {
        let mut torn = PictureHasher::default();
        torn.unit(&[&[0x65, 0x88], &[1, 0], &[0, 0]]);
        torn.unit(&[&[0x65], &[], &[0x11, 0, 2]]);
        let mut whole = PictureHasher::default();
        let sample = [0, 0, 0, 3, 0x65, 0x88, 1, 0, 0, 0, 4, 0x65, 0x11, 0, 2];
        for unit in length_prefixed(&sample, 4) {
            whole.unit(&[unit.unwrap()]);
        }
        assert_eq!(torn.finish(), whole.finish());
        // Where one ends and the next begins counts.
        torn.unit(&[&[0x65, 0x88, 1, 0x65, 0x11, 0, 2]]);
        whole.unit(&[&[0x65, 0x88, 1]]);
        whole.unit(&[&[0x65, 0x11, 0, 2]]);
        assert_ne!(torn.finish(), whole.finish());
    }

    #[test]
    fn a_sample_that_is_too_short_is_told_once() {
        let cases: [(&[u8], usize, usize, bool); 6] = [
            (&[], 4, 0, true),
            (&[0, 0, 0, 1, 7], 4, 1, true),
            (&[0, 1, 7, 0, 2, 7], 2, 1, false),
            (&[0, 0, 0, 9], 4, 0, false),
            (&[1, 7, 0, 1], 1, 2, false),
            (&[0, 0, 0], 4, 0, false),
        ];
        for (sample, length_bytes, good, whole) in cases {
            let units: Vec<_> = length_prefixed(sample, length_bytes).collect();
            assert_eq!(units.iter().filter(|unit| unit.is_ok()).count(), good, "{sample:?}");
            assert_eq!(units.len() == good, whole, "{sample:?}");
        }
    }

    #[test]
    fn parameter_sets_count_once_in_any_order() {
        let hash = |sets: &[&[u8]]| {
            let mut all = ParameterSets::default();
            for set in sets {
                all.add(Codec::H264, &[set]);
            }
            all.hash()
        };
        assert_eq!(hash(&[]), None);
        assert_eq!(hash(&[&[0x67, 1], &[0x68, 2]]), hash(&[&[0x68, 2, 0], &[0x67, 1], &[0x68, 2]]));
        assert_ne!(hash(&[&[0x67, 1]]), hash(&[&[0x67, 2]]));
    }
}
