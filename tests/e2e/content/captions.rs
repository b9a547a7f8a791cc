//! WebVTT segments: which second of the programme each cue names, and whether its clock agrees.

use super::Clock;
use crate::laws::{Rendition, Stretch};

/// MPEG-2 timestamps come round.
const PTS_WRAP: f64 = 8_589_934_592.0 / 90_000.0;
/// A cue lasts a second and begins with it.
const TOLERANCE: f64 = 0.15;

/// The seconds named by the cues of a stretch, in order; an error where one names a second other
/// than the one in which X-TIMESTAMP-MAP (RFC 8216, 3.5) puts it.
pub fn read(rendition: &Rendition, stretch: &Stretch, clock: Clock) -> Result<Vec<u32>, String> {
    let mut seconds = Vec::new();
    for segment in &stretch.segments {
        let bytes = std::fs::read(rendition.kept(&segment.uri, segment.range));
        let text = String::from_utf8(bytes.map_err(|e| e.to_string())?);
        let text = text.map_err(|e| format!("{}: {e}", segment.uri))?;
        if !text.starts_with("WEBVTT") {
            return Err(format!("{} is no WebVTT", segment.uri));
        }
        let offset = offset(&text).ok_or_else(|| format!("{}: no clock", segment.uri))?;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((begin, _)) = line.split_once(" --> ") else { continue };
            let named = lines.next().and_then(|l| l.strip_prefix("second ")?.trim().parse().ok());
            let (Some(begin), Some(named)) = (moment(begin), named) else {
                return Err(format!("{}: {line}", segment.uri));
            };
            let shown = clock.programme((begin + offset).rem_euclid(PTS_WRAP));
            if (shown - f64::from(named)).abs() > TOLERANCE {
                return Err(format!(
                    "{}: second {named} is put at {shown:.3} of the programme",
                    segment.uri
                ));
            }
            seconds.push(named);
        }
    }
    Ok(seconds)
}

/// What X-TIMESTAMP-MAP adds to a cue's time, seconds.
fn offset(text: &str) -> Option<f64> {
    let header = text.split("\n\n").next()?;
    let map = header.lines().find_map(|l| l.strip_prefix("X-TIMESTAMP-MAP="))?;
    let value = |name: &str| map.split(',').find_map(|p| p.strip_prefix(name)?.strip_prefix(':'));
    let ticks: f64 = value("MPEGTS")?.trim().parse().ok()?;
    Some(ticks / 90_000.0 - moment(value("LOCAL")?)?)
}

/// `[hh:]mm:ss.mmm`, seconds.
fn moment(text: &str) -> Option<f64> {
    let mut sum = 0.0;
    for part in text.trim().split(':') {
        sum = sum * 60.0 + part.parse::<f64>().ok()?;
    }
    Some(sum)
}

#[test]
fn a_clock_is_read_in_either_order() {
    let head = |map: &str| format!("WEBVTT\nX-TIMESTAMP-MAP={map}\n\n00:01.000 --> 00:02.000\na\n");
    assert_eq!(offset(&head("MPEGTS:126000,LOCAL:00:00:00.000")), Some(1.4));
    assert_eq!(offset(&head("LOCAL:00:00:01.000,MPEGTS:900000")), Some(9.0));
    assert_eq!(offset("WEBVTT\n\n00:01.000 --> 00:02.000\na\n"), None);
}
