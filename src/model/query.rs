//! Queries by their names: which of a viewer's are for a packager's authorisation, and how ours are put
//! into a packager's URLs and taken out of what it answers.

use std::fmt::Write as _;

/// Longest query for authorisation that is passed on, bytes.
pub const AUTH_BYTES_MAX: usize = 4096;

/// What authorises a viewer is longer than [`AUTH_BYTES_MAX`]. Cut off it would mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query for authorisation is longer than {AUTH_BYTES_MAX} bytes")]
pub struct TooLong;

/// `name` is one of `patterns`: names, or with a `*` at their end what names begin with.
#[must_use]
pub fn is_among(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

/// The pairs of a request's query whose names are among `patterns`, as they were written and in their
/// order, `&`-joined.
///
/// # Errors
/// [`TooLong`].
pub fn auth_query(query: Option<&str>, patterns: &[String]) -> Result<String, TooLong> {
    let mut kept = String::new();
    for pair in query.unwrap_or_default().split('&') {
        if !is_among(name_of(pair), patterns) {
            continue;
        }
        if kept.len() + pair.len() >= AUTH_BYTES_MAX {
            return Err(TooLong);
        }
        if !kept.is_empty() {
            kept.push('&');
        }
        kept.push_str(pair);
    }
    Ok(kept)
}

/// The Unix second at which a viewer who was let in at `now_unix_s` is to come again: after
/// `lifetime_s`, or earlier where the query `name` says so.
///
/// Rounded down to a sixtieth of `lifetime_s`, so that viewers who come at about the same time share
/// their URLs, and a CDN caches once for them. What the query names is taken to the second; 0 stands for
/// no end (Wowza), and what is no number says nothing. Names and values are decoded, as packagers do.
#[must_use]
pub fn expiry(query: &str, name: Option<&str>, now_unix_s: u64, lifetime_s: u64) -> u64 {
    let step = (lifetime_s / 60).max(1);
    let own = now_unix_s.saturating_add(lifetime_s) / step * step;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(found, value)| (decode(found), decode(value)));
    let named = pairs.filter(|(found, _)| Some(&**found) == name).filter_map(|(_, value)| {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        value.parse::<u64>().ok().filter(|seconds| digits && *seconds > 0)
    });
    named.chain([own]).min().unwrap_or(own)
}

