//! How many watch, and how full things are.

use std::sync::Arc;

use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGaugeVec};

use crate::model::viewers::{Picture, StreamShown};
use crate::ops::make::Make;

/// Streams with a label of their own, those with most viewers; the others of a pool are counted as `other`.
const STREAMS_MAX: usize = 200;
/// What they are called.
const OTHER: &str = "other";

/// What stands now.
#[derive(Clone, Debug, Default)]
pub struct ViewersGauges {
    /// How many watch.
    pub picture: Arc<Picture>,
    /// How full each pool is, where that is known: 1 is full.
    pub pools: Vec<(String, f64)>,
    /// How full this proxy is: 1 is full.
    pub proxy: f64,
}

/// The gauges.
pub(super) struct Viewers {
    streams: IntGaugeVec,
    stream_peaks: IntGaugeVec,
    event_peaks: IntGaugeVec,
    pools: IntGaugeVec,
    pool_peaks: IntGaugeVec,
    people: IntGaugeVec,
    packagers: IntGaugeVec,
    packager_peaks: IntGaugeVec,
    zones: IntGaugeVec,
    zone_peaks: IntGaugeVec,
    refused: IntCounterVec,
    pool_utilisation: GaugeVec,
    proxy_utilisation: Gauge,
}

impl Viewers {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        let peak = "The most viewers at one time since the first start";
        let by = |name, help: &str, labels: &[&str]| make.gauges(name, help, labels);
        Ok(Self {
            streams: by("viewers", "Viewers of a stream now.", &["pool", "stream"])?,
            stream_peaks: by("viewers_peak", &format!("{peak}, of a stream."), &["pool", "stream"])?,
            event_peaks: by(
                "event_viewers_peak",
                "The most viewers at one time of the event under way.",
                &["pool", "stream"],
            )?,
            pools: by("pool_viewers", "Viewers of a pool now.", &["pool"])?,
            pool_peaks: by("pool_viewers_peak", &format!("{peak}, of a pool."), &["pool"])?,
            people: by("people", "People now: viewers times people_per_stream.", &["pool"])?,
            packagers: by(
                "packager_viewers",
                "Viewers now whose lane is on a packager.",
                &["packager"],
            )?,
            packager_peaks: by(
                "packager_viewers_peak",
                &format!("{peak}, on a packager."),
                &["packager"],
            )?,
            zones: by("zone_viewers", "Viewers now whose lane is on a zone's packager.", &["zone"])?,
            zone_peaks: by("zone_viewers_peak", &format!("{peak}, in a zone."), &["zone"])?,
            refused: make.counters(
                "viewers_refused_total",
                "Newcomers refused since the pool had as many viewers as it may (limits.viewers).",
                &["pool"],
            )?,
            pool_utilisation: make.decimals(
                "pool_utilisation",
                "Load of a pool's usable packagers against their capacity: 1 is full.",
                &["pool"],
            )?,
            proxy_utilisation: make.fraction(
                "proxy_utilisation",
                "The fullest of connections, streams, segment bytes and bandwidth of this proxy: 1 is full.",
            )?,
        })
    }

    pub(super) fn set(&self, now: &ViewersGauges) {
        let set = |vector: &IntGaugeVec, labels: &[&str], value: u64| {
            vector.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        for vector in self.vectors() {
            vector.reset();
        }
        self.refused.reset();
        self.pool_utilisation.reset();
        let picture = &now.picture;
        self.set_streams(&picture.streams);
        for pool in &picture.pools {
            let label = [pool.pool.as_str()];
            set(&self.pools, &label, pool.viewers.now);
            set(&self.pool_peaks, &label, pool.viewers.peak);
            set(&self.people, &label, pool.people);
            self.refused.with_label_values(&label).inc_by(pool.refused);
        }
        for packager in &picture.packagers {
            let label = [packager.packager.as_str()];
            set(&self.packagers, &label, packager.viewers.now);
            set(&self.packager_peaks, &label, packager.viewers.peak);
        }
        for zone in &picture.zones {
            set(&self.zones, &[&zone.zone], zone.viewers.now);
            set(&self.zone_peaks, &[&zone.zone], zone.viewers.peak);
        }
        for (pool, fullness) in &now.pools {
            self.pool_utilisation.with_label_values(&[pool]).set(*fullness);
        }
        self.proxy_utilisation.set(now.proxy);
    }

    /// Those with an event under way: of others nothing changes.
    fn set_streams(&self, streams: &[StreamShown]) {
        let watched = streams.iter().filter(|s| s.event.is_some() || s.viewers.now > 0);
        for (place, one) in watched.enumerate() {
            let own = place < STREAMS_MAX;
            let labels = [one.pool.as_str(), if own { one.stream.as_str() } else { OTHER }];
            let value = |of: u64| i64::try_from(of).unwrap_or(i64::MAX);
            self.streams.with_label_values(&labels).add(value(one.viewers.now));
            if own {
                self.stream_peaks.with_label_values(&labels).set(value(one.viewers.peak));
                if let Some(event) = &one.event {
                    self.event_peaks.with_label_values(&labels).set(value(event.peak));
                }
            }
        }
    }

    fn vectors(&self) -> [&IntGaugeVec; 10] {
        [
            &self.streams,
            &self.stream_peaks,
            &self.event_peaks,
            &self.pools,
            &self.pool_peaks,
            &self.people,
            &self.packagers,
            &self.packager_peaks,
            &self.zones,
            &self.zone_peaks,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::{PoolName, UnixMs};
    use crate::model::viewers::{EventShown, PoolShown, Shown, Sources};
    use crate::ops::{Gauges, Metrics};

    fn stream(n: u64) -> StreamShown {
        let (pool, stream) = (PoolName::new("live"), format!("/s{n}.m3u8"));
        let event = EventShown {
            pool: pool.clone(),
            stream: stream.clone(),
            began: UnixMs(1),
            ended: UnixMs(2),
            peak: n + 1,
            peak_at: UnixMs(1),
            people: 0,
        };
        StreamShown {
            pool,
            stream,
            viewers: Shown { now: n, peak: n + 2, peak_at: None },
            people: 0,
            sources: Sources::default(),
            event: Some(event),
        }
    }

    #[test]
    fn streams_beyond_the_bound_are_counted_as_other() {
        let metrics = Metrics::new(&[]).unwrap();
        let pool = PoolShown {
            pool: PoolName::new("live"),
            viewers: Shown { now: 7, peak: 9, peak_at: None },
            people: 12,
            limit: None,
            refused: 3,
        };
        let picture = Picture {
            streams: (0..300).rev().map(stream).collect(),
            pools: vec![pool],
            ..Picture::default()
        };
        let viewers = ViewersGauges {
            picture: Arc::new(picture),
            pools: vec![("live".to_owned(), 0.5)],
            proxy: 0.25,
        };
        let gauges = Gauges { viewers, ..Gauges::default() };
        // Asked twice: nothing adds up.
        let _ = metrics.text(&gauges);
        let text = String::from_utf8(metrics.text(&gauges)).unwrap();
        for line in [
            r#"segue_viewers{pool="live",stream="/s299.m3u8"} 299"#,
            r#"segue_viewers_peak{pool="live",stream="/s299.m3u8"} 301"#,
            r#"segue_event_viewers_peak{pool="live",stream="/s299.m3u8"} 300"#,
            // 0 to 99.
            r#"segue_viewers{pool="live",stream="other"} 4950"#,
            r#"segue_pool_viewers{pool="live"} 7"#,
            r#"segue_pool_viewers_peak{pool="live"} 9"#,
            r#"segue_people{pool="live"} 12"#,
            r#"segue_viewers_refused_total{pool="live"} 3"#,
            r#"segue_pool_utilisation{pool="live"} 0.5"#,
            "segue_proxy_utilisation 0.25",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("segue_viewers{").count(), STREAMS_MAX + 1);
    }
}
