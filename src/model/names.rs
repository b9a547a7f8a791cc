//! The names and numbers everything else is told with. One type per meaning,
//! so that two numberings can never be mixed up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it stands; whoever reads it from outside checks it first.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// One live origin server, such as `a`.
    PackagerId
);
name!(
    /// The packagers that carry the same streams, such as `live`.
    PoolName
);
name!(
    /// The viewers pinned together, such as `a-9f3c1e4b`: the packager the lane
    /// opened on and a random part. Never used again.
    LaneId
);
name!(
    /// One proxy of a fleet, such as `az1-3f9a2c`: unlike that of any other, and the same after a restart.
    ProxyId
);
name!(
    /// One media playlist of a stream as its URLs name it: `v0`, `a1`, `s0`.
    RenditionId
);

/// Packagers, zones and pools can be called so: what may stand in URLs, host names, logs and metrics as it is.
#[must_use]
pub fn is_plain_name(text: &str) -> bool {
    is_plain(text, 32)
}

/// Proxies can be called so: the same, longer, since the zone stands before what tells them apart.
#[must_use]
pub fn is_proxy_id(text: &str) -> bool {
    is_plain(text, 64)
}

fn is_plain(text: &str, longest: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=longest).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

/// One entry playlist: a pool, the path of the entry playlist, and the queries
/// that are part of its identity (`DVR`), without the `?`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    /// The pool whose packagers carry it.
    pub pool: PoolName,
    /// Absolute path as the viewer wrote it, such as `/live/cam/playlist.m3u8`.
    pub path: Arc<str>,
    /// Identity queries, sorted, `&`-joined; empty for none.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub query: Arc<str>,
}

impl StreamKey {
    /// As packagers are asked for it.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        self.to_string()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)] // serde's signature
fn str_is_empty(s: &Arc<str>) -> bool {
    s.is_empty()
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        Ok(())
    }
}

macro_rules! msn {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one; saturates, since a packager may claim any number.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

msn!(
    /// A media sequence number in a packager's own numbering.
    PackagerMsn
);
msn!(
    /// A media sequence number in a lane's numbering: what viewers see.
    OutputMsn
);

/// A moment: milliseconds since the Unix epoch, from a clock that never runs backwards.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Time passed since `earlier`; zero if it has not come yet.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
    /// This moment and `d` more, to the millisecond.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
    /// `d` before this moment; the epoch at the least.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
    /// Milliseconds from `other` to this moment, negative if this one is earlier.
    #[must_use]
    pub fn signed_since(self, other: Self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX) - i64::try_from(other.0).unwrap_or(i64::MAX)
    }
}

/// BLAKE3 of a segment's bytes: its name in the segment store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
    /// 64 hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
    /// The first 8 hex digits: what a URL carries.
    #[must_use]
    pub fn short(self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
    /// `short` is what [`ContentHash::short`] gives. Compares without allocating.
    #[must_use]
    pub fn is_short(self, short: &str) -> bool {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = self.0.iter().take(4).flat_map(|b| {
            [b >> 4, b & 15].map(|d| HEX.get(usize::from(d)).copied().unwrap_or(b'0'))
        });
        short.len() == 8 && short.bytes().all(|c| digits.next() == Some(c))
    }
    /// Reads 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|h| Self(*h.as_bytes()))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a BLAKE3 hash in hex"))
    }
}
