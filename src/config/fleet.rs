//! The other proxies: where they are asked, who they are, what they share.

use std::net::{IpAddr, SocketAddr};

use super::section::{Report, Section};
use super::values::{Secret, token_key};
use super::{Config, StoreSpec, hosts, lines, one_of};
use crate::model::names::is_proxy_id;

/// This proxy among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Where other proxies ask.
    pub listen: SocketAddr,
    /// Where others are told to ask, for those that find each other through the store; none: found out.
    pub advertise: Option<SocketAddr>,
    /// What it is called; none: made, and kept beside the segments.
    pub id: Option<String>,
    /// Names or addresses with ports; empty: others are found through the store.
    pub peers: Vec<(String, u16)>,
    /// One proxy of a zone fetches a stream for all of it; otherwise each for itself.
    pub one_per_zone: bool,
    /// What questions are signed with; none: derived from the token keys.
    pub key: Option<Secret<Vec<u8>>>,
}

/// Other proxies at the most, as many as are asked.
const PEERS_MAX: usize = crate::model::fleet::PROXIES_MAX;

impl Fleet {
    /// Reads `fleet`. None where it is absent: alone.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let set = section.has("fleet");
        let fleet = section.section("fleet", |section| Self::read_keys(section, set));
        set.then_some(fleet)
    }

    fn read_keys(section: &Section<'_>, set: bool) -> Self {
        let claimed = |text: &str| {
            let address = hosts::address(text)?;
            let path = section.path.key("listen");
            section.report.claim("address", &address.to_string(), &path).map(|()| address)
        };
        let any = SocketAddr::from(([0, 0, 0, 0], 8090));
        let listen = section.parsed("listen", claimed).unwrap_or(any);
        if set && !section.has("listen") {
            // The default is claimed as well.
            let _told = claimed(&any.to_string()).map_err(|why| section.error("listen", why));
        }
        let mut peers = section.parsed_list("peers", &[], |_, text| place(text));
        if peers.len() > PEERS_MAX {
            section.error("peers", format!("has {} and may have {PEERS_MAX}", peers.len()));
        }
        let named = section.parsed("peers_name", place);
        if named.is_some() && !peers.is_empty() {
            section.error("peers_name", "stands beside peers; write one of the two");
        }
        peers.extend(named);
        let fetch = |text: &str| one_of(text, &[("each", false), ("one_per_zone", true)]);
        Self {
            listen,
            advertise: section.parsed("advertise", reachable),
            id: section.parsed("id", id),
            peers,
            one_per_zone: section.parsed("fetch", fetch).unwrap_or(false),
            key: section.parsed("key", token_key),
        }
    }
}

/// What must hold between the fleet and the rest.
pub(super) fn check(config: &Config, report: &Report) {
    let Some(fleet) = &config.fleet else { return };
    let top = lines::Path::default().key("fleet");
    if fleet.listen == config.admin {
        let text = format!("address `{}` stands at admin already", fleet.listen);
        report.error(&top.key("listen"), text);
    }
    let alone = match &config.store {
        StoreSpec::Memory => Some("is of this process alone"),
        StoreSpec::Sqlite(_) => Some("is of this machine alone"),
        StoreSpec::Redis(_) => None,
    };
    if let Some(alone) = alone {
        let text = format!(
            "`{}` {alone}: the proxies of a fleet carry the same lanes only through a store that all reach",
            config.store
        );
        report.warning(&lines::Path::default().key("store"), text);
    }
    if config.store == StoreSpec::Memory && fleet.peers.is_empty() {
        let text = "finds nobody: others are found by peers, by peers_name, or through a store that they share";
        report.error(&top, text);
    }
    if config.store == StoreSpec::Memory && config.token_keys.is_empty() && fleet.key.is_none() {
        let text = "is missing: without it and without token_keys each proxy makes a key of its own, and none \
                    believes another";
        report.error(&top.key("key"), text);
    }
    if config.segments.dir.is_none() && fleet.id.is_none() {
        let text = "is new with each start, since `segments.dir: off` keeps nothing";
        report.warning(&top.key("id"), text);
    }
    if fleet.one_per_zone && config.zone.is_empty() {
        report.warning(&top.key("fetch"), "proxies without a `zone` count as one zone");
    }
}

/// An address that others can ask.
fn reachable(text: &str) -> Result<SocketAddr, String> {
    let address = hosts::address(text)?;
    if address.ip().is_unspecified() {
        return Err(format!(
            "`{address}` is no address that others can ask; leave it out, or write the own one"
        ));
    }
    Ok(address)
}

fn id(text: &str) -> Result<String, String> {
    if !is_proxy_id(text) {
        return Err(format!(
            "`{text}` may have 1 to 64 of a-z, 0-9 and -, and does not begin with -"
        ));
    }
    Ok(text.to_owned())
}

/// `HOST:PORT`; the host a name or an address, IPv6 in brackets.
fn place(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no place to ask; write ADDRESS:PORT or NAME:PORT");
    let text = hosts::host_header(text).map_err(|_| wrong())?;
    let (host, port) =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
    let port = port.parse::<u16>().map_err(|_| wrong())?;
    let bare = host.trim_matches(['[', ']']);
    let host =
        bare.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |ip| ip.to_string());
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, want) in [
            ("10.0.0.1:8090", Some(("10.0.0.1", 8090))),
            ("[fd00::0:1]:8090", Some(("fd00::1", 8090))),
            ("Segue.Internal:1", Some(("segue.internal", 1))),
            ("10.0.0.1", None),
            ("name", None),
            ("name:0", None),
            ("[::1]", None),
            (":8090", None),
            ("http://a:80", None),
        ] {
            let got = place(text).ok();
            assert_eq!(got.as_ref().map(|(host, port)| (host.as_str(), *port)), want, "{text}");
        }
    }
}
