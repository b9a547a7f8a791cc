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

/// The name of a query, or what a group of names begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryName {
    /// Just this name.
    Exact(&'static str),
    /// Every name that begins so.
    Prefix(&'static str),
}

impl QueryName {
    /// It is the name of this query.
    #[must_use]
    pub fn fits(self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
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
    pub const fn identity_queries(self) -> &'static [QueryName] {
        match self {
            Self::Wowza => &[QueryName::Exact("DVR")],
            Self::Generic | Self::Wcs => &[],
        }
    }

    /// Queries by which such a packager knows who may watch.
    #[must_use]
    pub const fn authentication_queries(self) -> &'static [QueryName] {
        match self {
            // SecureToken: wowzatokenhash, wowzatokenstarttime, wowzatokenendtime and custom ones.
            Self::Wowza => &[QueryName::Prefix("wowzatoken")],
            Self::Wcs => &[QueryName::Exact("appKey"), QueryName::Exact("aclAuth")],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_each_kind() {
        let takes = |names: &[QueryName], name: &str| names.iter().any(|n| n.fits(name));
        for (kind, name, identity, authentication) in [
            (Kind::Wowza, "DVR", true, false),
            (Kind::Wowza, "wowzatokenhash", false, true),
            (Kind::Wowza, "wowzatokenendtime", false, true),
            (Kind::Wowza, "wowza", false, false),
            (Kind::Wowza, "appKey", false, false),
            (Kind::Wcs, "appKey", false, true),
            (Kind::Wcs, "aclAuth", false, true),
            (Kind::Wcs, "aclAuthX", false, false),
            (Kind::Wcs, "DVR", false, false),
            (Kind::Generic, "wowzatokenhash", false, false),
        ] {
            assert_eq!(takes(kind.identity_queries(), name), identity, "{kind:?} {name}");
            assert_eq!(
                takes(kind.authentication_queries(), name),
                authentication,
                "{kind:?} {name}"
            );
        }
    }
}
