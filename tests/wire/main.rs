//! The origin client and the health checks against servers that misbehave byte by byte.

mod faults;
mod health;
mod keepalive;
mod names;
mod ranges;
mod server;
mod tls;

use std::time::Duration;

use segue::model::names::PackagerId;
use segue::origin::{Client, Endpoint};

/// Longer than any answer that comes at all takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(300);

fn a() -> PackagerId {
    PackagerId::new("a")
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::from_url(&format!("http://127.0.0.1:{port}")).unwrap()
}

/// A client that knows the packager `a` at `endpoint`.
fn client(endpoint: Endpoint) -> Client {
    Client::new([(a(), endpoint)]).unwrap()
}
