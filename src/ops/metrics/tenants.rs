//! What each tenant takes: counted with every answer, and asked for when Prometheus comes by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Registry};
use serde::Serialize;

use super::{CLASSES, class_of};
use crate::model::names::PoolName;
use crate::ops::make::Make;

/// A pool as its operator sees it: what it may take, and what it takes.
#[derive(Clone, Debug, Serialize)]
pub struct PoolGauge {
    /// Which.
    pub pool: PoolName,
    /// The hosts that lead to it.
    pub hosts: Vec<String>,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// What it may take at one time.
    pub limits: Taken,
    /// What it takes now.
    pub in_use: Taken,
}

/// What can be limited. None: it is not.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Taken {
    /// Streams watched.
    pub streams: Option<u64>,
    /// Lanes that they are carried on.
    pub lanes: Option<u64>,
    /// Requests that wait for its packagers.
    pub waiting_requests: Option<u64>,
    /// Bytes of segments held.
    pub segment_bytes: Option<u64>,
    /// Bits per second sent to its viewers.
    pub bandwidth_bps: Option<u64>,
}

impl Taken {
    /// By the names that labels have.
    fn named(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("streams", self.streams),
            ("lanes", self.lanes),
            ("waiting_requests", self.waiting_requests),
            ("segment_bytes", self.segment_bytes),
            ("bandwidth_bps", self.bandwidth_bps),
        ]
    }
}

/// The families with the label `pool`.
pub(super) struct Tenants {
    requests: IntCounterVec,
    bytes: IntCounterVec,
    refused: IntCounterVec,
    in_use: IntGaugeVec,
    limit: IntGaugeVec,
    /// As many as there were pools.
    known: RwLock<HashMap<PoolName, Arc<OfPool>>>,
}

/// Looked up once: this is on every request's way.
struct OfPool {
    by_class: [IntCounter; CLASSES.len()],
    bytes: IntCounter,
}

impl Tenants {
    pub fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            requests: make.counters(
                "pool_requests_total",
                "Requests of a pool's viewers by class of status.",
                &["pool", "status"],
            )?,
            bytes: make.counters(
                "pool_response_bytes_total",
                "Bytes of bodies sent to a pool's viewers.",
                &["pool"],
            )?,
            refused: make.counters(
                "pool_refused_total",
                "Requests of a pool's viewers that were refused for a limit, by its key.",
                &["pool", "limit"],
            )?,
            in_use: make.gauges(
                "pool_in_use",
                "What a pool takes now, by the name of its limit.",
                &["pool", "limit"],
            )?,
            limit: make.gauges(
                "pool_limit",
                "What a pool may take; absent without a limit.",
                &["pool", "limit"],
            )?,
            known: RwLock::default(),
        })
    }

    /// A request of this pool's viewers was answered.
    pub fn answered(&self, pool: &PoolName, status: u16, bytes: u64, refused: Option<&str>) {
        let of = self.of(pool);
        if let Some(counter) = of.by_class.get(class_of(status)) {
            counter.inc();
        }
        of.bytes.inc_by(bytes);
        if let Some(limit) = refused {
            self.refused.with_label_values(&[pool.as_str(), limit]).inc();
        }
    }

    fn of(&self, pool: &PoolName) -> Arc<OfPool> {
        if let Some(of) = self.known.read().get(pool) {
            return Arc::clone(of);
        }
        let name = pool.as_str();
        let of = Arc::new(OfPool {
            by_class: CLASSES.map(|class| self.requests.with_label_values(&[name, class])),
            bytes: self.bytes.with_label_values(&[name]),
        });
        self.known.write().insert(pool.clone(), Arc::clone(&of));
        of
    }

    pub fn set(&self, pools: &[PoolGauge]) {
        let wide = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for vector in [&self.in_use, &self.limit] {
            vector.reset();
        }
        for one in pools {
            let pool = one.pool.as_str();
            for (family, taken) in [(&self.in_use, &one.in_use), (&self.limit, &one.limits)] {
                for (name, value) in taken.named() {
                    if let Some(value) = value {
                        family.with_label_values(&[pool, name]).set(wide(value));
                    }
                }
            }
        }
    }
}

