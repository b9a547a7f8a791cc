//! Logs: one line per event that an operator wants at night, on standard error; quiet otherwise.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Begins logging. `RUST_LOG` overrides the configured level.
pub fn start(log: &Log) {
    let level = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("segue={}", log.level.as_str())));
    let lines =
        tracing_subscriber::fmt().with_env_filter(level).with_writer(stderr).with_target(false);
    // A second start, as in a demo, keeps the first.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
}
