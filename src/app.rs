//! Puts everything together; the only module that knows all.
//!
//! `parts` the configuration to what each module is told; `serve` the running proxy; `operate`
//! what operators see and do, `reported` what packagers say of themselves, `viewing` how many watch; `telling`
//! what operators are told, `webhooks` whether it arrives; `storing` the store
//! at the start, `keys` the installation's own token key; `drains` packagers taken out, `groups` those that come
//! and go; `fleet` the other proxies; `chores` what runs beside; `logs`, `listen` and `lifecycle` the process;
//! `tenants` what each pool takes;
//! `demonstrate` the same behind `segue demo`.

mod auth;
mod chores;
mod demonstrate;
mod drains;
mod fleet;
mod groups;
mod keys;
pub mod lifecycle;
pub mod listen;
pub mod logs;
mod operate;
mod parts;
mod reported;
mod serve;
mod storing;
mod telling;
mod tenants;
mod viewing;
mod webhooks;

pub use demonstrate::demonstrate;
pub use serve::{Options, serve};
pub use webhooks::{Tried, try_webhooks};
