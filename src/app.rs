//! Puts everything together; the only module that knows all.
//!
//! `parts` the configuration to what each module is told; `serve` the running proxy; `operate`
//! what operators see and do, `reported` what packagers say of themselves; `drains` packagers taken out; `chores` what runs beside; `logs`, `listen` and `lifecycle` the
//! process; `demonstrate` the same behind `segue demo`.

mod chores;
mod demonstrate;
mod drains;
pub mod lifecycle;
pub mod listen;
pub mod logs;
mod operate;
mod parts;
mod reported;
mod serve;

pub use demonstrate::demonstrate;
pub use serve::{Options, serve};
