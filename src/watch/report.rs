//! What a watch prints: one line per event for people, or one JSON object per line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::watch::{Breach, Place, Shown, Split, Summary};
use crate::outside::time_of_day;

/// Longer windows are drawn by their newest segments.
const STRIP_MAX: usize = 60;

/// Where events go. Output that cannot be written is dropped: the exit code still tells.
pub struct Report {
    out: Box<dyn Write + Send>,
    json: bool,
}

impl Report {
    pub fn new(out: Box<dyn Write + Send>, json: bool) -> Self {
        Self { out, json }
    }

    /// Something worth knowing that is no breach.
    pub fn note(&mut self, at: Duration, place: &Place, text: &str) {
        self.event(at, place, "note", json!({ "text": text }), text);
    }

    /// A playlist listed new segments.
    pub fn grew(&mut self, at: Duration, place: &Place, shown: &Shown, added: &[u64]) {
        let new = || added.first().map_or(&[][..], |first| shown.from(*first)).iter();
        let newest = shown.last_msn().unwrap_or(shown.first_msn);
        let lengths: Vec<f64> = new().map(|s| s.duration.as_secs_f64()).collect();
        let mut text = format!("+{:<2} {newest}  {}", added.len(), strip(shown));
        if added.len() < shown.segments.len() {
            for length in lengths.iter().take(4) {
                let _ = write!(text, " {length:.1} s");
            }
        }
        for (what, count) in [
            ("discontinuity", new().filter(|s| s.discontinuity).count()),
            ("gap", new().filter(|s| s.gap).count()),
        ] {
            if count > 0 && added.len() < shown.segments.len() {
                let _ = write!(text, "  {what}");
            }
        }
        if shown.ended {
            text += "  end";
        }
        let fields = json!({
            "first": shown.first_msn,
            "last": newest,
            "added": added,
            "durations": lengths,
            "discontinuities": new().filter(|s| s.discontinuity).map(|s| s.msn).collect::<Vec<_>>(),
            "gaps": new().filter(|s| s.gap).map(|s| s.msn).collect::<Vec<_>>(),
            "target_duration": shown.target.as_secs(),
            "discontinuity_sequence": shown.discontinuity_sequence,
            "ended": shown.ended,
        });
        self.event(at, place, "grew", fields, &text);
    }

    /// A rule was broken.
    pub fn breach(&mut self, breach: &Breach) {
        let mut fields = json!({
            "rule": breach.rule.as_str(),
            "basis": breach.rule.basis(),
            "msn": breach.msn,
            "expected": breach.expected,
            "found": breach.found,
            "text": breach.sentence,
        });
        if let (Some(other), Value::Object(fields)) = (&breach.other, &mut fields) {
            fields.insert("other_url".to_owned(), (other.url + 1).into());
        }
        let rule = breach.rule;
        let text = format!("BREACH {} ({}): {}", rule.as_str(), rule.basis(), breach.sentence);
        self.event(breach.at, &breach.place, "breach", fields, &text);
    }

    /// None of a split's numbers is listed any more.
    pub fn split_over(&mut self, place: &Place, split: &Split) {
        let at = split.over_at.unwrap_or(split.since);
        let text = format!("SPLIT OVER: {}", told(split));
        self.event(at, place, "split_over", fields(split), &text);
    }

    /// What it all came to; `totals` are segments and bytes fetched, and breaches.
    pub fn summary(
        &mut self,
        at: Duration,
        summaries: &BTreeMap<Place, Summary>,
        splits: &[&Split],
        totals: (u64, u64, u64),
    ) {
        let (fetched, bytes, breaches) = totals;
        if self.json {
            let each: Vec<Value> = summaries
                .iter()
                .map(|(place, s)| {
                    json!({
                        "url": place.url + 1, "rendition": place.rendition, "segments": s.segments,
                        "discontinuities": s.discontinuities, "gaps": s.gaps,
                        "longest_wait_ms": milliseconds(s.longest_wait),
                    })
                })
                .collect();
            let line = json!({
                "event": "summary", "at_ms": milliseconds(at), "playlists": each,
                "splits": splits.iter().map(|s| fields(s)).collect::<Vec<_>>(),
                "fetched": fetched, "bytes": bytes, "breaches": breaches,
            });
            self.line(&line.to_string());
            return;
        }
        self.line("");
        for (place, s) in summaries {
            self.line(&format!(
                "{:<6} segments {}, discontinuities {}, gaps {}, longest wait {:.1} s",
                place.to_string(),
                s.segments,
                s.discontinuities,
                s.gaps,
                s.longest_wait.as_secs_f64()
            ));
        }
        for split in splits {
            self.line(&format!("split  {}", told(split)));
        }
        #[allow(clippy::cast_precision_loss)] // shown with one decimal
        let megabytes = bytes as f64 / 1e6;
        let verdict = match breaches {
            0 => "no breach".to_owned(),
            1 => "1 breach".to_owned(),
            n => format!("{n} breaches"),
        };
        self.line(&format!(
            "{:.0} s watched, {fetched} segments fetched, {megabytes:.1} MB: {verdict}",
            at.as_secs_f64()
        ));
    }

    fn event(&mut self, at: Duration, place: &Place, event: &str, fields: Value, text: &str) {
        if !self.json {
            self.line(&format!("{} {:<6} {text}", time_of_day(), place.to_string()));
            return;
        }
        let mut object = json!({
            "event": event, "at_ms": milliseconds(at), "time": time_of_day(),
            "url": place.url + 1, "rendition": place.rendition,
        });
        if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
            object.extend(fields);
        }
        self.line(&object.to_string());
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

fn fields(split: &Split) -> Value {
    let [one, other] = &split.between;
    json!({
        "urls": [one.url + 1, other.url + 1], "rendition": one.rendition,
        "first": split.first, "last": split.last, "numbers": split.numbers,
        "since_ms": milliseconds(split.since), "over_ms": split.over_at.map(milliseconds),
        "agree_from": split.agree_from,
    })
}

/// Which URLs, which numbers, since when and until when.
fn told(split: &Split) -> String {
    let Split { between: [one, other], first, last, numbers, since, .. } = split;
    let mut text = match numbers {
        1 => format!("{one} and {other} differ in segment {first}"),
        n => format!("{one} and {other} differ in {n} segments, {first} to {last}"),
    };
    if let Some(from) = split.agree_from {
        let _ = write!(text, ", and agree from {from} on");
    }
    let _ = write!(text, "; it began {:.1} s into the watch", since.as_secs_f64());
    match split.over_at {
        Some(at) => {
            let lasted = at.saturating_sub(*since).as_secs_f64();
            let _ = write!(text, " and was over after {lasted:.1} s");
        }
        None => text += " and is not over",
    }
    text
}

/// The window as it stands: a mark per segment, `|` at discontinuities, `_` where there is a gap.
fn strip(shown: &Shown) -> String {
    let hidden = shown.segments.len().saturating_sub(STRIP_MAX);
    let mut strip = if hidden > 0 { format!("{}\u{2026}", shown.first_msn) } else { String::new() };
    for segment in shown.segments.iter().skip(hidden) {
        if segment.discontinuity {
            strip.push('|');
        }
        strip.push(if segment.gap { '_' } else { '\u{25aa}' });
    }
    strip
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
