//! The addresses of a packager's name, looked up again whenever the last answer has outlived its TTL:
//! it may move. Nobody waits for that, and while the name server fails the last answer is kept: a
//! packager that lives is not lost to it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::OriginError;

/// An answer is used for so long at the least, and at the most, whatever its TTL.
const FRESH_MIN: Duration = Duration::from_secs(1);
const FRESH_MAX: Duration = Duration::from_secs(60);
/// After a look-up that failed the next one comes no sooner.
const FAILED: Duration = Duration::from_secs(3);
/// For a look-up that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses of one name that are looked at, where they are one packager.
const ADDRESSES_MAX: usize = 8;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its addresses, in the order of the answer, IPv4 first. Never empty.
    pub addresses: Vec<IpAddr>,
    /// For how long the answer holds, as its sender says.
    pub ttl: Duration,
    /// Only one of the two kinds of addresses could be asked for.
    pub partial: bool,
}

impl Resolved {
    /// How long to use the answer without asking again.
    #[must_use]
    pub fn fresh_for(&self) -> Duration {
        self.ttl.clamp(FRESH_MIN, FRESH_MAX)
    }

    /// What was known `before` of a kind that it says nothing of stays.
    fn keep_other_kind(&mut self, before: &[IpAddr]) {
        let told = |kind: &IpAddr| self.addresses.iter().any(|a| a.is_ipv4() == kind.is_ipv4());
        let kept: Vec<IpAddr> = before.iter().filter(|a| !told(a)).copied().collect();
        self.addresses.extend(kept);
        self.addresses.sort_by_key(IpAddr::is_ipv6);
    }
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name server says that there is no such name.
    #[error("no such name")]
    NoSuchName,
    /// There is the name, and it has no address.
    #[error("no address")]
    NoAddress,
    /// No answer in time.
    #[error("no answer in {0:?}")]
    Timeout(Duration),
    /// Anything else that the name server said, or that kept it from being asked.
    #[error("{0}")]
    Failed(String),
}

impl ResolveError {
    /// One word, for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoSuchName => "no_such_name",
            Self::NoAddress => "empty",
            Self::Timeout(_) => "timeout",
            Self::Failed(_) => "failed",
        }
    }
}

/// Turns a name into addresses. Tests put their own in its place.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of `host`.
    async fn lookup(&self, host: &str) -> Result<Resolved, ResolveError>;
}

/// The system's own resolver, which tells no TTL.
pub struct SystemNames;

/// How long an answer without a TTL is used.
const UNTOLD: Duration = Duration::from_secs(3);

#[async_trait]
impl Resolve for SystemNames {
    async fn lookup(&self, host: &str) -> Result<Resolved, ResolveError> {
        let found = tokio::net::lookup_host((host, 0)).await;
        let found = found.map_err(|e| ResolveError::Failed(e.to_string()))?;
        let mut addresses: Vec<IpAddr> = found.map(|at| at.ip()).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress);
        }
        Ok(Resolved { addresses, ttl: UNTOLD, partial: false })
    }
}

/// The addresses of one packager.
#[derive(Default)]
pub(super) struct Names {
    known: Mutex<Known>,
    /// One lookup at a time: a name server that hangs must not be asked by every request.
    lookup: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// Not asked again before.
    until: Option<Instant>,
    last_good: Option<SocketAddr>,
    /// The last lookup failed.
    failing: bool,
}

impl Known {
    /// The addresses in the order to try: the one that answered last goes first.
    fn ordered(&self, port: u16) -> Vec<SocketAddr> {
        let at = self.addresses.iter().map(|ip| SocketAddr::new(*ip, port));
        let mut all: Vec<SocketAddr> = at.collect();
        all.sort_by_key(|a| Some(*a) != self.last_good);
        all
    }
    fn fresh(&self) -> bool {
        !self.addresses.is_empty() && self.until.is_some_and(|at| Instant::now() < at)
    }
}

