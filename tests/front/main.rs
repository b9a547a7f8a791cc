//! The front over a real Pingora server and real sockets. The lanes behind it are stand-ins that
//! never move, so that every byte of every answer is known.

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

mod answers;
mod client;
mod http2;
mod in_front;
mod lifecycle;
mod operators;
mod refusals;
mod reloads;
mod slow;
mod stand;
mod unheard;
