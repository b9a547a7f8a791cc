//! For operators: metrics, health, status, and what can be changed while running.
//!
//! `metrics` the counters and gauges; `admin` the HTTP service they are read from; `drain` what it
//! says of packagers that are taken out; `viewers` the page and what a CDN's log says of how many watch.

pub mod admin;
mod drain;
mod make;
pub mod metrics;
mod viewers;

pub use drain::{DrainError, PackagerState};

pub use admin::{Admin, Operations, Settings};
pub use metrics::{
    Gauges, GroupGauge, Metrics, PackagerGauge, PoolGauge, ReportGauge, StreamGauge, Taken,
    ViewersGauges,
};
