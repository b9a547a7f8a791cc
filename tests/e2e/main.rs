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
    clippy::cast_precision_loss
)]

mod clip;
mod faults;
mod http;
mod laws;
mod link;
mod nginx;
mod packagers;
mod player;
mod ports;
mod process;
mod proxy;
mod report;
mod run;
mod scenarios;
mod stage;
mod viewers;
mod watch;
