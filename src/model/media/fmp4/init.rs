//! The init segment: which tracks there are, how they are coded, and what their samples are like
//! unless a fragment says otherwise.

use super::atoms::{Atom, Atoms, Fields};
use super::coding::Coding;
use crate::model::media::{Damage, Ticks};

/// A stream of pictures, some of sound, some of text.
const TRACKS_MAX: usize = 32;
/// One for each way in which a track's samples are coded: clear and encrypted, before and after a
/// change of size.
const CODINGS_MAX: usize = 16;
/// More than any clock counts, and little enough that sums of it do not overflow.
pub(super) const TIME_MAX: i64 = 1 << 60;

/// What is in an init segment.
#[derive(Debug)]
pub(super) struct Init {
    pub tracks: Vec<Track>,
}

#[derive(Debug)]
pub(super) struct Track {
    pub id: u32,
    pub kind: Kind,
    pub timescale: u32,
    /// What the edit list adds to the times of its fragments.
    pub shift: i64,
    pub codings: Vec<Coding>,
    pub defaults: Defaults,
}

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first track of pictures.
    Pictures,
    Sound,
    /// Text, data, and any further pictures: carried.
    Other,
}

/// What holds for a sample unless its fragment says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    /// Which coding, from 1.
    pub coding: u32,
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
}

impl Track {
    /// 90 kHz, rounded down.
    pub fn ticks(&self, time: i64) -> Result<Ticks, Damage> {
        let ticks = i128::from(time) * i128::from(Ticks::SECOND);
        let down = ticks.div_euclid(i128::from(self.timescale.max(1)));
        i64::try_from(down).map(Ticks).map_err(|_| Damage::Malformed("a time out of reach"))
    }

    /// How samples are coded that name this number, from 1.
    pub fn coding(&self, number: u32) -> Result<&Coding, Damage> {
        let index = usize::try_from(number.saturating_sub(1)).ok();
        let coding = index.and_then(|index| self.codings.get(index));
        coding.ok_or(Damage::Malformed("samples whose coding the init segment does not have"))
    }
}

impl Init {
    pub fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut moov = None;
        for atom in Atoms::of_file(bytes) {
            let atom = atom?;
            if atom.kind == *b"moov" {
                moov = Some(atom);
            }
        }
        let moov = moov.ok_or(Damage::NotMedia("an init segment"))?;
        let movie_timescale = match moov.child(*b"mvhd")? {
            Some(mvhd) => timescale(&mvhd)?,
            None => return Err(Damage::Malformed("an init segment without mvhd")),
        };
        let mut tracks = Vec::new();
        for atom in moov.atoms() {
            let atom = atom?;
            if atom.kind == *b"trak" {
                let mut track = Track::read(&atom, movie_timescale)?;
                let pictures = |track: &Track| track.kind == Kind::Pictures;
                if pictures(&track) && tracks.iter().any(pictures) {
                    track.kind = Kind::Other;
                }
                tracks.push(track);
            }
            if tracks.len() > TRACKS_MAX {
                return Err(Damage::Malformed("an init segment with too many tracks"));
            }
        }
        let mut init = Self { tracks };
        if let Some(mvex) = moov.child(*b"mvex")? {
            init.defaults(&mvex)?;
        }
        Ok(init)
    }

    fn defaults(&mut self, mvex: &Atom<'_>) -> Result<(), Damage> {
        for atom in mvex.atoms() {
            let atom = atom?;
            if atom.kind != *b"trex" {
                continue;
            }
            let (_, _, mut fields) = atom.fields()?;
            let id = fields.u32()?;
            let defaults = Defaults {
                coding: fields.u32()?,
                duration: fields.u32()?,
                size: fields.u32()?,
                flags: fields.u32()?,
            };
            for track in self.tracks.iter_mut().filter(|track| track.id == id) {
                track.defaults = defaults;
            }
        }
        Ok(())
    }
}

