//! The pure model: no I/O, no clock, no async, no logging. Time comes in as a value.

pub mod lane;
pub mod names;
pub mod playlist;
pub mod rendition;
pub mod watch;
