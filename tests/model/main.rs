//! Properties of the pure model, on random input.

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

mod dates;
mod draining;
mod exact;
mod fleets;
mod gaps;
mod history;
#[allow(dead_code)] // shared with the simulation
#[path = "../simulation/judge.rs"]
mod judge;
mod keys;
mod lane;
mod merging;
mod multivariant;
mod playlist;
#[path = "../programme/mod.rs"]
mod programme;
mod restart;
mod sessions;
mod shares;
mod show;
mod stored;
mod token;
#[allow(dead_code)] // shared with the simulation
#[path = "../simulation/world.rs"]
mod world;
