//! Pictures and sound that are coded as little as may be, and that every decoder takes: H.264 of one
//! macroblock, AAC that is silent. Each says which one of the programme it is.

/// Before the text that a picture carries (ITU-T H.264, D.1.6).
const MARK: [u8; 16] = *b"segue\x01programme\x01";
/// Samples of a macroblock.
const SAMPLES: u64 = 384;
/// A frame of sound, with its header of 7 bytes.
pub const SOUND_BYTES: usize = 22;

/// What the slice of a picture says of its place.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// By which encoder, and which one of the programme.
    pub encoder: u8,
    pub number: u64,
    /// How many have been shown since the keyframe.
    pub since_key: u64,
    /// How many have been decoded since, of those that others refer to.
    pub references: u64,
    pub is_reference: bool,
}

/// Writes bits.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(mut self, value: u64, count: usize) -> Self {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = u8::from(value >> bit & 1 == 1) << (7 - self.used % 8);
            *self.bytes.last_mut().unwrap() |= set;
            self.used += 1;
        }
        self
    }

    /// Exp-Golomb codes.
    fn codes(self, values: &[u64]) -> Self {
        values.iter().fold(self, |bits, value| {
            let length = (value + 1).ilog2() as usize;
            bits.put(value + 1, 2 * length + 1)
        })
    }

    /// The last bit that is set, and zeros up to the next byte.
    fn trailed(self) -> Vec<u8> {
        self.put(1, 1).bytes
    }
}

/// A NAL unit behind a start code.
fn unit(head: u8, payload: &[u8]) -> Vec<u8> {
    let (mut out, mut zeros) = (vec![0, 0, 0, 1, head], 0);
    for byte in payload {
        if zeros == 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
    out
}

/// The parameter sets of 16 by 16 pictures, 25 a second.
fn sets(reorders: bool) -> Vec<u8> {
    let reordered = u64::from(reorders);
    // Frame numbers have 8 bits, the order of showing 10.
    let sps = Bits::default().put(0x42_c0_0a, 24).codes(&[0, 4, 0, 6, 1]);
    let sps = sps.put(0, 1).codes(&[0, 0]).put(0b1101, 4);
    let sps = sps.put(0b0_0001, 5).put(1, 32).put(50, 32).put(0b1_0001, 5);
    let sps = sps.put(1, 1).codes(&[0, 0, 10, 10, reordered, 1 + reordered]);
    let pps = Bits::default().codes(&[0, 0]).put(0, 2).codes(&[0, 0, 0]).put(0, 3);
    let pps = pps.codes(&[0, 0, 0]).put(0b100, 3);
    [unit(0x67, &sps.trailed()), unit(0x68, &pps.trailed())].concat()
}

/// What the keyframe of an encoder shows: never a zero.
pub fn samples(encoder: u8, number: u64) -> Vec<u8> {
    let seed = number << 8 | u64::from(encoder);
    let sample =
        |at: u64| (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32 % 64);
    (0..SAMPLES).map(|at| (sample(at) ^ at) as u8 | 1).collect()
}

/// A keyframe.
fn key(place: &Place, gop: u64) -> Vec<u8> {
    // Two in a row must not have the same id.
    let id = 1 + (place.number - place.since_key) / gop % 2;
    let slice = Bits::default().codes(&[0, 7, 0]).put(0, 8).codes(&[id]).put(0, 10);
    let mut slice = slice.put(0, 2).codes(&[0, 1, 25]);
    while !slice.used.is_multiple_of(8) {
        slice = slice.put(0, 1);
    }
    slice.bytes.extend(samples(place.encoder, place.number));
    slice.used = slice.bytes.len() * 8;
    unit(0x65, &slice.trailed())
}

/// A picture that is like the one that it refers to.
fn like(place: &Place) -> Vec<u8> {
    let slice = Bits::default().codes(&[0, 5, 0]).put(place.references % 256, 8);
    let slice = slice.put(2 * place.since_key, 10).put(0, 2);
    let slice = slice.put(0, usize::from(place.is_reference)).codes(&[0, 1, 1]);
    unit(if place.is_reference { 0x41 } else { 0x01 }, &slice.trailed())
}

/// A picture with its delimiter, a text of ours and, where it is a keyframe, the parameter sets.
pub fn picture(place: &Place, gop: u64, reorders: bool, text: &str) -> Vec<u8> {
    let said = format!("{:012}|{}|{text}", place.number, place.encoder);
    let length = u8::try_from(MARK.len() + said.len()).expect("a short text");
    let said = [&[5, length][..], &MARK, said.as_bytes(), &[0x80]].concat();
    let is_key = place.since_key == 0;
    let delimiter = unit(0x09, &[if is_key { 0x10 } else { 0x30 }]);
    let slice = if is_key { key(place, gop) } else { like(place) };
    let sets = if is_key { sets(reorders) } else { Vec::new() };
    [delimiter, sets, unit(0x06, &said), slice].concat()
}

/// Which picture that is, by which encoder, and the text that it carries: all that are in these bytes.
pub fn said(bytes: &[u8]) -> Result<Vec<(u64, u8, String)>, String> {
    let marks = memchr::memmem::find_iter(bytes, &MARK);
    marks
        .map(|at| {
            let rest = &bytes[at + MARK.len()..];
            let length = usize::from(bytes[at - 1]) - MARK.len();
            let text = String::from_utf8_lossy(rest.get(..length).ok_or("a torn text")?);
            let mut fields = text.splitn(3, '|');
            let mut field = || fields.next().ok_or_else(|| format!("no text of ours: {text}"));
            let number = field()?.parse().map_err(|_| "no number")?;
            let encoder = field()?.parse().map_err(|_| "no encoder")?;
            Ok((number, encoder, field()?.to_owned()))
        })
        .collect()
}

/// A frame of silence at 48 kHz, mono, which says by which encoder it is and which of the programme.
pub fn sound(encoder: u8, number: u64) -> Vec<u8> {
    let length = SOUND_BYTES as u8;
    let mut out = vec![0xff, 0xf1, 0x4c, 0x40, length >> 3, length << 5 | 0x1f, 0xfc];
    // A data element; then one channel with nothing in it, and the end.
    out.extend([0x80, 9, encoder]);
    out.extend(number.to_be_bytes());
    out.extend(Bits::default().put(0, 29).put(7, 3).bytes);
    out
}

/// Which frame that is, and by which encoder.
pub fn heard(frame: &[u8]) -> Result<(u64, u8), String> {
    let number = frame.get(10..18).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let number = number.ok_or("a torn frame of sound")?;
    if sound(frame[9], number) != frame {
        return Err(format!("no frame of ours: {frame:02x?}"));
    }
    Ok((number, frame[9]))
}
