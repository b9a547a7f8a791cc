//! Where a lane goes on in another run: the ladder.
//!
//! Content is placed by two clocks that packagers share: EXT-X-PROGRAM-DATE-TIME where both
//! write it and arrival agrees, else arrival alone, which is when a segment was listed, by our
//! own clock.

use std::time::Duration;

use super::{SpliceMethod, Step, Track};

/// Two moments this near are the same border: arrival is seen through polling.
const SAME_BORDER: Duration = Duration::from_millis(150);

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment in [`Track::segments`].
    pub at: usize,
    /// Content lost (positive) or repeated (negative), milliseconds.
    pub gap_ms: i64,
    /// How it was found.
    pub method: SpliceMethod,
}

/// What a run offers to carry a lane on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// This place carries on where the tail ended, as near as the borders allow.
    Here(Place),
    /// The nearest border is not listed yet.
    NotYet,
    /// The run has nothing listed.
    Nothing,
}

/// Finds where `track` carries on the content that `tail` ended. `last_chance`: no time is left to wait
/// for a better border, so the newest listed segment has to do where nothing else does.
#[must_use]
pub fn place(tail: &Step, track: &Track, last_chance: bool) -> Offer {
    let from = track.listed_from();
    let listed = track.segments().len().saturating_sub(from);
    if listed == 0 {
        return Offer::Nothing;
    }
    let method = method(tail, track);
    let Some(borders) = borders(tail, track, from, method) else { return Offer::Nothing };
    match by_borders(&borders, last_chance) {
        Some((i, gap_ms)) => Offer::Here(Place { at: from + i, gap_ms, method }),
        None if last_chance => {
            let gap_ms = borders.last().map_or(0, |b| b.start_ms);
            let at = from + listed - 1;
            Offer::Here(Place { at, gap_ms, method: SpliceMethod::Newest })
        }
        None => Offer::NotYet,
    }
}

/// A listed segment against the content's end, milliseconds: negative is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Borders {
    start_ms: i64,
    end_ms: i64,
}

/// The segment that holds the content's end, unless the next one begins clearly nearer to it. None
/// where the one to take is not listed yet; the `last_chance` takes what is.
fn by_borders(borders: &[Borders], last_chance: bool) -> Option<(usize, i64)> {
    let same = i64::try_from(SAME_BORDER.as_millis()).unwrap_or(i64::MAX);
    let at = borders.iter().position(|b| b.end_ms > same)?;
    let b = borders.get(at)?;
    // What would be lost, what would be repeated. A quarter of a segment is not worth waiting for.
    let next_is_nearer = b.end_ms.saturating_add((b.end_ms - b.start_ms) / 4) < -b.start_ms;
    let next = || borders.get(at + 1).map(|next| (at + 1, next.start_ms));
    match next_is_nearer.then(next).flatten() {
        None if next_is_nearer && !last_chance => None,
        None => Some((at, b.start_ms)),
        next => next,
    }
}

fn borders(tail: &Step, track: &Track, from: usize, method: SpliceMethod) -> Option<Vec<Borders>> {
    (from..track.segments().len())
        .map(|at| {
            let (end, content_end) = if method == SpliceMethod::ProgramDateTime {
                (track.segments().get(at)?.wall_end?, tail.wall_end?)
            } else {
                (track.ends_at(at)?, tail.content_end)
            };
            let duration = track.segments().get(at)?.duration();
            Some(Borders {
                start_ms: end.minus(duration).signed_since(content_end),
                end_ms: end.signed_since(content_end),
            })
        })
        .collect()
}

/// PROGRAM-DATE-TIME is believed where it places the newest segment within a segment of where
/// arrival does: encoders' clocks are often wrong, and then both sides lie differently.
fn method(tail: &Step, track: &Track) -> SpliceMethod {
    let agreed = || -> Option<bool> {
        let at = track.segments().len().checked_sub(1)?;
        let newest = track.segments().get(at)?;
        let all_have =
            track.segments().iter().skip(track.listed_from()).all(|s| s.wall_end.is_some());
        let by_wall = newest.wall_end?.signed_since(tail.wall_end?);
        let by_arrival = track.ends_at(at)?.signed_since(tail.content_end);
        let within = Duration::from_millis(by_wall.abs_diff(by_arrival)) <= newest.duration();
        Some(all_have && within)
    };
    if agreed() == Some(true) { SpliceMethod::ProgramDateTime } else { SpliceMethod::Arrival }
}

#[cfg(test)]
mod tests {
    use super::{Borders, by_borders};

    #[test]
    fn the_last_chance_repeats_rather_than_waits() {
        assert_eq!(by_borders(&[b(-3000, 1000)], true), Some((0, -3000)));
        assert_eq!(by_borders(&[b(-4000, 0)], true), None);
    }

    fn b(start_ms: i64, end_ms: i64) -> Borders {
        Borders { start_ms, end_ms }
    }

    #[test]
    fn the_nearest_border_is_taken() {
        for (name, list, want) in [
            ("equal borders", vec![b(-4000, 0), b(0, 4000)], Some((1, 0))),
            ("equal borders, jitter", vec![b(-3900, 100), b(100, 4100)], Some((1, 100))),
            ("equal borders, next not listed", vec![b(-8000, -4000), b(-4000, 0)], None),
            ("early in the segment: it is repeated", vec![b(-1000, 3000)], Some((0, -1000))),
            ("late in it: the next", vec![b(-3000, 1000), b(1000, 5000)], Some((1, 1000))),
            ("in the middle: what is listed", vec![b(-2010, 1990)], Some((0, -2010))),
            ("late in it, the next not listed", vec![b(-3000, 1000)], None),
            ("the list begins later: a gap", vec![b(6000, 10_000)], Some((0, 6000))),
            ("all before", vec![b(-9000, -5000)], None),
        ] {
            assert_eq!(by_borders(&list, false), want, "{name}");
        }
    }
}
