//! What of the front can be configured, in its own terms. Read anew with every request, so that a
//! reload holds at once.

use std::collections::HashMap;
use std::time::Duration;

use super::auth::Auth;
use super::client::Trusted;
use super::gate::Gate;
use crate::model::names::PoolName;
use crate::model::paths::AllowedPaths;

/// Settings of the front.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What each pool's streams are answered with.
    pub pools: HashMap<PoolName, PoolSettings>,
    /// The same for requests that lead to no pool, and for all where no pool is named.
    pub others: PoolSettings,
    /// What shows that a request came through the CDN, where a pool has nothing of its own.
    pub gate: Option<Gate>,
    /// Whose word is taken for who asks.
    pub trusted: Trusted,
    /// Longest path and query, bytes.
    pub uri_bytes_max: usize,
    /// Most bytes of all request headers.
    pub header_bytes_max: usize,
    /// Most connections of viewers at one time; more are closed at once.
    pub connections_max: usize,
    /// Requests on one connection, after which it is closed and its memory given back.
    pub keepalive_requests: u32,
    /// Most requests that wait for a packager or a first playlist at one time.
    pub waiting_max: usize,
    /// Seconds in `Retry-After`.
    pub retry_after_seconds: u32,
    /// How long an idle connection is kept. Longer than the load balancer's (60 s).
    pub keepalive: Duration,
    /// How long a viewer may leave a write waiting, on top of what `send_rate_min` grants.
    pub write_timeout: Duration,
    /// The slowest viewer that is still served, bytes per second.
    pub send_rate_min: u32,
    /// Bodies are written in slices of this many bytes, each with its own timeout.
    pub slice_bytes: usize,
}

/// How one pool's streams are answered.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// `max-age` of media playlists, seconds. None: a quarter of the target duration, at least 1.
    pub playlist_max_age: Option<u32>,
    /// `max-age` of multivariant playlists, seconds: how long a CDN sends newcomers to one lane.
    pub entry_max_age: u32,
    /// Multivariant playlists are each viewer's own, and nobody may keep one for others.
    pub entry_private: bool,
    /// `max-age` of segments, seconds.
    pub segment_max_age: u32,
    /// Origins whose pages may read answers; `*` for all, none for no CORS headers.
    pub cors_origins: Vec<String>,
    /// Queries that are part of a stream's identity, such as `DVR`.
    pub identity_queries: Vec<String>,
    /// Entry paths that may be asked for.
    pub paths: AllowedPaths,
    /// Requests that wait for its packagers at one time; none: as many as all may.
    pub waiting_max: Option<usize>,
    /// Bits per second sent to its viewers; none: as many as go.
    pub bandwidth_bps: Option<u64>,
    /// Who is let in.
    pub auth: Auth,
    /// What shows that a request came through the CDN, in place of what holds for all.
    pub gate: Option<Gate>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            playlist_max_age: None,
            entry_max_age: 1,
            entry_private: false,
            segment_max_age: 3600,
            cors_origins: vec!["*".to_owned()],
            identity_queries: vec!["DVR".to_owned()],
            paths: AllowedPaths::default(),
            waiting_max: None,
            bandwidth_bps: None,
            auth: Auth::default(),
            gate: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pools: HashMap::new(),
            others: PoolSettings::default(),
            gate: None,
            trusted: Trusted::default(),
            uri_bytes_max: 8192,
            header_bytes_max: 32 * 1024,
            connections_max: 100_000,
            keepalive_requests: 10_000,
            waiting_max: 1024,
            retry_after_seconds: 1,
            keepalive: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            send_rate_min: 16 * 1024,
            slice_bytes: 512 * 1024,
        }
    }
}
