//! Paths to ask for, and where a redirect leads.

use std::fmt::Write as _;

use http::Uri;

use super::OriginError;
use super::endpoint::{Endpoint, bare, port_of};

/// Bytes of a path with its query.
const PATH_MAX: usize = 8 << 10;
/// Characters of a foreign location that an error repeats.
const SHOWN_MAX: usize = 200;

/// `path` as it can stand in a request line: absolute, without fragment, each byte that HTTP does
/// not allow there percent-encoded (playlists hold spaces and raw UTF-8).
pub(super) fn request_target(path: &str) -> Result<String, OriginError> {
    let path = path.split('#').next().unwrap_or_default();
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(OriginError::Protocol("a path that is not absolute".to_owned()));
    }
    let mut target = String::with_capacity(path.len());
    for byte in path.bytes() {
        if matches!(byte, 0x21..=0x7e)
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
        {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}");
        }
    }
    if target.len() > PATH_MAX {
        return Err(OriginError::Protocol(format!("a path over {PATH_MAX} bytes")));
    }
    Ok(target)
}

/// Where `location`, found in the answer to `from`, leads on this packager (RFC 9110, 10.2.2).
/// Another scheme, host or port is an error: a redirect must not lead into the network.
pub(super) fn redirect_target(
    endpoint: &Endpoint,
    from: &str,
    location: &str,
) -> Result<String, OriginError> {
    // Without its query, which may be a copy of what we or a viewer showed.
    let shown = location.split(['?', '#']).next().unwrap_or_default();
    let elsewhere = || OriginError::Redirect(shown.chars().take(SHOWN_MAX).collect());
    let location = location.trim();
    let scheme = if endpoint.tls { "https" } else { "http" };
    if location.starts_with("//") || has_scheme(location) {
        let absolute = if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else {
            location.to_owned()
        };
        let uri: Uri = absolute.parse().map_err(|_| elsewhere())?;
        if !same_server(endpoint, scheme, &uri) {
            return Err(elsewhere());
        }
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let slash = if target.starts_with('/') { "" } else { "/" };
        return request_target(&format!("{slash}{target}"));
    }
    let base = from.split(['?', '#']).next().unwrap_or("/");
    if location.starts_with('/') {
        request_target(location)
    } else if location.starts_with('?') {
        request_target(&format!("{base}{location}"))
    } else if location.is_empty() {
        Err(elsewhere())
    } else {
        let folder = base.rfind('/').map_or("/", |i| base.get(..=i).unwrap_or("/"));
        request_target(&without_dots(&format!("{folder}{location}")))
    }
}

/// A scheme and a colon come before anything else (RFC 3986, 3.1).
fn has_scheme(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

fn same_server(endpoint: &Endpoint, scheme: &str, uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else {
        return false;
    };
    if uri.scheme_str() != Some(scheme) || authority.as_str().contains('@') {
        return false;
    }
    // A packager that builds its redirects from the Host header names the override.
    if endpoint.host_header.as_deref().is_some_and(|h| h.eq_ignore_ascii_case(authority.as_str())) {
        return true;
    }
    bare(authority.host()).eq_ignore_ascii_case(&endpoint.host)
        && port_of(authority, endpoint.tls) == Some(endpoint.port)
}

/// RFC 3986, 5.2.4, on the path before a query.
fn without_dots(target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (path, want) in [
            ("/a.ts", Some("/a.ts")),
            ("/a b.ts?x=1#f", Some("/a%20b.ts?x=1")),
            ("/каша.ts", Some("/%D0%BA%D0%B0%D1%88%D0%B0.ts")),
            ("/a%20b", Some("/a%20b")),
            ("/a\r\nX: y", Some("/a%0D%0AX:%20y")),
            ("a.ts", None),
            ("//evil/a.ts", None),
            ("", None),
        ] {
            assert_eq!(request_target(path).ok().as_deref(), want, "{path:?}");
        }
        assert!(request_target(&format!("/{}", "a".repeat(PATH_MAX))).is_err());
    }

    #[test]
    fn redirects() {
        let mut e = Endpoint::from_url("http://pack:8080").unwrap();
        e.host_header = Some("live.example.com".into());
        for (location, want) in [
            ("/x/y.m3u8?a=1", Some("/x/y.m3u8?a=1")),
            ("z.m3u8", Some("/live/z.m3u8")),
            ("../z.m3u8?u=http://x", Some("/z.m3u8?u=http://x")),
            ("../../../z.m3u8", Some("/z.m3u8")),
            ("./", Some("/live/")),
            ("?s=2", Some("/live/cam.m3u8?s=2")),
            ("http://pack:8080/q", Some("/q")),
            ("HTTP://PACK:8080/q", Some("/q")),
            ("http://pack:8080", Some("/")),
            ("//pack:8080/q", Some("/q")),
            ("http://live.example.com/q", Some("/q")),
            ("https://pack:8080/q", None),
            ("http://pack:8081/q", None),
            ("http://pack/q", None),
            ("http://pack:80800/q", None),
            ("http://other:8080/q", None),
            ("http://u@pack:8080/q", None),
            ("//169.254.169.254/latest", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            let got = redirect_target(&e, "/live/cam.m3u8?t=1", location).ok();
            assert_eq!(got.as_deref(), want, "{location}");
        }
    }
}
