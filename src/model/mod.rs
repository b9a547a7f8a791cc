//! The pure model: no I/O, no clock, no async, no logging. Time comes in as a value.

pub mod align;
pub mod discovery;
pub mod fleet;
pub mod health;
pub mod lane;
pub mod load;
pub mod media;
pub mod multivariant;
pub mod names;
pub mod notify;
pub mod paths;
pub mod playlist;
pub mod probe;
pub mod query;
pub mod redis_url;
pub mod rendition;
pub mod route;
pub mod selection;
pub mod shown;
pub mod token;
pub mod turns;
pub mod uri;
pub mod url_base;
pub mod utilisation;
pub mod viewers;
pub mod watch;
