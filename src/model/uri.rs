//! A playlist's URIs, resolved to what is asked of the packager (RFC 3986, 5.2), and the endings
//! that names in our URLs may have.

use std::fmt::Write as _;

/// Longest path and query that is asked of a packager, bytes.
const PATH_BYTES_MAX: usize = 8192;

/// Endings of segments that players know. Nothing else becomes part of our names.
const SEGMENT_ENDINGS: [&str; 15] = [
    "ts", "aac", "mp3", "ac3", "ec3", "m4s", "mp4", "m4a", "m4v", "cmfv", "cmfa", "cmft", "vtt",
    "webvtt", "m2ts",
];
/// Endings of init segments.
const INIT_ENDINGS: [&str; 7] = ["mp4", "m4s", "m4a", "m4v", "cmfv", "cmfa", "cmft"];

/// Why a URI leads nowhere on the packager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It names another host.
    #[error("the URI leads to another host: {authority}")]
    Elsewhere {
        /// Host and port as written.
        authority: String,
    },
    /// Not HTTP: `data:`, `skd:` and the like.
    #[error("the URI's scheme is not HTTP")]
    Scheme,
    /// Nothing but a fragment, or control characters.
    #[error("not a URI of a resource")]
    Bad,
    /// The path is over 8 KiB.
    #[error("the URI is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
}

/// The absolute path and query on the packager that `uri` means inside the playlist at
/// `playlist_path` (absolute, perhaps with a query). Dot segments and fragments are gone, and
/// what an HTTP request cannot hold is percent-encoded.
///
/// `own_hosts` are the names by which the packager may call itself in absolute URLs: `name` or
/// `name:port`. A name without a port stands for the scheme's own port.
///
/// # Errors
/// See [`UriError`].
pub fn resolve(playlist_path: &str, uri: &str, own_hosts: &[String]) -> Result<String, UriError> {
    let uri = uri.trim();
    let uri = uri.split('#').next().unwrap_or(uri);
    if uri.is_empty() || uri.chars().any(char::is_control) {
        return Err(UriError::Bad);
    }
    let base = playlist_path.split(['?', '#']).next().unwrap_or(playlist_path);
    let (path, query) = cut_query(local(uri, own_hosts)?);
    if path.starts_with('/') {
        finish(path, query)
    } else if path.is_empty() {
        finish(base, query)
    } else {
        let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
        finish(&format!("{folder}/{path}"), query)
    }
}

/// Takes scheme and host away, if they are the packager's: what is left begins at the root. A
/// relative URI stays as it is.
fn local<'a>(uri: &'a str, own_hosts: &[String]) -> Result<&'a str, UriError> {
    let (port, rest) = match scheme(uri) {
        None => match uri.strip_prefix("//") {
            Some(rest) => ("", rest),
            None => return Ok(uri),
        },
        Some((name, rest)) => {
            let port = if name.eq_ignore_ascii_case("http") {
                "80"
            } else if name.eq_ignore_ascii_case("https") {
                "443"
            } else {
                return Err(UriError::Scheme);
            };
            (port, rest.strip_prefix("//").ok_or(UriError::Scheme)?)
        }
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(UriError::Bad)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if !own_hosts.iter().any(|own| same_host(own, host, port)) {
        return Err(UriError::Elsewhere { authority: host.to_owned() });
    }
    match path.strip_prefix('?') {
        None if path.is_empty() => Ok("/"),
        None => Ok(path),
        // `http://host?query`: no packager writes it, and there is no text to borrow for `/?`.
        Some(_) => Err(UriError::Bad),
    }
}

/// The scheme before the colon, if there is one, and what follows.
fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (name, rest) = uri.split_once(':')?;
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(known))
        .then_some((name, rest))
}

/// Both name one host and port; `port` is the scheme's own, empty if unknown.
fn same_host(own: &str, host: &str, port: &str) -> bool {
    let (own_name, own_port) = cut_port(own);
    let (name, host_port) = cut_port(host);
    own_name.eq_ignore_ascii_case(name) && own_port.unwrap_or(port) == host_port.unwrap_or(port)
}

fn cut_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // Inside brackets the colon belongs to an IPv6 address.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            (name, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (authority, None),
    }
}

fn cut_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

fn finish(path: &str, query: Option<&str>) -> Result<String, UriError> {
    let mut whole = String::with_capacity(path.len() + query.map_or(0, |q| q.len() + 1));
    encode(&without_dots(path), &mut whole);
    if let Some(query) = query {
        // A `?` in a path part arrives encoded, so this is the only one that cuts.
        whole.push('?');
        encode(query, &mut whole);
    }
    if whole.len() > PATH_BYTES_MAX {
        return Err(UriError::TooLong);
    }
    Ok(whole)
}

/// RFC 3986, 5.2.4. Never leaves the root; encoded dots count as dots.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(part) = parts.next() {
        let dots = dots(part);
        if dots == 2 {
            kept.pop();
        }
        if dots == 0 {
            kept.push(part);
        } else if parts.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// 1 for `.`, 2 for `..`, also encoded; 0 for anything else.
fn dots(part: &str) -> usize {
    let mut rest = part;
    let mut count = 0;
    while !rest.is_empty() {
        let Some(next) = rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"))
        else {
            return 0;
        };
        rest = next;
        count += 1;
    }
    if count > 2 { 0 } else { count }
}

/// Percent-encodes what a request line cannot hold; what is encoded already stays.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b' ' | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(into, "%{byte:02X}");
            }
            _ => into.push(char::from(byte)),
        }
    }
}

