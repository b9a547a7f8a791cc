//! A fragment of a segment: what moof says of its samples, and where in the segment each one lies.

use super::atoms::{Atom, Fields};
use super::init::{Defaults, Init, TIME_MAX, Track};
use super::segment::{Budget, Part};
use crate::model::media::Damage;

/// One for each track, or a few.
const TRAFS_MAX: usize = 64;
/// The box in which PIFF, before the standard, told how samples are encrypted.
const PIFF_ENCRYPTION: [u8; 16] = [
    0xa2, 0x39, 0x4f, 0x52, 0x5a, 0x9b, 0x4f, 0x14, 0xa2, 0x44, 0x6c, 0x42, 0x7c, 0x64, 0x8d, 0xf4,
];

/// Flags of tfhd.
pub(super) const BASE_DATA_OFFSET: u32 = 0x1;
pub(super) const CODING: u32 = 0x2;
pub(super) const DURATION: u32 = 0x8;
pub(super) const SIZE: u32 = 0x10;
pub(super) const FLAGS: u32 = 0x20;
pub(super) const BASE_IS_MOOF: u32 = 0x2_0000;

/// Flags of trun.
pub(super) const DATA_OFFSET: u32 = 0x1;
pub(super) const FIRST_FLAGS: u32 = 0x4;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_SIZE: u32 = 0x200;
const SAMPLE_FLAGS: u32 = 0x400;
const SAMPLE_OFFSET: u32 = 0x800;
pub(super) const PER_SAMPLE: u32 = SAMPLE_DURATION | SAMPLE_SIZE | SAMPLE_FLAGS | SAMPLE_OFFSET;

/// Of a sample's flags: decoding cannot begin with it.
const NOT_SYNC: u32 = 0x1_0000;

#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub sequence: u32,
    pub trafs: Vec<Traf<'a>>,
}

/// What a fragment has of one track.
#[derive(Debug)]
pub(super) struct Traf<'a> {
    /// Which of the init segment's.
    pub track: usize,
    pub id: u32,
    /// Of tfhd.
    pub flags: u32,
    pub defaults: Defaults,
    /// When its first sample is decoded, in the track's timescale, without the edit list.
    pub time: i64,
    pub runs: Vec<Run<'a>>,
}

/// Samples whose bytes lie one after another.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub version: u8,
    pub flags: u32,
    pub count: u32,
    pub first_flags: Option<u32>,
    /// What is written of each sample.
    pub entries: &'a [u8],
    /// Where in the segment the first one lies, and how much they all have.
    pub at: usize,
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// In the track's timescale, with what the edit list adds.
    pub dts: i64,
    pub pts: i64,
    pub duration: u32,
    pub sync: bool,
    pub at: usize,
    pub size: usize,
}

impl<'a> Fragment<'a> {
    pub fn read(part: &Part<'a>, init: &Init, budget: &mut Budget) -> Result<Self, Damage> {
        let mut fragment = Self { sequence: 0, trafs: Vec::new() };
        // Where the samples of the traf before end.
        let mut end = part.atom.at;
        for atom in part.atom.atoms() {
            let atom = atom?;
            match &atom.kind {
                b"mfhd" => fragment.sequence = atom.fields()?.2.u32()?,
                b"traf" => {
                    let traf = Traf::read(&atom, part, end, init, budget)?;
                    end = traf.runs.last().map_or(end, |run| run.at + run.bytes);
                    fragment.trafs.push(traf);
                }
                _ => {}
            }
            if fragment.trafs.len() > TRAFS_MAX {
                return Err(Damage::Malformed("a fragment with too many tracks"));
            }
        }
        Ok(fragment)
    }
}

