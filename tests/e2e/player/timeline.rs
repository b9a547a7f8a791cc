//! What a player did, as seen from outside: when its position moved, and what it said.

use std::sync::{Arc, Mutex};

use serde::Serialize;

/// Players are looked at every 50 to 100 ms, and show 15 frames a second. A pause shorter than
/// this cannot be told from the looking; a longer one is a stall and counts in full.
const STALL_MS_MIN: u64 = 250;

/// One line of a player's record.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Unix milliseconds.
    pub t: u64,
    /// Seconds on the player's clock; set where it moved.
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
    pub records: Vec<Record>,
}

/// A timeline that a reading thread fills.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Timeline>>);

impl Shared {
    /// The position moved to `position` at `t`.
    pub fn moved(&self, t: u64, position: f64) {
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
    /// When playback first moved. The first record is where it began, not a move.
    pub fn began_ms(&self) -> Option<u64> {
        self.moves().nth(1)
    }

    /// The newest position.
    pub fn position(&self) -> Option<f64> {
        self.records.iter().rev().find_map(|r| r.position)
    }

    /// The sum of all pauses between two moments, each cut to what lies between them. A player
    /// that never played, or stopped for good, stands still to the end.
    pub fn stalls_between(&self, from_ms: u64, to_ms: u64) -> u64 {
        let mut sum = 0;
        let mut last = from_ms;
        let inside = self.moves().filter(|t| *t > from_ms && *t < to_ms);
        for moved in inside.chain([to_ms]) {
            let pause = moved.saturating_sub(last);
            if pause >= STALL_MS_MIN {
                sum += pause;
            }
            last = moved.max(last);
        }
        sum
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

    fn moves(&self) -> impl Iterator<Item = u64> {
        self.records.iter().filter(|r| r.position.is_some()).map(|r| r.t)
    }
}

#[test]
fn pauses_are_counted_in_full_and_only_inside_the_window() {
    let shared = Shared::default();
    for t in (1000..2000).chain(3000..4000).step_by(100) {
        shared.moved(t, t as f64 / 1000.0);
    }
    let timeline = shared.get();
    assert_eq!(timeline.stalls_between(1000, 1900), 0, "moving all the time");
    assert_eq!(timeline.stalls_between(1000, 3900), 1100, "1.9 s to 3.0 s");
    assert_eq!(timeline.stalls_between(2500, 3900), 500, "the pause is cut to the window");
    assert_eq!(timeline.stalls_between(3500, 5000), 1100, "stopped for good");
    assert_eq!(timeline.stalls_between(5000, 6000), 1000);
    assert_eq!(Timeline::default().stalls_between(0, 700), 700, "never played");
}
