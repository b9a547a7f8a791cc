//! MPEG-TS.
//!
//! Packets, PES headers and tables are read with mpeg2ts-reader, by its views of borrowed bytes; its
//! demultiplexer hands out pieces through callbacks that own their state, from which a cut could not
//! be made. NAL units and frames of sound are found by own code: h264-reader copies each unit and
//! knows no H.265.

mod cut;
mod frames;
mod make;
mod pes;
mod pictures;
mod read;
mod sets;
mod starts;
mod tables;

use bytes::Bytes;

use super::{Content, Damage, Joint};

/// Packets begin with it (ISO/IEC 13818-1, 2.4.3.2).
const SYNC: u8 = 0x47;

/// It may be MPEG-TS: whether it is, the rest tells.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SYNC)
}

pub(super) fn inspect(segment: &[u8]) -> Result<Content, Damage> {
    read::read(segment)?.content()
}

/// The packets that are whole.
pub(super) fn packets_of(part: &[u8]) -> &[u8] {
    part.get(..part.len() - part.len() % read::PACKET_BYTES).unwrap_or_default()
}

pub(super) fn cut(segment: &Bytes, joint: Joint) -> Result<Bytes, Damage> {
    cut::cut(segment, joint)
}
