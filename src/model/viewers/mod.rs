//! How many watch. Nobody says "I am a viewer": it is told from who asks for playlists.
//!
//! `cmcd` reads the session id that players may send; `polls` tells how many one address must be from how
//! often it asks; `visit` is what a request says of whoever makes it; `census` counts distinct viewers per lane within a window; `ledger` keeps peaks and
//! events; `picture` is what operators are shown; `log` counts from a CDN's log lines.

mod census;
pub mod cmcd;
mod ledger;
pub mod log;
mod picture;
mod polls;
mod visit;

#[cfg(test)]
mod tests;

pub use census::{Census, CensusLimits, LaneNumber, Tally, Who};
pub use ledger::{Counts, Event, Group, Kept, Ledger, Peak, Row, RowName};
pub use picture::{
    EventShown, PackagerShown, Picture, PoolShown, Shown, Sources, StreamShown, ZoneShown,
};
pub use polls::{Polls, Window};
pub use visit::Visit;

use crate::model::names::UnixMs;

/// A moment for people: `2026-01-31 12:00:05`, UTC.
#[must_use]
pub fn moment(at: UnixMs) -> String {
    let text = super::playlist::date::text(at.0);
    text.split('.').next().unwrap_or_default().replace('T', " ")
}

/// People before screens, in hundredths of a viewer: organisers count heads, and more than one may
/// sit before one player.
#[must_use]
pub const fn people(viewers: u64, per_stream_hundredths: u32) -> u64 {
    (viewers.saturating_mul(per_stream_hundredths as u64).saturating_add(50)) / 100
}
