//! The other proxies of the fleet: who is there, bytes by their hash and lanes' logs, from one proxy to another.
//!
//! `watch` keeps asking who is there, at the addresses that `find` finds (a list, DNS, the store); `ask` is one
//! question, `copy` bytes from whoever holds them, with `places` at each, `lane` a log as it is sent; `serve` answers
//! others, from what is held and nothing else, so that no question goes further than one proxy; `identity` is what
//! this one is called and where it is reached. What is decided stands in `model/fleet`.

mod ask;
mod copy;
mod find;
mod identity;
mod lane;
mod places;
mod serve;
#[cfg(test)]
mod tests;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::fleet::{FleetKeys, Hello, Present, Roster, fetcher};
use crate::model::lane::Held;
use crate::model::names::{LaneId, ProxyId, StreamKey, UnixMs};
use crate::store::StoredLane;
use crate::stream::{Clock, Fleet};

pub use find::{Advertised, Finder, Source};
pub use identity::{local_address_to, own_id};
pub use serve::Serving;
pub use watch::Watching;

use ask::{Asker, Within};
use copy::Copier;
use lane::Wanted;

/// What proxies ask each other begins so. The number is that of the protocol.
const PREFIX: &str = "/.segue/fleet/1/";
/// The header that a question and a signed answer carry.
const SIGNATURE: &str = "x-segue-fleet";
/// The header that tells who answers.
const ANSWERED_BY: &str = "x-segue-proxy";
/// Lanes' logs asked for at one time, each up to 16 MiB.
const LOGS_AT_ONCE: usize = 8;
/// How long the first question to the others may take before it is decided without them.
const MEETING: Duration = Duration::from_secs(1);
/// And how long, where nobody tells who they are: they ask, if they know this one from before.
const MEETING_BLIND: Duration = Duration::from_secs(3);
/// For a connection, and each piece of a log.
const LOG_PIECE_WITHIN: Duration = Duration::from_secs(1);

/// Counts what goes between proxies. Must not block.
pub trait Meter: Send + Sync {
    /// Another proxy was asked: `hello`, `bytes` or `lane`, and how that ended.
    fn asked(&self, _kind: &'static str, _outcome: &'static str) {}
    /// Another proxy asked: what, and the status of the answer.
    fn answered(&self, _kind: &'static str, _status: u16) {}
    /// Bytes of segments came from another proxy.
    fn received(&self, _bytes: usize) {}
    /// Bytes of segments went to another proxy.
    fn sent(&self, _bytes: usize) {}
}

/// What this proxy is in the fleet.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its id.
    pub id: ProxyId,
    /// Its zone; empty for none.
    pub zone: String,
    /// One proxy of each zone fetches a stream for all of it.
    pub one_per_zone: bool,
    /// Longest content that is taken from another proxy at first, bytes.
    pub bytes_max: u64,
}

/// The fleet as this proxy sees it.
pub struct Peers {
    settings: Settings,
    boot: String,
    clock: Clock,
    roster: Mutex<Roster<SocketAddr>>,
    /// Who answers: read on every stream's way, so without a lock.
    present: ArcSwap<Vec<Present<SocketAddr>>>,
    asker: Arc<Asker>,
    copier: Copier,
    meter: Arc<dyn Meter>,
    /// Longest content that is taken from another proxy, bytes.
    bytes_max: AtomicU64,
    leaving: AtomicBool,
    /// One has asked that is not known yet.
    stranger: Notify,
    /// Where this one answers, as it tells those that it asks.
    own_at: ArcSwapOption<SocketAddr>,
    /// What tells of the others has not done so since the process began.
    blind: AtomicBool,
    /// Who is known was asked once.
    met: tokio::sync::watch::Sender<bool>,
    /// More addresses are found than may be asked, which was told.
    too_many: AtomicBool,
}

impl Peers {
    /// Nobody is known yet: see [`Watching`].
    #[must_use]
    pub fn new(settings: Settings, keys: FleetKeys, clock: Clock, meter: Arc<dyn Meter>) -> Self {
        let boot = format!("{:016x}", rand::random::<u64>());
        let asker = Arc::new(Asker::new(settings.id.clone(), keys));
        Self {
            roster: Mutex::new(Roster::new(settings.id.clone(), boot.clone())),
            present: ArcSwap::default(),
            copier: Copier::new(Arc::clone(&asker), Arc::clone(&meter)),
            asker,
            meter,
            bytes_max: AtomicU64::new(settings.bytes_max),
            settings,
            boot,
            clock,
            leaving: AtomicBool::new(false),
            stranger: Notify::new(),
            own_at: ArcSwapOption::empty(),
            blind: AtomicBool::new(true),
            met: tokio::sync::watch::Sender::new(false),
            too_many: AtomicBool::new(false),
        }
    }

    /// Other keys from now on.
    pub fn reload(&self, keys: FleetKeys) {
        self.asker.reload(keys);
    }

