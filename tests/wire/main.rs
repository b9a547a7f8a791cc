//! The origin client, the health checks and what packagers report, against servers that misbehave byte by byte.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::semicolon_if_nothing_returned,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::large_stack_arrays,
    clippy::manual_is_multiple_of,
    reason = "a test may"
)]

mod credentials;
#[allow(dead_code, reason = "not all of it is of use in each")]
#[path = "../dns/mod.rs"]
mod dns;
mod faults;
mod health;
mod keepalive;
mod names;
mod ranges;
mod reports;
mod resolver;
mod server;
mod tls;
mod webhooks;

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
