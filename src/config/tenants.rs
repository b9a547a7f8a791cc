//! What each tenant may take of what the proxy has, and what must hold between the two.

use super::lines::Path;
use super::section::Report;
use super::{ByteSize, Config, Pool};

/// Where there are several pools, one that has no limit of its own takes so many quarters of what
/// the proxy has: none can fill it alone.
const QUARTERS: u64 = 3;

/// What a pool may take at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Streams watched.
    pub streams: usize,
    /// Lanes that they are carried on.
    pub lanes: usize,
    /// Requests that wait for its packagers.
    pub waiting_requests: usize,
    /// Bytes of segments held.
    pub segment_bytes: u64,
    /// Bits per second sent to its viewers; none: as much as the line carries.
    pub bandwidth_bps: Option<u64>,
}

impl Config {
    /// What `pool` may take: its own limits, else all that the proxy has, or three quarters of it
    /// where there are other pools.
    #[must_use]
    pub fn allowed(&self, pool: &Pool) -> Allowed {
        let quarters = if self.pools.len() > 1 { QUARTERS } else { 4 };
        let of = |own: Option<u64>, whole: u64| {
            let share = whole / 4 * quarters + whole % 4 * quarters / 4;
            own.unwrap_or(share.max(1)).min(whole)
        };
        let count = |own: Option<usize>, whole: usize| {
            let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            usize::try_from(of(own.map(wide), wide(whole))).unwrap_or(whole)
        };
        let limits = &pool.limits;
        Allowed {
            streams: count(limits.streams, self.limits.streams),
            lanes: count(limits.lanes, self.limits.lanes),
            waiting_requests: count(limits.waiting_requests, self.limits.waiting_requests),
            segment_bytes: of(
                limits.segment_bytes.map(ByteSize::bytes),
                self.segment_bytes().bytes(),
            ),
            bandwidth_bps: limits.bandwidth_bps,
        }
    }

    /// The most that is held of segments, wherever they lie.
    fn segment_bytes(&self) -> ByteSize {
        if self.segments.dir.is_some() { self.segments.disk } else { self.segments.memory }
    }
}

/// What must hold between a pool's limits and those of the proxy.
pub(super) fn check(config: &Config, report: &Report) {
    for (n, pool) in config.pools.iter().enumerate() {
        let at = Path::default().key("pools").item(n).key("limits");
        for (key, own, whole) in [
            ("streams", pool.limits.streams, config.limits.streams),
            ("lanes", pool.limits.lanes, config.limits.lanes),
            ("waiting_requests", pool.limits.waiting_requests, config.limits.waiting_requests),
        ] {
            if let Some(own) = own.filter(|own| *own > whole) {
                let text = format!(
                    "{own} is more than limits.{key} of the whole proxy, {whole}, which counts first; raise that or lower this"
                );
                report.warning(&at.key(key), text);
            }
        }
        let Some(own) = pool.limits.segment_bytes else { continue };
        let (whole, one) = (config.segment_bytes(), pool.origin.segment_bytes);
        if own < one {
            let text = format!(
                "{own} does not hold one segment of origin.segment_bytes, {one}; raise it or lower that"
            );
            report.error(&at.key("segment_bytes"), text);
        } else if own > whole {
            let text = format!(
                "{own} is more than the whole segment store holds, {whole}, which counts first; raise that or lower this"
            );
            report.warning(&at.key("segment_bytes"), text);
        }
    }
}
