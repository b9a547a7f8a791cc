//! The configuration in the terms of each module.

use std::collections::HashMap;

use crate::config::{self, Config};
use crate::front;
use crate::model::health::Thresholds;
use crate::model::names::{PackagerId, PoolName};
use crate::model::playlist;
use crate::origin::{Endpoint, Limits};
use crate::packagers::{CheckSpec, PackagerSpec, PoolSpec};
use crate::segments;
use crate::store::StoreSpec;
use crate::stream::{Capacity, PoolSettings};

pub fn store(config: &Config) -> StoreSpec {
    match &config.store {
        config::StoreSpec::Memory => StoreSpec::Memory,
        config::StoreSpec::Sqlite(path) => StoreSpec::Sqlite(path.clone()),
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
        interval: pool.health.interval,
        timeout: pool.health.timeout,
        thresholds: Thresholds { rise: pool.health.rise as usize, fall: pool.health.fall as usize },
    };
    let packagers = pool.packagers.iter().map(|p| PackagerSpec {
        id: p.id.clone(),
        zone: p.zone.clone(),
        weight: p.weight,
        check: Some(check.clone()),
    });
    PoolSpec { name: pool.name.clone(), hosts: pool.hosts.clone(), packagers: packagers.collect() }
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
    let settings = |pool: &config::Pool| PoolSettings {
        standbys: pool.standbys,
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
    };
    config.pools.iter().map(|p| (p.name.clone(), settings(p))).collect()
}

pub fn front(config: &Config) -> front::Settings {
    let seconds = |d: std::time::Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    let pool = |pool: &config::Pool| front::PoolSettings {
        playlist_max_age: pool.answers.playlist_max_age.map(seconds),
        entry_private: pool.viewers.sessions,
        segment_max_age: seconds(pool.answers.segment_max_age),
        cors_origins: pool.answers.cors_origins.clone(),
        identity_queries: pool.identity_queries.clone(),
        ..front::PoolSettings::default()
    };
    front::Settings {
        pools: config.pools.iter().map(|p| (p.name.clone(), pool(p))).collect(),
        uri_bytes_max: config.limits.uri_bytes,
        header_bytes_max: config.limits.header_bytes,
        waiting_max: config.limits.waiting_requests,
        connections_max: config.limits.connections,
        keepalive: config.server.keepalive_timeout,
        keepalive_requests: config.server.keepalive_requests,
        ..front::Settings::default()
    }
}
