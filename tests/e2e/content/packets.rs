//! What a demultiplexer of MPEG-TS relies on, and ffmpeg forgives: continuity counters and clock
//! references that run on from packet to packet.

use std::collections::BTreeMap;

const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// PAT: packagers repeat it with each segment as they like.
const PAT: u16 = 0;
const NULL: u16 = 0x1fff;
/// nginx-rtmp writes its clock with keyframes alone, every 2 s here. 27 MHz.
const CLOCK_STEP_MAX: u64 = 4 * 27_000_000;

/// What is wrong with `bytes` that one player reads in one go; empty where it is no MPEG-TS.
pub fn wrong(bytes: &[u8]) -> Vec<String> {
    if bytes.first() != Some(&SYNC) {
        return Vec::new();
    }
    let mut read = Read::default();
    for (at, packet) in bytes.chunks(PACKET).enumerate() {
        if packet.len() < PACKET || packet[0] != SYNC {
            read.wrong.push(format!("packet {at}: no whole packet begins here"));
            break;
        }
        read.packet(at, packet);
    }
    read.wrong
}

#[derive(Default)]
struct Read {
    counters: BTreeMap<u16, u8>,
    clocks: BTreeMap<u16, u64>,
    wrong: Vec<String>,
}

impl Read {
    fn packet(&mut self, at: usize, packet: &[u8]) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (payload, counter) = (packet[3] & 0x10 != 0, packet[3] & 0x0f);
        let begins = packet[1] & 0x40 != 0;
        self.clock(at, pid, packet);
        // Sections are whole in a packet and repeated.
        let section = begins && payload && !packet[4..].starts_with(&[0, 0, 1]) && !adapted(packet);
        if pid == PAT || pid == NULL || section {
            return;
        }
        let before = self.counters.insert(pid, counter);
        let due = before.map(|b| (b + u8::from(payload)) & 0x0f);
        if due.is_some_and(|due| due != counter) {
            self.wrong.push(format!("packet {at}, PID {pid}: counter {counter}, not {due:?}"));
        }
    }

    fn clock(&mut self, at: usize, pid: u16, packet: &[u8]) {
        if !adapted(packet) || packet[4] < 7 || packet[5] & 0x10 == 0 {
            return;
        }
        let field: [u8; 8] = std::array::from_fn(|i| if i < 2 { 0 } else { packet[6 + i - 2] });
        let field = u64::from_be_bytes(field);
        let clock = (field >> 15) * 300 + (field & 0x1ff);
        let before = self.clocks.insert(pid, clock);
        if before.is_some_and(|b| clock < b || clock > b + CLOCK_STEP_MAX) {
            self.wrong.push(format!("packet {at}, PID {pid}: PCR {clock} after {before:?}"));
        }
    }
}

const fn adapted(packet: &[u8]) -> bool {
    packet[3] & 0x20 != 0
}

#[test]
fn a_lost_packet_is_told() {
    let packet = |counter: u8| {
        let mut packet = [0xff; PACKET];
        packet[..4].copy_from_slice(&[SYNC, 0x01, 0x00, 0x10 | counter]);
        packet
    };
    assert_eq!(wrong(&[packet(14), packet(15), packet(0)].concat()), [""; 0]);
    assert_eq!(wrong(&[packet(14), packet(0)].concat()).len(), 1);
    assert_eq!(wrong(&packet(0)[..100]).len(), 1);
    assert_eq!(wrong(b"ftyp"), [""; 0]);
}
