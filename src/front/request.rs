//! What is checked of every request before its path is read: method, host, sizes.

use std::borrow::Cow;

use http::{Method, header};
use pingora::http::RequestHeader;

use super::errors::Failure;
use super::settings::Settings;

/// What is wanted of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// GET.
    All,
    /// HEAD: what GET would answer, without its body.
    HeaderOnly,
    /// OPTIONS: which requests a page of another site may make.
    Preflight,
}

/// What a request wants, if it is one that the front answers at all.
pub fn want(request: &RequestHeader, settings: &Settings) -> Result<Want, Failure> {
    if request.raw_path().len() > settings.uri_bytes_max {
        return Err(Failure::UriTooLong);
    }
    let header_bytes: usize =
        request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > settings.header_bytes_max {
        return Err(Failure::HeadersTooLarge);
    }
    match request.method {
        Method::GET => Ok(Want::All),
        Method::HEAD => Ok(Want::HeaderOnly),
        Method::OPTIONS => Ok(Want::Preflight),
        _ => Err(Failure::Method),
    }
}

/// The host that a request is for, lower case, without port: the authority of the URI (HTTP/2 and
/// absolute form), else the one Host header (RFC 9112, 3.2). The dot that may end a full name is left out.
pub fn host(request: &RequestHeader) -> Result<Cow<'_, str>, Failure> {
    if let Some(host) = request.uri.host() {
        return lower(host);
    }
    let mut all = request.headers.get_all(header::HOST).iter();
    let (Some(one), None) = (all.next(), all.next()) else {
        return Err(Failure::Host);
    };
    host_in(one.to_str().map_err(|_| Failure::Host)?)
}

/// The same of the text of a header, which may hold a port.
pub fn host_in(authority: &str) -> Result<Cow<'_, str>, Failure> {
    lower(without_port(authority))
}

fn lower(text: &str) -> Result<Cow<'_, str>, Failure> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::Host);
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(text.to_ascii_lowercase().into());
    }
    Ok(text.into())
}

/// `[::1]:80` and `name:80` without the port.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => {
            // `[::1` would be cut inside the brackets of an address without port.
            if host.starts_with('[') && !host.ends_with(']') { authority } else { host }
        }
        _ => authority,
    }
}

/// The first value of a header as text.
pub fn text<'a>(request: &'a RequestHeader, name: &header::HeaderName) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

/// `Accept-Encoding` allows gzip (RFC 9110, 12.5.3).
#[must_use]
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    let mut any = None;
    for coding in accept_encoding.split(',') {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let allowed = match parameters.trim().strip_prefix("q=") {
            Some(q) => q.trim().parse::<f32>().is_ok_and(|q| q > 0.0),
            None => true,
        };
        match name.trim() {
            n if n.eq_ignore_ascii_case("gzip") || n.eq_ignore_ascii_case("x-gzip") => {
                return allowed;
            }
            "*" => any = Some(allowed),
            _ => {}
        }
    }
    any.unwrap_or(false)
}

/// `If-None-Match` names `etag` (RFC 9110, 13.1.2; the weak comparison).
#[must_use]
pub fn none_match_names(if_none_match: &str, etag: &str) -> bool {
    if_none_match
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host_values: &[&str], uri: &str) -> RequestHeader {
        let mut request = RequestHeader::build("GET", uri.as_bytes(), None).unwrap();
        for value in host_values {
            request.append_header("host", *value).unwrap();
        }
        request
    }

    #[test]
    fn hosts() {
        let cases = [
            ("Media.Example.com:8080", Some("media.example.com")),
            ("media.example.com", Some("media.example.com")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("Media.Example.com.", Some("media.example.com")),
            ("media.example.com.:443", Some("media.example.com")),
            ("media.example.com..", Some("media.example.com.")),
            (".", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let request = request(&[value], "/");
            assert_eq!(host(&request).ok().as_deref(), expected, "{value}");
        }
        assert!(host(&request(&[], "/")).is_err(), "no Host");
        assert!(host(&request(&["a", "b"], "/")).is_err(), "two Hosts");
    }

    #[test]
    fn gzip_is_taken_only_where_allowed() {
        let cases = [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
            ("gzip;q=rubbish", false),
        ];
        for (header, expected) in cases {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }

    #[test]
    fn if_none_match_lists() {
        assert!(none_match_names("\"a\", W/\"b\"", "\"b\""));
        assert!(none_match_names("*", "\"b\""));
        assert!(!none_match_names("\"b-gz\"", "\"b\""));
    }
}
