//! Watched streams: refresh, fetch, append, list. A stream is watched while somebody asks for it.
//!
//! Sees packagers, the clock and the store through traits and knows no Pingora type, so that the
//! simulation runs it unchanged.
//!
//! `streams` all of them, and a new viewer's way to one; `worker` the one task of each. It asks
//! packagers (`watching` which, `asking`) at the `pace` their segments come, keeps what each shows (`source`,
//! `reading`), opens lanes (`choosing` where, `opening`, `frozen`), carries them on (`carry`, `fetching`, `taking`;
//! `inside` looks into what came; `barring` says with whom not),
//! fetches again what is listed and not held (`recall`), keeps the store's copy of the logs
//! (`saving`) and follows what other proxies append (`hearing`, `following`, `bringing`, with the bytes of its
//! `fleet`; `loading` for lanes that others opened); `admission` asks whether a viewer is let in; `lane` what viewers' requests read; `status` what
//! operators see, `usage` what each pool takes.

mod admission;
mod asking;
mod barring;
mod bringing;
mod carry;
mod choosing;
mod clock;
mod fetching;
mod fleet;
mod following;
mod frozen;
mod hearing;
mod inside;
mod lane;
mod loading;
mod observer;
mod opening;
mod pace;
mod reading;
mod recall;
mod saving;
mod scouting;
mod settings;
mod siblings;
mod source;
mod status;
mod streams;
mod taking;
mod usage;
mod watching;
mod worker;

pub use admission::Verdict;
pub use clock::Clock;
pub use fleet::{Alone, Fleet};
pub use lane::{Lane, Named, PATIENCE, Printed, Whereabouts};
pub use observer::{CopiedFrom, Observer, Outcome, Silent};
pub use recall::Recalled;
pub use settings::{Capacity, PoolSettings};
pub use status::{Decided, LaneStatus, PackagerStatus, StepStatus, StreamStatus};
pub use streams::{Parts, Streams};
pub use usage::Usage;

use streams::{Deps, Slot};

/// Why an entry or a lane cannot be had now. The front turns each into a status in one table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A packager says that this viewer is not let in.
    #[error("not allowed")]
    NotAllowed,
    /// Every packager that answers says that there is no such stream.
    #[error("no such stream")]
    NoStream,
    /// No packager of the pool has the stream in a state to be joined.
    #[error("no packager has this stream now")]
    NoPackager,
    /// A limit of the configuration is reached: its key.
    #[error("at the limit {0}")]
    Limit(&'static str),
    /// What the packager shows cannot be carried (yet): why.
    #[error("cannot be carried: {0}")]
    Unsupported(String),
    /// The lane's last good playlist is too old to be shown.
    #[error("the stream has stood still for too long")]
    Stale,
    /// No such rendition in this lane.
    #[error("no such rendition")]
    NoRendition,
    /// This was never announced, or left the window long ago.
    #[error("not announced")]
    NotListed,
    /// The process is too busy or its store does not answer.
    #[error("not ready")]
    NotReady,
}
