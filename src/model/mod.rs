//! The pure model: no I/O, no clock, no async, no logging. Time comes in as a value.

pub mod align;
pub mod health;
pub mod lane;
pub mod media;
pub mod multivariant;
pub mod names;
pub mod playlist;
pub mod probe;
pub mod rendition;
pub mod route;
pub mod selection;
pub mod token;
pub mod uri;
pub mod utilisation;
pub mod viewers;
pub mod watch;
