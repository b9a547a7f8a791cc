//! What makes the URIs in playlists absolute, for set-ups that pin viewers to a zone by host name.

use std::fmt;

/// Where the zone belongs.
const ZONE: &str = "{zone}";

/// What stands before URIs in playlists, such as `https://media-{zone}.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlBase(String);

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlBaseError {
    /// Braces stand for something else than the zone.
    #[error("may hold {{zone}} and no other name in braces")]
    Braces,
    /// It is no absolute http or https URL, or has a query or a fragment.
    #[error(
        "`{0}` is no URL to begin others with; write such as https://media-{{zone}}.example.com"
    )]
    NoUrl(String),
}

impl UrlBase {
    /// Reads it. Slashes at the end are of no meaning.
    ///
    /// # Errors
    /// See [`UrlBaseError`].
    pub fn parse(text: &str) -> Result<Self, UrlBaseError> {
        let base = text.trim_end_matches('/');
        let filled = base.replace(ZONE, "zone");
        if filled.contains(['{', '}']) {
            return Err(UrlBaseError::Braces);
        }
        let uri: Option<http::Uri> = filled.parse().ok();
        let absolute = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
        });
        if !absolute || filled.contains(['#', '"']) {
            return Err(UrlBaseError::NoUrl(text.to_owned()));
        }
        Ok(Self(base.to_owned()))
    }

    /// It differs from zone to zone.
    #[must_use]
    pub fn has_zone(&self) -> bool {
        self.0.contains(ZONE)
    }

    /// What stands before the URIs of this zone's viewers; without a slash at its end.
    #[must_use]
    pub fn for_zone(&self, zone: &str) -> String {
        self.0.replace(ZONE, zone)
    }

    /// The host of this zone's URIs, in lower case, without port.
    #[must_use]
    pub fn host(&self, zone: &str) -> String {
        let uri: Option<http::Uri> = self.for_zone(zone).parse().ok();
        uri.and_then(|uri| uri.host().map(str::to_ascii_lowercase)).unwrap_or_default()
    }
}

impl fmt::Display for UrlBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_put_in() {
        for (text, zone, whole, host) in [
            (
                "https://media-{zone}.example.com",
                "az1",
                "https://media-az1.example.com",
                "media-az1.example.com",
            ),
            (
                "https://M-{zone}.example.com:8443/",
                "b",
                "https://M-b.example.com:8443",
                "m-b.example.com",
            ),
            (
                "http://cdn.example.com/{zone}/",
                "az2",
                "http://cdn.example.com/az2",
                "cdn.example.com",
            ),
            ("https://cdn.example.com", "az1", "https://cdn.example.com", "cdn.example.com"),
        ] {
            let base = UrlBase::parse(text).unwrap();
            assert_eq!((base.for_zone(zone).as_str(), base.host(zone).as_str()), (whole, host));
            assert_eq!(base.has_zone(), text.contains("{zone}"));
        }
    }

    #[test]
    fn what_is_none() {
        for text in
            ["", "media.example.com", "/x", "ftp://x", "https://x?y", "https://x#y", "https://x y"]
        {
            assert_eq!(UrlBase::parse(text), Err(UrlBaseError::NoUrl(text.into())), "{text}");
        }
        for text in ["https://{host}", "https://{zone", "https://x-{ZONE}"] {
            assert_eq!(UrlBase::parse(text), Err(UrlBaseError::Braces), "{text}");
        }
    }
}
