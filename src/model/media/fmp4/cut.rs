//! The tail of a segment: which samples of each track it has, and what becomes of the boxes around them.

use bytes::Bytes;

use super::atoms::Atom;
use super::fragment::{Fragment, Sample, Traf};
use super::init::{Init, Kind, Track};
use super::read;
use super::segment::{Budget, parts};
use super::write::{Tail, write};
use crate::model::media::{Content, Damage, Joint, Ticks};

/// Where a tail begins, and of which tracks it has begun.
struct Place<'i> {
    init: &'i Init,
    /// When what is not sound begins. None: all of it is kept.
    pts: Option<Ticks>,
    /// When sound begins.
    sound: Ticks,
    /// Which picture it begins with, from 1.
    keyframe: u32,
    /// So many pictures have passed.
    pictures: u32,
    begun: Vec<bool>,
    /// Some sample comes before it.
    gone: bool,
}

/// What a tail has of a fragment.
enum Kept<'f, 'a> {
    Nothing,
    /// Byte for byte.
    All,
    Some(Vec<Tail<'f, 'a>>),
}

/// The tail of a segment from a joint on. Fragments that are whole stay as they are. One
/// that is cut is written anew with what decoding needs: its sample groups and producer's time are
/// those of samples that are gone.
pub(crate) fn cut(init: &[u8], segment: &Bytes, joint: Joint) -> Result<Bytes, Damage> {
    let init = Init::read(init)?;
    let parts = parts(segment)?;
    let (content, keys) = read(&init, segment, &parts)?;
    let mut place = Place::of(&init, &content, &keys, joint)?;
    let mut budget = Budget::of(segment);
    let mut out = Vec::with_capacity(segment.len());
    let mut styled = false;
    let mut kept_any = false;
    // Since the last fragment: they belong to the next.
    let mut before: Vec<&[u8]> = Vec::new();
    for part in &parts {
        match &part.atom.kind {
            b"styp" if !styled => {
                out.extend_from_slice(part.atom.whole);
                styled = true;
            }
            b"emsg" => match place.pts {
                Some(pts) => out.extend(event(&part.atom, &content, pts)?),
                None => out.extend_from_slice(part.atom.whole),
            },
            b"moof" => {
                let fragment = Fragment::read(part, &init, &mut budget)?;
                let kept = place.kept(&fragment);
                if matches!(kept, Kept::All) {
                    let fragment = segment.get(part.atom.at..part.end).unwrap_or_default();
                    before.drain(..).for_each(|bytes| out.extend_from_slice(bytes));
                    out.extend_from_slice(fragment);
                }
                if let Kept::Some(tails) = &kept {
                    write(&mut out, fragment.sequence, tails, segment)?;
                }
                before.clear();
                kept_any |= !matches!(kept, Kept::Nothing);
            }
            _ => before.push(part.atom.whole),
        }
    }
    if !place.gone {
        return Ok(segment.clone());
    }
    // It is held for as long as it is listed.
    out.shrink_to_fit();
    if kept_any { Ok(Bytes::from(out)) } else { Err(Damage::NoKeyframe(place.sound)) }
}

impl<'i> Place<'i> {
    fn of(init: &'i Init, content: &Content, keys: &[u32], joint: Joint) -> Result<Self, Damage> {
        let sound = joint.audio.or(joint.video).unwrap_or(Ticks(i64::MIN));
        let (pts, keyframe) = match (&content.video, joint.video) {
            (Some(video), Some(pts)) => {
                let mut keys = video.keyframes.iter().zip(keys);
                let key = keys.find(|(keyframe, _)| keyframe.pts == pts && keyframe.closed);
                let (_, number) = key.ok_or(Damage::NoKeyframe(pts))?;
                // What begins with the first is there from the beginning.
                (Some(pts).filter(|_| *number > 1), *number)
            }
            (Some(_), None) => (None, 0),
            (None, _) => (Some(sound), 0),
        };
        let begun = init.tracks.iter().map(|track| pts.is_none() && track.kind != Kind::Sound);
        let begun = begun.collect();
        Ok(Self { init, pts, sound, keyframe, pictures: 0, begun, gone: false })
    }

    fn kept<'f, 'a>(&mut self, fragment: &'f Fragment<'a>) -> Kept<'f, 'a> {
        let mut tails = Vec::new();
        let mut all = true;
        for traf in &fragment.trafs {
            let skip = self.skip(traf);
            self.gone |= skip > 0;
            all &= skip == 0 && !traf.counts_from_file();
            if skip < traf.count() {
                tails.push(Tail { traf, skip });
            }
        }
        match tails.is_empty() {
            true => Kept::Nothing,
            false if all => Kept::All,
            false => Kept::Some(tails),
        }
    }

    /// How many samples of a track's fragment come before the tail.
    fn skip(&mut self, traf: &Traf<'_>) -> u32 {
        let (Some(track), Some(begun)) =
            (self.init.tracks.get(traf.track), self.begun.get(traf.track).copied())
        else {
            return 0;
        };
        if begun {
            return 0;
        }
        let mut skip = 0;
        for sample in traf.samples(track) {
            if self.begins(track, &sample) {
                if let Some(begun) = self.begun.get_mut(traf.track) {
                    *begun = true;
                }
                break;
            }
            skip += 1;
        }
        skip
    }

    /// Whether a track's tail begins with a sample.
    fn begins(&mut self, track: &Track, sample: &Sample) -> bool {
        // In 90 000ths of the timescale, exactly.
        let pts = i128::from(sample.pts) * i128::from(Ticks::SECOND);
        let duration = i128::from(sample.duration) * i128::from(Ticks::SECOND);
        let place = |from: Ticks| i128::from(from.0) * i128::from(track.timescale);
        match track.kind {
            Kind::Pictures => {
                self.pictures = self.pictures.saturating_add(1);
                self.keyframe == self.pictures
            }
            // The frame whose start is nearest: the place is not in the second half of it.
            Kind::Sound => 2 * pts + duration >= 2 * place(self.sound),
            // What is shown then.
            Kind::Other => self.pts.is_none_or(|from| pts + duration > place(from)),
        }
    }
}

/// An event message, if it is of a moment of the tail. One that counts from the start of its segment
/// counts from the cut.
fn event(emsg: &Atom<'_>, content: &Content, pts: Ticks) -> Result<Vec<u8>, Damage> {
    let (version, _, mut fields) = emsg.fields()?;
    let mut whole = emsg.whole.to_vec();
    if version != 0 {
        let timescale = i128::from(fields.u32()?);
        let time = i128::from(fields.u64()?);
        let in_tail = time * i128::from(Ticks::SECOND) >= i128::from(pts.0) * timescale;
        return Ok(if in_tail { whole } else { Vec::new() });
    }
    for _ in 0..2 {
        let end = fields.0.iter().position(|byte| *byte == 0);
        fields.take(end.map_or(usize::MAX, |end| end + 1))?;
    }
    let timescale = fields.u32()?;
    let at = emsg.whole.len() - fields.0.len();
    let delta = i128::from(fields.u32()?);
    let begin = content.video.as_ref().map(|video| video.pts);
    let begin = begin.or(content.audio.first().map(|audio| audio.pts)).map_or(pts, |pts| pts.first);
    let gone = i128::from(pts.0) - i128::from(begin.0);
    let left = delta - (gone * i128::from(timescale)).div_euclid(i128::from(Ticks::SECOND));
    match (u32::try_from(left), whole.get_mut(at..at + 4)) {
        (Ok(left), Some(field)) => field.copy_from_slice(&left.to_be_bytes()),
        _ => whole.clear(),
    }
    Ok(whole)
}
