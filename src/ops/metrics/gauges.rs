//! What stands now: asked for when Prometheus comes by.

use std::time::Duration;

use prometheus::{IntGauge, IntGaugeVec};

use super::reported::ReportGauge;
use super::viewers::{Viewers, ViewersGauges};
use crate::model::names::PackagerId;
use crate::ops::make::Make;

/// What stands now, as asked for with every scrape.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// The process takes viewers.
    pub ready: bool,
    /// Requests whose answer is not out yet.
    pub in_flight: u64,
    /// Watched streams.
    pub streams: u64,
    /// Open lanes.
    pub lanes: u64,
    /// Bytes of segments in memory.
    pub segment_bytes_memory: u64,
    /// Bytes of segments on disk.
    pub segment_bytes_disk: u64,
    /// Lines that the access log has dropped since the start.
    pub access_log_dropped: u64,
    /// Every packager.
    pub packagers: Vec<PackagerGauge>,
    /// Every pool.
    pub pools: Vec<super::PoolGauge>,
    /// Every group of packagers.
    pub groups: Vec<super::GroupGauge>,
    /// Every watched stream on every packager that it is watched on.
    pub stream_states: Vec<StreamGauge>,
    /// What packagers say of themselves.
    pub reports: Vec<ReportGauge>,
    /// How many watch, and how full things are.
    pub viewers: ViewersGauges,
    /// The zone of each other proxy that answers.
    pub fleet_zones: Vec<String>,
}

/// One packager.
#[derive(Clone, Debug)]
pub struct PackagerGauge {
    /// Which.
    pub packager: PackagerId,
    /// Its checks say that it is usable.
    pub up: bool,
    /// An operator has taken it out.
    pub drained: bool,
    /// Lanes that it carries.
    pub lanes: u64,
}

/// One watched stream on one packager.
#[derive(Clone, Debug)]
pub struct StreamGauge {
    /// The stream's path.
    pub stream: String,
    /// The packager.
    pub packager: PackagerId,
    /// One word: `moves`, `unknown`, or why it is of no use.
    pub state: &'static str,
    /// Since the newest segment was seen.
    /// None: it never listed one.
    pub age: Option<Duration>,
}

/// Gauges are set and read as one, so that a scrape never sees half of another's.
pub(super) struct Scraped {
    ready: IntGauge,
    in_flight: IntGauge,
    streams: IntGauge,
    lanes: IntGauge,
    segment_bytes: IntGaugeVec,
    access_log_dropped: IntGauge,
    packager_up: IntGaugeVec,
    packager_drained: IntGaugeVec,
    packager_lanes: IntGaugeVec,
    stream_state: IntGaugeVec,
    playlist_age: IntGaugeVec,
    memory: IntGauge,
    viewers: Viewers,
}

impl Scraped {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            ready: make.gauge("ready", "1 while this process takes viewers.")?,
            in_flight: make.gauge("requests_in_flight", "Requests whose answer is not out yet.")?,
            streams: make.gauge("streams", "Watched streams.")?,
            lanes: make.gauge("lanes", "Open lanes.")?,
            segment_bytes: make.gauges("segment_bytes", "Bytes of segments held.", &["where"])?,
            access_log_dropped: make
                .gauge("access_log_dropped", "Lines the access log dropped since the start.")?,
            packager_up: make.gauges(
                "packager_up",
                "1 while a packager's checks say that it is usable.",
                &["packager"],
            )?,
            packager_drained: make.gauges(
                "packager_drained",
                "1 while a packager is taken out: that it is down is no alarm then.",
                &["packager"],
            )?,
            packager_lanes: make.gauges(
                "packager_lanes",
                "Lanes that a packager carries.",
                &["packager"],
            )?,
            stream_state: make.gauges(
                "stream_state",
                "1 for the state that a stream is in on a packager.",
                &["stream", "packager", "state"],
            )?,
            playlist_age: make.gauges(
                "playlist_age_milliseconds",
                "Since a packager last showed a new segment.",
                &["stream", "packager"],
            )?,
            memory: make.gauge("memory_resident_bytes", "Resident memory of this process.")?,
            viewers: Viewers::new(make)?,
        })
    }

    pub(super) fn set(&self, now: &Gauges) {
        let set =
            |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.ready, u64::from(now.ready));
        set(&self.in_flight, now.in_flight);
        set(&self.streams, now.streams);
        set(&self.lanes, now.lanes);
        set(&self.access_log_dropped, now.access_log_dropped);
        set(&self.segment_bytes.with_label_values(&["memory"]), now.segment_bytes_memory);
        set(&self.segment_bytes.with_label_values(&["disk"]), now.segment_bytes_disk);
        set(&self.memory, resident_bytes().unwrap_or(0));
        self.viewers.set(&now.viewers);
        for vector in [
            &self.packager_up,
            &self.packager_drained,
            &self.packager_lanes,
            &self.stream_state,
            &self.playlist_age,
        ] {
            vector.reset();
        }
        for one in &now.packagers {
            let label = [one.packager.as_str()];
            set(&self.packager_up.with_label_values(&label), u64::from(one.up));
            set(&self.packager_drained.with_label_values(&label), u64::from(one.drained));
            set(&self.packager_lanes.with_label_values(&label), one.lanes);
        }
        for one in &now.stream_states {
            let (stream, packager) = (one.stream.as_str(), one.packager.as_str());
            set(&self.stream_state.with_label_values(&[stream, packager, one.state]), 1);
            if let Some(age) = one.age {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                set(&self.playlist_age.with_label_values(&[stream, packager]), age);
            }
        }
    }
}

/// Resident memory, from the kernel.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
