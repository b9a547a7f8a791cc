//! Who asks: the viewer's address and the host that he asked for, as far as proxies before Segue are
//! believed. `X-Forwarded-For` and `X-Forwarded-Host` count from trusted peers only: anybody else can write
//! into them what he likes.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::errors::Failure;
use super::request;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Addresses of `X-Forwarded-For` that are looked at, from the right.
const HOPS_MAX: usize = 32;

/// The networks of the proxies before Segue (CDN, load balancer). None: nobody is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(pub Vec<IpNet>);

impl Trusted {
    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The viewer's address, or that of the nearest proxy which is not trusted to name him. None where the
    /// connection has none.
    pub address: Option<IpAddr>,
    /// It is certain to be the viewer's: it is known which peers are proxies.
    pub certain: bool,
    /// The peer is trusted to say which host was asked for.
    trusted_peer: bool,
}

impl Client {
    /// Who is at the other end of `session`.
    pub(super) fn of(session: &Session, trusted: &Trusted) -> Self {
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let peer = peer.map(|address| address.ip().to_canonical());
        Self {
            address: address(peer, &session.req_header().headers, trusted),
            certain: !trusted.0.is_empty(),
            trusted_peer: peer.is_some_and(|peer| trusted.holds(peer)),
        }
    }

    /// The host that the viewer asked for, lower case, without port: the first of `X-Forwarded-Host` where
    /// the peer is trusted and writes it.
    pub(super) fn host<'a>(&self, request: &'a RequestHeader) -> Result<Cow<'a, str>, Failure> {
        let forwarded = || request.headers.get(&FORWARDED_HOST);
        match self.trusted_peer.then(forwarded).flatten() {
            Some(value) => {
                let all = value.to_str().map_err(|_| Failure::Host)?;
                request::host_in(all.split(',').next().unwrap_or(all).trim())
            }
            None => request::host(request),
        }
    }
}

/// The address of whoever asks, through `peer`: the rightmost of `X-Forwarded-For` that is not trusted, where
/// the peer is. What cannot be read is not believed, nor is what stands before it.
#[must_use]
pub fn address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &Trusted) -> Option<IpAddr> {
    let mut nearest = peer?;
    if !trusted.holds(nearest) {
        return Some(nearest);
    }
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for hop in hops.map(str::trim).take(HOPS_MAX) {
        let Some(address) = read(hop) else { break };
        nearest = address;
        if !trusted.holds(address) {
            break;
        }
    }
    Some(nearest)
}

/// An address as proxies write it: also with a port, IPv6 then in brackets.
fn read(hop: &str) -> Option<IpAddr> {
    let host = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if hop.matches(':').count() == 1 => hop.split_once(':')?.0,
        None => hop,
    };
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Trusted {
        Trusted(["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"].map(|n| n.parse().unwrap()).into())
    }

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn whose_address_it_is() {
        for (peer, forwarded, wanted) in [
            // Nobody else is believed.
            ("9.9.9.9", &["1.1.1.1"][..], "9.9.9.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            // What stands before the rightmost that is not trusted may be made up.
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6,1.1.1.1 , 10.9.9.9"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1", "10.9.9.9"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["10.2.2.2, 10.9.9.9"], "10.2.2.2"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711, fd00::1"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("fd00::1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, unknown, 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &["1.1.1.1, "], "10.0.0.1"),
            ("10.0.0.1", &["\u{e4}"], "10.0.0.1"),
        ] {
            let headers = headers(&FORWARDED_FOR, forwarded);
            let peer = Some(peer.parse().unwrap());
            let found = address(peer, &headers, &trusted());
            assert_eq!(found, Some(wanted.parse().unwrap()), "{peer:?} {forwarded:?}");
        }
        let many = vec!["10.1.1.1"; HOPS_MAX + 1].join(",");
        let headers = headers(&FORWARDED_FOR, &[&format!("1.1.1.1,{many}")]);
        let peer = "10.0.0.1".parse().ok();
        assert_eq!(address(peer, &headers, &trusted()), "10.1.1.1".parse().ok());
        assert_eq!(address(peer, &headers, &Trusted::default()), peer);
        assert_eq!(address(None, &headers, &trusted()), None);
    }

    #[test]
    fn which_host_it_is_for() {
        for (trusted_peer, forwarded, wanted) in [
            (false, &["evil.example"][..], Some("real.example")),
            (true, &[], Some("real.example")),
            (true, &["Media.Example:443"], Some("media.example")),
            (true, &["media.example, evil.example"], Some("media.example")),
            (true, &["media.example", "evil.example"], Some("media.example")),
            (true, &[""], None),
            (true, &[", evil.example"], None),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.append_header("host", "real.example").unwrap();
            for value in forwarded {
                request.append_header(FORWARDED_HOST, *value).unwrap();
            }
            let client = Client { trusted_peer, ..Client::default() };
            assert_eq!(client.host(&request).ok().as_deref(), wanted, "{forwarded:?}");
        }
    }
}
