//! The tail of a segment: its tables, the pictures from a keyframe on and the sound from the frame
//! nearest to it, packets as they are wherever that is possible.

use bytes::Bytes;
use mpeg2ts_reader::packet::Packet;

use super::super::{Damage, Ticks};
use super::frames::Frame;
use super::make::{Remade, clock, number};
use super::pes::Assembler;
use super::pictures::{Picture, Shown};
use super::read::{Holds, PACKET_BYTES, Pes, Place, Reading, Stream, packets, pcr, read};

/// Packets of no stream.
const NULL: u16 = 0x1fff;
/// More PIDs that no table tells of are not carried.
const OTHERS_MAX: usize = 32;
/// What stands before a NAL unit.
const START_CODE: &[u8] = &[0, 0, 0, 1];

/// Where the tail begins.
#[derive(Debug)]
struct Joint {
    /// In what has no times: the packet that the keyframe begins in.
    packet: usize,
    /// In each stream; None: nothing of it is left.
    starts: Vec<Option<Start>>,
}

/// Where the tail begins in one stream.
#[derive(Clone, Copy, Debug)]
struct Start {
    place: Place,
    /// Its PES packet begins with it and says when it is: it stays as it is.
    is_whole: bool,
    /// What is written where it does not.
    pts: i64,
    dts: i64,
    is_key: bool,
}

pub(super) fn cut(segment: &Bytes, pts: Ticks) -> Result<Bytes, Damage> {
    let reading = read(segment)?;
    let Some(joint) = joint(&reading, pts)? else { return Ok(segment.clone()) };
    let mut tail = Tail::new(segment, &reading, &joint);
    for packet in packets(segment) {
        let (number, packet) = packet?;
        tail.packet(number, &packet)?;
    }
    let Tail { mut out, made, .. } = tail;
    number(&mut out, &made);
    Ok(out.into())
}

/// None: it begins there.
fn joint(reading: &Reading, pts: Ticks) -> Result<Option<Joint>, Damage> {
    let none = Damage::NoKeyframe(pts);
    let lead = reading.streams.iter().enumerate().find_map(|(index, stream)| match &stream.holds {
        Holds::Pictures(shown) => Some((index, stream, pictures(stream, shown, pts))),
        _ => None,
    });
    let lead = lead.or_else(|| {
        // Of sound alone every frame can be the first.
        let mut streams = reading.streams.iter().enumerate();
        streams.find_map(|(index, stream)| Some((index, stream, Some(sound(stream, pts.0)?))))
    });
    let Some((lead, stream, Some((nth, start)))) = lead else { return Err(none) };
    if nth == 0 {
        return Ok(None);
    }
    let packet = stream.pes.get(start.place.pes).ok_or(none)?.packet;
    let starts = reading.streams.iter().enumerate().map(|(index, stream)| {
        if index == lead {
            return Some(start);
        }
        match &stream.holds {
            Holds::Sound(_) => sound(stream, pts.0).map(|(_, start)| start),
            Holds::Pictures(_) | Holds::Data => data(stream, pts.0, packet),
            Holds::Sections => None,
        }
    });
    Ok(Some(Joint { packet, starts: starts.collect() }))
}

/// Which picture it is, and where.
fn pictures(stream: &Stream, shown: &Shown, pts: Ticks) -> Option<(usize, Start)> {
    let mut pictures = shown.pictures.iter().enumerate();
    let (nth, picture) = pictures.find(|(_, picture)| picture.closed && picture.pts == pts.0)?;
    // The code itself may be torn, of which a part is in the PES packet before.
    let is_whole = stays(stream, picture.place, &[3, 4]);
    let Picture { place, pts, dts, .. } = *picture;
    Some((nth, Start { place, is_whole, pts, dts, is_key: true }))
}

/// Which frame it is, and where.
fn sound(stream: &Stream, pts: i64) -> Option<(usize, Start)> {
    let Holds::Sound(heard) = &stream.holds else { return None };
    let (nth, frame) = heard.nearest(pts)?;
    let is_whole = stays(stream, frame.place, &[0]);
    let Frame { place, pts } = *frame;
    Some((nth, Start { place, is_whole, pts, dts: pts, is_key: false }))
}

/// What is there begins its PES packet, at one of these offsets, and the PES packet has a time.
fn stays(stream: &Stream, place: Place, first: &[usize]) -> bool {
    first.contains(&place.offset) && stream.pes.get(place.pes).is_some_and(|pes| pes.pts.is_some())
}

/// Cut at PES packets.
fn data(stream: &Stream, from: i64, packet: usize) -> Option<Start> {
    let is_after = |pes: &Pes| pes.pts.map_or(pes.packet >= packet, |pts| pts >= from);
    let pes = stream.pes.iter().position(is_after)?;
    let place = Place { pes, offset: 0 };
    Some(Start { place, is_whole: true, pts: 0, dts: 0, is_key: false })
}

/// What is written.
struct Tail<'a> {
    segment: &'a [u8],
    reading: &'a Reading,
    joint: &'a Joint,
    out: Vec<u8>,
    /// Where the packets begin that need a number.
    made: Vec<usize>,
    /// Of each stream the PES packets that have begun.
    begun: Vec<usize>,
    /// PIDs without times that have begun.
    others: Vec<u16>,
    /// The last clock reference passed, and whether the tail has one yet, or must not have one more.
    pcr: Option<[u8; 6]>,
    is_clocked: bool,
}

