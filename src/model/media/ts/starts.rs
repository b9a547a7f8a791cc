//! Where the tail of a segment begins in each of its streams.

use super::super::{Damage, Joint, Ticks};
use super::frames::Frame;
use super::pictures::{Picture, Shown};
use super::read::{Holds, Pes, Place, Reading, Stream};

/// Where a tail begins.
#[derive(Debug)]
pub(super) struct Starts {
    /// In what has no times: the packet that the first picture begins in. 0: nothing but sound is gone.
    pub(super) packet: usize,
    /// Of each stream.
    pub(super) streams: Vec<Kept>,
}

/// What a tail has of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    All,
    From(Start),
    Nothing,
}

/// Where it begins in one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) place: Place,
    /// Its PES packet begins with it and says when it is: it stays as it is.
    pub(super) is_whole: bool,
    /// What is written where it does not.
    pub(super) pts: i64,
    pub(super) dts: i64,
    /// A keyframe.
    pub(super) is_key: bool,
    /// Its parameter sets came before it.
    pub(super) lacks_sets: bool,
}

/// The picture, or of sound alone the frame, that all else is measured by.
#[derive(Clone, Copy, Debug)]
struct Lead {
    stream: usize,
    start: Start,
    pts: i64,
    packet: usize,
}

/// None: nothing is gone.
pub(super) fn starts(reading: &Reading, joint: Joint) -> Result<Option<Starts>, Damage> {
    let video = joint.video.map(|pts| reading.unwrapped(pts));
    let sound_from = joint.audio.map(|pts| reading.unwrapped(pts)).or(video);
    let Some(from) = sound_from else { return Ok(None) };
    let shown = reading.streams.iter().enumerate().find_map(|(at, stream)| match &stream.holds {
        Holds::Pictures(shown) => Some((at, stream, shown)),
        _ => None,
    });
    let found = match (shown, video) {
        (Some((at, stream, shown)), Some(pts)) => {
            let found = picture(stream, shown, pts);
            let (nth, start) =
                found.ok_or(Damage::NoKeyframe(joint.video.unwrap_or(Ticks(pts))))?;
            Some((at, nth, start, pts))
        }
        (Some(_), None) => None,
        // Of sound alone every frame can be the first.
        (None, _) => {
            let mut streams = reading.streams.iter().enumerate();
            let first = streams.find_map(|(at, stream)| Some((at, sound(stream, from)?)));
            let none = joint.audio.or(joint.video).unwrap_or(Ticks(from));
            let (at, (nth, start)) = first.ok_or(Damage::NoKeyframe(none))?;
            Some((at, nth, start, from))
        }
    };
    // What begins with the first is there from the beginning.
    let lead = found.filter(|(_, nth, ..)| *nth > 0).map(|(stream, _, start, pts)| {
        let pes = reading.streams.get(stream).and_then(|stream| stream.pes.get(start.place.pes));
        Lead { stream, start, pts, packet: pes.map_or(0, |pes| pes.packet) }
    });
    let streams = reading.streams.iter().enumerate();
    let streams: Vec<_> = streams.map(|(at, stream)| kept(at, stream, from, lead)).collect();
    if lead.is_none() && streams.iter().all(|kept| matches!(kept, Kept::All)) {
        return Ok(None);
    }
    Ok(Some(Starts { packet: lead.map_or(0, |lead| lead.packet), streams }))
}

fn kept(at: usize, stream: &Stream, sound_from: i64, lead: Option<Lead>) -> Kept {
    let start = match (&stream.holds, lead) {
        (Holds::Sound(heard), _) => match sound(stream, sound_from) {
            Some((0, _)) if lead.is_none() => return Kept::All,
            None if lead.is_none() && heard.frames.is_empty() => return Kept::All,
            found => found.map(|(_, start)| start),
        },
        (_, None) => return Kept::All,
        (_, Some(lead)) if lead.stream == at => Some(lead.start),
        (Holds::Pictures(_) | Holds::Data, Some(lead)) => data(stream, lead),
        (Holds::Sections, Some(_)) => None,
    };
    start.map_or(Kept::Nothing, Kept::From)
}

/// Which picture it is, and where.
fn picture(stream: &Stream, shown: &Shown, pts: i64) -> Option<(usize, Start)> {
    let mut pictures = shown.pictures.iter().enumerate();
    let (nth, picture) = pictures.find(|(_, picture)| picture.closed && picture.pts == pts)?;
    let Picture { place, pts, dts, lacks_sets, .. } = *picture;
    // The code itself may be torn, of which a part is in the PES packet before.
    let is_whole = !lacks_sets && stays(stream, place, &[3, 4]);
    Some((nth, Start { place, is_whole, pts, dts, is_key: true, lacks_sets }))
}

/// Which frame it is, and where.
fn sound(stream: &Stream, from: i64) -> Option<(usize, Start)> {
    let Holds::Sound(heard) = &stream.holds else { return None };
    let (nth, frame) = heard.nearest(from)?;
    let Frame { place, pts } = *frame;
    let is_whole = stays(stream, place, &[0]);
    Some((nth, Start { place, is_whole, pts, dts: pts, is_key: false, lacks_sets: false }))
}

/// What is there begins its PES packet, at one of these offsets, and the PES packet has a time.
fn stays(stream: &Stream, place: Place, first: &[usize]) -> bool {
    first.contains(&place.offset) && stream.pes.get(place.pes).is_some_and(|pes| pes.pts.is_some())
}

/// Cut at PES packets.
fn data(stream: &Stream, lead: Lead) -> Option<Start> {
    let is_after = |pes: &Pes| pes.pts.map_or(pes.packet >= lead.packet, |pts| pts >= lead.pts);
    let pes = stream.pes.iter().position(is_after)?;
    let place = Place { pes, offset: 0 };
    Some(Start { place, is_whole: true, pts: 0, dts: 0, is_key: false, lacks_sets: false })
}
