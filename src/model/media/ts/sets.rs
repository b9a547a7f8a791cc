//! Parameter sets that came before a keyframe which has none of its own.

use memchr::memmem;

use super::super::nal::{AnnexB, Found, SET_BYTES_MAX, SETS_MAX, Unit, head, kind_of_set, length};
use super::super::{Codec, Damage};
use super::pes::Assembler;
use super::read::{PACKET_BYTES, Place, Stream, packets};

/// What stands before a NAL unit.
pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Those of a stream before `place`, with their start codes, in the order in which one needs another,
/// and of those that replace each other the last one last.
pub(super) fn before(
    segment: &[u8],
    stream: &Stream,
    codec: Codec,
    place: Place,
) -> Result<Vec<u8>, Damage> {
    let mut sets: Vec<Vec<u8>> = Vec::new();
    let mut each = |found: Found<'_, '_, Place>| {
        let at = Place { pes: found.mark.pes, offset: found.mark.offset + found.offset };
        let (bytes, count) = head::<2>(found.pieces);
        let unit = Unit::of(codec, bytes.get(..count).unwrap_or_default());
        let length = length(found.pieces);
        if at < place && unit == Unit::ParameterSet && length <= SET_BYTES_MAX {
            let mut set = found.pieces.concat();
            set.truncate(length);
            sets.retain(|other| *other != set);
            if sets.len() == SETS_MAX {
                sets.remove(0);
            }
            sets.push(set);
        }
    };
    let mut assembler = Assembler::default();
    let mut units = AnnexB::new();
    let (mut begun, mut offset) = (0_usize, 0);
    // What came before the tables has not been read.
    let first = stream.pes.first().map_or(0, |pes| pes.packet * PACKET_BYTES);
    for packet in packets(segment.get(first..).unwrap_or_default()) {
        let (_, packet) = packet?;
        if u16::from(packet.pid()) != stream.pid {
            continue;
        }
        let Some(piece) = assembler.push(&packet)? else { continue };
        if piece.begins.is_some() {
            (begun, offset) = (begun + 1, 0);
        }
        let pes = begun.saturating_sub(1);
        if pes > place.pes {
            break;
        }
        units.push(piece.bytes, Place { pes, offset }, &mut each);
        offset += piece.bytes.len();
    }
    units.finish(each);
    sets.sort_by_key(|set| kind_of_set(codec, &[set]));
    Ok(sets.iter().flat_map(|set| [&START_CODE, set.as_slice()].concat()).collect())
}

/// Puts them into a picture that begins with a start code: first, but for a delimiter.
pub(super) fn insert(codec: Codec, sets: Vec<u8>, picture: &mut Vec<u8>) {
    let rest = picture.get(START_CODE.len()..).unwrap_or_default();
    let is_delimiter = match (codec, rest.first()) {
        (Codec::H264, Some(first)) => first & 0x1f == 9,
        (Codec::H265, Some(first)) => first >> 1 & 0x3f == 35,
        _ => false,
    };
    let next = memmem::find(rest, &[0, 0, 1]).map(|next| START_CODE.len() + next);
    let at = next.filter(|_| is_delimiter).unwrap_or(0);
    picture.splice(at..at, sets);
}
