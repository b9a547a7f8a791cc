//! What is seen of one track while its samples pass.

use super::coding::Coding;
use super::fragment::Sample;
use super::init::Track;
use crate::model::media::nal::{
    ParameterSets, PictureHasher, Unit, kind_of_set, length_prefixed, needed_sets,
};
use crate::model::media::{Audio, Codec, Damage, Keyframe, PictureHash, Span, Ticks, Video};

/// So many kinds of durations are counted; encoders have one, or two where a clock rounds.
const DURATIONS_MAX: usize = 32;

/// Each of them is told of: minutes in which every picture is one.
const KEYFRAMES_MAX: usize = 16_384;

/// Of a track whose samples come one by one, in the order of decoding.
#[derive(Debug)]
pub(super) struct Seen<'i> {
    track: &'i Track,
    /// Of the first sample.
    coding: Option<&'i Coding>,
    count: u32,
    /// Earliest and latest, first and last, in the track's timescale.
    pts: (i64, i64),
    dts: (i64, i64),
    durations: Vec<(u32, u32)>,
    keyframes: Vec<Keyframe>,
    /// Which of the samples they are, from 1.
    numbers: Vec<u32>,
    /// Keyframes that no picture was shown before so far, the earliest shown first.
    closed: Vec<(usize, i64)>,
    sets: ParameterSets,
    hasher: PictureHasher,
}

impl<'i> Seen<'i> {
    pub fn of(track: &'i Track) -> Self {
        Self {
            track,
            coding: None,
            count: 0,
            pts: (i64::MAX, i64::MIN),
            dts: (0, 0),
            durations: Vec::new(),
            keyframes: Vec::new(),
            numbers: Vec::new(),
            closed: Vec::new(),
            sets: ParameterSets::default(),
            hasher: PictureHasher::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Any sample: its times.
    pub fn sample(&mut self, sample: &Sample, coding: &'i Coding) {
        if self.count == 0 {
            self.dts.0 = sample.dts;
            self.coding = Some(coding);
        }
        self.count = self.count.saturating_add(1);
        self.dts.1 = sample.dts;
        self.pts = (self.pts.0.min(sample.pts), self.pts.1.max(sample.pts));
        let known = self.durations.iter_mut().find(|(duration, _)| *duration == sample.duration);
        if let Some((_, count)) = known {
            *count += 1;
        } else if self.durations.len() < DURATIONS_MAX {
            self.durations.push((sample.duration, 1));
        }
    }

    /// A picture: whether decoding can begin with it, and with which before it.
    pub fn picture(
        &mut self,
        sample: &Sample,
        bytes: &[u8],
        coding: &Coding,
    ) -> Result<(), Damage> {
        while let Some((at, _)) = self.closed.pop_if(|(_, pts)| *pts > sample.pts) {
            if let Some(keyframe) = self.keyframes.get_mut(at) {
                keyframe.closed = false;
            }
        }
        if !sample.sync {
            // Lengths that do not add up show that the samples are not where they are said to be.
            let mut units = length_prefixed(bytes, coding.length_bytes);
            return if coding.length_bytes == 0 {
                Ok(())
            } else {
                units.try_for_each(|unit| unit.map(drop))
            };
        }
        // What a muxer calls a keyframe must be one.
        if let Some((hash, has_sets)) = self.key(bytes, coding)? {
            if self.keyframes.len() == KEYFRAMES_MAX {
                return Err(Damage::Malformed("a segment with too many keyframes"));
            }
            if has_sets {
                self.closed.push((self.keyframes.len(), sample.pts));
            }
            self.numbers.push(self.count);
            self.keyframes.push(Keyframe {
                pts: self.track.ticks(sample.pts)?,
                dts: self.track.ticks(sample.dts)?,
                hash,
                closed: has_sets,
            });
        }
        Ok(())
    }

    /// The hash of a keyframe, and whether the parameter sets that it needs are with it or in the init
    /// segment. Those of samples before it are in the way of the latter.
    fn key(
        &mut self,
        bytes: &[u8],
        coding: &Coding,
    ) -> Result<Option<(PictureHash, bool)>, Damage> {
        // Of a codec without NAL units the muxer's word is all there is.
        if coding.length_bytes == 0 {
            self.hasher.unit(&[bytes]);
            return Ok(Some((self.hasher.finish(), true)));
        }
        let mut key = None;
        let is_clean = coding.sets.suffice(coding.codec) && coding.sets.include(&self.sets);
        let mut own = 0;
        for unit in length_prefixed(bytes, coding.length_bytes) {
            let unit = unit?;
            let what = Unit::of(coding.codec, unit);
            if what.is_slice() {
                key = key.or(Some(what == Unit::Key));
                self.hasher.unit(&[unit]);
            } else if what == Unit::ParameterSet {
                own |= 1 << kind_of_set(coding.codec, &[unit]);
                self.sets.add(coding.codec, &[unit]);
            }
        }
        let hash = self.hasher.finish();
        let needed = needed_sets(coding.codec);
        let has_sets = is_clean || own & needed == needed;
        Ok(key.and_then(|key| key.then_some((hash, has_sets))))
    }

    /// The distance that most have.
    fn frame(&self) -> Result<Ticks, Damage> {
        let most =
            self.durations.iter().max_by_key(|(duration, count)| (*count, u32::MAX - duration));
        self.track.ticks(most.map_or(0, |(duration, _)| i64::from(*duration)))
    }

    fn span(&self, (first, last): (i64, i64)) -> Result<Span, Damage> {
        Ok(Span { first: self.track.ticks(first)?, last: self.track.ticks(last)? })
    }

    fn codec(&self) -> Codec {
        self.coding.map_or(Codec::Other, |coding| coding.codec)
    }

    /// With which of its pictures are keyframes, from 1.
    pub fn video(self) -> Result<(Video, Vec<u32>), Damage> {
        let in_init = self.coding.and_then(|coding| coding.sets.hash());
        let video = Video {
            codec: self.codec(),
            // Those among the samples are newer.
            parameter_sets: self.sets.hash().or(in_init),
            pts: self.span(self.pts)?,
            dts: self.span(self.dts)?,
            pictures: self.count,
            frame: self.frame()?,
            keyframes: self.keyframes,
        };
        Ok((video, self.numbers))
    }

    pub fn audio(&self) -> Result<Audio, Damage> {
        Ok(Audio {
            codec: self.codec(),
            pts: self.span(self.pts)?,
            frame: self.frame()?,
            frames: self.count,
        })
    }
}
