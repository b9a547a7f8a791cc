//! What is inside real segments, made on the fly by ffmpeg and judged by it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    reason = "a test may"
)]

mod clips;
mod ffmpeg;
mod ts;
mod ts_cut;
mod ts_damage;
mod ts_packets;
