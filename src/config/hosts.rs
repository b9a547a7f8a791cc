//! Names and addresses of a configuration: how each is read and what is said of a bad one.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::model::names::is_plain_name;

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err("wants a port other than 0".to_owned()),
        Ok(address) => Ok(address),
        Err(_) => Err(format!(
            "`{text}` is no address; write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080"
        )),
    }
}

/// An id, a zone or a pool's name.
pub(super) fn id(text: &str) -> Result<String, String> {
    if !is_plain_name(text) {
        return Err(format!(
            "`{text}` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -"
        ));
    }
    Ok(text.to_owned())
}

/// A pattern of hosts: `*`, `*.example.com` or an exact name; in lower case.
pub(super) fn host_pattern(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let name = text.strip_prefix("*.").unwrap_or(&text);
    if text == "*" || is_host(name) {
        return Ok(text);
    }
    Err(format!("`{text}` is no host; write a name without scheme and port, *.example.com, or *"))
}

/// A DNS name or an IP address (IPv6 in brackets).
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    is_dns_name(text)
}

fn is_dns_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(letter);
    text.len() <= 253 && text.split('.').all(label)
}

/// The name that a TLS server is asked for (SNI).
pub(super) fn server_name(text: &str) -> Result<String, String> {
    if is_dns_name(text) && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{text}` is no DNS name"))
}

/// The name of a header.
pub(super) fn header_name(text: &str) -> Result<http::HeaderName, String> {
    text.parse().map_err(|_| format!("`{text}` is no name of a header"))
}

/// A network of addresses, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let one = |address: IpAddr| IpNet::from(address);
    text.parse().or_else(|_| text.parse().map(one)).map_err(|_| {
        format!("`{text}` is no network; write such as 10.0.0.0/8, fd00::/8 or 10.0.0.1")
    })
}

/// The value of a Host header: `HOST[:PORT]`.
pub(super) fn host_header(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if is_host(host) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no host; write NAME or NAME:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["*", "*.Example.com", "a", "a.b-c.d", "[::1]", "10.0.0.1"] {
            assert!(host_pattern(good).is_ok(), "{good}");
        }
        for bad in ["", "*a", "a.*", "http://a", "a:80", "a..b", "a/b", "[x]", "*.*"] {
            assert!(host_pattern(bad).is_err(), "{bad}");
        }
        for (text, ok) in [
            ("a:80", true),
            ("a", true),
            ("[::1]:80", true),
            ("a:b", false),
            ("a:0", false),
            ("a b", false),
        ] {
            assert_eq!(host_header(text).is_ok(), ok, "{text}");
        }
    }
}
