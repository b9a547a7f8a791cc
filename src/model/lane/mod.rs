//! A lane is a log: an append-only list of steps, of which a media playlist is nothing but the
//! newest, printed (ARCHITECTURE.md, "A lane is a log").
//!
//! `header` what is frozen at opening; `step` what the log is made of, `border` where
//! two runs meet; `log` the log itself;
//! `track` what one packager shows of one rendition, and `arrivals` when; `next` the one pure function that decides
//! the next step, `leaving` what it takes when its packager does not carry on, `draining` when its
//! packager is taken out, `splice` where it goes on in another run by borders and `meeting` by what is
//! in the segments, with `relations` to know how their timelines relate; `cutting` the first
//! entries then, `patience` for how long it
//! waits; `print` a log to a media playlist. `merging` brings a log and the store's copy together after the store was
//! away, `apart` what they differ by then, and `alike` says which steps do.

mod alike;
mod apart;
mod arrivals;
mod border;
mod cutting;
mod dates;
mod depth;
mod draining;
mod elsewhere;
mod header;
mod leaving;
mod log;
mod looking;
mod making;
mod meeting;
mod merging;
mod moment;
mod next;
mod patience;
mod print;
mod readiness;
mod relations;
mod seen;
mod session;
mod situation;
mod skew;
mod splice;
mod standing;
mod step;
mod track;

pub use apart::Apart;
pub use border::{Splice, SpliceMethod, SplicePlace, SpliceReason};
pub use header::{Container, FORMAT, Header, SessionResource};
pub use log::{Log, LogError};
pub use making::{EMPTY_SUBTITLES, empty_subtitles};
pub use merging::{Merged, Then, There};
pub use next::next;
pub use print::{GAP_SHORT, init_name, key_name, print, print_with, segment_name, short_on_demand};
pub use relations::Relations;
pub use seen::{Asset, Cutting, Failing, Fetched, Listed, Observed, Resource, Seen, Snapshot};
pub use situation::{Action, Candidate, Decision, Situation, Want, What};
pub use skew::{Skew, none_ahead};
pub use step::{
    ByteRange, Cut, Entry, Held, Init, Key, KeyUri, Mark, Media, Part, Share, Source, Step,
};
pub use track::Track;
