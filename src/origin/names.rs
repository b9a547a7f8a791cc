//! Resolving a packager's name, again and again: it may move. The last answer is kept for a few
//! seconds, and for longer while the name server fails: a packager that lives is not lost to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::OriginError;

/// How long an answer of the name server is used without asking again.
const FRESH: Duration = Duration::from_secs(3);
/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;

/// Turns a name into addresses. Tests put their own in its place.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, with `port`.
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
pub struct SystemNames;

#[async_trait]
impl Resolve for SystemNames {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// The addresses of one packager.
#[derive(Default)]
pub(super) struct Names {
    known: Mutex<Known>,
    /// One lookup at a time: a name server that hangs must not use up the blocking threads.
    lookup: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    asked: Option<Instant>,
    last_good: Option<SocketAddr>,
}

impl Known {
    /// The addresses in the order to try: the one that answered last goes first.
    fn ordered(&self) -> Vec<SocketAddr> {
        let mut all = self.addresses.clone();
        all.sort_by_key(|a| Some(*a) != self.last_good);
        all
    }
    fn fresh(&self) -> bool {
        !self.addresses.is_empty() && self.asked.is_some_and(|at| at.elapsed() < FRESH)
    }
}

impl Names {
    /// The addresses of `host:port`, the last good one first. `patience` bounds one lookup.
    pub(super) async fn addresses(
        &self,
        resolver: &dyn Resolve,
        host: &str,
        port: u16,
        patience: Duration,
    ) -> Result<Vec<SocketAddr>, OriginError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let _turn = if let Ok(turn) = self.lookup.try_lock() {
            turn
        } else {
            let stale = self.known.lock().ordered();
            if !stale.is_empty() {
                return Ok(stale);
            }
            self.lookup.lock().await
        };
        {
            let known = self.known.lock();
            if known.fresh() {
                return Ok(known.ordered());
            }
        }
        let answer = match timeout(patience, resolver.lookup(host, port)).await {
            Ok(Ok(list)) if !list.is_empty() => Ok(list),
            Ok(Ok(_)) => Err(format!("{host} has no address")),
            Ok(Err(e)) => Err(format!("{host} does not resolve: {e}")),
            Err(_) => Err(format!("{host} does not resolve in {patience:?}")),
        };
        let mut known = self.known.lock();
        known.asked = Some(Instant::now());
        match answer {
            Ok(mut list) => {
                list.truncate(ADDRESSES_MAX);
                known.addresses = list;
            }
            Err(cause) if known.addresses.is_empty() => return Err(OriginError::Connect(cause)),
            Err(_) => {}
        }
        Ok(known.ordered())
    }

    /// `address` answered.
    pub(super) fn good(&self, address: SocketAddr) {
        self.known.lock().last_good = Some(address);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Fails while there are no addresses to give.
    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        answer: Mutex<Vec<SocketAddr>>,
    }

    #[async_trait]
    impl Resolve for Server {
        async fn lookup(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = self.answer.lock().clone();
            if answer.is_empty() { Err(io::Error::other("down")) } else { Ok(answer) }
        }
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[tokio::test(start_paused = true)]
    async fn asks_again_and_survives_a_dead_name_server() {
        let (names, server) = (Names::default(), Server::default());
        let patience = Duration::from_secs(1);
        let ask = || names.addresses(&server, "pack", 80, patience);
        assert!(ask().await.is_err());
        *server.answer.lock() = vec![at(1), at(2)];
        assert_eq!(ask().await.unwrap(), [at(1), at(2)], "a failure is not kept");
        names.good(at(2));
        assert_eq!(ask().await.unwrap(), [at(2), at(1)]);
        assert_eq!(server.asked.load(Ordering::Relaxed), 2, "kept for a while");
        server.answer.lock().clear();
        tokio::time::advance(FRESH).await;
        assert_eq!(ask().await.unwrap(), [at(2), at(1)], "the old answer is better than none");
        *server.answer.lock() = vec![at(3)];
        tokio::time::advance(FRESH).await;
        assert_eq!(ask().await.unwrap(), [at(3)], "it moved");
    }
}
