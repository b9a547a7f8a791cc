//! The coded pictures of a stream of H.264 or H.265.

use super::super::nal::{
    AnnexB, Found, ParameterSets, PictureHasher, Unit, begins_picture, head, kind_of_set,
    needed_sets,
};
use super::super::{Codec, Damage, Keyframe, PictureHash, Span, Ticks, Video};
use super::read::{Pes, Place};

/// More pictures than a segment has: ten minutes of 100 a second.
const PICTURES_MAX: usize = 60_000;

/// A coded picture, with all that belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// The first NAL unit of it.
    pub(super) place: Place,
    pub(super) pts: i64,
    pub(super) dts: i64,
    /// Decoding can begin with it: its hash.
    key: Option<PictureHash>,
    /// Not all parameter sets are with it; they came before.
    pub(super) lacks_sets: bool,
    /// Nothing after it is shown before it, and nothing before it is needed but parameter sets.
    pub(super) closed: bool,
}

/// Takes a stream's bytes.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    units: AnnexB<'a, Place>,
    found: Collected,
}

#[derive(Debug)]
struct Collected {
    codec: Codec,
    sets: ParameterSets,
    hasher: PictureHasher,
    /// Which parameter sets have come, a bit for each type.
    seen: u64,
    open: Option<Open>,
    pictures: Vec<Picture>,
    too_many: bool,
}

/// What belongs to the next picture, or to this one.
#[derive(Debug)]
struct Open {
    place: Place,
    /// It has slices, the first of which is a keyframe's.
    slices: Option<bool>,
    /// Which parameter sets it has, a bit for each type.
    sets: u64,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(codec: Codec) -> Self {
        let found = Collected {
            codec,
            sets: ParameterSets::default(),
            hasher: PictureHasher::default(),
            seen: 0,
            open: None,
            pictures: Vec::new(),
            too_many: false,
        };
        Self { units: AnnexB::new(), found }
    }

    /// What a PES packet holds from `place` on.
    pub(super) fn push(&mut self, bytes: &'a [u8], place: Place) -> Result<(), Damage> {
        let Self { units, found } = self;
        if found.codec != Codec::Other {
            units.push(bytes, place, |unit| found.unit(unit));
        }
        self.check()
    }

    /// All of them, in the order of the stream, with their times, and how long one is shown.
    pub(super) fn finish(mut self, pes: &[Pes]) -> Result<Shown, Damage> {
        let Self { units, found } = &mut self;
        units.finish(|unit| found.unit(unit));
        found.close();
        self.check()?;
        let mut pictures = self.found.pictures;
        if self.found.codec == Codec::Other {
            // Each PES packet is taken for one.
            pictures = (0..pes.len()).map(|pes| Picture::at(Place { pes, offset: 0 })).collect();
        }
        let frame = timed(&mut pictures, pes)?;
        closed(&mut pictures);
        Ok(Shown { codec: self.found.codec, sets: self.found.sets.hash(), pictures, frame })
    }

    fn check(&self) -> Result<(), Damage> {
        if self.found.too_many {
            return Err(Damage::Malformed("it has more pictures than a segment has"));
        }
        Ok(())
    }
}

impl Collected {
    fn unit(&mut self, found: Found<'_, '_, Place>) {
        let (bytes, count) = head::<3>(found.pieces);
        let head = bytes.get(..count).unwrap_or_default();
        let unit = Unit::of(self.codec, head);
        let place = Place { pes: found.mark.pes, offset: found.mark.offset + found.offset };
        if self.begins(unit, head, place) {
            self.close();
            self.open = Some(Open { place, slices: None, sets: 0 });
        }
        let Some(open) = &mut self.open else { return };
        match unit {
            Unit::ParameterSet => {
                let kind = 1 << kind_of_set(self.codec, found.pieces);
                (open.sets, self.seen) = (open.sets | kind, self.seen | kind);
                self.sets.add(self.codec, found.pieces);
            }
            Unit::Key | Unit::Slice => {
                if *open.slices.get_or_insert(unit == Unit::Key) {
                    self.hasher.unit(found.pieces);
                }
            }
            Unit::Prefix | Unit::Other => {}
        }
    }

    /// It is the first of a picture. A slice that begins one, without a delimiter before it and in the
    /// same PES packet, is of the second field.
    fn begins(&self, unit: Unit, head: &[u8], place: Place) -> bool {
        let Some(open) = &self.open else { return unit != Unit::Other };
        open.slices.is_some()
            && match unit {
                Unit::Prefix | Unit::ParameterSet => true,
                Unit::Other => false,
                Unit::Key | Unit::Slice => {
                    begins_picture(self.codec, head) && open.place.pes != place.pes
                }
            }
    }

