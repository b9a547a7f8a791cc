//! What of the front can be configured, in its own terms. Read anew with every request, so that a
//! reload holds at once.

use std::time::Duration;

/// Settings of the front.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `max-age` of media playlists, seconds. None: a quarter of the target duration, at least 1.
    pub playlist_max_age: Option<u32>,
    /// `max-age` of multivariant playlists, seconds: how long a CDN sends newcomers to one lane.
    pub entry_max_age: u32,
    /// `max-age` of segments, seconds.
    pub segment_max_age: u32,
    /// `Access-Control-Allow-Origin`; none: no CORS headers.
    pub cors_origin: Option<String>,
    /// Queries that are part of a stream's identity, such as `DVR`.
    pub identity_queries: Vec<String>,
    /// What media playlist URIs are made absolute with, such as `https://media.example.com`.
    pub url_base: Option<String>,
    /// Longest path and query, bytes.
    pub uri_bytes_max: usize,
    /// Most bytes of all request headers.
    pub header_bytes_max: usize,
    /// Most connections of viewers at one time; more are closed at once.
    pub connections_max: usize,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            playlist_max_age: None,
            entry_max_age: 1,
            segment_max_age: 86_400,
            cors_origin: Some("*".to_owned()),
            identity_queries: vec!["DVR".to_owned()],
            url_base: None,
            uri_bytes_max: 8192,
            header_bytes_max: 32 * 1024,
            connections_max: 100_000,
            waiting_max: 1024,
            retry_after_seconds: 1,
            keepalive: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            send_rate_min: 16 * 1024,
            slice_bytes: 512 * 1024,
        }
    }
}
