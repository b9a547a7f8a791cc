//! A fleet: who belongs to it, who answers, who fetches a stream for its zone, and how proxies prove to each
//! other that they are of one fleet.
//!
//! `roster` who is there; `rendezvous` who does what among those; `signature` the proof; `record` what a proxy
//! says of itself where others look for it.

mod record;
mod rendezvous;
mod roster;
mod signature;

pub use record::Record;
pub use rendezvous::{fetcher, in_turn};
pub use roster::{Change, Hello, Member, PROXIES_MAX, Present, Roster};
pub use signature::{FleetKeys, Mac, Request, SignatureError, Verified};
