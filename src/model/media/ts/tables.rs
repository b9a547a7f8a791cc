//! The tables of a transport stream: which streams there are and what they carry.

use mpeg2ts_reader::descriptor::{Descriptor, DescriptorError};
use mpeg2ts_reader::mpegts_crc::sum32;
use mpeg2ts_reader::packet::Packet;
use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::{PmtSection, StreamInfo};

use super::super::{Codec, Damage};

/// More elementary streams than any programme for viewers has.
const STREAMS_MAX: usize = 32;
/// What stands before a table's own bytes, and the checksum after them.
const HEADER_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

const PAT: u16 = 0;

/// What an elementary stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    Pictures(Codec),
    Sound(Codec),
    /// Timed metadata, subtitles.
    Data,
    /// SCTE-35 and the like, which have no PES packets.
    Sections,
}

/// As the tables declare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) pid: u16,
    pub(super) carries: Carries,
}

/// The first programme.
#[derive(Debug, Default)]
pub(super) struct Programme {
    number: u16,
    pmt: Option<u16>,
    pub(super) pcr: u16,
    /// In the order of the table; empty until it came.
    pub(super) streams: Vec<Declared>,
    /// The packets that the tables were read from.
    pub(super) packets: Vec<usize>,
    section: Section,
}

impl Programme {
    /// The streams are known.
    pub(super) fn is_known(&self) -> bool {
        !self.streams.is_empty()
    }

    /// A packet of the PAT or the PMT. True: now the streams are known.
    pub(super) fn push(&mut self, number: usize, packet: &Packet<'_>) -> Result<bool, Damage> {
        let pid = u16::from(packet.pid());
        let wanted = self.pmt.unwrap_or(PAT);
        if self.is_known() || pid != wanted || !self.section.push(number, packet) {
            return Ok(false);
        }
        let Some((table, extension, bytes)) = self.section.whole() else { return Ok(false) };
        if self.pmt.is_none() {
            let mut programs = PatSection::new(bytes).programs();
            let first = programs.find_map(|program| match program {
                ProgramDescriptor::Program { program_number, pid } if table == 0 => {
                    Some((program_number, u16::from(pid)))
                }
                _ => None,
            });
            drop(programs);
            if let Some((number, pid)) = first {
                (self.number, self.pmt) = (number, Some(pid));
                self.packets.append(&mut self.section.packets);
            }
            return Ok(false);
        }
        let Ok(pmt) = PmtSection::from_bytes(bytes) else { return Ok(false) };
        if table != 2 || extension != self.number {
            return Ok(false); // of another programme on the same PID
        }
        self.pcr = pmt.pcr_pid().into();
        self.streams = declared(&pmt, pid)?;
        self.packets.append(&mut self.section.packets);
        Ok(self.is_known())
    }
}

fn declared(pmt: &PmtSection<'_>, own: u16) -> Result<Vec<Declared>, Damage> {
    let mut streams: Vec<Declared> = Vec::new();
    for info in pmt.streams() {
        let pid = u16::from(info.elementary_pid());
        if streams.len() == STREAMS_MAX {
            return Err(Damage::Malformed("it has more streams than a programme has"));
        }
        // No stream lies among the tables.
        if pid != PAT && pid != own && streams.iter().all(|other| other.pid != pid) {
            streams.push(Declared { pid, carries: carries(&info)? });
        }
    }
    Ok(streams)
}

fn carries(info: &StreamInfo<'_>) -> Result<Carries, Damage> {
    Ok(match info.stream_type().into() {
        0x1b_u8 => Carries::Pictures(Codec::H264),
        0x24 => Carries::Pictures(Codec::H265),
        0x01 | 0x02 | 0x10 | 0x33 | 0x42 | 0xd2 => Carries::Pictures(Codec::Other),
        0x03 | 0x04 => Carries::Sound(Codec::Mp3),
        0x0f => Carries::Sound(Codec::Aac),
        0x81 => Carries::Sound(Codec::Ac3),
        0x11 | 0x1c | 0x82..=0x85 | 0x87 => Carries::Sound(Codec::Other),
        0x06 => private(info),
        // Apple's SAMPLE-AES.
        0xc1 | 0xc2 | 0xcf | 0xdb => return Err(Damage::Encrypted),
        0x05 | 0x08 | 0x0a..=0x0d | 0x13 | 0x14 | 0x16..=0x19 | 0x86 => Carries::Sections,
        _ => Carries::Data,
    })
}

/// Private data is told by its descriptors: the registered names, and DVB's tags.
fn private(info: &StreamInfo<'_>) -> Carries {
    let known = info.descriptors::<Raw<'_>>().flatten().find_map(|raw| match (raw.tag, raw.body) {
        (5, [b'A', b'C', b'-', b'3', ..]) | (0x6a, _) => Some(Carries::Sound(Codec::Ac3)),
        (5, [b'E', b'A', b'C', b'3', ..] | [b'O', b'p', b'u', b's', ..]) | (0x7a..=0x7c, _) => {
            Some(Carries::Sound(Codec::Other))
        }
        (5, [b'H', b'E', b'V', b'C', ..]) => Some(Carries::Pictures(Codec::H265)),
        _ => None,
    });
    known.unwrap_or(Carries::Data)
}

/// A descriptor that nothing is known of but its tag.
struct Raw<'a> {
    tag: u8,
    body: &'a [u8],
}

impl<'a> Descriptor<'a> for Raw<'a> {
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        match bytes {
            [tag, _, body @ ..] => Ok(Raw { tag: *tag, body }),
            _ => Err(DescriptorError::BufferTooShort { buflen: bytes.len() }),
        }
    }
}

/// A table's section, put together from the packets it lies in.
#[derive(Debug, Default)]
struct Section {
    bytes: Vec<u8>,
    packets: Vec<usize>,
    open: bool,
}

impl Section {
    /// True: it is whole. Its length has twelve bits, so it does not grow.
    fn push(&mut self, number: usize, packet: &Packet<'_>) -> bool {
        let Some(mut payload) = packet.payload() else { return false };
        if packet.payload_unit_start_indicator() {
            let [pointer, rest @ ..] = payload else { return false };
            payload = rest.get(usize::from(*pointer)..).unwrap_or_default();
            self.bytes.clear();
            self.packets.clear();
            self.open = true;
        }
        if !self.open {
            return false;
        }
        self.bytes.extend_from_slice(payload);
        self.packets.push(number);
        let [_, high, low, rest @ ..] = self.bytes.as_slice() else { return false };
        let length = usize::from(high & 0x0f) << 8 | usize::from(*low);
        if rest.len() < length {
            return false;
        }
        self.bytes.truncate(3 + length);
        self.open = false;
        true
    }

    /// Its table, what it is a table of, and its own bytes; None: it is damaged, or not in force yet.
    fn whole(&self) -> Option<(u8, u16, &[u8])> {
        let [table, _, _, high, low, version, ..] = self.bytes.as_slice() else { return None };
        let end = self.bytes.len().checked_sub(CHECKSUM_BYTES)?;
        let bytes = self.bytes.get(HEADER_BYTES..end)?;
        let extension = u16::from_be_bytes([*high, *low]);
        (version & 1 == 1 && sum32(&self.bytes) == 0).then_some((*table, extension, bytes))
    }
}
