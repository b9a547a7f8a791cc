//! Prometheus metrics, `segue_...`, in a registry of our own. Counters are counted where things
//! happen; gauges are asked for when Prometheus comes by.

mod auth;
mod fleet;
mod gauges;
mod groups;
mod reported;
mod store;
mod tenants;
mod viewers;
mod webhooks;
mod zones;

use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, Registry, TextEncoder,
};

pub use fleet::Fleet;
pub use gauges::{Gauges, PackagerGauge, StreamGauge};
pub use groups::GroupGauge;
pub use reported::ReportGauge;
pub use tenants::{PoolGauge, Taken};
pub use viewers::ViewersGauges;
pub use webhooks::Webhooks;

use gauges::Scraped;
use groups::Grouped;
use reported::Reported;
use tenants::Tenants;
use zones::ZoneBytes;

use super::make::Make;
use crate::model::lane::Splice;
use crate::model::names::{LaneId, PackagerId, PoolName};

/// All metrics.
pub struct Metrics {
    registry: Registry,
    requests: Vec<Requests>,
    responses_cut: IntCounter,
    refreshes: IntCounterVec,
    refresh_seconds: HistogramVec,
    fetches: IntCounterVec,
    fetched_bytes: IntCounterVec,
    steps: IntCounter,
    listing_delay: Histogram,
    splices: IntCounterVec,
    splice_gap: HistogramVec,
    too_long: IntCounterVec,
    gaps: IntCounterVec,
    store_failures: IntCounter,
    zone_bytes: ZoneBytes,
    lanes_opened: IntCounter,
    lanes_ended: IntCounter,
    tenants: Tenants,
    /// Messages to operators.
    pub webhooks: Webhooks,
    grouped: Grouped,
    reported: Reported,
    scraped: Mutex<Scraped>,
    /// Who is let in.
    pub auth: auth::Auth,
    /// The store of lanes' logs.
    pub store: store::Store,
    /// The other proxies.
    pub fleet: Fleet,
}

/// Requests of one kind, looked up once: this is on every request's way.
struct Requests {
    kind: &'static str,
    by_class: [IntCounter; CLASSES.len()],
    bytes: IntCounter,
    seconds: Histogram,
}

/// Buckets of what takes milliseconds to seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets of content lost or repeated.
const MILLISECONDS: [f64; 14] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0,
    60000.0,
];

/// The classes of statuses; `none` where the viewer left before the answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

fn class_of(status: u16) -> usize {
    usize::from(status / 100).min(CLASSES.len() - 1)
}

