//! What packagers say of themselves, asked for when Prometheus comes by.

use std::time::Duration;

use prometheus::{GaugeVec, IntGaugeVec};

use crate::model::names::PackagerId;
use crate::ops::make::Make;

/// Streams of one packager whose sessions are shown.
const STREAMS_MAX: usize = 1000;

/// What one packager says of itself.
#[derive(Clone, Debug)]
pub struct ReportGauge {
    /// Which.
    pub packager: PackagerId,
    /// How much it carries; none where that is not known.
    pub load: Option<u64>,
    /// Since its last good report; none before the first.
    pub age: Option<Duration>,
    /// Connections of the whole server.
    pub connections: Option<u64>,
    /// Sessions of each of its streams.
    pub sessions: Vec<(String, u64)>,
    /// Whatever else it tells in numbers, by its own keys.
    pub values: Vec<(String, f64)>,
}

/// The gauges.
pub(super) struct Reported {
    known: IntGaugeVec,
    age: IntGaugeVec,
    load: IntGaugeVec,
    connections: IntGaugeVec,
    sessions: IntGaugeVec,
    values: GaugeVec,
}

impl Reported {
    pub(super) fn new(make: &Make) -> prometheus::Result<Self> {
        Ok(Self {
            known: make.gauges(
                "packager_load_known",
                "1 while a packager's own report tells its load.",
                &["packager"],
            )?,
            age: make.gauges(
                "packager_report_age_milliseconds",
                "Since a packager's last good report.",
                &["packager"],
            )?,
            load: make.gauges(
                "packager_load",
                "How much a packager carries by its own report.",
                &["packager"],
            )?,
            connections: make.gauges(
                "packager_connections",
                "Connections of a packager by its own report.",
                &["packager"],
            )?,
            sessions: make.gauges(
                "packager_sessions",
                "Sessions of a stream by its packager's own report.",
                &["packager", "stream"],
            )?,
            values: make.decimals(
                "packager_reported",
                "What a packager reports, by its own keys.",
                &["packager", "key"],
            )?,
        })
    }

    /// Puts what stands now in the place of all that was.
    pub(super) fn set(&self, all: &[ReportGauge]) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for gauges in [&self.known, &self.age, &self.load, &self.connections, &self.sessions] {
            gauges.reset();
        }
        self.values.reset();
        for one in all {
            let packager = one.packager.as_str();
            self.known.with_label_values(&[packager]).set(i64::from(one.load.is_some()));
            if let Some(load) = one.load {
                self.load.with_label_values(&[packager]).set(whole(load));
            }
            if let Some(age) = one.age {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                self.age.with_label_values(&[packager]).set(whole(age));
            }
            if let Some(connections) = one.connections {
                self.connections.with_label_values(&[packager]).set(whole(connections));
            }
            for (stream, sessions) in one.sessions.iter().take(STREAMS_MAX) {
                self.sessions.with_label_values(&[packager, stream]).set(whole(*sessions));
            }
            for (key, value) in &one.values {
                self.values.with_label_values(&[packager, key]).set(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Encoder as _, Registry, TextEncoder};

    fn text(make: &Make) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&make.0.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_known_and_no_more() {
        let make = Make(Registry::new());
        let reported = Reported::new(&make).unwrap();
        let one = ReportGauge {
            packager: PackagerId::new("a"),
            load: Some(7),
            age: Some(Duration::from_millis(1500)),
            connections: Some(9),
            sessions: (0..2000).map(|n| (format!("live/s{n}"), n)).collect(),
            values: vec![("degraded_streams_percent".to_owned(), 12.5)],
        };
        let none = ReportGauge {
            packager: PackagerId::new("b"),
            load: None,
            age: None,
            connections: None,
            sessions: Vec::new(),
            values: Vec::new(),
        };
        reported.set(&[one, none.clone()]);
        let shown = text(&make);
        for line in [
            r#"packager_load{packager="a"} 7"#,
            r#"packager_load_known{packager="a"} 1"#,
            r#"packager_load_known{packager="b"} 0"#,
            r#"packager_report_age_milliseconds{packager="a"} 1500"#,
            r#"packager_connections{packager="a"} 9"#,
            r#"packager_sessions{packager="a",stream="live/s3"} 3"#,
            r#"packager_reported{key="degraded_streams_percent",packager="a"} 12.5"#,
        ] {
            assert!(shown.contains(line), "{line} is missing in\n{shown}");
        }
        assert!(!shown.contains(r#"packager_load{packager="b"}"#), "not known is not 0");
        assert_eq!(shown.matches("packager_sessions{").count(), STREAMS_MAX);
        reported.set(&[none]);
        assert!(!text(&make).contains(r#"packager="a""#), "what is gone stays in the metrics");
    }
}
