//! One message of what happens to many lanes at once: the failure of one packager splices all of its
//! lanes, one soon after the other, and nobody wants a message for each.

use std::time::Duration;

use super::{FIRST_MAX, Kind, News};
use crate::model::names::UnixMs;

/// A bundle is told so long after the last one came to it,
const QUIET: Duration = Duration::from_secs(2);
/// and so long after the first at the latest. Lanes leave a dead packager when they next ask it, which is
/// once in a segment.
const WITHIN: Duration = Duration::from_secs(10);

/// Messages that wait for others of their kind, pool and packager. There are never more than packagers
/// times three.
#[derive(Debug, Default)]
pub struct Bundles {
    open: Vec<Bundle>,
}

#[derive(Debug)]
struct Bundle {
    first: UnixMs,
    last: UnixMs,
    news: News,
}

impl Bundles {
    /// Takes `news`: given back where it is of a kind that is told at once.
    pub fn add(&mut self, now: UnixMs, news: News) -> Option<News> {
        if !matches!(news.kind, Kind::Splice | Kind::NoStandby | Kind::StandbyBack) {
            return Some(news);
        }
        let alike = |open: &News| {
            (open.kind, &open.pool, &open.packager) == (news.kind, &news.pool, &news.packager)
        };
        if let Some(open) = self.open.iter_mut().find(|open| alike(&open.news)) {
            open.last = now;
            open.news.count += news.count;
            let room = FIRST_MAX.saturating_sub(open.news.first.len());
            open.news.first.extend(news.first.into_iter().take(room));
        } else {
            self.open.push(Bundle { first: now, last: now, news });
        }
        None
    }

    /// Those whose time has come, in the order in which they began.
    pub fn due(&mut self, now: UnixMs) -> Vec<News> {
        let is_due = |b: &Bundle| now.since(b.last) >= QUIET || now.since(b.first) >= WITHIN;
        let all = std::mem::take(&mut self.open);
        let (due, open): (Vec<Bundle>, Vec<Bundle>) = all.into_iter().partition(is_due);
        self.open = open;
        due.into_iter().map(|bundle| bundle.news).collect()
    }

    /// All that wait, whether their time has come or not.
    pub fn rest(&mut self) -> Vec<News> {
        std::mem::take(&mut self.open).into_iter().map(|bundle| bundle.news).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::{PackagerId, PoolName};
    use crate::model::notify::Affected;

    fn spliced(at: u64, from: &str, stream: &str) -> News {
        let affected = Affected { stream: stream.into(), lane: None, spliced: None };
        let news = News::of_one(Kind::Splice, UnixMs(at), PoolName::new("live"), affected);
        News { packager: Some(PackagerId::new(from)), ..news }
    }

    #[test]
    fn many_lanes_of_one_packager_are_one_message() {
        let mut bundles = Bundles::default();
        for n in 0..1500 {
            let news = spliced(1000 + n, "a", &format!("/s{n}"));
            assert_eq!(bundles.add(UnixMs(1000 + n), news), None);
        }
        bundles.add(UnixMs(3000), spliced(3000, "c", "/other"));
        assert_eq!(bundles.due(UnixMs(4498)), []);
        let told = bundles.due(UnixMs(4499));
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].count, told[0].first.len(), told[0].at),
            (1500, FIRST_MAX, UnixMs(1000))
        );
        assert_eq!(told[0].first[9].stream, "/s9");
        assert_eq!(bundles.rest().len(), 1, "that of c waits");
        assert_eq!(bundles.due(UnixMs(9999)), []);
    }

    #[test]
    fn what_happens_later_is_another_message() {
        let mut bundles = Bundles::default();
        bundles.add(UnixMs(0), spliced(0, "a", "/s"));
        assert_eq!(bundles.due(UnixMs(2000)).len(), 1);
        bundles.add(UnixMs(2100), spliced(2100, "a", "/s"));
        assert_eq!(bundles.due(UnixMs(4000)).len(), 0);
        assert_eq!(bundles.due(UnixMs(4100)).len(), 1);
    }

    #[test]
    fn a_message_does_not_wait_for_ever() {
        let mut bundles = Bundles::default();
        let mut told = Vec::new();
        for second in 0..25 {
            let now = UnixMs(second * 1000);
            bundles.add(now, spliced(now.0, "a", "/s"));
            told.extend(bundles.due(now));
        }
        assert_eq!(told.iter().map(|news| news.count).collect::<Vec<_>>(), [11, 11]);
    }

    #[test]
    fn the_rest_is_told_at_once() {
        let news = News::test(UnixMs(0));
        assert_eq!(Bundles::default().add(UnixMs(0), news.clone()), Some(news));
    }
}