impl<'a> Traf<'a> {
    fn read(
        traf: &Atom<'a>,
        part: &Part<'a>,
        before: usize,
        init: &Init,
        budget: &mut Budget,
    ) -> Result<Self, Damage> {
        let header = traf.child(*b"tfhd")?.ok_or(Damage::Malformed("a traf without tfhd"))?;
        let (_, flags, mut fields) = header.fields()?;
        let id = fields.u32()?;
        let (track, told) = (init.tracks.iter().enumerate().find(|(_, track)| track.id == id))
            .ok_or(Damage::Malformed("a track that the init segment does not have"))?;
        let bases = bases(flags, &mut fields, part, before)?;
        let defaults = defaults(flags, &mut fields, told.defaults)?;
        if told.coding(defaults.coding)?.encrypted {
            return Err(Damage::Encrypted);
        }
        let mut read = Self { track, id, flags, defaults, time: -1, runs: Vec::new() };
        let [mut end, _] = bases;
        for atom in traf.atoms() {
            let atom = atom?;
            match &atom.kind {
                b"tfdt" => read.time = time(&atom)?,
                b"trun" => {
                    let run = Run::read(&atom, part, (bases, end), defaults.size, budget)?;
                    end = run.at + run.bytes;
                    read.runs.push(run);
                }
                b"senc" | b"saiz" | b"saio" => return Err(Damage::Encrypted),
                b"uuid" if atom.body.starts_with(&PIFF_ENCRYPTION) => {
                    return Err(Damage::Encrypted);
                }
                _ => {}
            }
        }
        if read.time < 0 && !read.runs.is_empty() {
            return Err(Damage::Malformed("a fragment that does not say when it begins"));
        }
        Ok(read)
    }

    /// Its samples are found from the start of the file, so that it cannot stand elsewhere as it is.
    pub fn counts_from_file(&self) -> bool {
        self.flags & BASE_DATA_OFFSET != 0
    }

    /// How many samples it has.
    pub fn count(&self) -> u32 {
        // The budget keeps the sum small.
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
    }

    /// All its samples, in the order of decoding.
    pub fn samples<'f>(&'f self, track: &Track) -> Samples<'f, 'a> {
        Samples {
            traf: self,
            shift: track.shift,
            time: self.time,
            run: 0,
            index: 0,
            fields: Fields(self.runs.first().map_or(&[], |run| run.entries)),
            at: self.runs.first().map_or(0, |run| run.at),
        }
    }
}

/// Where in the segment the offsets of runs count from, most likely first: the fragment's start; the
/// end of the track before; what is written, if the segment is a file of its own. Old muxers write where
/// the fragment begins in a file that may be a longer one.
fn bases(
    flags: u32,
    fields: &mut Fields<'_>,
    part: &Part<'_>,
    before: usize,
) -> Result<[usize; 2], Damage> {
    let moof = part.atom.at;
    if flags & BASE_DATA_OFFSET != 0 {
        return Ok([moof, usize::try_from(fields.u64()?).unwrap_or(moof)]);
    }
    Ok([if flags & BASE_IS_MOOF != 0 { moof } else { before }; 2])
}

fn defaults(flags: u32, fields: &mut Fields<'_>, track: Defaults) -> Result<Defaults, Damage> {
    let mut field = |flag, default| if flags & flag != 0 { fields.u32() } else { Ok(default) };
    Ok(Defaults {
        coding: field(CODING, track.coding)?,
        duration: field(DURATION, track.duration)?,
        size: field(SIZE, track.size)?,
        flags: field(FLAGS, track.flags)?,
    })
}

fn time(tfdt: &Atom<'_>) -> Result<i64, Damage> {
    let (version, _, mut fields) = tfdt.fields()?;
    let time = i64::try_from(fields.u32_or_u64(version)?).ok().filter(|time| *time < TIME_MAX);
    time.ok_or(Damage::Malformed("a time out of reach"))
}

impl<'a> Run<'a> {
    /// `bases` is what offsets may count from, `next` where the run before ended.
    fn read(
        trun: &Atom<'a>,
        part: &Part<'a>,
        (bases, next): ([usize; 2], usize),
        default_size: u32,
        budget: &mut Budget,
    ) -> Result<Self, Damage> {
        let (version, flags, mut fields) = trun.fields()?;
        let count = fields.u32()?;
        budget.samples(count)?;
        let mut at = next;
        if flags & DATA_OFFSET != 0 {
            let offset = isize::try_from(fields.i32()?).unwrap_or(0);
            let places = bases.map(|base| base.checked_add_signed(offset).unwrap_or(0));
            let fits = |at: &&usize| (part.data..part.end).contains(*at);
            at = *places.iter().find(fits).unwrap_or(&places[0]);
        }
        let first_flags = if flags & FIRST_FLAGS != 0 { Some(fields.u32()?) } else { None };
        let mut run = Self {
            version,
            flags: flags & PER_SAMPLE,
            count,
            first_flags,
            entries: &[],
            at,
            bytes: 0,
        };
        let entries = usize::try_from(count).ok().and_then(|count| count.checked_mul(run.stride()));
        run.entries = fields.take(entries.unwrap_or(usize::MAX))?;
        run.bytes = run.bytes_of(count, default_size)?;
        if run.bytes == 0 {
            run.at = part.data;
        }
        if run.at < part.data {
            return Err(Damage::Malformed("samples that are not in their fragment"));
        }
        if run.at.checked_add(run.bytes).is_none_or(|end| end > part.end) {
            return Err(part.too_short());
        }
        budget.bytes(run.bytes)?;
        Ok(run)
    }

