//! Distinct viewers by stretches of time. Logs come in any order and late, so a stretch is counted when
//! all of it is likely to be there, and what comes later than that is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::line::Request;
use super::{Report, Reported};
use crate::model::names::UnixMs;
use crate::model::viewers::Peak;

/// Stretches that are open at one time: what is older than that is too late.
const OPEN_MAX: usize = 120;
/// Viewers that are remembered, over all open stretches.
const VIEWERS_MAX: usize = 2_000_000;
/// Streams that are remembered.
const STREAMS_MAX: usize = 10_000;

type Place = (String, String);

/// What a log said so far.
#[derive(Debug)]
pub struct Minutes {
    length_ms: u64,
    open: BTreeMap<u64, Stretch>,
    viewers: usize,
    peaks: BTreeMap<Place, Peak>,
    lanes: HashMap<String, u32>,
    /// Everything before is closed.
    closed_before: u64,
    late: u64,
    beyond: u64,
}

/// One stretch: by host and stream, the lane of each viewer.
type Stretch = HashMap<Place, HashMap<u64, u32>>;

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// The host that viewers asked.
    pub host: String,
    /// The path of the entry playlist.
    pub stream: String,
    /// Viewers in the newest stretch that is over.
    pub viewers: u64,
    /// The most in one stretch, and when that began.
    pub peak: Peak,
}

impl Minutes {
    /// Counts in stretches of `length`, a second at the least.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        Self {
            length_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1000),
            open: BTreeMap::new(),
            viewers: 0,
            peaks: BTreeMap::new(),
            lanes: HashMap::new(),
            closed_before: 0,
            late: 0,
            beyond: 0,
        }
    }

    /// One request more.
    pub fn take(&mut self, request: Request) {
        let stretch = request.at.0 / self.length_ms;
        if stretch < self.closed_before {
            self.late += 1;
            return;
        }
        while self.viewers >= VIEWERS_MAX && self.open.len() > 1 {
            self.close_oldest();
        }
        let place = (request.host, request.stream);
        let known = self.peaks.contains_key(&place);
        if self.viewers >= VIEWERS_MAX || (!known && self.peaks.len() >= STREAMS_MAX) {
            self.beyond += 1;
            return;
        }
        if !known {
            self.peaks.insert(place.clone(), Peak::default());
        }
        let next = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let lane = *self.lanes.entry(request.lane).or_insert(next);
        let of = self.open.entry(stretch).or_default().entry(place).or_default();
        if of.insert(request.who, lane).is_none() {
            self.viewers += 1;
        }
        while self.open.len() > OPEN_MAX {
            self.close_oldest();
        }
    }

    fn close_oldest(&mut self) {
        let Some((number, stretch)) = self.open.pop_first() else { return };
        self.closed_before = number + 1;
        for (place, of) in stretch {
            self.viewers = self.viewers.saturating_sub(of.len());
            raise(&mut self.peaks, &place, of.len(), UnixMs(number * self.length_ms));
        }
        if self.open.is_empty() {
            self.lanes.clear();
        }
    }

    /// The newest stretch that is over: the last but one, since the last still grows; the last where it is
    /// the only one.
    fn newest(&self) -> Option<(u64, &Stretch)> {
        let mut open = self.open.iter().rev();
        let last = open.next();
        open.next().or(last).map(|(number, stretch)| (*number, stretch))
    }

    /// What is known of every stream, by host and path.
    #[must_use]
    pub fn counts(&self) -> Vec<StreamCount> {
        let mut peaks = self.peaks.clone();
        for (number, stretch) in &self.open {
            for (place, of) in stretch {
                raise(&mut peaks, place, of.len(), UnixMs(number * self.length_ms));
            }
        }
        let newest = self.newest();
        let count = |((host, stream), peak): (Place, Peak)| {
            let place = (host, stream);
            let of = newest.and_then(|(_, stretch)| stretch.get(&place));
            let (host, stream) = place;
            StreamCount { host, stream, viewers: of.map_or(0, |of| of.len() as u64), peak }
        };
        peaks.into_iter().map(count).collect()
    }

    /// The newest stretch that is over, for the proxy. None before there is any.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let (number, stretch) = self.newest()?;
        let names: HashMap<u32, &String> =
            self.lanes.iter().map(|(name, number)| (*number, name)).collect();
        let mut streams: BTreeSet<Reported> = BTreeSet::new();
        for ((host, stream), of) in stretch {
            let mut by_lane: BTreeMap<u32, u64> = BTreeMap::new();
            for lane in of.values() {
                *by_lane.entry(*lane).or_default() += 1;
            }
            for (lane, viewers) in by_lane {
                let lane = names.get(&lane).map(|name| (*name).clone()).unwrap_or_default();
                let (host, stream) = (host.clone(), stream.clone());
                streams.insert(Reported { host, stream, lane, viewers });
            }
        }
        Some(Report {
            window_seconds: self.length_ms / 1000,
            at: UnixMs(number * self.length_ms),
            streams: streams.into_iter().take(super::REPORT_STREAMS_MAX).collect(),
        })
    }

    /// Requests that came after their stretch was closed, and those that were too much to remember.
    #[must_use]
    pub const fn lost(&self) -> (u64, u64) {
        (self.late, self.beyond)
    }
}

fn raise(peaks: &mut BTreeMap<Place, Peak>, place: &Place, viewers: usize, at: UnixMs) {
    let viewers = viewers as u64;
    if let Some(peak) = peaks.get_mut(place)
        && viewers > peak.viewers
    {
        *peak = Peak { viewers, at };
    }
}
