//! What is inside real segments, of ffmpeg and Shaka Packager, made on the fly and judged by ffmpeg; and
//! inside damaged ones.

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
mod fmp4;
mod made_up;
#[path = "../programme/mod.rs"]
mod programme;
mod splice;
mod ts;
mod ts_cut;
mod ts_damage;
mod ts_packets;
