//! The session id that players may send (CTA-5004, Common Media Client Data): `sid`, in a query
//! `CMCD=` or in the header `CMCD-Session`.

use std::borrow::Cow;

/// Longest session id, letters (CTA-5004: 64).
pub const SID_BYTES_MAX: usize = 64;
/// A longer value is not read: nothing that a player writes.
const VALUE_BYTES_MAX: usize = 4096;

/// The session id in a request's query, as it stands in the URL.
#[must_use]
pub fn sid_of_query(query: &str) -> Option<Cow<'_, str>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("CMCD="))?;
    let decoded = decode(value)?;
    match decoded {
        Cow::Borrowed(text) => sid(text).map(Cow::Borrowed),
        Cow::Owned(text) => sid(&text).map(|sid| Cow::Owned(sid.to_owned())),
    }
}

/// The session id in the list of pairs that a header `CMCD-Session`, or the decoded query, holds:
/// `bl=21300,sid="6e2fb550",v=1`.
#[must_use]
pub fn sid(list: &str) -> Option<&str> {
    let mut rest = list.get(..VALUE_BYTES_MAX.min(list.len())).unwrap_or(list);
    while !rest.is_empty() {
        let (key, after) = match rest.find(['=', ',']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (value, next) = if let Some(quoted) = after.strip_prefix("=\"") {
            let end = end_of_quoted(quoted)?;
            (quoted.get(..end)?, quoted.get(end + 1..)?)
        } else {
            let after = after.strip_prefix('=').unwrap_or(after);
            after.split_at(after.find(',').unwrap_or(after.len()))
        };
        if key.trim() == "sid" {
            return (!value.is_empty() && value.len() <= SID_BYTES_MAX).then_some(value);
        }
        rest = next.trim_start().strip_prefix(',').unwrap_or_default();
    }
    None
}

/// Where the closing quote stands: `\"` is none.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Percent-decoded (RFC 3986, 2.1); none where that is not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => return None,
            },
            (b'%', _) => return None,
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
