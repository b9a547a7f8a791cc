//! Moves MPEG-TS packets along the timeline, so that a clip which begins again looks like one
//! endless stream: PTS and DTS in PES headers, PCR in adaptation fields, and continuity counters.

use std::collections::BTreeMap;

/// Bytes of a packet (ISO/IEC 13818-1, 2.4.3.2).
const PACKET: usize = 188;
/// PTS, DTS and the PCR's base have 33 bits and count 90,000 a second.
const STAMP_MASK: u64 = (1 << 33) - 1;
/// Ticks of PTS, DTS and PCR base in a second.
pub const TICKS_PER_SECOND: u64 = 90_000;

/// How many packets with payload each PID has had: the next continuity counter, modulo 16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<u16, u64>);

impl Counters {
    fn next(&mut self, pid: u16) -> u8 {
        let count = self.0.entry(pid).or_default();
        let now = *count & 0x0f;
        *count += 1;
        u8::try_from(now).unwrap_or_default()
    }

    /// The counters after `loops` times `whole`, and then this.
    #[must_use]
    pub fn after(&self, loops: u64, whole: &Self) -> Self {
        let mut sum = self.clone();
        for (pid, count) in &whole.0 {
            let so_far = sum.0.entry(*pid).or_default();
            *so_far = so_far.wrapping_add(count.wrapping_mul(loops));
        }
        sum
    }
}

/// These bytes are no whole, clear MPEG-TS packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not whole MPEG-TS packets")]
pub struct NotPackets;

/// Adds `ticks` of 1/90,000 s to every time stamp in `packets`, and numbers the packets from
/// `counters` on.
///
/// # Errors
/// Where `packets` are not whole MPEG-TS packets; some may have been changed by then.
pub fn restamp(packets: &mut [u8], ticks: u64, counters: &mut Counters) -> Result<(), NotPackets> {
    if !packets.len().is_multiple_of(PACKET) {
        return Err(NotPackets);
    }
    for packet in packets.chunks_exact_mut(PACKET) {
        one(packet, ticks, counters).ok_or(NotPackets)?;
    }
    Ok(())
}

fn one(packet: &mut [u8], ticks: u64, counters: &mut Counters) -> Option<()> {
    let (head, mut rest) = packet.split_first_chunk_mut::<4>()?;
    let [sync, flags, low, control] = head;
    if *sync != 0x47 {
        return None;
    }
    let pid = u16::from(*flags & 0x1f) << 8 | u16::from(*low);
    let (starts, adaptation, payload) = (*flags & 0x40, *control & 0x20, *control & 0x10);
    if payload != 0 {
        *control = *control & 0xf0 | counters.next(pid);
    }
    if adaptation != 0 {
        let (length, after) = rest.split_first_mut()?;
        let (field, after) = after.split_at_mut_checked(usize::from(*length))?;
        if field.first().is_some_and(|flags| flags & 0x10 != 0) {
            shift_pcr(field.get_mut(1..)?.first_chunk_mut()?, ticks);
        }
        rest = after;
    }
    let pes = rest.starts_with(&[0, 0, 1]);
    if payload != 0 && starts != 0 && pes {
        let flags = *rest.get(7)?;
        if flags & 0x80 != 0 {
            shift_stamp(rest.get_mut(9..)?.first_chunk_mut()?, ticks);
        }
        if flags & 0x40 != 0 {
            shift_stamp(rest.get_mut(14..)?.first_chunk_mut()?, ticks);
        }
    }
    Some(())
}

/// The low eight bits.
#[allow(clippy::cast_possible_truncation)] // that is what it is for
const fn byte(bits: u64) -> u8 {
    bits as u8
}

