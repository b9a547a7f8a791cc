//! Puts everything together; the only module that knows all.
//!
//! `parts` the configuration to what each module is told; `serve` the running proxy; `operate`
//! what operators see and do; `drains` packagers taken out; `chores` what runs beside; `viewing` how many watch; `logs`, `listen` and `lifecycle` the
//! process; `demonstrate` the same behind `segue demo`.

mod chores;
mod demonstrate;
mod drains;
pub mod lifecycle;
pub mod listen;
pub mod logs;
mod operate;
mod parts;
mod serve;
mod viewing;

pub use demonstrate::demonstrate;
pub use serve::{Options, serve};
