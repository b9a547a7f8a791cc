//! A lane is a log: an append-only list of steps, of which a media playlist is nothing but the
//! newest, printed (design.md, "The one idea").
//!
//! `header` what is frozen at opening; `step` what the log is made of; `log` the log itself;
//! `track` what one packager shows of one rendition; `next` the one pure function that decides
//! the next step; `print` a log to a media playlist.

mod header;
mod step;

pub use header::{Container, FORMAT, Header};
pub use step::{
    ByteRange, Entry, Held, Init, Source, Splice, SpliceMethod, SpliceReason, Step,
};
