//! The bytes of an answer: read within the limit, whole or an error, decoded.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING};
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::protocols::http::client::HttpSession;

use super::OriginError;
use super::exchange::brief;
use crate::model::lane::ByteRange;

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Content-Length.
    Length(u64),
    /// The last chunk.
    Chunked,
    /// The connection closes: a body that was cut off looks like a whole one.
    UntilClose,
}

impl Framing {
    pub(super) fn of(header: &ResponseHeader) -> Self {
        if let Some(coding) = header.headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            let coding = coding.to_str().unwrap_or_default();
            let last = coding.rsplit(',').next().unwrap_or_default().trim();
            return if last.eq_ignore_ascii_case("chunked") {
                Self::Chunked
            } else {
                Self::UntilClose
            };
        }
        let length = header.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        // Pingora has refused lists of different lengths by now.
        let first = length.and_then(|v| v.split(',').next()).and_then(|v| v.trim().parse().ok());
        first.map_or(Self::UntilClose, Self::Length)
    }
}

/// Reads the body to its end. At most `limit` bytes are held. `received` counts all that came, whatever
/// becomes of it.
pub(super) async fn read(
    session: &mut HttpSession,
    framing: Framing,
    limit: u64,
    deadline: std::time::Duration,
    received: &AtomicU64,
) -> Result<Bytes, OriginError> {
    let mut body = match framing {
        Framing::Length(length) if length > limit => return Err(OriginError::TooLarge(limit)),
        Framing::Length(length) => BytesMut::with_capacity(usize::try_from(length).unwrap_or(0)),
        Framing::Chunked | Framing::UntilClose => BytesMut::new(),
    };
    loop {
        match session.read_response_body().await {
            Ok(Some(part)) => {
                received.fetch_add(part.len() as u64, Ordering::Relaxed);
                if (body.len() + part.len()) as u64 > limit {
                    return Err(OriginError::TooLarge(limit));
                }
                body.extend_from_slice(&part);
            }
            Ok(None) => break,
            Err(e) => {
                return Err(match e.etype() {
                    ErrorType::ReadTimedout => OriginError::Timeout(deadline),
                    ErrorType::ConnectionClosed | ErrorType::ReadError => {
                        OriginError::Truncated(body.len() as u64)
                    }
                    _ => OriginError::Protocol(brief(&e)),
                });
            }
        }
    }
    if matches!(framing, Framing::Length(length) if length != body.len() as u64) {
        return Err(OriginError::Truncated(body.len() as u64));
    }
    // What grew by doubling may hold twice what it needs, for as long as the segment is held.
    if body.capacity() > body.len() + body.len() / 4 {
        return Ok(Bytes::copy_from_slice(&body));
    }
    Ok(body.freeze())
}

/// Undoes the content coding, which was not asked for but may come (RFC 9110, 8.4). The result
/// is within `limit`, and no more than that is ever made of it.
pub(super) fn decode(
    header: &ResponseHeader,
    body: Bytes,
    limit: u64,
) -> Result<Bytes, OriginError> {
    match coding(header)?.as_str() {
        "" | "identity" => Ok(body),
        "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(&body[..]), limit),
        // By the RFC a zlib stream; some servers send the bare one.
        "deflate" if is_zlib(&body) => inflate(ZlibDecoder::new(&body[..]), limit),
        "deflate" => inflate(DeflateDecoder::new(&body[..]), limit),
        other => Err(OriginError::Protocol(format!("content coding {other}"))),
    }
}

/// The content coding in lower case; empty where there is none.
pub(super) fn coding(header: &ResponseHeader) -> Result<String, OriginError> {
    let mut all = header.headers.get_all(CONTENT_ENCODING).iter();
    let first = all.next().map(|v| v.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    if all.next().is_some() {
        return Err(OriginError::Protocol("several content codings".to_owned()));
    }
    Ok(first.unwrap_or_default().chars().take(40).collect())
}

fn is_zlib(body: &[u8]) -> bool {
    match body {
        [a, b, ..] => a & 0x0f == 8 && u16::from_be_bytes([*a, *b]) % 31 == 0,
        _ => false,
    }
}

fn inflate(decoder: impl Read, limit: u64) -> Result<Bytes, OriginError> {
    let mut out = Vec::new();
    match decoder.take(limit.saturating_add(1)).read_to_end(&mut out) {
        Ok(_) if out.len() as u64 > limit => Err(OriginError::TooLarge(limit)),
        Ok(_) => Ok(out.into()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(OriginError::Truncated(out.len() as u64))
        }
        Err(_) => Err(OriginError::Protocol("a compressed body that is damaged".to_owned())),
    }
}

/// A 206 holds exactly `range` (RFC 9110, 14.4).
pub(super) fn is_range(header: &ResponseHeader, range: ByteRange) -> bool {
    let value = header.headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let Some((unit, rest)) = value.and_then(|v| v.trim().split_once(' ')) else {
        return false;
    };
    let Some((span, _)) = rest.split_once('/') else {
        return false;
    };
    let Some((first, last)) = span.trim().split_once('-') else {
        return false;
    };
    let last = last.trim().parse::<u64>().ok().and_then(|l| l.checked_add(1));
    unit.eq_ignore_ascii_case("bytes")
        && first.trim().parse() == Ok(range.offset)
        && last.is_some()
        && last == range.offset.checked_add(range.length)
}

/// The part `range` of a whole body, as a copy: a slice would keep the whole in memory.
pub(super) fn cut(body: &Bytes, range: ByteRange) -> Result<Bytes, OriginError> {
    let start = usize::try_from(range.offset).ok();
    let end = range.offset.checked_add(range.length).and_then(|e| usize::try_from(e).ok());
    start
        .zip(end)
        .and_then(|(start, end)| body.get(start..end))
        .map(Bytes::copy_from_slice)
        .ok_or(OriginError::Truncated(body.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lines: &[(&'static str, &str)]) -> ResponseHeader {
        let mut h = ResponseHeader::build(200, None).unwrap();
        for (name, value) in lines {
            h.append_header(*name, *value).unwrap();
        }
        h
    }

    #[test]
    fn framings() {
        for (lines, want) in [
            (&[("Content-Length", "5")][..], Framing::Length(5)),
            (&[("Content-Length", "5, 5")], Framing::Length(5)),
            (&[("Transfer-Encoding", "gzip, Chunked")], Framing::Chunked),
            (&[("Transfer-Encoding", "chunked, gzip")], Framing::UntilClose),
            (&[], Framing::UntilClose),
        ] {
            assert_eq!(Framing::of(&header(lines)), want, "{lines:?}");
        }
    }

    #[test]
    fn content_ranges() {
        let range = ByteRange { offset: 10, length: 5 };
        for (value, want) in [
            ("bytes 10-14/100", true),
            ("bytes 10-14/*", true),
            ("BYTES 10-14/100", true),
            ("bytes 10-15/100", false),
            ("bytes 9-14/100", false),
            ("bytes */100", false),
            ("bytes 10-18446744073709551615/*", false),
            ("10-14", false),
        ] {
            assert_eq!(is_range(&header(&[("Content-Range", value)]), range), want, "{value}");
        }
        assert!(!is_range(&header(&[]), range));
    }

    #[test]
    fn cuts() {
        let body = Bytes::from_static(b"0123456789");
        assert_eq!(cut(&body, ByteRange { offset: 2, length: 3 }).unwrap(), "234");
        assert_eq!(cut(&body, ByteRange { offset: 8, length: 3 }), Err(OriginError::Truncated(10)));
        assert!(cut(&body, ByteRange { offset: u64::MAX, length: 3 }).is_err());
    }
}
