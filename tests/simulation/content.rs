//! What viewers of media received over a whole run: which pictures and which sound, told by what is
//! coded. At each border it says what was lost or repeated, and whether the splice told the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use segue::model::lane::{Splice, SpliceMethod};
use segue::model::media::{Container, inspect};

use crate::judge::Item;
use crate::programme::{PICTURE_MS, PICTURE_TICKS, SOUND_TICKS, Seen, read};
use crate::world::Truth;

/// A segment that was received.
#[derive(Clone, Debug)]
struct Received {
    item: Item,
    truth: Truth,
    seen: Seen,
}

/// Where a segment is not the direct successor of the one before it.
#[derive(Clone, Debug)]
pub struct Border {
    pub msn: u64,
    pub from: Truth,
    pub to: Truth,
    /// Content lost (positive) or repeated (negative), milliseconds.
    pub pictures_ms: i64,
    pub sound_ms: i64,
    /// What was told of it: by which method, and how long the gap is.
    pub told: Option<(SpliceMethod, i64)>,
    /// It begins later than the packager's segment does.
    pub is_cut: bool,
    /// Entries between the two that are listed as EXT-X-GAP.
    pub missing: u64,
}

impl std::fmt::Display for Border {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { msn, from, to, pictures_ms, sound_ms, told, is_cut, missing } = self;
        let of = |t: &Truth| format!("{}.{} {} ({}..{})", t.packager, t.run, t.n, t.start, t.end);
        let told = told.map(|(method, gap_ms)| format!("{gap_ms} ms by {}", method.as_str()));
        let cut = if *is_cut { ", cut" } else { "" };
        let gaps =
            if *missing > 0 { format!("{missing} times EXT-X-GAP, ") } else { String::new() };
        write!(
            f,
            "{msn}, rendition {}: {} then {gaps}{}{cut}: {pictures_ms} ms of pictures, {sound_ms} ms of \
             sound; told was {}",
            to.variant,
            of(from),
            of(to),
            told.unwrap_or_else(|| "nothing".to_owned())
        )
    }
}

/// Where it was received: a lane, a rendition.
type Seat = (String, String);

#[derive(Default)]
pub struct Content {
    /// What bytes are that were read before, by where they lie; held, so that nothing else comes to lie there.
    known: HashMap<(usize, usize), (Bytes, Truth)>,
    received: BTreeMap<Seat, BTreeMap<u64, Received>>,
    /// EXT-X-GAP: nobody can have it.
    missing: BTreeSet<(Seat, u64)>,
    splices: BTreeMap<(String, u64), Splice>,
}

impl Content {
    /// A viewer of a rendition of a lane received this; what it is, or why it is nothing that was made.
    pub fn received(&mut self, seat: &Seat, item: &Item, bytes: &Bytes) -> Result<Truth, String> {
        if let Some(truth) = Truth::read(bytes) {
            return Ok(truth);
        }
        let place = (bytes.as_ptr() as usize, bytes.len());
        let lane = self.received.entry(seat.clone()).or_default();
        if let Some((_, truth)) = self.known.get(&place)
            && lane.contains_key(&item.msn)
        {
            return Ok(truth.clone());
        }
        let seen = read(bytes)?;
        let truth = whole(&seen, bytes)?;
        self.known.insert(place, (bytes.clone(), truth.clone()));
        let new = Received { item: item.clone(), truth: truth.clone(), seen };
        let first = lane.entry(item.msn).or_insert_with(|| new.clone());
        if (&first.truth, &first.seen) != (&new.truth, &new.seen) {
            return Err(format!("{} was {:?} and is {:?}", item.msn, first.truth, new.truth));
        }
        Ok(truth)
    }

    /// It is listed with EXT-X-GAP.
    pub fn missing(&mut self, seat: &Seat, msn: u64) {
        self.missing.insert((seat.clone(), msn));
    }

    pub fn spliced(&mut self, lane: &str, msn: u64, splice: &Splice) {
        self.splices.insert((lane.to_owned(), msn), splice.clone());
    }

