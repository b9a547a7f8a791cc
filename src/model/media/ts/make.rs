//! Packets that a cut adds or changes, and the numbers that lead up to those it leaves as they are.

use super::SYNC;
use super::read::PACKET_BYTES;

const PAYLOAD_BYTES: usize = PACKET_BYTES - 4;

/// A PES packet whose times are written anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remade {
    pub(super) pid: u16,
    pub(super) stream_id: u8,
    pub(super) pts: i64,
    /// Written where it is another.
    pub(super) dts: i64,
    /// Decoding can begin with it.
    pub(super) is_key: bool,
    /// What comes of it after the segment; None: it does not say how long it is.
    pub(super) missing: Option<usize>,
}

impl Remade {
    /// In packets, to the end of `out`.
    pub(super) fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        let mut payload = self.header(data.len());
        payload.extend_from_slice(data);
        let mut rest = payload.as_slice();
        let mut is_first = true;
        while !rest.is_empty() {
            let is_key = is_first && self.is_key;
            let room = if is_key { PAYLOAD_BYTES - 2 } else { PAYLOAD_BYTES };
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            packet(self.pid, is_first, is_key, now, out);
            (rest, is_first) = (later, false);
        }
    }

    fn header(&self, data_bytes: usize) -> Vec<u8> {
        let (flags, times) = if self.pts == self.dts {
            (0x80, [time(2, self.pts)].concat())
        } else {
            (0xc0, [time(3, self.pts), time(1, self.dts)].concat())
        };
        let length = self.missing.map(|missing| 3 + times.len() + data_bytes + missing);
        // Pictures may be too long to say it.
        let length = length.and_then(|length| u16::try_from(length).ok()).unwrap_or(0);
        let [high, low] = length.to_be_bytes();
        let times_bytes = u8::try_from(times.len()).unwrap_or(0);
        // Aligned: what begins first begins with its first byte.
        let mut header = vec![0, 0, 1, self.stream_id, high, low, 0x84, flags, times_bytes];
        header.extend(times);
        header
    }
}

/// A time as PES headers have it: three parts with a marker bit after each.
fn time(prefix: u8, ticks: i64) -> [u8; 5] {
    let byte = |ticks: i64| ticks.to_le_bytes()[0];
    // Bits 32..30, 29..15 and 14..0.
    let first = prefix << 4 | byte(ticks >> 29) & 0x0e | 1;
    [first, byte(ticks >> 22), byte(ticks >> 14) | 1, byte(ticks >> 7), byte(ticks << 1) | 1]
}

/// One packet, filled up before its payload. It gets its number later.
fn packet(pid: u16, begins: bool, is_key: bool, payload: &[u8], out: &mut Vec<u8>) {
    let free = PAYLOAD_BYTES.saturating_sub(payload.len());
    let [high, low] = pid.to_be_bytes();
    let adapts = if free > 0 { 0x20 } else { 0 };
    let carries = if payload.is_empty() { 0 } else { 0x10 };
    out.extend([SYNC, high & 0x1f | u8::from(begins) << 6, low, adapts | carries]);
    if let Some(after_length) = free.checked_sub(1) {
        out.push(u8::try_from(after_length).unwrap_or(0));
        if let Some(stuffing) = after_length.checked_sub(1) {
            out.push(u8::from(is_key) << 6);
            out.extend(std::iter::repeat_n(0xff, stuffing));
        }
    }
    out.extend_from_slice(payload);
}

/// A packet with nothing but a programme clock reference, as its six bytes are written.
pub(super) fn clock(pid: u16, pcr: [u8; 6], out: &mut Vec<u8>) {
    let begin = out.len();
    packet(pid, false, false, &[], out);
    for (to, from) in out.iter_mut().skip(begin + 5).zip([0x10].into_iter().chain(pcr)) {
        *to = from;
    }
}

/// Numbers the packets that begin at `made` so that those of each PID lead up to its first other one;
/// where there is none, up to what comes after the segment.
pub(super) fn number(out: &mut [u8], made: &[usize], segment: &[u8]) {
    // Of each PID the number that the packet before must have.
    let mut wanted: Vec<(u16, u8)> = Vec::new();
    let mut made = made.iter().rev().copied().peekable();
    let packets = out.len() / PACKET_BYTES;
    for (at, bytes) in (0..packets).rev().zip(out.rchunks_exact_mut(PACKET_BYTES)) {
        let [_, high, low, flags, ..] = bytes else { return };
        let pid = u16::from_be_bytes([*high & 0x1f, *low]);
        let known = wanted.iter_mut().find(|(other, _)| *other == pid);
        if made.next_if_eq(&(at * PACKET_BYTES)).is_some() {
            let number = known.as_ref().map(|(_, number)| *number);
            *flags = *flags & 0xf0 | number.unwrap_or_else(|| last_number(segment, pid));
        }
        let before = if *flags & 0x10 == 0 { *flags } else { flags.wrapping_sub(1) } & 0x0f;
        match known {
            Some((_, number)) => *number = before,
            None => wanted.push((pid, before)),
        }
    }
}

/// The number of a PID's last packet.
fn last_number(segment: &[u8], wanted: u16) -> u8 {
    let number = |bytes: &[u8]| {
        let [_, high, low, flags, ..] = *bytes else { return None };
        (u16::from_be_bytes([high & 0x1f, low]) == wanted).then_some(flags & 0x0f)
    };
    segment.rchunks_exact(PACKET_BYTES).find_map(number).unwrap_or(0)
}
