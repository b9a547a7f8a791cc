//! The configuration in the terms of each module.

use std::collections::HashMap;
use std::time::Duration;

use super::auth;
use crate::config::{self, Config};
use crate::front;
use crate::model::health::Thresholds;
use crate::model::load::Kind;
use crate::model::names::{PackagerId, PoolName};
use crate::model::playlist;
use crate::notify;
use crate::origin::{AdminPlace, Endpoint, Limits};
use crate::packagers::{
    Advancing, CheckSpec, KindSpec, Login, PackagerSpec, PoolSpec, Reads, ReportSpec, Spread,
};
use crate::segments;
use crate::store::{RedisSettings, StoreSpec};
use crate::stream::{Capacity, PoolSettings};

pub fn store(config: &Config) -> StoreSpec {
    match &config.store {
        config::StoreSpec::Memory => StoreSpec::Memory,
        config::StoreSpec::Sqlite(path) => StoreSpec::Sqlite(path.clone()),
        config::StoreSpec::Redis(url) => StoreSpec::Redis(RedisSettings {
            url: url.clone(),
            ca: config.redis.ca.clone(),
            prefix: config.redis.prefix.clone(),
            timeout: config.redis.timeout,
            lane_expires: Duration::from_secs(lane_expires_s(config)),
        }),
    }
}

/// Where a store of several machines is: host and port.
pub fn place_of(store: &config::StoreSpec) -> Option<(String, u16)> {
    match store {
        config::StoreSpec::Memory | config::StoreSpec::Sqlite(_) => None,
        config::StoreSpec::Redis(url) => Some((url.host.clone(), url.port)),
    }
}

pub fn segments(config: &Config) -> segments::Settings {
    segments::Settings {
        dir: config.segments.dir.clone(),
        memory: config.segments.memory.bytes(),
        disk: config.segments.disk.bytes(),
    }
}

pub fn capacity(config: &Config) -> Capacity {
    Capacity { streams: config.limits.streams, lanes: config.limits.lanes }
}

/// What a packager of each pool is asked at one time.
pub fn requests(config: &Config) -> HashMap<PoolName, usize> {
    config.pools.iter().map(|pool| (pool.name.clone(), pool.origin.requests)).collect()
}

/// One store holds the lanes of all pools: the longest counts.
pub fn lane_expires_s(config: &Config) -> u64 {
    config.pools.iter().map(|p| p.lane_expires.as_secs()).max().unwrap_or(86_400)
}

pub fn pools(config: &Config) -> Vec<PoolSpec> {
    config.pools.iter().map(pool).collect()
}

fn pool(pool: &config::Pool) -> PoolSpec {
    let check = CheckSpec {
        path: pool.health.path.clone(),
        status: pool.health.expect_status,
        playlist: pool
            .health
            .playlist
            .as_ref()
            .map(|path| Advancing { path: path.clone(), stands: pool.health.playlist_stands }),
        interval: pool.health.interval,
        timeout: pool.health.timeout,
        thresholds: Thresholds { rise: pool.health.rise as usize, fall: pool.health.fall as usize },
    };
    let packagers = pool.packagers.iter().map(|p| PackagerSpec {
        id: p.id.clone(),
        zone: p.zone.clone(),
        weight: p.weight,
        capacity: p.capacity,
        check: Some(check.clone()),
        kind: kind(&p.kind),
    });
    PoolSpec {
        name: pool.name.clone(),
        hosts: pool.hosts.clone(),
        zone_hosts: pool.zone_hosts.clone(),
        packagers: packagers.collect(),
        spread: Spread {
            spill_permille: pool.selection.spill_permille,
            slow_start: pool.selection.slow_start,
        },
    }
}

/// Which program a packager is, and how it is asked what it carries.
fn kind(kind: &config::PackagerKind) -> KindSpec {
    let (reads, warm_up) = match kind {
        config::PackagerKind::Generic => return KindSpec::default(),
        config::PackagerKind::Wowza { load, .. } => (Reads::Wowza(*load), Duration::ZERO),
        config::PackagerKind::Wcs { load, bounds, warm_up, .. } => {
            (Reads::Wcs(load.clone(), bounds.clone()), *warm_up)
        }
    };
    let report = kind.report().map(|report| ReportSpec {
        place: admin_place(kind.kind(), report.admin.as_ref()),
        path: report.path.clone(),
        login: report.login.as_ref().map(|(user, password)| Login {
            user: user.clone(),
            password: password.reveal().clone(),
        }),
        reads,
        interval: report.interval,
        timeout: report.timeout,
        thresholds: Thresholds { rise: report.rise as usize, fall: report.fall as usize },
        must_answer: report.must_answer,
    });
    KindSpec { kind: kind.kind(), report, warm_up }
}

