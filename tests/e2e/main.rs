//! End to end: real packagers, the real proxy, real players, real faults.
//!
//! `cargo test --test e2e` runs the short ones, `make e2e` all. Tests run one after the other:
//! each needs the machine for itself.
//! `E2E_PROXY=nginx` runs the same against nginx as a primary/backup proxy, to compare.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    // A position that did not move is the same number, bit by bit.
    clippy::float_cmp,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::needless_for_each,
    clippy::redundant_closure_for_method_calls,
    clippy::unnecessary_literal_bound
)]
// Threads that block and a poisoned lock that fails the test are what a test wants.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod balancer;
mod clip;
mod content;
mod crowd;
mod expect;
mod faults;
mod fleet;
mod follow;
mod http;
mod laws;
mod link;
mod net;
mod nginx;
mod packagers;
mod player;
mod ports;
mod process;
mod programme;
mod proxy;
mod redis;
mod report;
mod run;
mod scenarios;
mod stage;
mod viewers;
mod watch;
