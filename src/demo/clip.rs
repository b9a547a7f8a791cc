//! The bundled clips, as endless streams of units (`assets/demo/make.sh` makes them).

use std::time::Duration;

use bytes::Bytes;

use super::restamp::{Counters, NotPackets, TICKS_PER_SECOND, restamp};

/// The content of a unit. Segments are made of whole units.
pub const UNIT: Duration = Duration::from_secs(2);

/// A clip that goes on for ever.
#[derive(Debug)]
pub struct Clip {
    units: Vec<(&'static [u8], Counters)>,
    whole: Counters,
}

impl Clip {
    /// The clip of one encoder that feeds both packagers.
    ///
    /// # Errors
    /// Where what is bundled is damaged.
    pub fn of_one() -> Result<Self, NotPackets> {
        let list = include_str!("../../assets/demo/one.m3u8");
        Self::new(include_bytes!("../../assets/demo/one.ts"), list)
    }

    /// The clip with the letter A.
    ///
    /// # Errors
    /// Where what is bundled is damaged.
    pub fn a() -> Result<Self, NotPackets> {
        let list = include_str!("../../assets/demo/a.m3u8");
        Self::new(include_bytes!("../../assets/demo/a.ts"), list)
    }

    /// The clip with the letter B.
    ///
    /// # Errors
    /// Where what is bundled is damaged.
    pub fn b() -> Result<Self, NotPackets> {
        let list = include_str!("../../assets/demo/b.m3u8");
        Self::new(include_bytes!("../../assets/demo/b.ts"), list)
    }

    fn new(bytes: &'static [u8], list: &str) -> Result<Self, NotPackets> {
        let mut units = Vec::new();
        let mut counters = Counters::default();
        for range in list.lines().filter_map(|l| l.strip_prefix("#EXT-X-BYTERANGE:")) {
            let (length, offset) = range.split_once('@').ok_or(NotPackets)?;
            let number = |text: &str| text.parse::<usize>().map_err(|_| NotPackets);
            let (length, offset) = (number(length)?, number(offset)?);
            let unit = bytes.get(offset..offset + length).ok_or(NotPackets)?;
            units.push((unit, counters.clone()));
            restamp(&mut unit.to_vec(), 0, &mut counters)?;
        }
        if units.is_empty() { Err(NotPackets) } else { Ok(Self { units, whole: counters }) }
    }

    /// The units `from` to `from + count` of the endless stream, as one piece.
    #[must_use]
    pub fn units(&self, from: u64, count: u64) -> Bytes {
        let mut joined = Vec::new();
        let length = self.units.len() as u64;
        for number in from..from + count {
            let (loops, index) = (number / length, usize::try_from(number % length));
            let Some((unit, before)) = index.ok().and_then(|i| self.units.get(i)) else { continue };
            let mut unit = unit.to_vec();
            let ticks = loops.wrapping_mul(length * UNIT.as_secs() * TICKS_PER_SECOND);
            // `new` has restamped every unit once.
            if restamp(&mut unit, ticks, &mut before.after(loops, &self.whole)).is_ok() {
                joined.extend(unit);
            }
        }
        joined.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clips_are_whole_and_as_long_as_each_other() {
        let (a, b) = (Clip::a().unwrap(), Clip::b().unwrap());
        let one = Clip::of_one().unwrap();
        assert_eq!((a.units.len(), b.units.len(), one.units.len()), (24, 24, 24));
        assert_ne!(a.units(0, 1), b.units(0, 1));
        assert_ne!(a.units(0, 1), a.units(24, 1), "the second time round is later");
        assert_eq!(a.units(23, 2).len(), a.units(23, 1).len() + a.units(0, 1).len());
    }

    #[test]
    fn counters_have_no_seam_at_the_loop() {
        let clip = Clip::a().unwrap();
        let mut next = std::collections::BTreeMap::new();
        for packet in clip.units(22, 30).chunks(188).filter(|p| p[3] & 0x10 != 0) {
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            let counter = packet[3] & 0x0f;
            if let Some(expected) = next.insert(pid, (counter + 1) % 16) {
                assert_eq!(counter, expected, "pid {pid}");
            }
        }
    }
}