/// `segue_pool_info`, made anew with every scrape, since its labels are those of the configuration:
/// the names of all pools, empty where a pool has none of that name.
pub(super) fn info(pools: &[PoolGauge]) -> prometheus::Result<Vec<MetricFamily>> {
    let names: BTreeSet<&str> =
        pools.iter().flat_map(|one| one.labels.keys().map(String::as_str)).collect();
    let all: Vec<&str> = std::iter::once("pool").chain(names.iter().copied()).collect();
    let make = Make(Registry::new_custom(Some("segue".to_owned()), None)?);
    let info = make.gauges("pool_info", "1 for each pool, with its labels.", &all)?;
    for one in pools {
        let value = |name: &&str| one.labels.get(*name).map_or("", String::as_str);
        let values: Vec<&str> =
            std::iter::once(one.pool.as_str()).chain(names.iter().map(value)).collect();
        info.with_label_values(&values).set(1);
    }
    Ok(make.0.gather())
}

#[cfg(test)]
mod tests {
    use super::super::{Gauges, Metrics};
    use super::*;

    fn gauge(pool: &str, labels: &[(&str, &str)]) -> PoolGauge {
        PoolGauge {
            pool: PoolName::new(pool),
            hosts: vec!["*".to_owned()],
            labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            limits: Taken { streams: Some(10), ..Taken::default() },
            in_use: Taken {
                streams: Some(3),
                lanes: Some(4),
                bandwidth_bps: Some(9),
                ..Taken::default()
            },
        }
    }

    #[test]
    fn each_pool_has_its_own_numbers() {
        let metrics = Metrics::new(&["segment"]).unwrap();
        let (x, y) = (PoolName::new("x"), PoolName::new("y"));
        metrics.answered_for(&x, 200, 100, None);
        metrics.answered_for(&x, 503, 5, Some("pools.limits.streams"));
        metrics.answered_for(&y, 200, 7, None);
        let pools = vec![gauge("x", &[("customer", "acme")]), gauge("y", &[("tier", "gold")])];
        let text = metrics.text(&Gauges { pools, ..Gauges::default() });
        let text = String::from_utf8(text).unwrap();
        for line in [
            r#"segue_pool_requests_total{pool="x",status="2xx"} 1"#,
            r#"segue_pool_requests_total{pool="x",status="5xx"} 1"#,
            r#"segue_pool_requests_total{pool="y",status="5xx"} 0"#,
            r#"segue_pool_response_bytes_total{pool="x"} 105"#,
            r#"segue_pool_refused_total{limit="pools.limits.streams",pool="x"} 1"#,
            r#"segue_pool_in_use{limit="streams",pool="x"} 3"#,
            r#"segue_pool_in_use{limit="bandwidth_bps",pool="y"} 9"#,
            r#"segue_pool_limit{limit="streams",pool="x"} 10"#,
            r#"segue_pool_in_use{limit="lanes",pool="y"} 4"#,
            r#"segue_pool_info{customer="acme",pool="x",tier=""} 1"#,
            r#"segue_pool_info{customer="",pool="y",tier="gold"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains(r#"segue_pool_limit{limit="bandwidth_bps""#), "{text}");
        // The labels of a file that was reloaded.
        let pools = vec![gauge("x", &[("region", "north")])];
        let text = metrics.text(&Gauges { pools, ..Gauges::default() });
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r#"segue_pool_info{pool="x",region="north"} 1"#), "{text}");
        assert!(
            !text.contains("customer") && !text.contains(r#"pool_in_use{limit="lanes",pool="y""#),
            "{text}"
        );
    }
}