    /// Nothing longer is taken from another proxy from now on, bytes.
    pub fn take_up_to(&self, bytes: u64) {
        self.bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// Longest content that is taken from another proxy, bytes.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// What this one is in the fleet.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// That proxy has asked, and answers at this address, where it tells.
    fn asked_by(&self, by: &ProxyId, at: Option<SocketAddr>) {
        if *by == self.settings.id || self.answers(by) {
            return;
        }
        self.stranger.notify_one();
        // It knows the fleet from before, where the store does not tell any more.
        if let Some(at) = at {
            self.roster.lock().called(self.clock.now(), at);
        }
    }

    /// Neither what tells of the others nor one of them has answered since the process began: what they carry would
    /// be begun anew here.
    fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed) && self.present.load().is_empty()
    }

    /// What this one says when it is asked who it is.
    fn hello(&self) -> Hello {
        Hello {
            id: self.settings.id.clone(),
            zone: self.settings.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: self.boot.clone(),
            leaving: self.leaving.load(Ordering::Relaxed),
        }
    }

    /// The zones of the proxies that answer, each as often as it has some.
    #[must_use]
    pub fn zones(&self) -> Vec<String> {
        self.present.load().iter().map(|proxy| proxy.zone.clone()).collect()
    }

    /// The fleet for people: this one, and every address that is or was a proxy.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let now = self.clock.now();
        let roster = self.roster.lock();
        let others = roster.members().filter(|(_, member)| !member.own);
        let shown = others.map(|(at, member)| {
            let hello = member.hello.as_ref();
            serde_json::json!({
                "at": at.to_string(), "answers": member.answers, "cause": member.cause,
                "since_ms": u64::try_from(now.since(member.since).as_millis()).unwrap_or(u64::MAX),
                "id": hello.map(|h| &h.id), "zone": hello.map(|h| &h.zone),
                "version": hello.map(|h| &h.version), "leaving": hello.is_some_and(|h| h.leaving),
            })
        });
        serde_json::json!({
            "id": self.settings.id, "zone": self.settings.zone, "version": env!("CARGO_PKG_VERSION"),
            "fetch": if self.settings.one_per_zone { "one_per_zone" } else { "each" },
            "proxies": shown.collect::<Vec<_>>(),
        })
    }

    /// That proxy answers now.
    fn answers(&self, proxy: &ProxyId) -> bool {
        self.present.load().iter().any(|p| p.id == *proxy)
    }
}

/// The system's clock as it is now: it may have been set since the process began, or the machine have stood still,
/// and others compare it with theirs.
fn system_now() -> UnixMs {
    Clock::system().now()
}

/// The same, Unix seconds.
fn unix_s() -> u64 {
    system_now().0 / 1000
}

#[async_trait]
impl Fleet for Peers {
    fn own_id(&self) -> Option<&ProxyId> {
        Some(&self.settings.id)
    }

    async fn met(&self) {
        let mut met = self.met.subscribe();
        let _ = tokio::time::timeout(MEETING_BLIND, met.wait_for(|met| *met)).await;
    }

    fn others(&self) -> usize {
        self.present.load().len()
    }

    fn fetcher(&self, stream: &StreamKey) -> Option<ProxyId> {
        if !self.settings.one_per_zone {
            return None;
        }
        let present = self.present.load();
        let here = present.iter().filter(|p| p.zone == self.settings.zone && !p.leaving);
        let own = &self.settings.id;
        let stays = (!self.leaving.load(Ordering::Relaxed)).then_some(own);
        fetcher(stream, here.map(|p| &p.id).chain(stays)).filter(|id| *id != own).cloned()
    }

    async fn bytes(&self, held: Held, holders: &[ProxyId], deadline: Duration) -> Option<Bytes> {
        let present = self.present.load_full();
        if present.is_empty() || held.length > self.bytes_max() {
            return None;
        }
        let from = copy::order(held.hash, &present, holders, &self.settings.zone);
        tokio::time::timeout(deadline, self.copier.copy(held, from)).await.ok().flatten()
    }

    async fn lane(
        &self,
        stream: &StreamKey,
        lane: &LaneId,
        deadline: Duration,
    ) -> Option<StoredLane> {
        let wanted = Arc::new(Wanted { stream: stream.clone(), lane: lane.clone() });
        let what = format!("lanes?of={}", wanted.text());
        let within = Within { whole: deadline, piece: LOG_PIECE_WITHIN, bytes: lane::BYTES_MAX };
        let present = self.present.load_full();
        let ask = async |at: SocketAddr| {
            let answer = self.asker.get_signed(at, &what, within).await;
            let outcome = answer.as_ref().map_or_else(ask::AskError::as_str, |_| "ok");
            self.meter.asked("lane", outcome);
            lane::read_aside(answer.ok()?.1, &wanted).await
        };
        let ats: Vec<SocketAddr> = present.iter().map(|p| p.at).collect();
        let mut logs = stream::iter(ats).map(ask).buffer_unordered(LOGS_AT_ONCE);
        let over = tokio::time::sleep(deadline);
        tokio::pin!(over);
        let mut best: Option<StoredLane> = None;
        loop {
            tokio::select! {
                log = logs.next() => match log {
                    None => return best,
                    Some(None) => {}
                    Some(Some(log)) => {
                        best = Some(match best.take() {
                            None => log,
                            Some(one) => lane::longer(one, log),
                        });
                    }
                },
                () = &mut over => return best,
            }
        }
    }
}
