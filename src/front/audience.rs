//! What the front tells of viewers, and asks before it lets one in. One call for each playlist: it is on
//! every request's way, so whoever is told must not wait.

use std::net::IpAddr;

use http::{HeaderName, header};
use pingora::http::RequestHeader;

use super::client::Client;
use super::request::text;
use crate::model::lane::Header;
use crate::model::names::StreamKey;
use crate::model::viewers::{Visit, cmcd};

/// Header of players that send CMCD in headers (CTA-5004, 2).
const CMCD_SESSION: HeaderName = HeaderName::from_static("cmcd-session");

/// Whoever was let in.
#[derive(Default)]
pub struct Admission {
    /// The id that his token is to carry, where viewers are told exactly.
    pub viewer: Option<String>,
    /// Held until he has his lane.
    pub place: Option<Box<dyn Send>>,
}

/// As many watch as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Who is told.
pub trait Audience: Send + Sync {
    /// Somebody asks for the entry playlist; `sid`: the session id of his player, if it sends one.
    fn admit(&self, stream: &StreamKey, sid: Option<&str>) -> Result<Admission, Full>;
    /// He was given a lane.
    fn arrived(&self, visit: &Visit<'_>);
    /// Somebody was given a media playlist. `fresh`: of a rendition of which every viewer plays one, and
    /// not known to him before.
    fn asked(&self, visit: &Visit<'_>, fresh: bool);
}

/// Everybody is let in, nobody is counted.
pub struct Uncounted;

impl Audience for Uncounted {
    fn admit(&self, _: &StreamKey, _: Option<&str>) -> Result<Admission, Full> {
        Ok(Admission::default())
    }
    fn arrived(&self, _: &Visit<'_>) {}
    fn asked(&self, _: &Visit<'_>, _: bool) {}
}

/// What a request says of whoever makes it.
pub(super) struct Teller<'a> {
    client: Option<IpAddr>,
    user_agent: &'a [u8],
    sid: Option<std::borrow::Cow<'a, str>>,
}

impl<'a> Teller<'a> {
    pub fn of(request: &'a RequestHeader, query: Option<&'a str>, asks: Client) -> Self {
        let of_header = || text(request, &CMCD_SESSION).and_then(cmcd::sid).map(Into::into);
        let sid = query.and_then(cmcd::sid_of_query).or_else(of_header);
        let user_agent = request.headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes);
        let client = own_address(request, asks);
        Self { client, user_agent: user_agent.unwrap_or_default(), sid }
    }

    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// The same as a visit to a lane. `viewer`: the one in the token.
    pub fn visit<'b>(&'b self, lane: &'b Header, viewer: Option<&'b str>) -> Visit<'b> {
        Visit {
            stream: &lane.stream,
            lane: &lane.lane,
            target_seconds: lane.target_duration,
            viewer,
            sid: self.sid(),
            client: self.client,
            user_agent: self.user_agent,
        }
    }
}

/// Headers of what stands between a viewer and Segue.
static BETWEEN: [HeaderName; 5] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-amz-cf-id"),
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("cdn-loop"),
];

/// The viewer's own address. Where it is not known which peers are proxies (`trusted_proxies`), and a load
/// balancer or a cache seems to be the peer, nothing is known of it.
fn own_address(request: &RequestHeader, asks: Client) -> Option<IpAddr> {
    let between = || BETWEEN.iter().any(|name| request.headers.contains_key(name));
    asks.address.filter(|_| asks.certain || !between())
}

/// Every viewer plays one rendition of this kind at a time: those of audio and subtitles come beside.
pub(super) fn is_main(rendition: &str) -> bool {
    rendition.starts_with('v')
}
