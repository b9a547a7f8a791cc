//! A health check by a playlist that must advance: a packager whose HTTP server lives while its feed is
//! lost shows the same list for ever.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::multivariant::{Asked, Multivariant};
use crate::model::names::{PackagerId, PackagerMsn};
use crate::model::playlist::{self, Limits, Shape};
use crate::model::uri;
use crate::origin::{Client, PageAsk};

/// Bytes of a playlist.
const BYTES_MAX: u64 = 4 << 20;
/// Addresses of which something is remembered: more than one name has.
const ADDRESSES_MAX: usize = 64;

/// A playlist that must advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advancing {
    /// Its path: a media playlist, or a multivariant one, of which the first rendition counts.
    pub path: String,
    /// It may show nothing new for this long.
    pub stands: Duration,
}

/// What was seen at each address.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<SocketAddr, Standing>>);

#[derive(Clone, Default)]
struct Standing {
    /// Where the media playlist is. Asked for again and again, since each request for a multivariant
    /// playlist may begin a session.
    media: Option<String>,
    newest: Option<(PackagerMsn, String)>,
    since: Option<Instant>,
}

impl Seen {
    /// The error says in one line why the playlist is of no use.
    pub(super) async fn check(
        &self,
        client: &Client,
        packager: &PackagerId,
        address: SocketAddr,
        wanted: &Advancing,
        deadline: Duration,
    ) -> Result<(), String> {
        let mut standing = self.0.lock().get(&address).cloned().unwrap_or_default();
        let found = look(client, packager, address, wanted, deadline, &mut standing).await;
        if found.is_err() {
            standing.media = None;
        }
        let result = found.and_then(|newest| standing.take(newest, wanted, Instant::now()));
        let mut all = self.0.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            all.clear();
        }
        all.insert(address, standing);
        result
    }
}

impl Standing {
    fn take(
        &mut self,
        newest: Option<(PackagerMsn, String)>,
        wanted: &Advancing,
        now: Instant,
    ) -> Result<(), String> {
        if self.since.is_none() || newest != self.newest {
            (self.newest, self.since) = (newest, Some(now));
            return Ok(());
        }
        let stood = self.since.map_or(Duration::ZERO, |since| now - since);
        if stood <= wanted.stands {
            return Ok(());
        }
        Err(format!("{} has stood still for {} s", wanted.path, stood.as_secs()))
    }
}

/// The newest segment that the playlist lists.
async fn look(
    client: &Client,
    packager: &PackagerId,
    address: SocketAddr,
    wanted: &Advancing,
    deadline: Duration,
    standing: &mut Standing,
) -> Result<Option<(PackagerMsn, String)>, String> {
    let mut path = standing.media.clone().unwrap_or_else(|| wanted.path.clone());
    // The multivariant playlist, then the media playlist.
    for _ in 0..2 {
        let ask = PageAsk { path: &path, authorization: None, bytes_max: BYTES_MAX, deadline };
        let page = client.page_at(packager, address, ask).await;
        let page = page.map_err(|e| format!("{}: {e}", wanted.path))?;
        if page.status != 200 {
            return Err(format!("{path} answered {}", page.status));
        }
        let bad = |why: String| format!("{path}: {why}");
        let shape = playlist::shape(&page.body).map_err(|e| bad(e.to_string()))?;
        if shape == Shape::Media {
            let list = playlist::parse(&page.body, &Limits::default());
            let list = list.map_err(|e| bad(e.to_string()))?;
            standing.media = Some(path);
            return Ok(list.segments.last().map(|s| (s.msn, s.uri.clone())));
        }
        let hosts = client.own_hosts(packager);
        let asked = Asked { path: &path, own_hosts: &hosts };
        let list = Multivariant::read(&page.body, &Limits::default(), &asked);
        let list = list.map_err(|e| bad(e.to_string()))?;
        let first = list.found.first().ok_or_else(|| bad("names no playlist".to_owned()))?;
        path = uri::resolve(&path, &first.uri, &hosts).map_err(|e| bad(e.to_string()))?;
    }
    Err(format!("{} leads to no media playlist", wanted.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_stands_still_is_no_health() {
        let wanted = Advancing { path: "/x.m3u8".to_owned(), stands: Duration::from_secs(10) };
        let mut standing = Standing::default();
        let began = Instant::now();
        let segment = |n: u64, uri: &str| Some((PackagerMsn(n), uri.to_owned()));
        for (at, newest, well) in [
            (0, None, true),
            (9, None, true),
            (11, None, false),
            (12, segment(1, "a.ts"), true),
            (22, segment(1, "a.ts"), true),
            (23, segment(1, "a.ts"), false),
            // A restart numbers from 0 again.
            (24, segment(0, "a.ts"), true),
            (25, segment(0, "b.ts"), true),
            (35, segment(0, "b.ts"), true),
            (36, segment(0, "b.ts"), false),
        ] {
            let now = began + Duration::from_secs(at);
            assert_eq!(standing.take(newest, &wanted, now).is_ok(), well, "after {at} s");
        }
    }
}
