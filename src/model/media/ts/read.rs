//! The one pass over a segment.

use mpeg2ts_reader::packet::Packet;

use super::super::{Content, Damage, Ticks};
use super::frames::{Frames, Heard};
use super::pes::Assembler;
use super::pictures::{Pictures, Shown};
use super::tables::{Carries, Declared, Programme};

pub(super) const PACKET_BYTES: usize = 188;
/// Times have 33 bits.
const TIMES: i64 = 1 << 33;

/// Where something begins: in which PES packet of its stream, and how far into what that carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) pes: usize,
    pub(super) offset: usize,
}

/// A PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pes {
    /// The packet that it begins in.
    pub(super) packet: usize,
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
}

/// All that a pass finds.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) programme: Programme,
    /// As the programme has them.
    pub(super) streams: Vec<Stream>,
    pcr: Option<u64>,
    /// What times are unwrapped by.
    first: Option<i64>,
}

/// A stream that has been read.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) pes: Vec<Pes>,
    pub(super) holds: Holds,
}

#[derive(Debug)]
pub(super) enum Holds {
    Pictures(Shown),
    Sound(Heard),
    Data,
    Sections,
}

/// The packets of a segment with their numbers.
pub(super) fn packets(segment: &[u8]) -> impl Iterator<Item = Result<(usize, Packet<'_>), Damage>> {
    segment.chunks_exact(PACKET_BYTES).enumerate().map(|(number, bytes)| {
        let lost = Damage::Malformed("a packet does not begin where the one before ends");
        Ok((number, Packet::try_new(bytes).ok_or(lost)?))
    })
}

/// The programme clock reference of a packet, 27 MHz.
pub(super) fn pcr(packet: &Packet<'_>) -> Option<u64> {
    packet.adaptation_field().and_then(|field| field.pcr().ok()).map(u64::from)
}

pub(super) fn read(segment: &[u8]) -> Result<Reading, Damage> {
    // The sync byte of the second tells a G of garbage.
    for at in [0, PACKET_BYTES] {
        if segment.get(at).is_some_and(|sync| !Packet::is_sync_byte(*sync)) {
            return Err(Damage::NotMedia("MPEG-TS"));
        }
    }
    if segment.is_empty() || !segment.len().is_multiple_of(PACKET_BYTES) {
        return Err(Damage::Truncated(segment.len()));
    }
    let mut pass = Pass::default();
    for packet in packets(segment) {
        let (number, packet) = packet?;
        pass.packet(number, &packet)?;
    }
    pass.finish(segment.len())
}

#[derive(Debug, Default)]
struct Pass<'a> {
    programme: Programme,
    streams: Vec<Open<'a>>,
    pcr: Option<u64>,
    /// What times are unwrapped by: the first.
    first: Option<i64>,
}

/// A stream that is being read.
#[derive(Debug)]
struct Open<'a> {
    pid: u16,
    assembler: Assembler<'a>,
    pes: Vec<Pes>,
    /// Bytes of the open PES packet.
    offset: usize,
    takes: Takes<'a>,
}

#[derive(Debug)]
enum Takes<'a> {
    Pictures(Box<Pictures<'a>>),
    Sound(Box<Frames>),
    Data,
    Sections,
}

impl<'a> Pass<'a> {
    fn packet(&mut self, number: usize, packet: &Packet<'a>) -> Result<(), Damage> {
        let pid = u16::from(packet.pid());
        if !self.programme.is_known() {
            if self.programme.push(number, packet)? {
                self.streams = self.programme.streams.iter().copied().map(Open::new).collect();
            }
            return Ok(());
        }
        if pid == self.programme.pcr && self.pcr.is_none() {
            self.pcr = pcr(packet);
        }
        let first = &mut self.first;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.pid == pid) else {
            return Ok(());
        };
        if packet.transport_scrambling_control().is_scrambled() {
            return Err(Damage::Encrypted);
        }
        if packet.transport_error_indicator() {
            return Err(Damage::Malformed("a packet says that it is damaged"));
        }
        stream.push(number, packet, |time| unwrapped(first, time))
    }

    fn finish(self, length: usize) -> Result<Reading, Damage> {
        let Self { programme, streams, pcr, first } = self;
        if !programme.is_known() {
            return Err(Damage::Unreadable);
        }
        // Segments that are cut at packets end in the middle of sound; a picture must be whole.
        let shows = |stream: &Open<'_>| matches!(stream.takes, Takes::Pictures(_));
        if streams.iter().any(|stream| shows(stream) && stream.assembler.lacks() > 0) {
            return Err(Damage::Truncated(length));
        }
        let streams = streams.into_iter().map(Open::finish).collect::<Result<_, _>>()?;
        Ok(Reading { programme, streams, pcr, first })
    }
}

