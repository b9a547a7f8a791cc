//! Segue, an HA-aware HLS reverse proxy: viewers do not notice that a packager dies.

pub mod app;
pub mod audience;
pub mod config;
pub mod demo;
pub mod front;
pub mod model;
pub mod notify;
pub mod ops;
pub mod origin;
mod outside;
pub mod packagers;
pub mod peers;
pub mod probe;
pub mod segments;
pub mod store;
pub mod stream;
pub mod watch;
