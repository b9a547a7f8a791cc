//! Segue, an HA-aware HLS reverse proxy: viewers do not notice that a packager dies.

pub mod model;
pub mod origin;
pub mod packagers;
pub mod segments;
pub mod store;
pub mod stream;
pub mod watch;
