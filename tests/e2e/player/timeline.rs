//! What a player did, as seen from outside: when its position moved, and what it said.

use std::sync::{Arc, Mutex};

use serde::Serialize;

/// Players are looked at every 50 to 100 ms, and show 15 frames a second. A pause shorter than
/// this cannot be told from the looking; a longer one is a stall and counts in full.
const STALL_MS_MIN: u64 = 250;

/// How a player's position is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Means {
    /// Its clock is looked at again and again, and recorded also where it stands still. Between two
    /// looks that lie far apart (a busy machine) it ran as far as it got.
    #[default]
    Looks,
    /// It reports each frame as it shows it: between two frames it stands still.
    Frames,
}

/// One line of a player's record.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Unix milliseconds.
    pub t: u64,
    /// Seconds on the player's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<f64>,
    /// `fatal`, `error`, `waiting`, `playing`, `ended`, `note`, `started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A player's records in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub means: Means,
    pub records: Vec<Record>,
}

/// A timeline that a reading thread fills.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Timeline>>);

impl Shared {
    /// An empty one.
    pub fn by(means: Means) -> Self {
        Self(Arc::new(Mutex::new(Timeline { means, records: Vec::new() })))
    }

    /// The position was `position` at `t`.
    pub fn at(&self, t: u64, position: f64) {
        self.push(Record { t, position: Some(position), event: None, detail: None });
    }

    /// The player said something.
    pub fn event(&self, t: u64, event: &str, detail: &str) {
        let (event, detail) = (Some(event.to_owned()), Some(detail.to_owned()));
        self.push(Record { t, position: None, event, detail });
    }

    fn push(&self, record: Record) {
        self.0.lock().unwrap().records.push(record);
    }

    /// All so far.
    pub fn get(&self) -> Timeline {
        self.0.lock().unwrap().clone()
    }
}

impl Timeline {
    /// When playback first moved.
    pub fn began_ms(&self) -> Option<u64> {
        let mut positions = self.positions();
        let (_, first) = positions.next()?;
        positions.find(|(_, p)| *p != first).map(|(t, _)| t)
    }

    /// The newest position.
    pub fn position(&self) -> Option<f64> {
        self.records.iter().rev().find_map(|r| r.position)
    }

    /// The sum of all pauses between two moments, each cut to what lies between them. A player
    /// that never played, or stopped for good, stands still to the end.
    pub fn stalls_between(&self, from_ms: u64, to_ms: u64) -> u64 {
        let mut sum = 0;
        let mut moved_at = from_ms;
        let mut count = |pause: u64| {
            if pause >= STALL_MS_MIN {
                sum += pause;
            }
        };
        let mut last: Option<(u64, f64)> = None;
        for (t, position) in self.positions().filter(|(t, _)| *t < to_ms) {
            let before = last.replace((t, position));
            if before.is_some_and(|(_, p)| p == position) {
                continue;
            }
            if t > from_ms {
                let ran = self.ran_ms(before, (t, position)).min(t - moved_at);
                count(t - moved_at - ran);
                moved_at = t;
            }
        }
        count(to_ms.saturating_sub(moved_at));
        sum
    }

    /// How much of the time between two looks it ran. Where it was looked at often, that is not
    /// asked: it moved. A jump says nothing, so it counts as no more than the time between.
    fn ran_ms(&self, before: Option<(u64, f64)>, (t, position): (u64, f64)) -> u64 {
        match (self.means, before) {
            (Means::Frames, _) | (_, None) => 0,
            (Means::Looks, Some((t0, p0))) => {
                (((position - p0) * 1000.0).max(0.0) as u64).min(t - t0)
            }
        }
    }

    /// What ended the player, or should not have.
    pub fn fatal(&self) -> Vec<String> {
        let fatal = |r: &&Record| matches!(r.event.as_deref(), Some("fatal" | "ended"));
        let text = |r: &Record| {
            let event = r.event.as_deref().unwrap_or_default();
            format!("{} {event}: {}", r.t, r.detail.as_deref().unwrap_or_default())
        };
        self.records.iter().filter(fatal).map(text).collect()
    }

    /// What it said of one kind.
    pub fn events(&self, event: &str) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.event.as_deref() == Some(event))
    }

    fn positions(&self) -> impl Iterator<Item = (u64, f64)> {
        self.records.iter().filter_map(|r| Some((r.t, r.position?)))
    }
}

#[cfg(test)]
fn timeline(means: Means, looks: impl Iterator<Item = (u64, u64)>) -> Timeline {
    let shared = Shared::by(means);
    looks.for_each(|(t, position_ms)| shared.at(t, position_ms as f64 / 1000.0));
    shared.get()
}

#[test]
fn pauses_are_counted_in_full_and_only_inside_the_window() {
    // Plays 1.0 to 1.9 s, stands still, plays from 3.0 s on.
    let position = |t: u64| if t < 3000 { t.min(1900) } else { t };
    let timeline = timeline(Means::Looks, (1000..4000).step_by(100).map(|t| (t, position(t))));
    assert_eq!(timeline.stalls_between(1000, 1900), 0, "moving all the time");
    assert_eq!(timeline.stalls_between(1000, 3900), 1000, "1.9 s to the last look before 3.0 s");
    assert_eq!(timeline.stalls_between(2500, 3900), 400, "the pause is cut to the window");
    assert_eq!(timeline.stalls_between(3500, 5000), 1100, "stopped for good");
    assert_eq!(timeline.stalls_between(5000, 6000), 1000);
    assert_eq!(Timeline::default().stalls_between(0, 700), 700, "never played");
}

#[test]
fn a_busy_machine_is_no_stall_and_a_late_frame_is() {
    let hole = [(1000, 1000), (1100, 1100), (1700, 1650), (1800, 1750)];
    assert_eq!(timeline(Means::Looks, hole.into_iter()).stalls_between(1000, 1800), 0);
    assert_eq!(timeline(Means::Frames, hole.into_iter()).stalls_between(1000, 1800), 600);
    let jump = [(1000, 1000), (1100, 1000), (1600, 1000), (1700, 5000), (1800, 5100)];
    assert_eq!(timeline(Means::Looks, jump.into_iter()).stalls_between(1000, 1800), 600);
}
