//! What those share that speak HTTP for themselves (`watch`, `probe`, `notify`): a client, the time of day that
//! people are shown, and being asked to stop.

pub mod client;
pub mod post;

use std::time::{SystemTime, UNIX_EPOCH};

/// Why there is no connection, as the system or TLS says it.
fn not_connected(error: &pingora::Error) -> String {
    let (kind, root) = (error.etype().as_str(), error.root_cause());
    // Where nothing lies beneath, the root is Pingora's own error, which tells more than people want to know.
    let own = root.downcast_ref::<pingora::Error>().is_some();
    if own { format!("cannot connect: {kind}") } else { format!("cannot connect: {root}") }
}

/// Until the process is asked to stop: by Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The time of day, UTC.
#[allow(clippy::disallowed_methods)] // shown to people, and nothing is decided by it
pub fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (s, tenths) = (now.as_secs() % 86_400, now.subsec_millis() / 100);
    format!("{:02}:{:02}:{:02}.{tenths}Z", s / 3600, s / 60 % 60, s % 60)
}