impl Metrics {
    /// All metrics at zero. `kinds`: the kinds of requests.
    ///
    /// # Errors
    /// Two metrics of one name, which is a mistake in this file.
    #[allow(clippy::too_many_lines)] // a list
    pub fn new(kinds: &[&'static str]) -> prometheus::Result<Self> {
        let make = Make(Registry::new_custom(Some("segue".to_owned()), None)?);
        let requests = make.counters(
            "requests_total",
            "Requests of viewers by kind and class of status.",
            &["kind", "status"],
        )?;
        let bytes =
            make.counters("response_bytes_total", "Bytes of bodies sent to viewers.", &["kind"])?;
        let answer_seconds = make.histograms(
            "response_seconds",
            "From a request's header to its answer's last byte.",
            &["kind"],
            &SECONDS,
        )?;
        Ok(Self {
            requests: kinds
                .iter()
                .map(|kind| Requests {
                    kind,
                    by_class: CLASSES.map(|class| requests.with_label_values(&[*kind, class])),
                    bytes: bytes.with_label_values(&[kind]),
                    seconds: answer_seconds.with_label_values(&[kind]),
                })
                .collect(),
            responses_cut: make.counter(
                "responses_cut_total",
                "Answers that the viewer left, or was too slow for.",
            )?,
            refreshes: make.counters(
                "origin_refreshes_total",
                "Playlist requests to packagers by outcome.",
                &["packager", "outcome"],
            )?,
            refresh_seconds: make.histograms(
                "origin_refresh_seconds",
                "How long packagers take for a playlist.",
                &["packager"],
                &SECONDS,
            )?,
            fetches: make.counters(
                "origin_fetches_total",
                "Segment requests to packagers by outcome.",
                &["packager", "outcome"],
            )?,
            fetched_bytes: make.counters(
                "origin_fetched_bytes_total",
                "Bytes of segments fetched from packagers.",
                &["packager"],
            )?,
            steps: make.counter("steps_total", "Steps appended to lanes by this proxy.")?,
            listing_delay: make.histogram(
                "listing_delay_seconds",
                "From a segment first seen at the packager to its listing.",
                &SECONDS,
            )?,
            too_long: make.counters(
                "segments_too_long_total",
                "Segments longer than their lane's target duration: a breach of the packager.",
                &["packager"],
            )?,
            gaps: make.counters(
                "gaps_total",
                "Entries with nothing in them (EXT-X-GAP): a rendition that nobody had in time.",
                &["packager"],
            )?,
            zone_bytes: ZoneBytes::new(&make)?,
            store_failures: make.counter("store_failures_total", "Times the store failed.")?,
            splices: make.counters(
                "splices_total",
                "Splices by reason and by the packagers left and taken.",
                &["reason", "from", "to"],
            )?,
            splice_gap: make.histograms(
                "splice_gap_milliseconds",
                "Content lost (gap) or repeated (overlap) at splices, by how their place was found.",
                &["kind", "method"],
                &MILLISECONDS,
            )?,
            lanes_opened: make.counter("lanes_opened_total", "Lanes opened.")?,
            lanes_ended: make.counter("lanes_ended_total", "Lanes ended.")?,
            tenants: Tenants::new(&make)?,
            webhooks: Webhooks::new(&make)?,
            grouped: Grouped::new(&make)?,
            reported: Reported::new(&make)?,
            scraped: Mutex::new(Scraped::new(&make)?),
            auth: auth::Auth::new(&make)?,
            store: store::Store::new(&make)?,
            fleet: Fleet::new(&make)?,
            registry: make.0,
        })
    }

    /// A viewer's request of one of the kinds was answered; other kinds are not counted.
    pub fn answered(&self, kind: &str, status: u16, bytes: u64, elapsed: Duration, cut: bool) {
        let Some(requests) = self.requests.iter().find(|requests| requests.kind == kind) else {
            return;
        };
        if let Some(counter) = requests.by_class.get(class_of(status)) {
            counter.inc();
        }
        requests.bytes.inc_by(bytes);
        requests.seconds.observe(elapsed.as_secs_f64());
        if cut {
            self.responses_cut.inc();
        }
    }

    /// A request of this pool's viewers was answered; `refused` names the limit, if one was why.
    pub fn answered_for(&self, pool: &PoolName, status: u16, bytes: u64, refused: Option<&str>) {
        self.tenants.answered(pool, status, bytes, refused);
    }

    /// Bytes of bodies sent to viewers since the start.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.requests.iter().map(|requests| requests.bytes.get()).sum()
    }

    /// A packager's playlist was asked for.
    pub fn refreshed(&self, packager: &PackagerId, outcome: &str, elapsed: Duration) {
        self.refreshes.with_label_values(&[packager.as_str(), outcome]).inc();
        self.refresh_seconds.with_label_values(&[packager.as_str()]).observe(elapsed.as_secs_f64());
    }

    /// A segment was asked for.
    pub fn fetched(&self, packager: &PackagerId, bytes: u64, outcome: &str) {
        self.fetches.with_label_values(&[packager.as_str(), outcome]).inc();
        self.fetched_bytes.with_label_values(&[packager.as_str()]).inc_by(bytes);
    }

    /// A step was appended, `delay` after its segment was first seen.
    pub fn appended(&self, _lane: &LaneId, delay: Duration) {
        self.steps.inc();
        self.listing_delay.observe(delay.as_secs_f64());
    }

    /// A lane went to another run, of packager `to`.
    pub fn spliced(&self, to: &PackagerId, splice: &Splice) {
        let Splice { from, reason, method, gap_ms } = splice;
        self.splices.with_label_values(&[reason.as_str(), from.as_str(), to.as_str()]).inc();
        let kind = if *gap_ms < 0 { "overlap" } else { "gap" };
        let labels = [kind, method.as_str()];
        #[allow(clippy::cast_precision_loss)] // milliseconds of content, far below 2^52
        self.splice_gap.with_label_values(&labels).observe(gap_ms.unsigned_abs() as f64);
    }