/// `target` (path and query) with those of `pairs` that it does not have by name already.
#[must_use]
pub fn with_pairs(target: &str, pairs: &[(String, String)]) -> String {
    let query = target.split_once('?').map(|(_, query)| query);
    let has = |name: &str| query.is_some_and(|q| q.split('&').any(|pair| name_of(pair) == name));
    let mut whole = target.to_owned();
    let mut separator = match query {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    for (name, value) in pairs.iter().filter(|(name, _)| !has(name)) {
        // Writing to a String cannot fail.
        let _ = write!(whole, "{separator}{name}={value}");
        separator = "&";
    }
    whole
}

/// How `pairs` may be written by a packager that copies queries into what it lists: as they are,
/// decoded, or encoded.
#[must_use]
pub fn forms(pairs: &[(String, String)]) -> Vec<String> {
    let mut forms = Vec::new();
    for (name, value) in pairs {
        let decoded = decode(value);
        let encoded = encode(&decoded);
        let lower = lower_hex(&encoded);
        for value in [value, &decoded, &encoded, &lower] {
            let form = format!("{name}={value}");
            if !value.is_empty() && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    // One may be the beginning of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms
}

/// The same with `%2f` for `%2F`.
fn lower_hex(encoded: &str) -> String {
    let mut hex = 0;
    let lower = |c: char| {
        if c == '%' {
            hex = 2;
        } else if hex > 0 {
            hex -= 1;
            return c.to_ascii_lowercase();
        }
        c
    };
    encoded.chars().map(lower).collect()
}

/// `body` without the pairs that `forms` names, where they stand in a URL's query. None: it holds none.
#[must_use]
pub fn without_forms(body: &[u8], forms: &[String]) -> Option<Vec<u8>> {
    let mut changed: Option<Vec<u8>> = None;
    for form in forms {
        // Once more where it stands twice in a row.
        while let Some(without) = without(changed.as_deref().unwrap_or(body), form.as_bytes()) {
            changed = Some(without);
        }
    }
    changed
}

fn without(body: &[u8], form: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut from = 0;
    let finder = memchr::memmem::Finder::new(form);
    for at in finder.find_iter(body) {
        let Some(separator) = at.checked_sub(1).filter(|s| *s >= from) else { continue };
        let end = at + form.len();
        let next = body.get(end).copied();
        let ends = next.is_none_or(|b| b.is_ascii_whitespace() || b"&\"#<>'".contains(&b));
        let begin = match body.get(separator) {
            _ if !ends => continue,
            // What follows takes its place behind the question mark.
            Some(b'?') if next == Some(b'&') => at,
            Some(b'?' | b'&') => separator,
            _ => continue,
        };
        kept.extend_from_slice(body.get(from..begin).unwrap_or_default());
        from = if begin == at { end + 1 } else { end };
    }
    (from > 0).then(|| {
        kept.extend_from_slice(body.get(from..).unwrap_or_default());
        kept
    })
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or(pair)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).filter(|_| first == b'%');
        let hex = pair.and_then(|(hex, after)| {
            let hex = std::str::from_utf8(hex).ok()?;
            Some((u8::from_str_radix(hex, 16).ok()?, after))
        });
        let (byte, after) = hex.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_authorises_is_taken_as_it_was_written() {
        let patterns = names(&["appKey", "wowzatoken*"]);
        for (query, wanted) in [
            (None, ""),
            (Some(""), ""),
            (Some("DVR&x=1"), ""),
            (
                Some("appKey=a&DVR&wowzatokenhash=b%3D&appKey"),
                "appKey=a&wowzatokenhash=b%3D&appKey",
            ),
            (
                Some("wowzatokenendtime=9&wowzatoken=&wowzatoke=1"),
                "wowzatokenendtime=9&wowzatoken=",
            ),
            (Some("appkey=a&appKeys=b&xappKey=c&wowza%74oken=d"), ""),
        ] {
            assert_eq!(auth_query(query, &patterns).as_deref(), Ok(wanted), "{query:?}");
        }
        let long = format!("appKey={}", "x".repeat(AUTH_BYTES_MAX));
        assert_eq!(auth_query(Some(&long), &patterns), Err(TooLong));
        assert_eq!(auth_query(Some(&long), &[]).as_deref(), Ok(""));
    }

    #[test]
    fn whoever_is_in_comes_again() {
        let end = Some("endtime");
        for (query, name, lifetime, wanted) in [
            ("", None, 10, 1010),
            ("endtime=1005", None, 10, 1010),
            ("endtime=1005", end, 10, 1005),
            ("endtime=9999", end, 10, 1010),
            ("endtime=900", end, 10, 900),
            ("endtime=0", end, 10, 1010),
            ("endtime=+5&endtime=x&endtime", end, 10, 1010),
            ("endtime=1007&endtime=1003", end, 10, 1003),
            ("endtimes=1003", end, 10, 1010),
            // Packagers decode names and values.
            ("%65ndtime=1004&endtime=%31005", end, 10, 1004),
            ("end%74ime=%31003", end, 10, 1003),
            // In steps of a minute.
            ("", None, 3600, 4560),
        ] {
            assert_eq!(expiry(query, name, 1000, lifetime), wanted, "{query} {lifetime}");
        }
        assert_eq!(expiry("", None, u64::MAX, 10), u64::MAX);
    }

    #[test]
    fn ours_are_put_in_once() {
        let ours = pairs(&[("t", "1"), ("u", "2")]);
        for (target, wanted) in [
            ("/a.m3u8", "/a.m3u8?t=1&u=2"),
            ("/a.m3u8?", "/a.m3u8?t=1&u=2"),
            ("/a.m3u8?DVR", "/a.m3u8?DVR&t=1&u=2"),
            ("/a.m3u8?u=9", "/a.m3u8?u=9&t=1"),
            ("/a.m3u8?t&u=9", "/a.m3u8?t&u=9"),
        ] {
            assert_eq!(with_pairs(target, &ours), wanted, "{target}");
        }
        assert_eq!(with_pairs("/a?b", &[]), "/a?b");
    }

    #[test]
    fn ours_are_taken_out_of_what_is_listed() {
        let forms = forms(&pairs(&[("t", "a/b%3D"), ("u", "2")]));
        assert_eq!(forms, ["t=a%2Fb%3D", "t=a%2fb%3d", "t=a/b%3D", "t=a/b=", "u=2"]);
        for (text, wanted) in [
            ("c.m3u8?t=a/b%3D\n", "c.m3u8\n"),
            ("c.m3u8?t=a/b=&x=1\n", "c.m3u8?x=1\n"),
            ("c.m3u8?x=1&t=a%2Fb%3D", "c.m3u8?x=1"),
            ("c.m3u8?x=1&t=a/b=&y#f", "c.m3u8?x=1&y#f"),
            ("URI=\"k?t=a/b%3D\",IV=1", "URI=\"k\",IV=1"),
            ("c?t=a/b%3D&u=2\nd?u=2&t=a/b=\r\n", "c\nd\r\n"),
            ("c?u=2&u=2", "c"),
            ("c?x=1&t=a%2fb%3d", "c?x=1"),
        ] {
            let without = without_forms(text.as_bytes(), &forms).unwrap();
            assert_eq!(String::from_utf8(without).unwrap(), wanted, "{text}");
        }
        for other in ["c?t=other", "c?tt=a/b=", "c?u=23", "u=2", "c/u=2", "", "c?xt=a/b%3D"] {
            assert_eq!(without_forms(other.as_bytes(), &forms), None, "{other}");
        }
    }
}