    /// What is written of one sample.
    pub fn stride(&self) -> usize {
        [SAMPLE_DURATION, SAMPLE_SIZE, SAMPLE_FLAGS, SAMPLE_OFFSET]
            .iter()
            .map(|flag| if self.flags & flag != 0 { 4 } else { 0 })
            .sum()
    }

    /// The length of its first samples.
    pub fn bytes_of(&self, count: u32, default_size: u32) -> Result<usize, Damage> {
        let before = if self.flags & SAMPLE_DURATION != 0 { 4 } else { 0 };
        let bytes = self.sum(SAMPLE_SIZE, before, count, default_size);
        usize::try_from(bytes).map_err(|_| Damage::Malformed("samples without end"))
    }

    /// How long its first samples last.
    pub fn duration_of(&self, count: u32, default_duration: u32) -> Result<i64, Damage> {
        let duration = self.sum(SAMPLE_DURATION, 0, count, default_duration);
        i64::try_from(duration).map_err(|_| Damage::Malformed("samples without end"))
    }

    /// Of a field that stands so far into each of the first entries.
    fn sum(&self, field: u32, before: usize, count: u32, default: u32) -> u64 {
        if self.flags & field == 0 {
            return u64::from(count) * u64::from(default);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let entries = self.entries.chunks_exact(self.stride()).take(count);
        let fields = entries.filter_map(|entry| entry.get(before..)?.first_chunk());
        fields.fold(0, |sum: u64, field| sum.saturating_add(u32::from_be_bytes(*field).into()))
    }

    /// What is written of all samples but the first.
    pub fn entries_after(&self, count: u32) -> &'a [u8] {
        let gone = usize::try_from(count).ok().and_then(|count| count.checked_mul(self.stride()));
        gone.and_then(|gone| self.entries.get(gone..)).unwrap_or_default()
    }
}

/// See `Traf::samples`.
#[derive(Clone, Debug)]
pub(super) struct Samples<'f, 'a> {
    traf: &'f Traf<'a>,
    shift: i64,
    time: i64,
    run: usize,
    index: u32,
    fields: Fields<'a>,
    at: usize,
}

impl Iterator for Samples<'_, '_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let mut run = self.traf.runs.get(self.run)?;
        while self.index == run.count {
            self.run += 1;
            run = self.traf.runs.get(self.run)?;
            (self.index, self.fields, self.at) = (0, Fields(run.entries), run.at);
        }
        let defaults = &self.traf.defaults;
        let fields = &mut self.fields;
        let mut field = |flag| if run.flags & flag != 0 { fields.u32().ok() } else { None };
        let duration = field(SAMPLE_DURATION).unwrap_or(defaults.duration);
        let size = field(SAMPLE_SIZE).unwrap_or(defaults.size);
        let flags = field(SAMPLE_FLAGS).unwrap_or(defaults.flags);
        let offset = field(SAMPLE_OFFSET).unwrap_or(0);
        let flags = run.first_flags.filter(|_| self.index == 0).unwrap_or(flags);
        // Version 0 has no offsets below 0; muxers that write some mean them so all the same.
        let offset = i64::from(i32::from_be_bytes(offset.to_be_bytes()));
        let dts = self.time + self.shift;
        let sample = Sample {
            dts,
            pts: dts + offset,
            duration,
            sync: flags & NOT_SYNC == 0,
            at: self.at,
            size: usize::try_from(size).unwrap_or(usize::MAX),
        };
        self.index += 1;
        self.time += i64::from(duration);
        self.at = self.at.saturating_add(sample.size);
        Some(sample)
    }
}
