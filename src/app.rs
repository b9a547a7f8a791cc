//! Puts everything together; the only module that knows all.

pub mod lifecycle;
pub mod listen;
