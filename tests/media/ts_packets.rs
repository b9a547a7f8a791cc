//! Packets of a transport stream, taken apart and put together as packagers may that ffmpeg does not
//! imitate.

use bytes::Bytes;

/// What the tests look at in one packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub bytes: &'a [u8],
    pub pid: u16,
    pub begins: bool,
    pub counter: u8,
    pub payload: &'a [u8],
    pub has_pcr: bool,
}

/// The PIDs that ffmpeg gives.
pub const VIDEO: u16 = 256;
pub const AUDIO: u16 = 257;

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let adapts = bytes[3] & 0x20 != 0;
        let begin = if adapts { 5 + usize::from(bytes[4]) } else { 4 };
        Self {
            bytes,
            pid: u16::from_be_bytes([bytes[1] & 0x1f, bytes[2]]),
            begins: bytes[1] & 0x40 != 0,
            counter: bytes[3] & 0x0f,
            payload: if bytes[3] & 0x10 == 0 { &[] } else { &bytes[begin..] },
            has_pcr: adapts && bytes[4] > 0 && bytes[5] & 0x10 != 0,
        }
    }
}

pub fn packets(segment: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    segment.chunks(188).map(Packet::read)
}

/// A PES packet: its times as they are written, and what it carries.
#[derive(Clone, Debug)]
pub struct Pes {
    pub times: Vec<u8>,
    pub data: Vec<u8>,
}

/// The segment with the PES packets of one PID made anew from those it had, each new one standing
/// where its first old one began.
pub fn regrouped(segment: &[u8], pid: u16, regroup: impl Fn(&[Pes]) -> Vec<(usize, Pes)>) -> Bytes {
    let mut old: Vec<Pes> = Vec::new();
    for packet in packets(segment).filter(|packet| packet.pid == pid) {
        if packet.begins {
            let header = usize::from(packet.payload[8]);
            let (times, data) = packet.payload[9..].split_at(header);
            old.push(Pes { times: times.to_vec(), data: data.to_vec() });
        } else {
            old.last_mut().unwrap().data.extend(packet.payload);
        }
    }
    let new = regroup(&old);
    let (mut out, mut counter, mut nth) = (Vec::new(), 0, 0);
    for packet in packets(segment) {
        if packet.pid != pid {
            out.extend(packet.bytes);
            continue;
        }
        if packet.has_pcr {
            // Its clock alone.
            let [high, low] = pid.to_be_bytes();
            out.extend([0x47, high, low, 0x20 | (counter + 15) & 0x0f, 183, 0x10]);
            out.extend(&packet.bytes[6..12]);
            out.extend([0xff; 176]);
        }
        if packet.begins {
            for (_, pes) in new.iter().filter(|(from, _)| *from == nth) {
                write(pid, pes, &mut counter, &mut out);
            }
            nth += 1;
        }
    }
    out.into()
}

/// PIDs of timed metadata and of SCTE-35 sections, which the segment is given.
pub const METADATA: u16 = 300;
pub const SECTIONS: u16 = 301;

/// The segment with metadata and sections in it: one of each before every so manieth packet, the
/// metadata with the times that `pts` tells.
pub fn with_data(segment: &[u8], every: usize, pts: impl Fn(usize) -> Option<i64>) -> Bytes {
    let (mut out, mut counter, mut sections) = (Vec::new(), 3, 7);
    for (nth, packet) in packets(segment).enumerate() {
        if packet.pid == 4096 {
            out.extend(declaring(&packet));
            continue;
        }
        if nth > 2 && nth % every == 0 {
            let times = pts(nth / every).map(|pts| {
                let byte = |ticks: i64| ticks.to_le_bytes()[0];
                let [first, third] = [0x21 | byte(pts >> 29) & 0x0e, byte(pts >> 14) | 1];
                vec![first, byte(pts >> 22), third, byte(pts >> 7), byte(pts << 1) | 1]
            });
            let pes = Pes { times: times.unwrap_or_default(), data: b"ID3".repeat(100) };
            write(METADATA, &pes, &mut counter, &mut out);
            let [high, low] = SECTIONS.to_be_bytes();
            out.extend([0x47, high | 0x40, low, 0x10 | sections, 0, 0xfc]);
            out.extend([0xff; 182]);
            sections = (sections + 1) & 0x0f;
        }
        out.extend(packet.bytes);
    }
    out.into()
}

/// A PMT in one packet with two streams more.
fn declaring(packet: &Packet<'_>) -> Vec<u8> {
    let length = usize::from(packet.payload[2] & 0x0f) << 8 | usize::from(packet.payload[3]);
    let mut section = packet.payload[1..length].to_vec(); // as far as its checksum
    section.extend([0x15, 0xe1, 0x2c, 0xf0, 0, 0x86, 0xe1, 0x2d, 0xf0, 0]);
    section[2] += 10;
    let crc = section.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte) << 24;
        (0..8).fold(crc, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    let mut out = packet.bytes[..5].to_vec();
    out.extend(section);
    out.extend(crc.to_be_bytes());
    out.resize(188, 0xff);
    out
}

fn write(pid: u16, pes: &Pes, counter: &mut u8, out: &mut Vec<u8>) {
    let flags = match pes.times.len() {
        0 => 0,
        5 => 0x80,
        _ => 0xc0,
    };
    let length = if pid == VIDEO { 0 } else { 3 + pes.times.len() + pes.data.len() };
    let [high, low] = (length as u16).to_be_bytes();
    let id = match pid {
        VIDEO => 0xe0,
        AUDIO => 0xc0,
        _ => 0xbd,
    };
    let mut payload = vec![0, 0, 1, id, high, low, 0x80, flags, pes.times.len() as u8];
    payload.extend(&pes.times);
    payload.extend(&pes.data);
    for (nth, part) in payload.chunks(184).enumerate() {
        let [high, low] = pid.to_be_bytes();
        let fill = 184 - part.len();
        let control = if fill > 0 { 0x30 } else { 0x10 };
        out.extend([0x47, high | u8::from(nth == 0) << 6, low, control | *counter]);
        *counter = (*counter + 1) & 0x0f;
        if fill > 0 {
            out.push(fill as u8 - 1);
            out.extend([0, 0xff].into_iter().cycle().take((fill - 1).min(1)));
            out.extend(std::iter::repeat_n(0xff, (fill - 1).saturating_sub(1)));
        }
        out.extend(part);
    }
}

/// Continuity counters that do not go on, by PID.
pub fn jumps(segment: &[u8]) -> Vec<u16> {
    let mut last = std::collections::BTreeMap::new();
    let mut jumps = Vec::new();
    for packet in packets(segment) {
        let step = u8::from(!packet.payload.is_empty());
        let before = last.insert(packet.pid, packet.counter);
        if before.is_some_and(|before| (before + step) & 0x0f != packet.counter) {
            jumps.push(packet.pid);
        }
    }
    jumps
}