/// The ending of a segment's name in our URLs: that of `path` if players know it, else `ts`, or
/// `m4s` where an EXT-X-MAP is in force.
#[must_use]
pub fn extension_of(path: &str, mapped: bool) -> &'static str {
    ending(path, &SEGMENT_ENDINGS).unwrap_or(if mapped { "m4s" } else { "ts" })
}

/// The ending of an init segment's name in our URLs; `mp4` if that of `path` is not known.
#[must_use]
pub fn init_extension_of(path: &str) -> &'static str {
    ending(path, &INIT_ENDINGS).unwrap_or("mp4")
}

/// `extension` is one that `extension_of` gives.
#[must_use]
pub fn is_segment_extension(extension: &str) -> bool {
    SEGMENT_ENDINGS.contains(&extension)
}

/// `extension` is one that `init_extension_of` gives.
#[must_use]
pub fn is_init_extension(extension: &str) -> bool {
    INIT_ENDINGS.contains(&extension)
}

fn ending(path: &str, known: &[&'static str]) -> Option<&'static str> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, ending) = name.rsplit_once('.')?;
    known.iter().copied().find(|known| known.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<String> {
        vec!["packager.example".into(), "127.0.0.1:8951".into(), "[::1]:1935".into()]
    }

    #[test]
    fn resolves_what_packagers_write() {
        let base = "/live/cam/playlist.m3u8?DVR";
        let cases = [
            ("media_1.ts", "/live/cam/media_1.ts"),
            ("media_0.ts?isPrimary=true&a=/../b", "/live/cam/media_0.ts?isPrimary=true&a=/../b"),
            ("/live/x.m3u8?hls_ctx=abc", "/live/x.m3u8?hls_ctx=abc"),
            ("../b/./c.ts", "/live/b/c.ts"),
            ("../../../../etc/passwd", "/etc/passwd"),
            ("%2e%2E/x.ts", "/live/x.ts"),
            ("...ts", "/live/cam/...ts"),
            ("a/..", "/live/cam/"),
            ("a/b/.", "/live/cam/a/b/"),
            ("?x=1", "/live/cam/playlist.m3u8?x=1"),
            ("a.ts#t=1", "/live/cam/a.ts"),
            ("http://packager.example/a/../b.ts?q", "/b.ts?q"),
            ("HTTP://Packager.Example:80/b.ts", "/b.ts"),
            ("https://packager.example:443/b.ts", "/b.ts"),
            ("http://user:pass@127.0.0.1:8951/b.ts", "/b.ts"),
            ("//packager.example/b.ts", "/b.ts"),
            ("//127.0.0.1:8951/b.ts", "/b.ts"),
            ("http://[::1]:1935/b.ts", "/b.ts"),
            ("http://packager.example", "/"),
            ("my cam \"1\".ts", "/live/cam/my%20cam%20%221%22.ts"),
            ("ü.ts", "/live/cam/%C3%BC.ts"),
            ("a%20b.ts", "/live/cam/a%20b.ts"),
            ("./mp4:cam.ts", "/live/cam/mp4:cam.ts"),
            ("/a//b.ts", "/a//b.ts"),
        ];
        for (uri, wanted) in cases {
            assert_eq!(resolve(base, uri, &hosts()).as_deref(), Ok(wanted), "{uri}");
        }
    }

    #[test]
    fn refuses_what_leads_elsewhere() {
        let elsewhere = |authority: &str| UriError::Elsewhere { authority: authority.into() };
        let cases = [
            ("http://other.example/a.ts", elsewhere("other.example")),
            ("http://packager.example:81/a.ts", elsewhere("packager.example:81")),
            ("http://127.0.0.1/a.ts", elsewhere("127.0.0.1")),
            ("http://packager.example@other.example/a.ts", elsewhere("other.example")),
            ("//other.example/a.ts", elsewhere("other.example")),
            ("//packager.example:81/a.ts", elsewhere("packager.example:81")),
            ("data:text/plain,hi", UriError::Scheme),
            ("skd://key", UriError::Scheme),
            ("http:a.ts", UriError::Scheme),
            ("#x", UriError::Bad),
            ("http://packager.example?x", UriError::Bad),
            ("", UriError::Bad),
            ("a\u{0}b", UriError::Bad),
            ("a\r\nHost: x", UriError::Bad),
        ];
        for (uri, wanted) in cases {
            assert_eq!(resolve("/live/cam.m3u8", uri, &hosts()), Err(wanted), "{uri}");
        }
        let long = "a".repeat(PATH_BYTES_MAX);
        assert_eq!(resolve("/cam.m3u8", &long, &[]), Err(UriError::TooLong));
    }

    #[test]
    fn endings_are_from_a_safe_set() {
        let cases = [
            ("/a/media_1.ts?x=.mp4", false, "ts"),
            ("/a/b.TS", false, "ts"),
            ("/a/b.aac", false, "aac"),
            ("/a/b.m4s", true, "m4s"),
            ("/a.mp4/b", true, "m4s"),
            ("/a/b.exe", false, "ts"),
            ("/a/b.exe", true, "m4s"),
            ("/a/b.webvtt", false, "webvtt"),
            ("/a/b", false, "ts"),
        ];
        for (path, mapped, wanted) in cases {
            assert_eq!(extension_of(path, mapped), wanted, "{path}");
            assert!(is_segment_extension(wanted));
        }
        assert_eq!(init_extension_of("/a/ce0c_init.mp4"), "mp4");
        assert_eq!(init_extension_of("/a/init.cmfv?x"), "cmfv");
        assert_eq!(init_extension_of("/a/init.ts"), "mp4");
    }
}
