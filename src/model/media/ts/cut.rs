//! The tail of a segment: its tables, the pictures from a keyframe on and the sound from the frame
//! nearest to it, packets as they are wherever that is possible.

use bytes::Bytes;
use mpeg2ts_reader::packet::Packet;

use super::super::{Damage, Joint};
use super::make::{Remade, clock, number};
use super::pes::Assembler;
use super::read::{Holds, PACKET_BYTES, Reading, Stream, packets, pcr, read};
use super::sets::{self, START_CODE};
use super::starts::{Kept, Start, Starts, starts};

/// Packets of no stream.
const NULL: u16 = 0x1fff;
/// More PIDs that no table tells of are not carried.
const OTHERS_MAX: usize = 32;

pub(super) fn cut(segment: &Bytes, joint: Joint) -> Result<Bytes, Damage> {
    let reading = read(segment)?;
    let Some(starts) = starts(&reading, joint)? else { return Ok(segment.clone()) };
    let mut tail = Tail::new(segment, &reading, &starts);
    for packet in packets(segment) {
        let (number, packet) = packet?;
        tail.packet(number, &packet)?;
    }
    let Tail { mut out, made, .. } = tail;
    number(&mut out, &made, segment);
    Ok(out.into())
}

/// What is written.
struct Tail<'a> {
    segment: &'a [u8],
    reading: &'a Reading,
    starts: &'a Starts,
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
    fn new(segment: &'a [u8], reading: &'a Reading, starts: &'a Starts) -> Self {
        let mut out = Vec::with_capacity(segment.len());
        let mut made = Vec::new();
        // Where nothing but sound is gone they stand where they stood.
        let tables = reading.programme.packets.iter().filter(|_| starts.packet > 0);
        for packet in tables {
            let begin = packet * PACKET_BYTES;
            made.push(out.len());
            out.extend_from_slice(segment.get(begin..begin + PACKET_BYTES).unwrap_or_default());
        }
        let begun = vec![0; reading.streams.len()];
        let others = Vec::new();
        Self { segment, reading, starts, out, made, begun, others, pcr: None, is_clocked: false }
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
        let leads = self.reading.shown().is_none() || matches!(stream.holds, Holds::Pictures(_));
        match (self.starts.streams.get(at), begun.checked_sub(1)) {
            (Some(Kept::All), _) => self.keep(packet, has_clock, leads),
            (Some(Kept::From(start)), Some(pes))
                if pes > start.place.pes || pes == start.place.pes && start.is_whole =>
            {
                self.keep(packet, has_clock, leads);
            }
            (Some(Kept::From(start)), Some(pes)) if pes == start.place.pes && begins => {
                self.remake(stream, start, number, leads)?;
            }
            // Of sound that is gone the clock still counts.
            _ if has_clock && number >= self.starts.packet => {
                self.is_clocked = false;
                self.clock();
            }
            _ => {}
        }
        Ok(())
    }

    /// Tables, sections and what no table tells of, from their next beginning on.
    fn keeps_other(&mut self, number: usize, packet: &Packet<'_>) -> bool {
        let pid = u16::from(packet.pid());
        if number < self.starts.packet || pid == NULL {
            return false;
        }
        if self.starts.packet == 0 {
            return true;
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
        let mut data = if start.is_key { Vec::from(START_CODE) } else { Vec::new() };
        let mut skipped = start.place.offset;
        let (mut stream_id, mut is_bounded) = (0, true);
        let from = self.segment.get(number * PACKET_BYTES..).unwrap_or_default();
        for packet in packets(from).take(end.saturating_sub(number)) {
            let (_, packet) = packet?;
            if u16::from(packet.pid()) != stream.pid {
                continue;
            }
            let Some(piece) = assembler.push(&packet)? else { continue };
            if let Some(header) = piece.begins {
                (stream_id, is_bounded) = (header.stream_id, header.is_bounded);
            }
            data.extend_from_slice(piece.bytes.get(skipped..).unwrap_or_default());
            skipped = skipped.saturating_sub(piece.bytes.len());
        }
        if let Holds::Pictures(shown) = &stream.holds
            && start.lacks_sets
        {
            let sets = sets::before(self.segment, stream, shown.codec, start.place)?;
            sets::insert(shown.codec, sets, &mut data);
        }
        if leads {
            self.clock();
        }
        let Start { pts, dts, is_key, .. } = *start;
        // The others have no times.
        let is_timed = matches!(stream_id, 0xbd | 0xc0..=0xef | 0xfd);
        stream_id = if is_timed { stream_id } else { 0xbd };
        let begin = self.out.len();
        let missing = is_bounded.then(|| assembler.lacks());
        Remade { pid: stream.pid, stream_id, pts, dts, is_key, missing }
            .write(&data, &mut self.out);
        self.made.extend((begin..self.out.len()).step_by(PACKET_BYTES));
        Ok(())
    }
}
