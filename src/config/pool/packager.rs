//! One packager of a pool.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

use super::super::hosts;
use super::super::section::Section;
use super::super::values::{PackagerUrl, ca_file};
use super::kind::PackagerKind;
use super::{Group, GroupSource, must_be_there, required};
use crate::model::names::PackagerId;

/// One packager of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Packager {
    /// Its id, unique over all pools.
    pub id: PackagerId,
    /// Where it answers. Of a group's file each item has its own.
    pub url: PackagerUrl,
    /// It stands for packagers that come and go, each of which is like it but for id and URL.
    pub group: Option<Group>,
    /// The zone it stands in; empty for none.
    pub zone: String,
    /// Its share of new lanes against others, from 1.
    pub weight: u32,
    /// What it can carry, in lanes or in what its kind says that it carries; none: not known.
    pub capacity: Option<u64>,
    /// The Host header; none: that of the URL.
    pub host: Option<String>,
    /// Headers sent with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM file of the CA that signs its certificate; none: the system's.
    pub ca: Option<PathBuf>,
    /// The name that TLS asks for and checks; none: the host.
    pub sni: Option<String>,
    /// Which program it is, and how it is asked what it carries.
    pub kind: PackagerKind,
}

impl Packager {
    /// Reads one item of `packagers`. None where id or URL are missing or bad, which is a problem told.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let id = required(section, "id", "packager");
        let url = section.parsed("url", PackagerUrl::parse);
        let ca = section.parsed("ca", ca_file);
        let sni = section.parsed("sni", hosts::server_name);
        let kind = PackagerKind::read(section);
        let admin = kind.report().and_then(|report| report.admin.as_ref());
        let admin_tls = admin.is_some_and(|admin| admin.tls);
        if url.as_ref().is_some_and(|url| !url.tls) && !admin_tls {
            for (key, set) in [("ca", ca.is_some()), ("sni", sni.is_some())] {
                if set {
                    section.error(key, "is of use only with an https url");
                }
            }
        }
        let zone = section.parsed("zone", hosts::id).unwrap_or_default();
        let weight = section.small("weight", 1, 1..=1000);
        let capacity = section.number_if_set("capacity", 1..=1_000_000_000);
        let host = section.parsed("host", hosts::host_header);
        let headers = headers(section, &OWN_HEADERS);
        let group = Group::read(section, url.as_ref());
        let listed = matches!(&group, Some(Group { source: GroupSource::File(_), .. }));
        if !listed {
            must_be_there(section, "url");
        }
        let url = url.or_else(|| listed.then(PackagerUrl::none));
        let (id, url) = (PackagerId::new(id?), url?);
        Some(Self { id, url, group, zone, weight, capacity, host, headers, ca, sni, kind })
    }
}

/// Headers that Segue sets itself.
pub(super) const OWN_HEADERS: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-none-match",
    "range",
    "te",
    "transfer-encoding",
];

/// The map `headers`, without those that Segue sets itself. Their values are for no log.
pub(in crate::config) fn headers(
    section: &Section<'_>,
    own: &[&str],
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = BTreeMap::new();
    for (path, name, value) in section.names("headers") {
        let Ok(name) = HeaderName::try_from(&name) else {
            section.report.error(&path, "is no name of a header");
            continue;
        };
        if own.contains(&name.as_str()) {
            let hint = if name == http::header::HOST {
                "use the key `host`"
            } else {
                "Segue sets this header itself"
            };
            section.report.error(&path, format!("cannot be set here: {hint}"));
            continue;
        }
        let Ok(mut value) = HeaderValue::try_from(value) else {
            section.report.error(&path, "has a value that no header can carry: visible ASCII only");
            continue;
        };
        // Often an Authorization: not for logs.
        value.set_sensitive(true);
        if headers.insert(name.as_str().to_owned(), (name, value)).is_some() {
            section.report.error(&path, "stands twice: names of headers do not differ by case");
        }
    }
    headers.into_values().collect()
}