/// A PTS or DTS: 33 bits in three parts with a marker bit after each (2.4.3.7).
fn shift_stamp(field: &mut [u8; 5], ticks: u64) {
    let [head, ..] = *field;
    let bits = field.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    let was = (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7fff) << 15 | bits >> 1 & 0x7fff;
    let now = was.wrapping_add(ticks) & STAMP_MASK;
    *field = [
        head & 0xf0 | byte((now >> 30) << 1 | 1),
        byte(now >> 22),
        byte(now >> 14 | 1),
        byte(now >> 7),
        byte(now << 1 | 1),
    ];
}

/// A PCR: a base of 33 bits, six reserved bits, an extension of nine (2.4.3.5).
fn shift_pcr(field: &mut [u8; 6], ticks: u64) {
    let [.., reserved, extension] = *field;
    let bits = field.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    let now = (bits >> 15).wrapping_add(ticks) & STAMP_MASK;
    *field = [
        byte(now >> 25),
        byte(now >> 17),
        byte(now >> 9),
        byte(now >> 1),
        byte((now & 1) << 7) | reserved & 0x7f,
        extension,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(head: u8, value: u64) -> [u8; 5] {
        let mut field = [head << 4 | 1, 0, 1, 0, 1];
        shift_stamp(&mut field, value);
        field
    }

    /// A packet of `pid` with a PCR and the beginning of a PES packet with PTS and DTS.
    fn packet(pid: u16, counter: u8, pcr: u64, pts: u64, dts: u64) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, 0x40 | high, low, 0x30 | counter, 7, 0x10];
        let mut field = [0, 0, 0, 0, 0x7f, 0x23];
        shift_pcr(&mut field, pcr);
        packet.extend(field);
        packet.extend([0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10]);
        packet.extend(stamp(3, pts));
        packet.extend(stamp(1, dts));
        packet.resize(PACKET, 0xaa);
        packet
    }

    #[test]
    fn stamps_are_coded_as_the_standard_says() {
        assert_eq!(stamp(2, 126_000), [0x21, 0x00, 0x07, 0xd8, 0x61]);
        assert_eq!(stamp(2, STAMP_MASK), [0x2f, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn all_stamps_move_and_nothing_else_does() {
        let mut counters = Counters::default();
        let shift = 48 * TICKS_PER_SECOND;
        let mut moved = packet(256, 9, 100, 8000, 4000);
        restamp(&mut moved, shift, &mut counters).unwrap();
        assert_eq!(moved, packet(256, 0, 100 + shift, 8000 + shift, 4000 + shift));
        restamp(&mut moved, 0, &mut counters).unwrap();
        assert_eq!(moved, packet(256, 1, 100 + shift, 8000 + shift, 4000 + shift));
    }

    #[test]
    fn stamps_wrap_at_33_bits() {
        let mut moved = packet(256, 0, STAMP_MASK, STAMP_MASK - 1, 5);
        restamp(&mut moved, 3, &mut Counters::default()).unwrap();
        assert_eq!(moved, packet(256, 0, 2, 1, 8));
    }

    #[test]
    fn counters_run_on_per_pid_and_over_loops() {
        let mut counters = Counters::default();
        let mut clip = Vec::new();
        for pid in [0, 256, 256, 257, 256] {
            clip.extend(packet(pid, 7, 0, 0, 0));
        }
        restamp(&mut clip, 0, &mut counters).unwrap();
        let shown: Vec<u8> = clip.chunks(PACKET).map(|p| p[3] & 0x0f).collect();
        assert_eq!(shown, [0, 0, 1, 0, 2]);
        assert_eq!(Counters::default().after(6, &counters).next(256), 18 % 16);
        assert_eq!(counters.after(6, &counters).next(256), 21 % 16);
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let mut counters = Counters::default();
        for mut bad in [vec![0x47; 187], vec![0x48; 188], {
            let mut long_field = packet(1, 0, 0, 0, 0);
            long_field[4] = 200;
            long_field
        }] {
            assert_eq!(restamp(&mut bad, 1, &mut counters), Err(NotPackets));
        }
    }
}
