//! What a CDN's log said of how many watch, as long as that is news.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::names::{LaneId, PoolName, StreamKey, UnixMs};
use crate::model::viewers::log::{REPORT_STREAMS_MAX, Report};

/// A report counts for two of its windows, and no shorter than this: logs come now and then.
const NEWS_MIN: Duration = Duration::from_secs(120);
/// A longer window says nothing of now.
const WINDOW_MAX_SECONDS: u64 = 86_400;
/// Longest stream path and lane id that are taken.
const NAME_BYTES_MAX: usize = 2048;

/// By stream.
#[derive(Default)]
pub(super) struct Heard {
    streams: BTreeMap<StreamKey, Told>,
    lanes: usize,
}

struct Told {
    until: UnixMs,
    lanes: Vec<(LaneId, u64)>,
}

impl Heard {
    /// Takes a report; how many of its lanes belong to streams of ours.
    pub fn take(
        &mut self,
        report: Report,
        stream_of: &dyn Fn(&LaneId) -> Option<StreamKey>,
        pool_of: &dyn Fn(&str) -> Option<PoolName>,
        now: UnixMs,
    ) -> usize {
        let window = Duration::from_secs(report.window_seconds.min(WINDOW_MAX_SECONDS));
        let until = now.plus((window * 2).max(NEWS_MIN));
        let mut taken: BTreeMap<StreamKey, Vec<(LaneId, u64)>> = BTreeMap::new();
        for one in report.streams.into_iter().take(REPORT_STREAMS_MAX) {
            if one.stream.len() > NAME_BYTES_MAX || one.lane.len() > NAME_BYTES_MAX {
                continue;
            }
            let lane = LaneId::new(one.lane);
            // A lane that is known tells the identity query as well, which a path does not.
            let by_host = || {
                let pool = pool_of(&one.host)?;
                Some(StreamKey { pool, path: one.stream.as_str().into(), query: "".into() })
            };
            if let Some(stream) = stream_of(&lane).or_else(by_host) {
                taken.entry(stream).or_default().push((lane, one.viewers));
            }
        }
        let mut count = 0;
        for (stream, lanes) in taken {
            let before = self.streams.get(&stream).map_or(0, |told| told.lanes.len());
            if self.lanes - before + lanes.len() > REPORT_STREAMS_MAX {
                continue;
            }
            self.lanes = self.lanes - before + lanes.len();
            count += lanes.len();
            self.streams.insert(stream, Told { until, lanes });
        }
        count
    }

    /// Forgets what is no news any more.
    pub fn forget(&mut self, now: UnixMs) {
        self.streams.retain(|_, told| told.until > now);
        self.lanes = self.streams.values().map(|told| told.lanes.len()).sum();
    }

    pub fn streams(&self) -> impl Iterator<Item = (&StreamKey, &Vec<(LaneId, u64)>)> {
        self.streams.iter().map(|(stream, told)| (stream, &told.lanes))
    }

    /// The viewers of a stream, all of them and by lane.
    pub fn of(&self, stream: &StreamKey) -> Option<(u64, Vec<(&LaneId, u64)>)> {
        let told = self.streams.get(stream)?;
        let lanes: Vec<_> = told.lanes.iter().map(|(lane, viewers)| (lane, *viewers)).collect();
        Some((lanes.iter().fold(0, |all: u64, (_, viewers)| all.saturating_add(*viewers)), lanes))
    }
}