    /// A lane was opened.
    pub fn lane_opened(&self) {
        self.lanes_opened.inc();
    }

    /// A segment was longer than its lane's target duration.
    pub fn too_long(&self, packager: &PackagerId) {
        self.too_long.with_label_values(&[packager.as_str()]).inc();
    }

    /// A rendition of this packager had nothing to list in a step.
    pub fn gap(&self, packager: &PackagerId) {
        self.gaps.with_label_values(&[packager.as_str()]).inc();
    }

    /// Bytes came from a packager of one zone to this proxy's.
    pub fn received(&self, from: &str, to: &str, bytes: u64) {
        self.zone_bytes.received(from, to, bytes);
    }

    /// The store did not do what was asked.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// A lane ended.
    pub fn lane_ended(&self) {
        self.lanes_ended.inc();
    }

    /// A group of packagers was looked up.
    pub fn looked_up(&self, group: &PackagerId, outcome: &str) {
        self.grouped.looked_up(group, outcome);
    }

    /// All metrics in the text format of Prometheus.
    #[must_use]
    pub fn text(&self, gauges: &Gauges) -> Vec<u8> {
        let scraped = self.scraped.lock();
        scraped.set(gauges);
        self.tenants.set(&gauges.pools);
        self.grouped.set(&gauges.groups);
        self.reported.set(&gauges.reports);
        self.fleet.set(&gauges.fleet_zones);
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        families.extend(tenants::info(&gauges.pools).unwrap_or_default());
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lane::{SpliceMethod, SpliceReason};

    #[test]
    fn counted_and_scraped() {
        let metrics = Metrics::new(&["playlist", "entry"]).unwrap();
        let (a, b, lane) = (PackagerId::new("a"), PackagerId::new("b"), LaneId::new("a-1"));
        metrics.answered("playlist", 200, 1000, Duration::from_millis(1), false);
        metrics.answered("playlist", 0, 0, Duration::from_millis(1), true);
        metrics.answered("entry", 503, 5, Duration::from_millis(1), false);
        metrics.refreshed(&a, "ok", Duration::from_millis(3));
        metrics.fetched(&a, 700, "ok");
        metrics.appended(&lane, Duration::from_millis(40));
        let (reason, method) = (SpliceReason::Stalled, SpliceMethod::Arrival);
        metrics.spliced(&b, &Splice { from: a.clone(), reason, method, gap_ms: -120 });
        metrics.lane_opened();
        let mut gauges = Gauges {
            ready: true,
            packagers: vec![PackagerGauge {
                packager: a.clone(),
                up: true,
                drained: true,
                lanes: 2,
            }],
            stream_states: vec![StreamGauge {
                stream: "/live/cam.m3u8".into(),
                packager: a,
                state: "live",
                age: Some(Duration::from_millis(1500)),
            }],
            ..Gauges::default()
        };
        let text = String::from_utf8(metrics.text(&gauges)).unwrap();
        for line in [
            r#"segue_requests_total{kind="playlist",status="2xx"} 1"#,
            r#"segue_requests_total{kind="playlist",status="none"} 1"#,
            r#"segue_requests_total{kind="entry",status="5xx"} 1"#,
            r#"segue_response_bytes_total{kind="playlist"} 1000"#,
            "segue_responses_cut_total 1",
            r#"segue_origin_fetched_bytes_total{packager="a"} 700"#,
            r#"segue_splices_total{from="a",reason="stalled",to="b"} 1"#,
            r#"segue_splice_gap_milliseconds_sum{kind="overlap",method="arrival"} 120"#,
            r#"segue_stream_state{packager="a",state="live",stream="/live/cam.m3u8"} 1"#,
            r#"segue_playlist_age_milliseconds{packager="a",stream="/live/cam.m3u8"} 1500"#,
            r#"segue_packager_up{packager="a"} 1"#,
            r#"segue_packager_drained{packager="a"} 1"#,
            "segue_ready 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        gauges.stream_states.clear();
        let text = String::from_utf8(metrics.text(&gauges)).unwrap();
        assert!(
            !text.contains("segue_stream_state{"),
            "a stream that is gone stays in the metrics"
        );
    }
}
