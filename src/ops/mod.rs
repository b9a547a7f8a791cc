//! For operators: metrics, health, status, and what can be changed while running.
//!
//! `metrics` the counters and gauges; `admin` the HTTP service they are read from.

pub mod admin;
mod make;
pub mod metrics;

pub use admin::{Admin, Operations, Settings};
pub use metrics::{Gauges, Metrics, PackagerGauge, StreamGauge};
