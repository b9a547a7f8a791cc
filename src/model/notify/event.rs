//! One event and its JSON: the body of a webhook's POST.

use serde::Serialize;

use crate::model::lane::Splice;
use crate::model::names::{LaneId, OutputMsn, PackagerId, PoolName, UnixMs};
use crate::model::playlist::date;

/// How many of those that an event is about are named in it; the rest is only counted.
pub const FIRST_MAX: usize = 10;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A packager fails its checks, and nobody took it out.
    PackagerDown,
    /// One that was told as down is up again.
    PackagerUp,
    /// Lanes went on in another run, of another packager or of the same.
    Splice,
    /// Streams have no sibling that could take over.
    NoStandby,
    /// They have one again.
    StandbyBack,
    /// A stream that was not carried is carried now.
    StreamStarted,
    /// A stream is over, or nobody asks for it any more.
    StreamEnded,
    /// Somebody tries whether messages arrive.
    Test,
}

impl Kind {
    /// All that happen by themselves: what a hook can be asked to tell.
    pub const ALL: [Self; 7] = [
        Self::PackagerDown,
        Self::PackagerUp,
        Self::Splice,
        Self::NoStandby,
        Self::StandbyBack,
        Self::StreamStarted,
        Self::StreamEnded,
    ];

    /// The name in configuration and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PackagerDown => "packager_down",
            Self::PackagerUp => "packager_up",
            Self::Splice => "splice",
            Self::NoStandby => "no_standby",
            Self::StandbyBack => "standby_back",
            Self::StreamStarted => "stream_started",
            Self::StreamEnded => "stream_ended",
            Self::Test => "test",
        }
    }
}

/// Who tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proxy {
    /// The zone that the proxy stands in; empty for none.
    pub zone: String,
    /// The name of its machine.
    pub host: String,
}

/// A splice as `/status.json` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spliced {
    /// The number of the first step after it.
    pub msn: OutputMsn,
    /// The packager that was come to.
    pub to: PackagerId,
    /// Where in its segments: `keyframe`, `border`, `border, since it is encrypted`.
    pub at: &'static str,
    /// The rest.
    #[serde(flatten)]
    pub splice: Splice,
}

/// One of those that an event is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Affected {
    /// The stream's path and identity query.
    pub stream: String,
    /// The lane, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneId>,
    /// How it was spliced, where it was.
    #[serde(flatten)]
    pub spliced: Option<Spliced>,
}

/// An event before it has an id.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: UnixMs,
    /// In which pool.
    pub pool: Option<PoolName>,
    /// The packager that it is about: the one that is down, or that lanes left, or that carries alone.
    pub packager: Option<PackagerId>,
    /// Why, in a few words.
    pub cause: String,
    /// How many lanes or streams it is about.
    pub count: usize,
    /// The first of them, [`FIRST_MAX`] at most.
    pub first: Vec<Affected>,
}

impl News {
    /// Of one lane or stream.
    #[must_use]
    pub fn of_one(kind: Kind, at: UnixMs, pool: PoolName, affected: Affected) -> Self {
        let (pool, first) = (Some(pool), vec![affected]);
        Self { kind, at, pool, packager: None, cause: String::new(), count: 1, first }
    }

    /// Of a packager.
    #[must_use]
    pub fn of_packager(kind: Kind, at: UnixMs, pool: PoolName, packager: PackagerId) -> Self {
        let (pool, packager) = (Some(pool), Some(packager));
        Self { kind, at, pool, packager, cause: String::new(), count: 0, first: Vec::new() }
    }

    /// Whether messages arrive.
    #[must_use]
    pub fn test(at: UnixMs) -> Self {
        let (kind, cause) = (Kind::Test, String::new());
        Self { kind, at, pool: None, packager: None, cause, count: 0, first: Vec::new() }
    }

    /// Says why.
    #[must_use]
    pub fn since(self, cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), ..self }
    }

    /// The body of the POST. `id` names this event for ever, also when it is sent again.
    #[must_use]
    pub fn body(&self, id: &str, proxy: &Proxy) -> String {
        let one = self.first.first().filter(|_| self.count == 1);
        let body = Body {
            id,
            event: self.kind,
            at: date::text(self.at.0),
            at_unix_ms: self.at,
            proxy,
            pool: self.pool.as_ref(),
            packager: self.packager.as_ref(),
            stream: one.map(|one| one.stream.as_str()),
            lane: one.and_then(|one| one.lane.as_ref()),
            cause: &self.cause,
            count: self.count,
            first: &self.first,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Every event has every field, so that whoever reads it need not ask which there are.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    event: Kind,
    at: String,
    at_unix_ms: UnixMs,
    proxy: &'a Proxy,
    pool: Option<&'a PoolName>,
    packager: Option<&'a PackagerId>,
    stream: Option<&'a str>,
    lane: Option<&'a LaneId>,
    cause: &'a str,
    count: usize,
    first: &'a [Affected],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lane::{SpliceMethod, SpliceReason};

    #[test]
    fn a_splice_is_written_as_documented() {
        let (from, to) = (PackagerId::new("a"), PackagerId::new("b"));
        let (reason, method) = (SpliceReason::Failed, SpliceMethod::Keyframe);
        let splice = Splice { from: from.clone(), reason, method, gap_ms: 0 };
        let affected = Affected {
            stream: "/live/cam/playlist.m3u8".into(),
            lane: Some(LaneId::new("a-9f3c1e4b")),
            spliced: Some(Spliced { msn: OutputMsn(1_795_452_717), to, at: "keyframe", splice }),
        };
        let at = UnixMs(1_795_968_352_123);
        let news = News::of_one(Kind::Splice, at, PoolName::new("live"), affected);
        let news = News { packager: Some(from), ..news }.since("failed");
        let proxy = Proxy { zone: "az1".into(), host: "proxy-1".into() };
        let body: serde_json::Value = serde_json::from_str(&news.body("0f", &proxy)).unwrap();
        let expected = serde_json::json!({
            "id": "0f", "event": "splice",
            "at": "2026-11-29T16:05:52.123Z", "at_unix_ms": 1_795_968_352_123_u64,
            "proxy": { "zone": "az1", "host": "proxy-1" },
            "pool": "live", "packager": "a",
            "stream": "/live/cam/playlist.m3u8", "lane": "a-9f3c1e4b",
            "cause": "failed", "count": 1,
            "first": [{
                "stream": "/live/cam/playlist.m3u8", "lane": "a-9f3c1e4b",
                "msn": 1_795_452_717, "to": "b", "at": "keyframe",
                "from": "a", "reason": "failed", "method": "keyframe", "gap_ms": 0,
            }],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn every_field_is_always_there() {
        let proxy = Proxy { zone: String::new(), host: "h".into() };
        let down = News::of_packager(
            Kind::PackagerDown,
            UnixMs(0),
            PoolName::new("live"),
            PackagerId::new("a"),
        );
        let keys = |news: &News| {
            let body: serde_json::Value = serde_json::from_str(&news.body("1", &proxy)).unwrap();
            body.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&down), keys(&News::test(UnixMs(0))));
        assert_eq!(keys(&down).len(), 12);
    }

    #[test]
    fn names_are_those_of_the_json() {
        for kind in Kind::ALL.into_iter().chain([Kind::Test]) {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
