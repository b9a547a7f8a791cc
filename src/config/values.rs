//! The kinds of values a configuration holds, each with how it is read and what is said of a bad one.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::section::Section;

/// A number of bytes. Written `"1GiB"`, `"512MiB"`, `"64KiB"` or as a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

impl ByteSize {
    /// `count` times 1024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }
    /// `count` times 1024 KiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// `count` times 1024 MiB.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
    /// Bytes, as memory is counted.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
    /// Reads what [`fmt::Display`] prints, with or without a space before the unit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, unit) =
            UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
        let digits = digits.trim_end();
        let number =
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
        number.checked_mul(*unit).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) =
            UNITS.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)).unwrap_or(&("", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Something that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Keeps `value` from being printed.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
    /// The value itself.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The header that shows that a request came through the CDN.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginSecret {
    /// Its name.
    pub name: http::HeaderName,
    /// The values that open. Never empty.
    pub values: Vec<Secret<String>>,
}

impl OriginSecret {
    /// Reads `origin_secret_header`. None where it is not set, or is wrong, which is a problem told.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let key = "origin_secret_header";
        let set = section.has(key);
        section.section(key, |section| {
            for key in ["name", "value"].into_iter().filter(|key| set && !section.has(key)) {
                section.error(key, "is missing");
            }
            let name = section.parsed("name", super::hosts::header_name);
            let value = section.parsed("value", |text| secret_text(text, 16));
            let others = section.parsed_list("other_values", &[], |_, text| secret_text(text, 16));
            Some(Self { name: name?, values: value.into_iter().chain(others).collect() })
                .filter(|secret| !secret.values.is_empty())
        })
    }
}

/// A secret of the file, with as many letters as it takes not to be guessed.
pub(super) fn secret_text(text: &str, shortest: usize) -> Result<Secret<String>, String> {
    if text.len() < shortest {
        return Err(format!("has {} letters and wants {shortest} or more", text.len()));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The file of a CA's certificates, in PEM.
pub(super) fn ca_file(text: &str) -> Result<PathBuf, String> {
    match std::fs::read(text) {
        Ok(bytes) if bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => {
            Ok(PathBuf::from(text))
        }
        Ok(_) => Err(format!("`{text}` holds no certificate; wants a PEM file")),
        Err(why) => Err(format!("`{text}` cannot be read: {why}")),
    }
}

/// Where a packager answers: `http://HOST[:PORT]` or `https://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagerUrl {
    /// https.
    pub tls: bool,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port; 80 or 443 where none is written.
    pub port: u16,
}

impl PackagerUrl {
    /// Of an entry that has none.
    pub(super) const fn none() -> Self {
        Self { tls: false, host: String::new(), port: 0 }
    }

    /// Reads `http://HOST[:PORT]` or `https://…`.
    ///
    /// # Errors
    /// What is wrong with it, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tls = match text.split_once("://") {
            Some(("http", _)) => false,
            Some(("https", _)) => true,
            _ => {
                return Err(format!(
                    "`{text}` is no URL; write http://HOST:PORT or https://HOST:PORT"
                ));
            }
        };
        let uri: http::Uri = text.parse().map_err(|why| format!("`{text}` is no URL: {why}"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
            return Err(
                "wants no path and no query: viewers' paths are asked of the packager as they are"
                    .to_owned(),
            );
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("wants no user and password; set the header Authorization under `headers`"
                .to_owned());
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("has no host".to_owned());
        }
        let explicit =
            uri.authority().is_some_and(|authority| authority.as_str().len() > host.len());
        let port = match uri.port_u16() {
            Some(port) if port > 0 => port,
            None if !explicit => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => return Err("has a bad port; ports go from 1 to 65535".to_owned()),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Ok(Self { tls, host, port })
    }

    /// `HOST:PORT` as the Host header and sockets want it: brackets around IPv6, no default port.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for PackagerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// Base64 of at least 32 bytes, in either alphabet, with or without padding.
pub(super) fn token_key(text: &str) -> Result<Secret<Vec<u8>>, String> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decode = |alphabet| GeneralPurpose::new(alphabet, config).decode(text.trim()).ok();
    let key = decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE));
    // Never the text itself in a message: it may be a secret with a typing error.
    match key {
        Some(key) if key.len() >= 32 => Ok(Secret::new(key)),
        Some(key) => Err(format!(
            "has {} bytes and wants 32 or more; make one with: openssl rand -base64 32",
            key.len()
        )),
        None => Err("is not base64; make one with: openssl rand -base64 32".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1GiB", Some(1 << 30)),
            ("512MiB", Some(512 << 20)),
            ("64 KiB", Some(65536)),
            ("7", Some(7)),
            ("", None),
            ("GiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5GiB", None),
            ("1GB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(ByteSize::parse(text).map(ByteSize::bytes), bytes, "{text}");
        }
        for size in
            [ByteSize::gib(4), ByteSize::mib(1500), ByteSize::kib(3), ByteSize(1025), ByteSize(1)]
        {
            assert_eq!(ByteSize::parse(&size.to_string()), Some(size));
        }
    }

    #[test]
    fn packager_urls() {
        for (text, printed, authority) in [
            ("http://127.0.0.1:8951", "http://127.0.0.1:8951", "127.0.0.1:8951"),
            ("http://A.example/", "http://a.example", "a.example"),
            ("https://a:443", "https://a", "a"),
            ("https://[::1]:8443", "https://[::1]:8443", "[::1]:8443"),
        ] {
            let url = PackagerUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.authority().as_str()), (printed, authority));
        }
        for text in [
            "",
            "a:80",
            "ftp://a",
            "http://",
            "http://a/live",
            "http://a?x",
            "http://a/#x",
            "http://u:p@a",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a b",
        ] {
            assert!(PackagerUrl::parse(text).is_err(), "{text}");
        }
    }
}
