//! Tables, PES packets and the packets of a transport stream, written.

pub const PACKET: usize = 188;
pub const PMT: u16 = 4096;
pub const VIDEO: u16 = 256;
pub const AUDIO: u16 = 257;
/// What a packet holds.
const PAYLOAD: usize = PACKET - 4;

/// A PES packet of pictures or of sound.
pub struct Pes {
    pub pid: u16,
    pub pts: i64,
    pub dts: i64,
    /// With a clock reference, 90 kHz.
    pub pcr: Option<i64>,
    pub is_key: bool,
    pub data: Vec<u8>,
}

/// The tables of a programme that has these streams; the first one has the clock.
pub fn tables(pids: &[u16], counter: u64) -> Vec<u8> {
    let pat = [&[0, 1][..], &(0xe000 | PMT).to_be_bytes()].concat();
    let mut pmt = (0xe000 | pids[0]).to_be_bytes().to_vec();
    pmt.extend([0xf0, 0]);
    for pid in pids {
        pmt.push(if *pid == VIDEO { 0x1b } else { 0x0f });
        pmt.extend((0xe000 | pid).to_be_bytes());
        pmt.extend([0xf0, 0]);
    }
    [section(0, 0, &pat, counter), section(PMT, 2, &pmt, counter)].concat()
}

fn section(pid: u16, table: u8, body: &[u8], counter: u64) -> Vec<u8> {
    let length = u8::try_from(body.len() + 9).unwrap();
    let mut section = vec![table, 0xb0, length, 0, 1, 0xc1, 0, 0];
    section.extend(body);
    let crc = section.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte) << 24;
        (0..8).fold(crc, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    section.extend(crc.to_be_bytes());
    let mut out = head(pid, true, 0x10, counter).to_vec();
    out.push(0);
    out.extend(section);
    out.resize(PACKET, 0xff);
    out
}

fn head(pid: u16, begins: bool, control: u8, counter: u64) -> [u8; 4] {
    let [high, low] = pid.to_be_bytes();
    [0x47, high | u8::from(begins) << 6, low, control | (counter % 16) as u8]
}

impl Pes {
    /// In exactly so many packets, of which the first has this counter.
    pub fn write(&self, count: usize, counter: u64, out: &mut Vec<u8>) {
        let payload = self.payload();
        let clock = self.clock();
        // What is not needed is filled up, alike in each.
        let each = (payload.len() + clock.len()).div_ceil(count);
        assert!(each < PAYLOAD, "{} bytes do not fit into {count} packets", payload.len());
        let mut rest = &payload[..];
        for nth in 0..count {
            let adapts = if nth == 0 { &clock[..] } else { &[] };
            let (part, more) = rest.split_at((each - adapts.len()).min(rest.len()));
            rest = more;
            out.extend(head(self.pid, nth == 0, 0x30, counter + nth as u64));
            let length = PAYLOAD - part.len() - 1;
            out.push(length as u8);
            let adapts = if adapts.is_empty() && length > 0 { &[0][..] } else { adapts };
            out.extend(adapts);
            out.resize(out.len() + length - adapts.len(), 0xff);
            out.extend(part);
        }
    }

    fn payload(&self) -> Vec<u8> {
        let both = self.pts != self.dts;
        let mut times = time(if both { 3 } else { 2 }, self.pts).to_vec();
        if both {
            times.extend(time(1, self.dts));
        }
        let sound = 3 + times.len() + self.data.len();
        let (id, length) = if self.pid == VIDEO { (0xe0, 0) } else { (0xc0, sound as u16) };
        let [high, low] = length.to_be_bytes();
        let flags = if both { 0xc0 } else { 0x80 };
        let begin = [0, 0, 1, id, high, low, 0x84, flags, times.len() as u8];
        [&begin[..], &times, &self.data].concat()
    }

    /// Flags of the adaptation field and the clock reference; empty without one.
    fn clock(&self) -> Vec<u8> {
        let Some(pcr) = self.pcr else { return Vec::new() };
        let base = pcr.rem_euclid(1 << 33) << 15 | 0x7e00;
        let random = if self.is_key { 0x50 } else { 0x10 };
        [&[random], &base.to_be_bytes()[2..]].concat()
    }
}

/// 33 bits in five bytes.
fn time(prefix: u8, ticks: i64) -> [u8; 5] {
    let byte = |shift: u32| (ticks >> shift) as u8;
    let first = prefix << 4 | byte(29) & 0x0e | 1;
    [first, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1]
}
