//! What each tenant may take and takes, for metrics and `/status.json`.

use super::operate::Running;
use crate::config::{Config, Pool};
use crate::ops::{PoolGauge, Taken};

/// All pools, in the order of the configuration.
pub fn gauges(running: &Running) -> Vec<PoolGauge> {
    let config = running.config.lock();
    config.pools.iter().map(|pool| gauge(running, &config, pool)).collect()
}

fn gauge(running: &Running, config: &Config, pool: &Pool) -> PoolGauge {
    let allowed = config.allowed(pool);
    let carried = running.streams.usage(&pool.name);
    let front = running.front.tenant_use(&pool.name);
    PoolGauge {
        pool: pool.name.clone(),
        hosts: pool.hosts.clone(),
        labels: pool.labels.clone(),
        limits: Taken {
            streams: Some(allowed.streams as u64),
            lanes: Some(allowed.lanes as u64),
            waiting_requests: Some(allowed.waiting_requests as u64),
            segment_bytes: Some(allowed.segment_bytes),
            bandwidth_bps: allowed.bandwidth_bps,
        },
        in_use: Taken {
            streams: Some(carried.streams as u64),
            lanes: Some(carried.lanes as u64),
            waiting_requests: Some(front.waiting_requests as u64),
            segment_bytes: Some(carried.segment_bytes),
            bandwidth_bps: Some(front.bandwidth_bps),
        },
    }
}