impl Track {
    fn read(trak: &Atom<'_>, movie_timescale: u32) -> Result<Self, Damage> {
        let mdia = within(trak, *b"mdia")?;
        let timescale = timescale(&within(&mdia, *b"mdhd")?)?;
        let kind = kind(&within(&mdia, *b"hdlr")?)?;
        let stbl = within(&within(&mdia, *b"minf")?, *b"stbl")?;
        let shift = match trak.child(*b"edts")? {
            Some(edts) => shift(&edts, movie_timescale, timescale)?,
            None => 0,
        };
        let defaults = Defaults { coding: 1, ..Defaults::default() };
        let codings = codings(&within(&stbl, *b"stsd")?, kind)?;
        let id = track_id(&within(trak, *b"tkhd")?)?;
        Ok(Self { id, kind, timescale, shift, codings, defaults })
    }
}

fn within<'a>(atom: &Atom<'a>, kind: [u8; 4]) -> Result<Atom<'a>, Damage> {
    atom.child(kind)?.ok_or(Damage::Malformed("an init segment without a box that it must have"))
}

fn track_id(tkhd: &Atom<'_>) -> Result<u32, Damage> {
    let (version, _, mut fields) = tkhd.fields()?;
    fields.take(if version == 0 { 8 } else { 16 })?;
    fields.u32()
}

/// Of mvhd and of mdhd.
fn timescale(header: &Atom<'_>) -> Result<u32, Damage> {
    let (version, _, mut fields) = header.fields()?;
    fields.take(if version == 0 { 8 } else { 16 })?;
    match fields.u32()? {
        0 => Err(Damage::Malformed("a timescale of nothing")),
        timescale => Ok(timescale),
    }
}

fn kind(hdlr: &Atom<'_>) -> Result<Kind, Damage> {
    let (_, _, mut fields) = hdlr.fields()?;
    fields.take(4)?;
    Ok(match &fields.kind()? {
        b"vide" => Kind::Pictures,
        b"soun" => Kind::Sound,
        _ => Kind::Other,
    })
}

fn codings(stsd: &Atom<'_>, kind: Kind) -> Result<Vec<Coding>, Damage> {
    let (_, _, mut fields) = stsd.fields()?;
    // How many there are is seen.
    fields.take(4)?;
    Atoms::within(fields.0).take(CODINGS_MAX).map(|entry| Coding::read(&entry?, kind)).collect()
}

/// What an edit list adds to a track's times: the delay of its empty edits, less where in the media
/// the first other edit begins. Decoders of pictures out of order and of sound with priming need it
/// to show all tracks at the same time, and ffmpeg's muxer writes into it at what time it began,
/// while its tfdt count from 0.
fn shift(edts: &Atom<'_>, movie_timescale: u32, timescale: u32) -> Result<i64, Damage> {
    let Some(elst) = edts.child(*b"elst")? else { return Ok(0) };
    let (version, _, mut fields) = elst.fields()?;
    let mut empty = 0_u64;
    for _ in 0..fields.u32()? {
        let duration = fields.u32_or_u64(version)?;
        let media_time = media_time(&mut fields, version)?;
        fields.take(4)?;
        if media_time >= 0 {
            return shift_of(empty, movie_timescale, media_time, timescale);
        }
        empty = empty.saturating_add(duration);
    }
    Ok(0)
}

fn media_time(fields: &mut Fields<'_>, version: u8) -> Result<i64, Damage> {
    if version == 0 {
        return Ok(i64::from(fields.i32()?));
    }
    let time = fields.u64()?;
    Ok(i64::from_be_bytes(time.to_be_bytes()))
}

fn shift_of(
    empty: u64,
    movie_timescale: u32,
    media_time: i64,
    timescale: u32,
) -> Result<i64, Damage> {
    let (movie, own) = (i128::from(movie_timescale), i128::from(timescale));
    let (empty, media_time) = (i128::from(empty), i128::from(media_time));
    // An empty edit that is but the other, rounded to milliseconds: the muxer means that the media's
    // times are as they stand.
    if empty > 0 && empty == media_time * movie / own {
        return Ok(0);
    }
    let delay = (2 * empty * own + movie) / (2 * movie);
    let shift = i64::try_from(delay - media_time).ok().filter(|shift| shift.abs() < TIME_MAX);
    shift.ok_or(Damage::Malformed("an edit list out of reach"))
}