fn admin_place(kind: Kind, admin: Option<&config::PackagerUrl>) -> AdminPlace {
    match admin {
        Some(url) => AdminPlace { tls: url.tls, host: Some(url.host.clone()), port: url.port },
        None => AdminPlace { tls: false, host: None, port: kind.admin_port().unwrap_or(80) },
    }
}

pub fn endpoints(config: &Config) -> Vec<(PackagerId, Endpoint)> {
    let all = config.pools.iter().flat_map(|pool| pool.packagers.iter().map(move |p| (pool, p)));
    all.map(|(pool, p)| (p.id.clone(), endpoint(pool, p))).collect()
}

fn endpoint(pool: &config::Pool, p: &config::Packager) -> Endpoint {
    let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
    Endpoint {
        tls: p.url.tls,
        host: p.url.host.clone(),
        port: p.url.port,
        host_header: p.host.clone(),
        headers: p.headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
        credentials: auth::credentials(&pool.auth.credentials),
        ca_file: p.ca.clone(),
        sni: p.sni.clone(),
        limits: Limits {
            connect_timeout: pool.origin.connect_timeout,
            requests_max: pool.origin.requests,
            waiting_max: pool.origin.waiting,
            playlist_bytes_max: pool.origin.playlist_bytes.bytes(),
            segment_bytes_max: pool.origin.segment_bytes.bytes(),
        },
    }
}

/// The names by which packagers may call themselves in absolute URLs.
pub fn hosts(config: &Config) -> HashMap<PackagerId, Vec<String>> {
    let all = config.pools.iter().flat_map(|pool| &pool.packagers);
    all.map(|p| {
        let names = [Some(p.url.authority()), Some(p.url.host.clone()), p.host.clone()];
        (p.id.clone(), names.into_iter().flatten().collect())
    })
    .collect()
}

pub fn streams(config: &Config) -> HashMap<PoolName, PoolSettings> {
    let settings = |pool: &config::Pool, allowed: config::Allowed| PoolSettings {
        standbys: pool.standbys,
        lanes_per_stream: pool.selection.lanes_per_stream,
        target_duration: pool.target_duration_floor,
        window: pool.window,
        hold: pool.hold,
        end_after: pool.end_after,
        idle_after: pool.idle_after,
        overlap: pool.overlap,
        url_base: pool.url_base.clone(),
        playlist: playlist::Limits {
            bytes: pool.origin.playlist_bytes.as_usize(),
            ..playlist::Limits::default()
        },
        streams_max: Some(allowed.streams),
        lanes_max: Some(allowed.lanes),
        segment_bytes_max: Some(allowed.segment_bytes),
    };
    config.pools.iter().map(|p| (p.name.clone(), settings(p, config.allowed(p)))).collect()
}

/// Whom to tell. One whose URL cannot be read is left out: the configuration has none such.
pub fn webhooks(config: &Config) -> Vec<notify::Spec> {
    let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
    let spec = |hook: &config::Webhook| {
        Some(notify::Spec {
            name: hook.name.clone(),
            url: notify::Target::parse(hook.url.reveal()).ok()?,
            events: hook.events.clone(),
            headers: hook.headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
            secret: hook.secret.as_ref().map(|s| s.reveal().clone().into_bytes()),
            timeout: hook.timeout,
            retry_for: hook.retry_for,
            queue: hook.queue,
        })
    };
    config.webhooks.iter().filter_map(spec).collect()
}

pub fn front(config: &Config) -> front::Settings {
    let seconds = |d: std::time::Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    let pool = |pool: &config::Pool, allowed: config::Allowed| front::PoolSettings {
        playlist_max_age: pool.answers.playlist_max_age.map(seconds),
        entry_private: pool.viewers.sessions,
        segment_max_age: seconds(pool.answers.segment_max_age),
        cors_origins: pool.answers.cors_origins.clone(),
        entry_max_age: seconds(pool.answers.entry_max_age),
        identity_queries: pool.identity_queries.clone(),
        paths: pool.paths.clone(),
        waiting_max: Some(allowed.waiting_requests),
        bandwidth_bps: allowed.bandwidth_bps,
        auth: auth::of_pool(&pool.auth),
        gate: pool.auth.origin_secret.as_ref().map(auth::gate),
    };
    front::Settings {
        pools: config.pools.iter().map(|p| (p.name.clone(), pool(p, config.allowed(p)))).collect(),
        gate: config.origin_secret.as_ref().map(auth::gate),
        trusted: front::client::Trusted(config.trusted_proxies.clone()),
        uri_bytes_max: config.limits.uri_bytes,
        header_bytes_max: config.limits.header_bytes,
        waiting_max: config.limits.waiting_requests,
        connections_max: config.limits.connections,
        keepalive: config.server.keepalive_timeout,
        keepalive_requests: config.server.keepalive_requests,
        ..front::Settings::default()
    }
}
