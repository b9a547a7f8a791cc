//! What packagers say of themselves, for operators.

use serde_json::{Value, json};

use crate::model::load::Reported;
use crate::ops::ReportGauge;
use crate::packagers::{Packager, Report};

/// For metrics; none where its kind has no report, or it has not been asked yet.
pub fn gauge(packager: &Packager) -> Option<ReportGauge> {
    let report = packager.report()?;
    let mut gauge = ReportGauge {
        packager: packager.id.clone(),
        load: packager.load(),
        age: report.last.as_ref().map(|(at, _)| at.elapsed()),
        connections: None,
        sessions: Vec::new(),
        values: Vec::new(),
    };
    match report.last.as_ref().map(|(_, reported)| &**reported) {
        Some(Reported::Wowza(counts)) => {
            gauge.connections = counts.connections;
            gauge.sessions = counts.streams.iter().map(|s| (s.path(), s.total)).collect();
        }
        Some(Reported::Wcs(stats)) => {
            gauge.connections = stats.count("connections");
            let numbers = stats.values().keys().filter_map(|k| Some((k.clone(), stats.number(k)?)));
            gauge.values = numbers.collect();
        }
        None => {}
    }
    Some(gauge)
}

/// For `/status.json`; null where there is none.
pub fn status(packager: &Packager) -> Value {
    packager.report().map_or(Value::Null, |report| said(&report))
}

fn said(report: &Report) -> Value {
    let mut shown = json!({
        "age_ms": report.last.as_ref().map(|(at, _)| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        "trouble": report.trouble,
    });
    let more = match report.last.as_ref().map(|(_, reported)| &**reported) {
        Some(Reported::Wowza(counts)) => {
            let streams = counts.streams.iter().map(|s| {
                json!({
                    "stream": s.path(), "vhost": s.vhost, "total": s.total, "hls": s.hls, "dash": s.dash,
                    "rtmp": s.rtmp, "rtsp": s.rtsp, "hds": s.hds, "smooth": s.smooth,
                })
            });
            json!({
                "connections": counts.connections, "connections_total": counts.connections_total,
                "accepted": counts.accepted, "rejected": counts.rejected,
                "bytes_in_rate": counts.bytes_in_rate, "bytes_out_rate": counts.bytes_out_rate,
                "sessions": counts.sessions(), "streams": streams.collect::<Vec<_>>(),
                "streams_left_out": counts.streams_left_out,
            })
        }
        Some(Reported::Wcs(stats)) => {
            json!({ "values": stats.values(), "values_left_out": stats.left_out() })
        }
        None => Value::Null,
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}