    fn close(&mut self) {
        let Some(Open { place, slices: Some(is_key), sets }) = self.open.take() else { return };
        if self.pictures.len() == PICTURES_MAX {
            self.too_many = true;
            return;
        }
        let has = |sets: u64| sets & needed_sets(self.codec) == needed_sets(self.codec);
        let lacks_sets = !has(sets);
        // Whether nothing before it is needed; that nothing after it is shown before it, is seen at the end.
        let closed = is_key && has(self.seen);
        let key = is_key.then(|| self.hasher.finish());
        self.pictures.push(Picture { key, lacks_sets, closed, ..Picture::at(place) });
    }
}

impl Picture {
    fn at(place: Place) -> Self {
        Self { place, pts: 0, dts: 0, key: None, lacks_sets: false, closed: false }
    }
}

/// Gives pictures their times: a PES packet's are those of the first picture that begins in it, and
/// those after it share what is left until the next. Returned is how long one is shown.
fn timed(pictures: &mut [Picture], pes: &[Pes]) -> Result<i64, Damage> {
    let mut last = None;
    // Runs of pictures, of which the first has its times.
    let mut runs: Vec<(i64, i64, usize)> = Vec::with_capacity(pictures.len());
    for picture in pictures.iter() {
        let is_first = last.replace(picture.place.pes) != Some(picture.place.pes);
        let pes = pes.get(picture.place.pes).filter(|_| is_first);
        match (pes.and_then(|pes| Some((pes.pts?, pes.dts))), runs.last_mut()) {
            (Some((pts, dts)), _) => runs.push((pts, dts.unwrap_or(pts), 1)),
            (None, Some((.., count))) => *count += 1,
            (None, None) => return Err(Damage::Malformed("its first picture has no time")),
        }
    }
    let next = runs.iter().skip(1).map(|(_, dts, _)| Some(*dts)).chain([None]);
    let (mut all, mut step) = (pictures.iter_mut(), 0);
    for ((pts, dts, count), next) in runs.iter().copied().zip(next) {
        let length = i64::try_from(count).unwrap_or(1);
        step = next.map_or(step, |next| (next - dts) / length);
        for (nth, picture) in (0..length).zip(all.by_ref()) {
            (picture.pts, picture.dts) = (pts + nth * step, dts + nth * step);
        }
    }
    let mut shown: Vec<i64> = pictures.iter().map(|picture| picture.pts).collect();
    Ok(usual_distance(&mut shown))
}

/// The distance that most of them have from the one before, the least of the most usual; 0 of one alone.
pub(super) fn usual_distance(times: &mut [i64]) -> i64 {
    times.sort_unstable();
    let next = times.iter().skip(1);
    let mut distances: Vec<i64> = times.iter().zip(next).map(|(a, b)| b - a).collect();
    distances.retain(|distance| *distance > 0);
    distances.sort_unstable();
    let runs = distances.chunk_by(|a, b| a == b);
    let usual = runs.rev().max_by_key(|run| run.len());
    usual.and_then(|run| run.first()).copied().unwrap_or(0)
}

fn closed(pictures: &mut [Picture]) {
    let mut earliest = i64::MAX;
    for picture in pictures.iter_mut().rev() {
        picture.closed &= earliest >= picture.pts;
        earliest = earliest.min(picture.pts);
    }
}

/// The pictures of a segment.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) codec: Codec,
    sets: Option<PictureHash>,
    pub(super) pictures: Vec<Picture>,
    frame: i64,
}

impl Shown {
    pub(super) fn video(&self) -> Result<Video, Damage> {
        let (first, last) =
            self.pictures.first().zip(self.pictures.last()).ok_or(Damage::NoPicture)?;
        let mut pts = Span { first: Ticks(first.pts), last: Ticks(first.pts) };
        let mut keyframes = Vec::new();
        for picture in &self.pictures {
            let shown = Ticks(picture.pts);
            pts = Span { first: pts.first.min(shown), last: pts.last.max(shown) };
            let Picture { dts, key, closed, .. } = *picture;
            keyframes.extend(key.map(|hash| Keyframe {
                pts: shown,
                dts: Ticks(dts),
                hash,
                closed,
            }));
        }
        Ok(Video {
            codec: self.codec,
            parameter_sets: self.sets,
            pts,
            dts: Span { first: Ticks(first.dts), last: Ticks(last.dts) },
            pictures: u32::try_from(self.pictures.len()).unwrap_or(u32::MAX),
            frame: Ticks(self.frame),
            keyframes,
        })
    }
}
