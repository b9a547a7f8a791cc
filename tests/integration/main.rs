//! The whole proxy, as a process, between scripted packagers and viewers who hold every answer to
//! the laws.
//!
//! `packager`, `dialect`, `script`, `lists`, `making`, `content`, `cipher`, `serving`, `guard` and `faults`
//! play the packagers, whose media is a `programme`, `dns` their name server, `receiver` takes messages, `redis` runs the
//! store's server, `proxy`
//! runs the process, `fleet` asks it as another proxy would, `viewer`, `borders`, `carried`, `judges` and
//! `http` watch it. The rest are tests, by what they try.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::float_cmp,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::similar_names,
    reason = "a test may"
)]

mod blind;
mod borders;
mod carried;
mod cdn;
mod cipher;
mod content;
mod dialect;
#[allow(dead_code, reason = "not all of it is of use in each")]
#[path = "../dns/mod.rs"]
mod dns;
mod faults;
mod fleet;
mod guard;
mod http;
mod judges;
mod lists;
mod making;
mod packager;
mod pollers;
#[path = "../programme/mod.rs"]
mod programme;
mod proxy;
mod receiver;
#[allow(dead_code, reason = "not all of it is of use in each")]
#[path = "../redis/mod.rs"]
mod redis;
mod script;
mod serving;
mod viewer;

mod any_proxy;
mod audio_and_subtitles;
mod authorisation;
mod authorisation_expiry;
mod bad_playlists;
mod bad_segments;
mod behind_a_cdn;
mod cached;
mod capacity;
mod clients;
mod containers;
mod crowd;
mod damage;
mod discovery;
mod draining;
mod encryption;
mod fairness;
mod fleet_bytes;
mod fleet_members;
mod host_names;
mod iframes;
mod in_front;
mod kinds;
mod lifecycle;
mod long_windows;
mod low_latency;
mod metadata;
mod on_demand;
mod operators;
mod outage;
mod restart;
mod scripted;
mod selection;
mod shared_store;
mod tenants;
mod unknown_hosts;
mod variants;
mod viewers;
mod webhooks;

use std::time::{Duration, Instant};

/// Waits until `met`, looking again and again; an error after `limit`.
async fn wait_for<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    met: impl Fn() -> F,
) -> Result<(), String> {
    let began = Instant::now();
    while !met().await {
        if began.elapsed() > limit {
            return Err(format!("waited {limit:?} for {what}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
