//! A fragment written anew with the samples that a cut leaves.

use super::fragment::{
    BASE_IS_MOOF, CODING, DATA_OFFSET, DURATION, FIRST_FLAGS, FLAGS, Run, SIZE, Traf,
};
use crate::model::media::Damage;

/// What is left of a track's fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'f, 'a> {
    pub traf: &'f Traf<'a>,
    /// So many samples come before it.
    pub skip: u32,
}

/// What is left of a run.
struct Rest<'f, 'a> {
    run: &'f Run<'a>,
    skip: u32,
    /// Where in the segment.
    at: usize,
    bytes: usize,
    /// Where the offset to its bytes stands in moof.
    field: usize,
}

/// moof and mdat, whose samples keep the order in which they lay.
pub(super) fn write(
    out: &mut Vec<u8>,
    sequence: u32,
    tails: &[Tail<'_, '_>],
    segment: &[u8],
) -> Result<(), Damage> {
    let mut rests = Vec::new();
    let mut moof = Vec::new();
    boxed(&mut moof, *b"moof", |moof| {
        boxed(moof, *b"mfhd", |mfhd| {
            put(mfhd, &[0, sequence]);
            Ok(())
        })?;
        tails.iter().try_for_each(|tail| boxed(moof, *b"traf", |traf| tail.write(traf, &mut rests)))
    })?;
    rests.sort_by_key(|rest| rest.at);
    // After the header of mdat.
    let mut offset = moof.len() + 8;
    for rest in &rests {
        let field = moof.get_mut(rest.field..rest.field + 4);
        let told = i32::try_from(offset).map_err(|_| TOO_LARGE)?;
        field.ok_or(TOO_LARGE)?.copy_from_slice(&told.to_be_bytes());
        offset += rest.bytes;
    }
    out.reserve(offset);
    out.extend_from_slice(&moof);
    boxed(out, *b"mdat", |mdat| {
        for rest in &rests {
            let bytes = segment.get(rest.at..rest.at + rest.bytes);
            mdat.extend_from_slice(bytes.unwrap_or_default());
        }
        Ok(())
    })
}

const TOO_LARGE: Damage = Damage::Malformed("a fragment too large to cut");

/// A box with what `fill` puts into it.
fn boxed(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    fill(out)?;
    let size = u32::try_from(out.len() - at).map_err(|_| TOO_LARGE)?;
    out.get_mut(at..at + 4).ok_or(TOO_LARGE)?.copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

impl<'f, 'a> Tail<'f, 'a> {
    fn write(&self, out: &mut Vec<u8>, rests: &mut Vec<Rest<'f, 'a>>) -> Result<(), Damage> {
        let traf = self.traf;
        boxed(out, *b"tfhd", |tfhd| {
            self.header(tfhd);
            Ok(())
        })?;
        let mut time = traf.time;
        let mut skip = self.skip;
        let mut left = Vec::new();
        for run in &traf.runs {
            let skipped = skip.min(run.count);
            skip -= skipped;
            time += run.duration_of(skipped, traf.defaults.duration)?;
            if skipped < run.count {
                left.push((run, skipped));
            }
        }
        boxed(out, *b"tfdt", |tfdt| {
            put(tfdt, &[1 << 24]);
            tfdt.extend_from_slice(&time.to_be_bytes());
            Ok(())
        })?;
        for (run, skip) in left {
            let rest = Rest::of(run, skip, traf.defaults.size)?;
            boxed(out, *b"trun", |trun| {
                rests.push(rest.write(trun));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The fields that the fragment has itself.
    fn header(&self, out: &mut Vec<u8>) {
        let Traf { flags, defaults, .. } = self.traf;
        let own = flags & (CODING | DURATION | SIZE | FLAGS);
        put(out, &[own | BASE_IS_MOOF, self.traf.id]);
        let fields = [
            (CODING, defaults.coding),
            (DURATION, defaults.duration),
            (SIZE, defaults.size),
            (FLAGS, defaults.flags),
        ];
        for (_, field) in fields.iter().filter(|(flag, _)| own & flag != 0) {
            put(out, &[*field]);
        }
    }
}

impl<'f, 'a> Rest<'f, 'a> {
    fn of(run: &'f Run<'a>, skip: u32, default_size: u32) -> Result<Self, Damage> {
        let gone = run.bytes_of(skip, default_size)?;
        Ok(Self { run, skip, at: run.at + gone, bytes: run.bytes - gone, field: 0 })
    }

    fn write(self, out: &mut Vec<u8>) -> Self {
        let run = self.run;
        let first_flags = run.first_flags.filter(|_| self.skip == 0);
        let mut flags = run.flags | DATA_OFFSET;
        if first_flags.is_some() {
            flags |= FIRST_FLAGS;
        }
        put(out, &[u32::from(run.version) << 24 | flags, run.count - self.skip]);
        let field = out.len();
        put(out, &[0]);
        if let Some(flags) = first_flags {
            put(out, &[flags]);
        }
        out.extend_from_slice(run.entries_after(self.skip));
        Self { field, ..self }
    }
}
