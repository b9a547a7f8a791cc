//! The checks of one packager: its name resolved again and again, each address checked.
//!
//! Pingora runs the checks; the verdict is kept in `State`, since Pingora takes what it has not
//! checked for healthy and knows addresses only.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr as Address;
use pingora::{Error, ErrorType};
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HealthCheck;
use pingora_load_balancing::{Backend, Backends, Extensions};
use tokio::time::timeout;

use super::playlist::Seen;
use super::{CheckSpec, State};
use crate::model::health::Thresholds;
use crate::origin::Client;

/// Discovery and checks of one packager.
pub(super) struct Checked {
    state: Arc<State>,
    spec: CheckSpec,
    backends: Backends,
}

impl Checked {
    pub(super) fn new(state: Arc<State>, spec: CheckSpec, client: Arc<Client>) -> Self {
        let discovery = Names { state: Arc::clone(&state), client: Arc::clone(&client) };
        let seen = Seen::default();
        let check = Check { state: Arc::clone(&state), spec: spec.clone(), client, seen };
        let mut backends = Backends::new(Box::new(discovery));
        backends.set_health_check(Box::new(check));
        Self { state, spec, backends }
    }

    /// One round: resolve, then check all addresses side by side.
    pub(super) async fn round(&self) {
        // A failed lookup leaves the addresses as they were: they may well be right.
        let found = self.backends.update(|_| {}).await;
        let backends = self.backends.get_backend();
        if backends.is_empty() {
            let cause =
                found.err().map_or_else(|| "no address".to_owned(), |e| e.root_cause().to_string());
            self.state.observe_nameless(cause, self.spec.thresholds);
            return;
        }
        let addresses: Vec<SocketAddr> =
            backends.iter().filter_map(|b| b.addr.as_inet().copied()).collect();
        self.state.addresses(&addresses);
        self.backends.run_health_check(true).await;
    }
}

/// The packager's name as a source of addresses.
struct Names {
    state: Arc<State>,
    client: Arc<Client>,
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let addresses = self
            .client
            .addresses(&self.state.id)
            .await
            .map_err(|e| Error::because(ErrorType::ConnectError, "resolving", e))?;
        // The same weight for all: it is part of an address's identity and would lose its health.
        let backends = addresses.into_iter().map(|a| Backend {
            addr: Address::Inet(a),
            weight: 1,
            ext: Extensions::new(),
        });
        Ok((backends.collect(), HashMap::new()))
    }
}

/// One check of one address.
struct Check {
    state: Arc<State>,
    spec: CheckSpec,
    client: Arc<Client>,
    seen: Seen,
}

impl Check {
    async fn outcome(&self, address: SocketAddr) -> Result<(), String> {
        let deadline = self.spec.timeout;
        let late = || Err(format!("no whole answer in {deadline:?}"));
        timeout(deadline, self.checked(address)).await.unwrap_or_else(|_| late())
    }

    async fn checked(&self, address: SocketAddr) -> Result<(), String> {
        let path = self.spec.path.as_deref();
        match self.client.probe(&self.state.id, address, path, self.spec.timeout).await {
            Ok(Some(status)) if status != self.spec.status => {
                Err(format!("health check answered {status}, not {}", self.spec.status))
            }
            Ok(_) => match &self.spec.playlist {
                None => Ok(()),
                Some(wanted) => {
                    let (client, id) = (&self.client, &self.state.id);
                    self.seen.check(client, id, address, wanted, self.spec.timeout).await
                }
            },
            Err(e) => Err(e.to_string()),
        }
    }
}

#[async_trait]
impl HealthCheck for Check {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let Some(address) = target.addr.as_inet().copied() else {
            return Error::e_explain(ErrorType::InternalError, "not an IP address");
        };
        let outcome = self.outcome(address).await;
        let told = outcome.clone();
        self.state.observe(address, outcome, self.spec.thresholds);
        told.map_err(|cause| Error::explain(ErrorType::ConnectError, cause))
    }

    fn health_threshold(&self, success: bool) -> usize {
        let Thresholds { rise, fall } = self.spec.thresholds;
        if success { rise } else { fall }
    }
}
