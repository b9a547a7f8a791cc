//! Asks each address every second who is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use rand::Rng as _;
use tokio::task::JoinSet;

use super::ask::{AskError, Within};
use super::{Finder, MEETING, MEETING_BLIND, Peers};
use crate::model::fleet::{Change, Hello, PROXIES_MAX};

/// Half to one and a half of this lies between two questions, so that proxies do not all ask at once: a second.
const EVERY_MS: std::ops::Range<u64> = 800..1200;
/// At first nobody is known, and who comes to be known is asked at once.
const AT_FIRST: Duration = Duration::from_millis(20);
/// An answer that takes longer is none.
const HELLO: Within =
    Within { whole: Duration::from_secs(1), piece: Duration::from_secs(1), bytes: 4096 };

/// Who has not found anybody for so long serves alone.
const ALONE_AFTER: Duration = Duration::from_secs(10);

/// Keeps [`Peers`] up to date.
pub struct Watching {
    /// Who is kept up to date.
    pub peers: Arc<Peers>,
    /// Where others may be.
    pub finder: Finder,
    /// This process is on its way out.
    pub leaving: Box<dyn Fn() -> bool + Send + Sync>,
    /// Called once: viewers may be sent here, since what the others carry is known.
    pub sees: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl BackgroundService for Watching {
    async fn start(&self, _shutdown: ShutdownWatch) {
        tokio::join!(self.finder.run(&self.peers), self.ask_all());
    }
}

type Said = (SocketAddr, Result<Hello, AskError>);

impl Watching {
    async fn ask_all(&self) {
        let mut asked: JoinSet<Said> = JoinSet::new();
        let mut waits: Vec<SocketAddr> = Vec::new();
        let begun = tokio::time::Instant::now();
        let mut sees = false;
        loop {
            let blind = self.peers.is_blind();
            if begun.elapsed() >= if blind { MEETING_BLIND } else { MEETING } {
                self.peers.met.send_replace(true);
            }
            if !sees && (!blind || begun.elapsed() >= ALONE_AFTER) {
                sees = true;
                if blind {
                    tracing::warn!(
                        "neither the store nor another proxy has answered since the start: what others carry is begun anew here"
                    );
                }
                (self.sees)();
            }
            let pause = if *self.peers.met.borrow() {
                Duration::from_millis(rand::rng().random_range(EVERY_MS))
            } else {
                AT_FIRST
            };
            let due = tokio::time::sleep(pause);
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = &mut due => break,
                    Some(said) = asked.join_next() => if let Ok((at, said)) = said {
                        waits.retain(|other| *other != at);
                        self.peers.heard(at, said);
                        if waits.is_empty() {
                            self.peers.met.send_replace(true);
                        }
                    },
                }
            }
            self.peers.leaving.store((self.leaving)(), Ordering::Relaxed);
            for at in self.peers.due() {
                // One question at a time to each.
                if asked.len() < PROXIES_MAX && !waits.contains(&at) {
                    waits.push(at);
                    let peers = Arc::clone(&self.peers);
                    asked.spawn(async move { (at, peers.ask_who(at).await) });
                }
            }
        }
    }
}

impl Peers {
    /// Proxies may be at these addresses.
    pub(super) fn found(&self, addresses: &[SocketAddr]) {
        let now = self.clock.now();
        let mut roster = self.roster.lock();
        let refused = roster.name(now, addresses);
        self.asker.forget_others(|at| roster.members().any(|(known, _)| known == at));
        if !self.too_many.swap(refused > 0, Ordering::Relaxed) && refused > 0 {
            tracing::warn!(
                refused,
                "more than {PROXIES_MAX} addresses of proxies are known: the others are not asked"
            );
        }
        self.present.store(Arc::new(roster.present()));
    }

    fn due(&self) -> Vec<SocketAddr> {
        self.roster.lock().due(self.clock.now())
    }

    pub(super) async fn ask_who(&self, at: SocketAddr) -> Result<Hello, AskError> {
        let own = self.own_at.load_full();
        let what = own.map_or_else(|| "hello".to_owned(), |own| format!("hello?at={own}"));
        let (by, body) = self.asker.get_signed(at, &what, HELLO).await?;
        let hello: Hello = serde_json::from_slice(&body).map_err(|_| AskError::Wrong)?;
        if hello.id == by { Ok(hello) } else { Err(AskError::Wrong) }
    }

    pub(super) fn heard(&self, at: SocketAddr, said: Result<Hello, AskError>) {
        self.meter.asked("hello", said.as_ref().map_or_else(AskError::as_str, |_| "ok"));
        let now = self.clock.now();
        let mut roster = self.roster.lock();
        let changes = match said {
            Ok(hello) => roster.heard(now, &at, hello),
            Err(error) => {
                let refused = error == AskError::Refused;
                roster.failed(now, &at, refused, &error.to_string())
            }
        };
        self.present.store(Arc::new(roster.present()));
        let member = roster.members().find(|(other, _)| **other == at).map(|(_, m)| m.clone());
        drop(roster);
        let hello = member.as_ref().and_then(|m| m.hello.clone());
        let zone = hello.as_ref().map_or("", |h| h.zone.as_str());
        let version = hello.as_ref().map_or("", |h| h.version.as_str());
        let cause = member.as_ref().map_or("", |m| m.cause.as_str());
        let leaving = hello.as_ref().is_some_and(|h| h.leaving);
        for change in changes {
            match change {
                Change::Came(id) => {
                    tracing::info!(proxy = %id, %at, zone, version, "another proxy answers");
                }
                // It had said so.
                Change::Went(id) if leaving => {
                    tracing::info!(proxy = %id, %at, "another proxy has left");
                }
                Change::Went(id) => {
                    let another = "another proxy answers at its address";
                    let cause = if cause.is_empty() { another } else { cause };
                    tracing::warn!(proxy = %id, %at, cause, "another proxy does not answer any more");
                }
                Change::Silent(cause) => {
                    tracing::warn!(%at, cause, "no proxy has ever answered here: is it another's fleet.listen, with the same key?");
                }
                Change::SameId => {
                    tracing::error!(proxy = %self.settings.id, %at, "another process has this proxy's id: give each a segments.dir or a fleet.id of its own");
                }
            }
        }
    }
}
