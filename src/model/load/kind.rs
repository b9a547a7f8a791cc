//! Which program a packager is.

/// A kind of packager: how it is asked, and which queries it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Any HTTP server.
    #[default]
    Generic,
    /// Wowza Streaming Engine.
    Wowza,
    /// Flashphoner Web Call Server.
    Wcs,
}

impl Kind {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Wowza => "wowza",
            Self::Wcs => "wcs",
        }
    }

    /// Queries that name another stream on such a packager.
    #[must_use]
    pub const fn identity_queries(self) -> &'static [&'static str] {
        match self {
            Self::Generic | Self::Wowza => &["DVR"],
            Self::Wcs => &[],
        }
    }

    /// Queries by which such a packager knows who may watch; with a `*` at the end what names begin with.
    #[must_use]
    pub const fn authentication_queries(self) -> &'static [&'static str] {
        match self {
            // SecureToken: wowzatokenhash, wowzatokenstarttime, wowzatokenendtime and custom ones.
            Self::Wowza => &["wowzatoken*"],
            Self::Wcs => &["appKey", "aclAuth"],
            Self::Generic => &[],
        }
    }

    /// The port on which such a packager tells of itself, unless it is set up otherwise.
    #[must_use]
    pub const fn admin_port(self) -> Option<u16> {
        match self {
            Self::Wowza => Some(8086),
            Self::Wcs => Some(8081),
            Self::Generic => None,
        }
    }

    /// What is asked for there.
    #[must_use]
    pub const fn admin_path(self) -> Option<&'static str> {
        match self {
            Self::Wowza => Some("/connectioncounts"),
            Self::Wcs => Some("/?action=stat"),
            Self::Generic => None,
        }
    }
}