impl<'a> Tail<'a> {
    fn new(segment: &'a [u8], reading: &'a Reading, joint: &'a Joint) -> Self {
        let mut out = Vec::with_capacity(segment.len());
        let mut made = Vec::new();
        for packet in &reading.programme.packets {
            let begin = packet * PACKET_BYTES;
            made.push(out.len());
            out.extend_from_slice(segment.get(begin..begin + PACKET_BYTES).unwrap_or_default());
        }
        let begun = vec![0; reading.streams.len()];
        let others = Vec::new();
        Self { segment, reading, joint, out, made, begun, others, pcr: None, is_clocked: false }
    }

    fn packet(&mut self, number: usize, packet: &Packet<'a>) -> Result<(), Damage> {
        let pid = u16::from(packet.pid());
        let has_clock = pid == self.reading.programme.pcr && pcr(packet).is_some();
        if has_clock {
            // The flag is set and the field is long enough, or it would not have been read.
            self.pcr = packet.buffer().get(6..12).and_then(|bytes| bytes.try_into().ok());
        }
        let stream = self.reading.streams.iter().position(|stream| stream.pid == pid);
        let stream = stream.and_then(|at| Some((at, self.reading.streams.get(at)?)));
        let Some((at, stream)) = stream.filter(|(_, s)| !matches!(s.holds, Holds::Sections)) else {
            if self.keeps_other(number, packet) {
                self.keep(packet, has_clock, false);
            }
            return Ok(());
        };
        let Some(begun) = self.begun.get_mut(at) else { return Ok(()) };
        let begins = stream.pes.get(*begun).is_some_and(|pes| pes.packet == number);
        *begun += usize::from(begins);
        let start = self.joint.starts.get(at).copied().flatten();
        let Some((start, pes)) = start.zip(begun.checked_sub(1)) else { return Ok(()) };
        let leads = self.reading.shown().is_none() || matches!(stream.holds, Holds::Pictures(_));
        if pes > start.place.pes || pes == start.place.pes && start.is_whole {
            self.keep(packet, has_clock, leads);
        } else if pes == start.place.pes && begins {
            self.remake(stream, &start, number, leads)?;
        }
        Ok(())
    }

    /// Tables, sections and what no table tells of, from their next beginning on.
    fn keeps_other(&mut self, number: usize, packet: &Packet<'_>) -> bool {
        let pid = u16::from(packet.pid());
        if number < self.joint.packet || pid == NULL {
            return false;
        }
        if packet.payload().is_none() {
            return pid == self.reading.programme.pcr;
        }
        let begins = packet.payload_unit_start_indicator() && self.others.len() < OTHERS_MAX;
        if begins && !self.others.contains(&pid) {
            self.others.push(pid);
        }
        self.others.contains(&pid)
    }

    fn keep(&mut self, packet: &Packet<'_>, has_clock: bool, leads: bool) {
        if leads && !has_clock {
            self.clock();
        }
        self.is_clocked |= has_clock;
        self.out.extend_from_slice(packet.buffer());
    }

    /// Before the first picture there is a clock reference.
    fn clock(&mut self) {
        if let Some(pcr) = self.pcr.filter(|_| !self.is_clocked) {
            self.made.push(self.out.len());
            clock(self.reading.programme.pcr, pcr, &mut self.out);
        }
        self.is_clocked = true;
    }

    /// The PES packet that begins in packet `number`, from the start on.
    fn remake(
        &mut self,
        stream: &Stream,
        start: &Start,
        number: usize,
        leads: bool,
    ) -> Result<(), Damage> {
        let end = stream.pes.get(start.place.pes + 1).map_or(usize::MAX, |next| next.packet);
        let mut assembler = Assembler::default();
        let mut data = if start.is_key { START_CODE.to_vec() } else { Vec::new() };
        let mut skipped = start.place.offset;
        let mut stream_id = 0;
        let from = self.segment.get(number * PACKET_BYTES..).unwrap_or_default();
        for packet in packets(from).take(end.saturating_sub(number)) {
            let (_, packet) = packet?;
            if u16::from(packet.pid()) != stream.pid {
                continue;
            }
            let Some(piece) = assembler.push(&packet)? else { continue };
            stream_id = piece.begins.map_or(stream_id, |header| header.stream_id);
            data.extend_from_slice(piece.bytes.get(skipped..).unwrap_or_default());
            skipped = skipped.saturating_sub(piece.bytes.len());
        }
        if leads {
            self.clock();
        }
        let Start { pts, dts, is_key, .. } = *start;
        // The others have no times.
        let is_timed = matches!(stream_id, 0xbd | 0xc0..=0xef | 0xfd);
        stream_id = if is_timed { stream_id } else { 0xbd };
        let begin = self.out.len();
        Remade { pid: stream.pid, stream_id, pts, dts, is_key }.write(&data, &mut self.out);
        self.made.extend((begin..self.out.len()).step_by(PACKET_BYTES));
        Ok(())
    }
}