    /// All borders that somebody saw. An error where content is missing and nothing says so.
    pub fn borders(&self) -> Result<Vec<Border>, String> {
        let mut borders = Vec::new();
        for (seat, received) in &self.received {
            let (lane, rendition) = seat;
            for (before, after) in received.values().zip(received.values().skip(1)) {
                let mut between = before.item.msn + 1..after.item.msn;
                if !between.all(|msn| self.missing.contains(&(seat.clone(), msn))) {
                    continue; // nobody looked for long
                }
                let mut numbers = before.item.msn + 1..=after.item.msn;
                let splice = numbers.find_map(|msn| self.splices.get(&(lane.clone(), msn)));
                let border = border(before, after, splice);
                if splice.is_some() || !after.truth.follows(&before.truth) || after.truth.marked {
                    borders.push(border);
                } else if (border.pictures_ms, border.sound_ms) != (0, 0) || border.is_cut {
                    return Err(format!("{lane} {rendition}: no splice, and yet {border:?}"));
                }
            }
        }
        Ok(borders)
    }
}

/// What a segment is, of which everything that stands between its ends must be there, in step.
fn whole(seen: &Seen, bytes: &[u8]) -> Result<Truth, String> {
    let (first, last) = seen.pictures.first().zip(seen.pictures.last()).ok_or("no picture")?;
    let label = Truth::read(first.text.as_bytes()).ok_or("a picture that says nothing")?;
    let told = |what: &str| Err(format!("{what} in {label:?}"));
    if !first.is_key {
        return told("no keyframe at the beginning");
    }
    if seen.pictures.windows(2).any(|p| p[1].number != p[0].number + 1 || p[1].text != p[0].text) {
        return told("a hole in the pictures");
    }
    if seen.sounds.windows(2).any(|s| s[1].number != s[0].number + 1) {
        return told("a hole in the sound");
    }
    let sounds = seen.sounds.iter().map(|s| (s.base, s.encoder));
    let mut all = seen.pictures.iter().map(|p| (p.base, p.encoder)).chain(sounds);
    if all.any(|of| of != (first.base, first.encoder)) {
        return told("pictures and sound that are not of one timeline");
    }
    let found = inspect(Container::Ts, bytes).map_err(|damage| damage.to_string())?;
    let video = found.video.ok_or("no picture was found")?;
    let begins = (first.base + PICTURE_TICKS * first.number.cast_signed()) % (1 << 33);
    let frames = found.audio.first().map_or(0, |audio| audio.frames as usize);
    if video.pictures as usize != seen.pictures.len()
        || video.pts.first.0.rem_euclid(1 << 33) != begins
        || frames != seen.sounds.len()
    {
        return told("other pictures or sound are found than are there");
    }
    let (start, end) = (first.number * PICTURE_MS, (last.number + 1) * PICTURE_MS);
    Ok(Truth { start, end, ..label })
}

