//! Where proxies may be: at the addresses of a list of names, asked for again by TTL, or where they say in the store
//! that they are. What is found is only whom to ask: whether somebody is there tells his answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Peers, local_address_to, system_now};
use crate::model::fleet::Record;
use crate::origin::{Resolve, ResolveError};
use crate::store::LaneStore;

/// For one look-up, and for one answer of the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a look-up that failed the next one comes no sooner.
const FAILED: Duration = Duration::from_secs(3);
/// How often the store is asked, and this one's own record written, while a fleet starts, and when one asks that is
/// not known yet.
const STORE_OFTEN: Duration = Duration::from_secs(2);
/// So long is that.
const STARTS_FOR: Duration = Duration::from_secs(60);
/// And how often otherwise.
const STORE_EVERY: Duration = Duration::from_secs(30);

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At every address of these names, with these ports.
    Names(Vec<(String, u16)>),
    /// In the store, where this one says that it is here.
    Store(Advertised),
}

/// Where others are told that this one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// At this address.
    At(SocketAddr),
    /// At the own address that leads to the store, whichever that is now.
    Towards {
        /// The store's host and port.
        store: (String, u16),
        /// The port of the own address.
        port: u16,
    },
}

/// Finds addresses of proxies.
pub struct Finder {
    source: Source,
    names: Arc<dyn Resolve>,
    store: Arc<dyn LaneStore>,
}

/// One name of the list.
struct Name {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
    due: Instant,
    failing: bool,
}

impl Finder {
    /// Looks at `source`; names are asked of `names`.
    #[must_use]
    pub fn new(source: Source, names: Arc<dyn Resolve>, store: Arc<dyn LaneStore>) -> Self {
        Self { source, names, store }
    }

    /// Tells `peers` what is found, for as long as it runs.
    pub(super) async fn run(&self, peers: &Peers) {
        match &self.source {
            Source::Names(names) => self.look_up(peers, names).await,
            Source::Store(own) => self.look_in_store(peers, own).await,
        }
    }

    async fn look_up(&self, peers: &Peers, names: &[(String, u16)]) {
        let now = Instant::now();
        let name = |(host, port): &(String, u16)| {
            let ip = host.parse::<IpAddr>();
            let due = if ip.is_ok() { now + Duration::from_secs(1 << 30) } else { now };
            let addresses = ip.into_iter().collect();
            Name { host: host.clone(), port: *port, addresses, due, failing: false }
        };
        let mut names: Vec<Name> = names.iter().map(name).collect();
        loop {
            let now = Instant::now();
            let due = names.iter_mut().filter(|name| name.due <= now);
            join_all(due.map(|name| name.look_up(&*self.names))).await;
            let all = names.iter().flat_map(|name| {
                name.addresses.iter().map(move |ip| SocketAddr::new(*ip, name.port))
            });
            peers.found(&all.collect::<Vec<_>>());
            peers.blind.store(false, Ordering::Relaxed);
            let Some(next) = names.iter().map(|name| name.due).min() else { return };
            sleep_until(next).await;
        }
    }

    async fn look_in_store(&self, peers: &Peers, own: &Advertised) {
        let mut failing = false;
        let began = Instant::now();
        loop {
            let answer = timeout(PATIENCE, self.meet_in_store(peers, own)).await;
            let cause = match answer {
                Ok(Ok(())) => None,
                Ok(Err(cause)) => Some(cause),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(cause) = cause.as_deref().filter(|_| !failing) {
                tracing::warn!(%cause, "other proxies are not looked for: those that are known are asked on");
            }
            failing = cause.is_some();
            sleep(STORE_OFTEN).await;
            if began.elapsed() > STARTS_FOR {
                // Who asks for the first time has said in the store where it is.
                let _asked = timeout(STORE_EVERY, peers.stranger.notified()).await;
            }
        }
    }

    async fn meet_in_store(&self, peers: &Peers, own: &Advertised) -> Result<(), String> {
        let own = own.address().await?;
        peers.own_at.store(Some(Arc::new(own)));
        let written = system_now();
        let (id, at) = (peers.settings.id.clone(), own.to_string());
        let record = Record { id, at, written };
        let (name, text) = (record.name(), record.text());
        // Before it is written over: another with this one's id would not be seen.
        let texts = self.store.kept(Record::PREFIX).await.map_err(|e| e.to_string())?;
        let (hold, gone) = Record::read(&texts, written, &peers.settings.id);
        let mut records: Vec<_> = gone.iter().map(|record| (record.name(), None)).collect();
        records.push((name, Some(text)));
        self.store.keep(&records).await.map_err(|e| e.to_string())?;
        let at = |record: &Record| record.at.parse::<SocketAddr>().ok();
        let found: Vec<SocketAddr> = hold.iter().filter_map(at).filter(|at| *at != own).collect();
        peers.found(&found);
        peers.blind.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Advertised {
    async fn address(&self) -> Result<SocketAddr, String> {
        let (host, to, port) = match self {
            Self::At(at) => return Ok(*at),
            Self::Towards { store: (host, to), port } => (host.clone(), *to, *port),
        };
        let name = host.clone();
        let own = tokio::task::spawn_blocking(move || local_address_to(&name, to));
        let own = own.await.map_err(|e| e.to_string())?;
        let ip = own.map_err(|e| format!("no own address leads to {host}: {e}"))?;
        Ok(SocketAddr::new(ip, port))
    }
}

impl Name {
    /// Asks for its addresses; those known before stay where that fails.
    async fn look_up(&mut self, names: &dyn Resolve) {
        let answer = timeout(PATIENCE, names.lookup(&self.host)).await;
        match answer.unwrap_or(Err(ResolveError::Timeout(PATIENCE))) {
            Ok(found) => {
                self.due = Instant::now() + found.fresh_for();
                self.addresses = found.addresses;
                self.failing = false;
            }
            Err(cause) => {
                self.due = Instant::now() + FAILED;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(host = self.host, %cause, "proxies' name cannot be looked up: those that are known are asked on");
                }
            }
        }
    }
}