impl Names {
    /// The addresses of `host:port`, the last good one first. `patience` bounds a lookup that is waited
    /// for, which only the first is.
    pub(super) async fn addresses(
        self: &Arc<Self>,
        resolver: &Arc<dyn Resolve>,
        host: &str,
        port: u16,
        patience: Duration,
    ) -> Result<Vec<SocketAddr>, OriginError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let (known, fresh) = {
            let known = self.known.lock();
            (known.ordered(port), known.fresh())
        };
        if fresh {
            return Ok(known);
        }
        if !known.is_empty() {
            self.refresh(resolver, host);
            return Ok(known);
        }
        let _turn = self.lookup.lock().await;
        if self.known.lock().fresh() {
            return Ok(self.known.lock().ordered(port));
        }
        self.ask(&**resolver, host, patience).await.map_err(OriginError::Connect)?;
        Ok(self.known.lock().ordered(port))
    }

    /// Asks again beside whoever uses the last answer.
    fn refresh(self: &Arc<Self>, resolver: &Arc<dyn Resolve>, host: &str) {
        let Ok(turn) = Arc::clone(&self.lookup).try_lock_owned() else { return };
        let (names, resolver, host) = (Arc::clone(self), Arc::clone(resolver), host.to_owned());
        tokio::spawn(async move {
            let _turn = turn;
            // What went wrong is told there.
            let _ = names.ask(&*resolver, &host, PATIENCE).await;
        });
    }

    /// One lookup. A failure changes nothing of what is known.
    async fn ask(
        &self,
        resolver: &dyn Resolve,
        host: &str,
        patience: Duration,
    ) -> Result<(), String> {
        let answer = timeout(patience, resolver.lookup(host)).await;
        let answer = answer.unwrap_or(Err(ResolveError::Timeout(patience)));
        let mut known = self.known.lock();
        match answer {
            Ok(mut found) => {
                if found.partial {
                    found.keep_other_kind(&known.addresses);
                }
                found.addresses.truncate(ADDRESSES_MAX);
                known.until = Some(Instant::now() + found.fresh_for());
                let (mut now, mut before) = (found.addresses.clone(), known.addresses.clone());
                now.sort_unstable();
                before.sort_unstable();
                if !before.is_empty() && now != before {
                    tracing::info!(target: "segue::origin", host, ?before, ?now, "a packager's name leads elsewhere");
                }
                if std::mem::take(&mut known.failing) {
                    tracing::info!(target: "segue::origin", host, "a packager's name can be looked up again");
                }
                known.addresses = found.addresses;
                Ok(())
            }
            Err(cause) => {
                known.until = Some(Instant::now() + FAILED);
                // Without any address its health check tells.
                if !known.addresses.is_empty() && !std::mem::replace(&mut known.failing, true) {
                    tracing::warn!(target: "segue::origin", host, %cause, "a packager's name cannot be looked up: its last addresses are used");
                }
                Err(format!("{host} does not resolve: {cause}"))
            }
        }
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
        answer: Mutex<Vec<IpAddr>>,
    }

    #[async_trait]
    impl Resolve for Server {
        async fn lookup(&self, _: &str) -> Result<Resolved, ResolveError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let addresses = self.answer.lock().clone();
            if addresses.is_empty() {
                return Err(ResolveError::Failed("down".to_owned()));
            }
            Ok(Resolved { addresses, ttl: Duration::from_secs(7), partial: false })
        }
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::new(ip(last), 80)
    }
    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Until the answer is that: what is asked again is not waited for.
    async fn becomes(names: &Arc<Names>, server: &Arc<dyn Resolve>, want: &[SocketAddr]) {
        for _ in 0..100 {
            let got = names.addresses(server, "pack", 80, Duration::from_secs(1)).await.unwrap();
            if got == want {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it stays {:?}", names.known.lock().addresses);
    }

    #[tokio::test(start_paused = true)]
    async fn asks_again_by_ttl_and_survives_a_dead_name_server() {
        let (names, server) = (Arc::new(Names::default()), Arc::new(Server::default()));
        let resolver: Arc<dyn Resolve> = server.clone();
        let asked = || server.asked.load(Ordering::Relaxed);
        let ask = || names.addresses(&resolver, "pack", 80, Duration::from_secs(1));
        assert!(ask().await.is_err());
        *server.answer.lock() = vec![ip(1), ip(2)];
        assert_eq!(ask().await.unwrap(), [at(1), at(2)], "a failure is not kept");
        names.good(at(2));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(ask().await.unwrap(), [at(2), at(1)]);
        tokio::task::yield_now().await;
        assert_eq!(asked(), 2, "kept for as long as it holds");
        server.answer.lock().clear();
        tokio::time::advance(Duration::from_secs(2)).await;
        for _ in 0..3 {
            assert_eq!(ask().await.unwrap(), [at(2), at(1)], "the old answer is better than none");
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(), 3, "not asked with every request");
        *server.answer.lock() = vec![ip(3)];
        tokio::time::advance(FAILED).await;
        becomes(&names, &resolver, &[at(3)]).await;
    }

    /// What a name server says, answer by answer.
    struct Says(Mutex<Vec<Resolved>>);

    #[async_trait]
    impl Resolve for Says {
        async fn lookup(&self, _: &str) -> Result<Resolved, ResolveError> {
            self.0.lock().pop().ok_or(ResolveError::NoSuchName)
        }
    }

    #[tokio::test]
    async fn a_kind_of_addresses_that_could_not_be_asked_for_stays() {
        let six = |last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
        let ttl = Duration::from_secs(7);
        let names = Names::default();
        for (name, addresses, partial, want) in [
            ("both", vec![ip(1), six(1)], false, vec![ip(1), six(1)]),
            ("IPv4 failed", vec![six(2)], true, vec![ip(1), six(2)]),
            ("IPv6 failed", vec![ip(3)], true, vec![ip(3), six(2)]),
            ("IPv6 is gone", vec![ip(3)], false, vec![ip(3)]),
            ("IPv4 is gone", vec![six(4)], false, vec![six(4)]),
        ] {
            let says = Says(Mutex::new(vec![Resolved { addresses, ttl, partial }]));
            names.ask(&says, "pack", PATIENCE).await.unwrap();
            assert_eq!(names.known.lock().addresses, want, "{name}");
        }
    }

    #[test]
    fn an_answer_is_used_neither_too_short_nor_too_long() {
        for (ttl, want) in [(0, 1), (1, 1), (30, 30), (86_400, 60)] {
            let ttl = Duration::from_secs(ttl);
            let found = Resolved { addresses: vec![ip(1)], ttl, partial: false };
            assert_eq!(found.fresh_for().as_secs(), want, "{ttl:?}");
        }
    }
}
