//! The proxy's pure model, built from its own source: fuzzing needs no server around it.

#[path = "../../src/model/mod.rs"]
pub mod model;
