//! What operators are told by webhooks: which events there are, how each is written, and what of all
//! that happens is worth a message.
//!
//! `changes` finds events in what stands now, `bundle` makes one message of what happens to many lanes
//! at once, `retry` says when a message is tried again, `signature` how it is signed.

mod bundle;
mod changes;
mod event;
mod retry;
mod signature;

pub use bundle::Bundles;
pub use changes::{Changes, LaneShown, PackagerShown, Shown, StreamShown};
pub use event::{Affected, FIRST_MAX, Kind, News, Proxy, Spliced};
pub use retry::{Verdict, delay, verdict};
pub use signature::{SIGNATURE_HEADER, signature};