/// The time nearest to the segment's first that has these 33 bits.
fn unwrapped(first: &mut Option<i64>, time: u64) -> i64 {
    let time = i64::try_from(time).unwrap_or(0);
    near(*first.get_or_insert(time), time)
}

fn near(first: i64, time: i64) -> i64 {
    let since = time.wrapping_sub(first).wrapping_add(TIMES / 2);
    first + since.rem_euclid(TIMES) - TIMES / 2
}

impl<'a> Open<'a> {
    fn new(declared: Declared) -> Self {
        let takes = match declared.carries {
            Carries::Pictures(codec) => Takes::Pictures(Box::new(Pictures::new(codec))),
            Carries::Sound(codec) => Takes::Sound(Box::new(Frames::new(codec))),
            Carries::Data => Takes::Data,
            Carries::Sections => Takes::Sections,
        };
        let pid = declared.pid;
        let assembler = Assembler::new(matches!(takes, Takes::Pictures(_)));
        Self { pid, assembler, pes: Vec::new(), offset: 0, takes }
    }

    fn push(
        &mut self,
        number: usize,
        packet: &Packet<'a>,
        mut unwrap: impl FnMut(u64) -> i64,
    ) -> Result<(), Damage> {
        if matches!(self.takes, Takes::Sections) {
            return Ok(());
        }
        let Some(piece) = self.assembler.push(packet)? else { return Ok(()) };
        if let Some(header) = piece.begins {
            let (pts, dts) = (header.pts.map(&mut unwrap), header.dts.map(&mut unwrap));
            self.pes.push(Pes { packet: number, pts, dts });
            self.offset = 0;
        }
        let place = Place { pes: self.pes.len().saturating_sub(1), offset: self.offset };
        self.offset += piece.bytes.len();
        match &mut self.takes {
            Takes::Pictures(pictures) => pictures.push(piece.bytes, place),
            Takes::Sound(frames) => {
                let pts = self.pes.last().and_then(|pes| pes.pts);
                frames.push(piece.bytes, place, pts)
            }
            Takes::Data | Takes::Sections => Ok(()),
        }
    }

    fn finish(self) -> Result<Stream, Damage> {
        let Self { pid, pes, takes, .. } = self;
        let holds = match takes {
            Takes::Pictures(pictures) => Holds::Pictures(pictures.finish(&pes)?),
            Takes::Sound(frames) => Holds::Sound(frames.finish(&pes)),
            Takes::Data => Holds::Data,
            Takes::Sections => Holds::Sections,
        };
        Ok(Stream { pid, pes, holds })
    }
}

impl Reading {
    /// A time that may have been unwrapped by another segment's first.
    pub(super) fn unwrapped(&self, time: Ticks) -> i64 {
        near(self.first.unwrap_or(time.0), time.0)
    }

    /// The first stream of pictures counts.
    pub(super) fn shown(&self) -> Option<&Shown> {
        self.streams.iter().find_map(|stream| match &stream.holds {
            Holds::Pictures(shown) => Some(shown),
            _ => None,
        })
    }

    pub(super) fn content(&self) -> Result<Content, Damage> {
        let heard = self.streams.iter().filter_map(|stream| match &stream.holds {
            Holds::Sound(heard) => heard.audio(),
            _ => None,
        });
        let audio: Vec<_> = heard.collect();
        let video = self.shown().map(Shown::video).transpose()?;
        if video.is_none() && audio.is_empty() {
            return Err(Damage::Empty);
        }
        Ok(Content { video, audio, pcr: self.pcr })
    }
}
