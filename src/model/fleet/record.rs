//! What a proxy says of itself in the store, where others that share it look.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PROXIES_MAX;
use crate::model::names::{ProxyId, UnixMs};

/// A record that has not been written again for this long is of a proxy that is gone. Clocks of proxies may differ
/// by minutes: whether one answers is what hello tells.
const HOLDS: Duration = Duration::from_secs(420);
/// Then anybody may take it away.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// And then whatever others' clocks say: no clock is ahead by so much.
const LOST: Duration = Duration::from_secs(86_400);
/// Longest record that is read, bytes.
const BYTES_MAX: usize = 1024;

/// One proxy, as it registers itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: ProxyId,
    /// Where it answers other proxies: address and port.
    pub at: String,
    /// When this was written, by its own clock.
    pub written: UnixMs,
}

impl Record {
    /// All records' names begin so.
    pub const PREFIX: &str = "proxy/";

    /// The name under which it is kept.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", Self::PREFIX, self.id)
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Those of `texts` that hold, newest first, as many as a fleet may have; and those that are so old that
    /// they can go, by the clock of the newest of the others as well as by that of `own`, which may be ahead.
    #[must_use]
    pub fn read(texts: &[String], now: UnixMs, own: &ProxyId) -> (Vec<Self>, Vec<Self>) {
        let short = texts.iter().filter(|text| text.len() <= BYTES_MAX);
        let all = short.filter_map(|text| serde_json::from_str::<Self>(text).ok());
        let (mut hold, old): (Vec<Self>, Vec<Self>) =
            all.partition(|record| now.since(record.written) < HOLDS);
        let others = hold.iter().chain(&old).filter(|record| record.id != *own);
        let newest = others.map(|record| record.written).max();
        let by_others = newest.map_or(now, |newest| newest.min(now));
        let gone = |record: &Self| {
            by_others.since(record.written) > FORGOTTEN || now.since(record.written) > LOST
        };
        let gone = old.into_iter().filter(gone).collect();
        hold.sort_by(|a, b| b.written.cmp(&a.written).then_with(|| a.id.cmp(&b.id)));
        hold.truncate(PROXIES_MAX);
        (hold, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written so long before `now`.
    fn record(now: UnixMs, id: &str, ago_s: u64) -> Record {
        Record {
            id: ProxyId::new(id),
            at: "10.0.0.1:8090".to_owned(),
            written: now.minus(Duration::from_secs(ago_s)),
        }
    }

    #[test]
    fn who_has_not_written_for_long_is_gone() {
        let now = UnixMs(10_000_000);
        let record = |id: &str, ago_s: u64| record(now, id, ago_s);
        let written =
            [record("old", 400), record("new", 1), record("late", 500), record("ancient", 3601)];
        let mut texts: Vec<String> = written.iter().map(Record::text).collect();
        texts.extend([String::new(), "{}".to_owned(), "x".repeat(5000)]);
        // One whose clock is ahead.
        let ahead = Record { written: now.plus(Duration::from_secs(60)), ..record("ahead", 0) };
        texts.push(ahead.text());
        let own = ProxyId::new("own");
        let (hold, gone) = Record::read(&texts, now, &own);
        let ids = |records: &[Record]| records.iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(&hold), ["ahead", "new", "old"]);
        assert_eq!(ids(&gone), ["ancient"]);
        let many: Vec<String> = (0..100).map(|n| record(&format!("p{n}"), n).text()).collect();
        let (hold, _) = Record::read(&many, now, &own);
        assert_eq!((hold.len(), hold[0].id.as_str()), (PROXIES_MAX, "p0"));
    }

    #[test]
    fn who_is_ahead_of_all_others_takes_none_of_them_away() {
        let now = UnixMs(1_000_000_000);
        let record = |id: &str, ago_s: u64| record(now, id, ago_s);
        let gone = |records: &[Record]| {
            let texts: Vec<String> = records.iter().map(Record::text).collect();
            let (_, gone) = Record::read(&texts, now, &ProxyId::new("own"));
            gone.iter().map(|r| r.id.to_string()).collect::<Vec<_>>()
        };
        let own = record("own", 30);
        let ahead = [own.clone(), record("a", 4000), record("b", 4030), record("ancient", 8000)];
        assert_eq!(gone(&ahead), ["ancient"]);
        let right = [own.clone(), record("a", 20), record("b", 4030), record("ancient", 8000)];
        assert_eq!(gone(&right), ["b", "ancient"]);
        assert_eq!(
            gone(&[own, record("a", 90_000), record("b", 4000)]),
            ["a"],
            "nobody is a day ahead"
        );
    }
}
