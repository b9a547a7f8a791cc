//! A Web Call Server's statistics: lines of `key=value`. Versions differ in their keys, so whatever
//! comes is kept, up to a limit.

use std::collections::BTreeMap;

use super::LoadError;

/// Keys that are kept of one report.
const KEYS_MAX: usize = 256;
/// Bytes of a key, and of a value; longer ones are passed over.
const WORD_MAX: usize = 128;

/// What one report says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    values: BTreeMap<String, String>,
    left_out: usize,
}

/// How far a value may go.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Not above this.
    AtMost(String, f64),
    /// Not below this.
    AtLeast(String, f64),
}

impl Stats {
    /// Reads a report. Lines that are no `key=value` are passed over; of the keys beyond the limit only
    /// the number is kept.
    ///
    /// # Errors
    /// Where there is no `key=value` at all.
    pub fn read(body: &[u8]) -> Result<Self, LoadError> {
        let mut stats = Self::default();
        let text = String::from_utf8_lossy(body);
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            if key.is_empty() || key.len() > WORD_MAX || !key.bytes().all(plain) {
                continue;
            }
            // Older versions leave the plural out.
            let key = if key == "connection_websocket" { "connections_websocket" } else { key };
            let is_new = !stats.values.contains_key(key);
            if value.len() > WORD_MAX || (is_new && stats.values.len() >= KEYS_MAX) {
                stats.left_out += 1;
                continue;
            }
            stats.values.insert(key.to_owned(), value.to_owned());
        }
        if stats.values.is_empty() { Err(LoadError::Other("list of key=value")) } else { Ok(stats) }
    }

    /// All that was kept, by key, as it was written.
    #[must_use]
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Values that were not kept, being too many or too long.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// The number of a key; none where it is not there or is no number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.values.get(key)?.parse::<f64>().ok().filter(|n| n.is_finite())
    }

    /// The number of a key as a count.
    #[must_use]
    pub fn count(&self, key: &str) -> Option<u64> {
        let value = self.values.get(key)?;
        value.parse().ok().or_else(|| {
            // Some keys are written with a fraction.
            let (whole, fraction) = value.split_once('.')?;
            fraction.bytes().all(|b| b.is_ascii_digit()).then(|| whole.parse().ok())?
        })
    }
}

impl Bound {
    /// How the report breaks this bound, in words. A key that is not there breaks none: versions
    /// differ in what they tell.
    #[must_use]
    pub fn broken_by(&self, stats: &Stats) -> Option<String> {
        match self {
            Self::AtMost(key, most) => {
                let value = stats.number(key).filter(|value| value > most)?;
                Some(format!("{key} is {value}, over {most}"))
            }
            Self::AtLeast(key, least) => {
                let value = stats.number(key).filter(|value| value < least)?;
                Some(format!("{key} is {value}, under {least}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "connections=12\nconnections_rtmfp=0\nconnections_websocket=3\n\
        connections_hls=9\nports_media_free=499\nstreams_viewers=7\nstreams_synchronization=a/1;b/0\n\
        native_resources=0\ncore_java_committedMemory=1024\ndegraded_streams_percent=12.5\nnew_key=x\n";

    #[test]
    fn values_by_key() {
        let stats = Stats::read(SAMPLE.as_bytes()).unwrap();
        for (key, value, number, count) in [
            ("connections_hls", Some("9"), Some(9.0), Some(9)),
            ("degraded_streams_percent", Some("12.5"), Some(12.5), Some(12)),
            ("streams_synchronization", Some("a/1;b/0"), None, None),
            ("new_key", Some("x"), None, None),
            ("connection_websocket", None, None, None),
        ] {
            assert_eq!(stats.values().get(key).map(String::as_str), value, "{key}");
            assert_eq!((stats.number(key), stats.count(key)), (number, count), "{key}");
        }
    }

    #[test]
    fn both_spellings_are_one_key() {
        for text in ["connection_websocket=4", "connections_websocket = 4 \r\n"] {
            let stats = Stats::read(text.as_bytes()).unwrap();
            assert_eq!(stats.count("connections_websocket"), Some(4), "{text:?}");
            assert_eq!(stats.values().len(), 1);
        }
    }

    #[test]
    fn what_is_no_report() {
        for text in ["", "ok", "<html><a href=\"x\">no</a></html>", "=1", "\u{fffd}=1"] {
            assert!(Stats::read(text.as_bytes()).is_err(), "{text:?}");
        }
        for text in ["a=", "a=b=c", "<html>\na=1"] {
            assert!(Stats::read(text.as_bytes()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let many = (0..1000).map(|n| format!("k{n}={n}")).collect::<Vec<_>>().join("\n");
        let stats = Stats::read(many.as_bytes()).unwrap();
        assert_eq!((stats.values().len(), stats.left_out()), (KEYS_MAX, 1000 - KEYS_MAX));
        let long = format!("a=1\n{}=1\nb={}\n", "k".repeat(WORD_MAX + 1), "v".repeat(WORD_MAX + 1));
        assert_eq!(Stats::read(long.as_bytes()).unwrap().values().len(), 1);
    }

    #[test]
    fn bounds() {
        let most = |key: &str, n| Bound::AtMost(key.to_owned(), n);
        let least = |key: &str, n| Bound::AtLeast(key.to_owned(), n);
        let stats = Stats::read(SAMPLE.as_bytes()).unwrap();
        for (bound, broken) in [
            (
                most("degraded_streams_percent", 12.0),
                Some("degraded_streams_percent is 12.5, over 12"),
            ),
            (most("degraded_streams_percent", 12.5), None),
            (least("ports_media_free", 500.0), Some("ports_media_free is 499, under 500")),
            (least("ports_media_free", 499.0), None),
            (most("new_key", 0.0), None),
            (least("no_such_key", 1.0), None),
        ] {
            assert_eq!(bound.broken_by(&stats).as_deref(), broken, "{bound:?}");
        }
    }
}
