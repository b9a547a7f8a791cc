//! How a track's samples are coded, by a sample entry of its init segment.

use super::atoms::{Atom, Atoms, Fields};
use super::init::Kind;
use crate::model::media::nal::ParameterSets;
use crate::model::media::{Codec, Damage};

/// What is before the boxes of a sample entry: of any, of pictures, of sound.
const ENTRY: usize = 8;
const OF_PICTURES: usize = 70;
const OF_SOUND: usize = 20;

/// One sample entry.
#[derive(Clone, Debug)]
pub(super) struct Coding {
    pub codec: Codec,
    pub encrypted: bool,
    /// How many bytes say the length of a NAL unit; 0: no NAL units.
    pub length_bytes: usize,
    /// The parameter sets that the init segment has.
    pub sets: ParameterSets,
}

impl Coding {
    pub fn read(entry: &Atom<'_>, kind: Kind) -> Result<Self, Damage> {
        let (codec, encrypted) = match &entry.kind {
            b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dva1" | b"dvav" => (Codec::H264, false),
            b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => (Codec::H265, false),
            b"ac-3" => (Codec::Ac3, false),
            b".mp3" | b"mp3 " => (Codec::Mp3, false),
            b"encv" | b"enca" | b"enct" | b"encs" | b"encm" => (Codec::Other, true),
            _ => (Codec::Other, false),
        };
        let mut coding = Self { codec, encrypted, length_bytes: 0, sets: ParameterSets::default() };
        for atom in boxes(entry, kind)? {
            let atom = atom?;
            match (&atom.kind, codec) {
                (b"avcC", Codec::H264) => coding.avc(&atom)?,
                (b"hvcC", Codec::H265) => coding.hevc(&atom)?,
                (b"esds", _) if entry.kind == *b"mp4a" => coding.codec = object_type(&atom)?,
                (b"sinf", _) => coding.encrypted = true,
                _ => {}
            }
        }
        let units = matches!(codec, Codec::H264 | Codec::H265);
        if units && kind == Kind::Pictures && coding.length_bytes == 0 {
            return Err(Damage::Malformed("pictures whose configuration is missing"));
        }
        Ok(coding)
    }

    /// ISO/IEC 14496-15, 5.3.3.
    fn avc(&mut self, avcc: &Atom<'_>) -> Result<(), Damage> {
        let mut fields = Fields(avcc.body);
        fields.take(4)?;
        self.length_bytes = usize::from(fields.u8()? & 3) + 1;
        let sps = fields.u8()? & 0x1f;
        units(&mut fields, u16::from(sps), |unit| self.sets.add(Codec::H264, &[unit]))?;
        let pps = fields.u8()?;
        units(&mut fields, u16::from(pps), |unit| self.sets.add(Codec::H264, &[unit]))?;
        Ok(())
    }

    /// ISO/IEC 14496-15, 8.3.3.
    fn hevc(&mut self, hvcc: &Atom<'_>) -> Result<(), Damage> {
        let mut fields = Fields(hvcc.body);
        fields.take(21)?;
        self.length_bytes = usize::from(fields.u8()? & 3) + 1;
        for _ in 0..fields.u8()? {
            let kind = fields.u8()? & 0x3f;
            let count = fields.u16()?;
            // SEI may be among them.
            let wanted = matches!(kind, 32..=34);
            units(&mut fields, count, |unit| {
                if wanted {
                    self.sets.add(Codec::H265, &[unit]);
                }
            })?;
        }
        Ok(())
    }
}

fn units(fields: &mut Fields<'_>, count: u16, mut each: impl FnMut(&[u8])) -> Result<(), Damage> {
    for _ in 0..count {
        let length = fields.u16()?;
        each(fields.take(usize::from(length))?);
    }
    Ok(())
}

/// The boxes in a sample entry.
fn boxes<'a>(entry: &Atom<'a>, kind: Kind) -> Result<Atoms<'a>, Damage> {
    let mut fields = Fields(entry.body);
    // Whose boxes stand where is known of pictures and sound alone.
    let before = match kind {
        Kind::Pictures => OF_PICTURES,
        Kind::Sound => OF_SOUND,
        Kind::Other => return Ok(Atoms::within(&[])),
    };
    fields.take(ENTRY)?;
    let version = fields.0.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    fields.take(before)?;
    // QuickTime's own versions of sound have more, if no box stands there.
    let a_box = fields.0.get(4..8).is_some_and(|kind| kind.iter().all(u8::is_ascii_alphanumeric));
    if kind == Kind::Sound && !a_box {
        fields.take(match version {
            1 => 16,
            2 => 36,
            _ => 0,
        })?;
    }
    Ok(Atoms::within(fields.0))
}

/// What MPEG-4 says that a stream is: the object type of its decoder's configuration.
fn object_type(esds: &Atom<'_>) -> Result<Codec, Damage> {
    let (_, _, mut fields) = esds.fields()?;
    descriptor(&mut fields, 3)?;
    fields.take(2)?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.take(2)?;
    }
    if flags & 0x40 != 0 {
        let length = fields.u8()?;
        fields.take(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        fields.take(2)?;
    }
    descriptor(&mut fields, 4)?;
    Ok(match fields.u8()? {
        0x40 | 0x66..=0x68 => Codec::Aac,
        0x69 | 0x6b => Codec::Mp3,
        0xa5 => Codec::Ac3,
        _ => Codec::Other,
    })
}

/// The tag and length of a descriptor, whose fields follow.
fn descriptor(fields: &mut Fields<'_>, tag: u8) -> Result<(), Damage> {
    if fields.u8()? != tag {
        return Err(Damage::Malformed("another descriptor than expected"));
    }
    for _ in 0..4 {
        if fields.u8()? & 0x80 == 0 {
            break;
        }
    }
    Ok(())
}