fn border(before: &Received, after: &Received, splice: Option<&Splice>) -> Border {
    let picture = |of: Option<u64>| of.unwrap_or_default().cast_signed();
    let (pictures, sounds) = (&before.seen.pictures, &before.seen.sounds);
    let end = picture(pictures.last().map(|p| p.number + 1));
    let begin = picture(after.seen.pictures.first().map(|p| p.number));
    let end_of_sound = picture(sounds.last().map(|s| s.number + 1));
    let sound = picture(after.seen.sounds.first().map(|s| s.number));
    let label = after.seen.pictures.first().and_then(|p| Truth::read(p.text.as_bytes()));
    Border {
        msn: after.item.msn,
        from: before.truth.clone(),
        to: after.truth.clone(),
        pictures_ms: (begin - end) * PICTURE_MS.cast_signed(),
        sound_ms: (sound - end_of_sound) * SOUND_TICKS / 90,
        told: splice.map(|splice| (splice.method, splice.gap_ms)),
        is_cut: label.is_some_and(|label| label.start < after.truth.start),
        missing: after.item.msn - before.item.msn - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Content, Item, Splice, SpliceMethod};
    use crate::programme::Packaging;
    use segue::model::lane::SpliceReason;
    use segue::model::media::{Container, Joint, Ticks, cut, inspect};
    use segue::model::names::PackagerId;

    const LATE: Packaging = Packaging {
        encoder: 1,
        gop: 25,
        phase: 0,
        reorders: false,
        base: 0,
        sound_late: 10_980,
        frames_in_one: 5,
        counter: 0,
    };
    const BASE: i64 = 1_000_000;

    fn segment(packaging: Packaging, name: &str, from: u64, to: u64) -> Bytes {
        let number = from / 25;
        let text = format!("G|{name}|1|0|{number}|{}|{}||", from * 40, to * 40);
        packaging.segment(from..to, number, &text).into()
    }

    fn judged(all: &[Bytes]) -> Content {
        let mut content = Content::default();
        let seat = ("lane".to_owned(), "v0".to_owned());
        for (msn, bytes) in (7..).zip(all) {
            let item = Item {
                msn,
                uri: String::new(),
                lines: Vec::new(),
                discontinuity: false,
                gap: false,
                number: 0,
                millis: 0,
            };
            content.received(&seat, &item, bytes).unwrap();
        }
        let splice = Splice {
            from: PackagerId::new("a"),
            reason: SpliceReason::Failed,
            gap_ms: -80,
            method: SpliceMethod::Arrival,
        };
        content.spliced("lane", 8, &splice);
        content
    }

    /// Borders two seconds apart: that much is lost, or repeated, pictures and sound.
    #[test]
    fn what_borders_lose_and_repeat_is_seen() {
        let one = segment(LATE, "a", 1000, 1100);
        let b = Packaging { base: BASE, ..LATE };
        for (from, gap_ms) in [(1050, -2000), (1150, 2000), (1100, 0)] {
            let other = segment(b, "b", from, from + 100);
            let borders = judged(&[one.clone(), other]).borders().unwrap();
            assert_eq!(borders.len(), 1);
            let border = &borders[0];
            assert_eq!((border.msn, border.pictures_ms), (8, gap_ms));
            assert!((border.sound_ms - gap_ms).abs() <= 21, "{border:?}");
            assert_eq!(border.told, Some((SpliceMethod::Arrival, -80)));
            assert!(!border.is_cut);
        }
        // Sound that lags otherwise is lost though the pictures are all there.
        let b = Packaging { sound_late: 1000, ..b };
        let borders = judged(&[one, segment(b, "b", 1100, 1200)]).borders().unwrap();
        assert_eq!((borders[0].pictures_ms, borders[0].sound_ms), (0, 106));
    }

    #[test]
    fn a_cut_loses_nothing() {
        let one = segment(LATE, "a", 1000, 1100);
        let b = Packaging { base: BASE, sound_late: 1000, ..LATE };
        let two = [segment(b, "b", 950, 1050), segment(b, "b", 1050, 1150)].concat().into();
        let moved = |at: Option<Ticks>| at.map(|at| Ticks(at.0 + BASE));
        let Joint { video, audio } = inspect(Container::Ts, &one).unwrap().end();
        let joint = Joint { video: moved(video), audio: moved(audio) };
        let tail = cut(Container::Ts, &two, &joint).unwrap();
        let borders = judged(&[one, tail]).borders().unwrap();
        assert_eq!((borders[0].pictures_ms, borders[0].sound_ms), (0, 0));
        assert!(borders[0].is_cut);
        assert_eq!((borders[0].to.start, borders[0].to.end, borders[0].to.n), (44_000, 46_000, 42));
    }

    /// Nothing is missing unless a splice says so.
    #[test]
    fn a_hole_without_a_splice_is_told() {
        let all = [1000, 1025, 1050, 1100].map(|from| segment(LATE, "a", from, from + 25));
        let mut content = judged(&all[..3]);
        assert!(content.borders().unwrap().iter().all(|border| border.pictures_ms == 0));
        content = judged(&[&all[..2], &all[3..]].concat());
        let borders = content.borders().unwrap();
        assert_eq!(borders.last().unwrap().pictures_ms, 2000);
        // The same bytes as if they were the successor.
        let text = "G|a|1|0|42|0|0||";
        let wrong = LATE.segment(1075..1100, 42, text).into();
        let told = judged(&[all[0].clone(), all[1].clone(), wrong]).borders();
        assert!(told.is_err_and(|why| why.contains("no splice")));
    }
}
