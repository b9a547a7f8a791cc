//! What is configured for one packager: where it listens, how to speak to it, its limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Uri};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::credentials::Credentials;

/// One packager as the configuration describes it. Plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Name or address (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The Host header, where it is not `host:port` (virtual hosts).
    pub host_header: Option<String>,
    /// Sent with each request, on top of ours. May replace `User-Agent`.
    pub headers: Vec<(String, String)>,
    /// What its playlists and segments are asked for with, in Segue's own name.
    pub credentials: Credentials,
    /// PEM file with the only authorities trusted for this packager; the system's where none.
    pub ca_file: Option<PathBuf>,
    /// The name asked for and verified in the TLS handshake; `host` where none.
    pub sni: Option<String>,
    /// What it may cost.
    pub limits: Limits,
}

/// What one packager may cost. Each limit is for this packager alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For TCP and for TLS to one address, and for resolving the name.
    pub connect_timeout: Duration,
    /// Requests outstanding. Segments may take all but a quarter of them, so that a playlist
    /// never waits for segments alone.
    pub requests_max: usize,
    /// Requests that wait for their turn. The next one is refused as busy.
    pub waiting_max: usize,
    /// Bytes of one playlist, compressed or not.
    pub playlist_bytes_max: u64,
    /// Bytes of one segment.
    pub segment_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            requests_max: 64,
            waiting_max: 1024,
            playlist_bytes_max: 4 << 20,
            segment_bytes_max: 64 << 20,
        }
    }
}

/// Why a configured packager cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `http://host[:port]` or `https://host[:port]`.
    #[error("not an http or https address of a server: {0}")]
    Url(String),
    /// A header that HTTP does not allow, or that the client writes itself.
    #[error("header not allowed: {0}")]
    Header(String),
    /// The file of authorities cannot be read or holds none.
    #[error("{path}: {cause}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl Endpoint {
    /// Reads `http://host[:port]` or `https://host[:port]`; a path other than `/` is refused,
    /// since paths come from viewers and playlists. All else takes its default.
    pub fn from_url(url: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad());
        }
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(bad());
        }
        let port = port_of(authority, tls).ok_or_else(bad)?;
        Ok(Self {
            tls,
            host: bare(authority.host()).to_owned(),
            port,
            host_header: None,
            headers: Vec::new(),
            credentials: Credentials::default(),
            ca_file: None,
            sni: None,
            limits: Limits::default(),
        })
    }

    /// What stands in the Host header: the override, or the host with a port other than the
    /// scheme's own (RFC 9110, 7.2).
    pub(super) fn host_value(&self) -> Result<HeaderValue, EndpointError> {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let text = match &self.host_header {
            Some(own) => own.clone(),
            None if self.port == default_port(self.tls) => host,
            None => format!("{host}:{}", self.port),
        };
        HeaderValue::from_str(&text).map_err(|_| EndpointError::Header(format!("Host: {text}")))
    }

    /// The configured headers, checked.
    pub(super) fn header_values(&self) -> Result<Headers, EndpointError> {
        headers_of(&self.headers)
    }

    /// The name to send and verify in the TLS handshake. Never empty: Pingora's rustls
    /// connector switches verification off for an empty name.
    pub(super) fn server_name(&self) -> String {
        match &self.sni {
            Some(name) if !name.is_empty() => name.clone(),
            _ => self.host.clone(),
        }
    }
}

/// Headers as they are sent.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// Headers of a configuration or a viewer, checked. Their values are for no log.
pub(super) fn headers_of(headers: &[(String, String)]) -> Result<Headers, EndpointError> {
    let own = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, TE, UPGRADE];
    let mut all = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let bad = || EndpointError::Header(name.clone());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        if own.contains(&name) {
            return Err(bad());
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        all.push((name, value));
    }
    Ok(all)
}

/// The port of a scheme.
pub(super) const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// The port of an authority. None where it is written and is no port, which `http` passes over.
pub(super) fn port_of(authority: &Authority, tls: bool) -> Option<u16> {
    match authority.as_str().strip_prefix(authority.host())?.strip_prefix(':') {
        Some(port) => port.parse().ok(),
        None => Some(default_port(tls)),
    }
}

/// An IPv6 host without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Authorities in the form that Pingora's peers take.
pub(super) type Authorities = Arc<[WrappedX509]>;

/// Reads the certificates of a PEM file. Returns their DER form too, which can be compared.
pub(super) fn authorities(path: &Path) -> Result<(Authorities, Vec<Vec<u8>>), EndpointError> {
    let bad =
        |cause: String| EndpointError::Authorities { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    let mut store = RootCertStore::empty();
    let mut ders = Vec::new();
    for cert in CertificateDer::pem_slice_iter(&pem) {
        let cert = cert.map_err(|e| bad(e.to_string()))?;
        let der = cert.to_vec();
        store.add(cert).map_err(|e| bad(e.to_string()))?;
        ders.push(der);
    }
    if ders.is_empty() {
        return Err(bad("holds no certificate".to_owned()));
    }
    let mut wrapped = Vec::with_capacity(ders.len());
    for der in &ders {
        let der = der.clone();
        // Pingora's parser panics on what it cannot read, where rustls may have accepted it.
        let cert = std::panic::catch_unwind(move || WrappedX509::new(der, parse_x509))
            .map_err(|_| bad("holds a certificate that is not understood".to_owned()))?;
        wrapped.push(cert);
    }
    Ok((Arc::from(wrapped), ders))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, want) in [
            ("http://a", Some((false, "a", 80))),
            ("https://a/", Some((true, "a", 443))),
            ("http://10.0.0.1:1935", Some((false, "10.0.0.1", 1935))),
            ("http://[::1]:8081", Some((false, "::1", 8081))),
            ("http://a/live", None),
            ("http://a?x", None),
            ("http://u:p@a", None),
            ("ftp://a", None),
            ("a:80", None),
            ("http://", None),
            ("http://a:99999", None),
        ] {
            let got = Endpoint::from_url(url).ok();
            let got = got.as_ref().map(|e| (e.tls, e.host.as_str(), e.port));
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn host_header() {
        for (url, own, want) in [
            ("http://a", None, "a"),
            ("http://a:8080", None, "a:8080"),
            ("https://a", None, "a"),
            ("https://a:80", None, "a:80"),
            ("http://[::1]:8081", None, "[::1]:8081"),
            ("http://a:8080", Some("live.example.com"), "live.example.com"),
        ] {
            let mut e = Endpoint::from_url(url).unwrap();
            e.host_header = own.map(str::to_owned);
            assert_eq!(e.host_value().unwrap(), want, "{url}");
        }
    }

    #[test]
    fn server_name_is_never_empty() {
        let mut e = Endpoint::from_url("https://a").unwrap();
        for (sni, want) in [(None, "a"), (Some(""), "a"), (Some("b"), "b")] {
            e.sni = sni.map(str::to_owned);
            assert_eq!(e.server_name(), want);
        }
    }

    #[test]
    fn headers_that_are_ours_are_refused() {
        let mut e = Endpoint::from_url("http://a").unwrap();
        e.headers = vec![("X-Key".into(), "k".into())];
        assert_eq!(e.header_values().unwrap().len(), 1);
        for (name, value) in
            [("host", "b"), ("Connection", "close"), ("a b", "c"), ("x", "a\r\nb: c")]
        {
            e.headers = vec![(name.into(), value.into())];
            assert!(e.header_values().is_err(), "{name}");
        }
    }
}
