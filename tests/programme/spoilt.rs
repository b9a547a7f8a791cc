//! What may be wrong with a segment that was written well.

use super::packets::{AUDIO, PACKET, PMT, VIDEO, tables};

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// It ends in the middle of a packet, and of a picture.
pub fn torn(segment: &[u8]) -> Vec<u8> {
    segment[..segment.len() / PACKET / 2 * PACKET + 100].to_vec()
}

/// Its tables tell of pictures, and there is none.
pub fn without_pictures(segment: &[u8]) -> Vec<u8> {
    segment.chunks(PACKET).filter(|packet| pid(packet) != VIDEO).flatten().copied().collect()
}

/// It has no stream but sound.
pub fn sound_alone(segment: &[u8]) -> Vec<u8> {
    let rest = without_pictures(segment);
    let rest = rest.chunks(PACKET).filter(|packet| ![0, PMT].contains(&pid(packet)));
    let counter = u64::from(segment[3] & 15);
    [tables(&[AUDIO], counter), rest.flatten().copied().collect()].concat()
}
