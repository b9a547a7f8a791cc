//! Puts everything together; the only module that knows all.
//!
//! `parts` the configuration to what each module is told; `serve` the running proxy; `operate`
//! what operators see and do; `chores` what runs beside; `listen` and `lifecycle` the process.

mod chores;
pub mod lifecycle;
pub mod listen;
mod operate;
mod parts;
mod serve;

pub use serve::{Options, serve};
