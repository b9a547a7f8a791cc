//! Names by DNS, each answer with its TTL: the name servers of the configuration, or those of the system,
//! after its hosts file. Both files are read again when they change, since a lease may bring other
//! servers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::names::{Resolve, ResolveError, Resolved, SystemNames};

/// Of the system.
const HOSTS: &str = "/etc/hosts";
const SERVERS: &str = "/etc/resolv.conf";

/// A name server that is silent for so long is asked again.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Once a name's IPv4 addresses are there, others are waited for this long.
const GRACE: Duration = Duration::from_millis(300);
/// An address of the hosts file holds until the file changes; it is looked at when this is over.
const OF_FILE: Duration = Duration::from_secs(5);

/// Asks name servers.
#[derive(Default)]
pub struct NameServers {
    servers: Mutex<Vec<SocketAddr>>,
    current: Mutex<Option<Arc<Current>>>,
}

/// The resolver in force.
struct Current {
    /// None: its file cannot be read, so the system's own resolver is asked.
    resolver: Option<TokioResolver>,
    hosts: Hosts,
    /// When the files were written that it was made from.
    files: [Option<SystemTime>; 2],
}

impl NameServers {
    /// Asks these servers, over UDP and where an answer is too long over TCP; without any those of the
    /// system.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers: Mutex::new(servers), current: Mutex::default() }
    }

    /// Asks other servers from now on.
    pub fn reload(&self, servers: Vec<SocketAddr>) {
        let mut before = self.servers.lock();
        if *before != servers {
            *before = servers;
            *self.current.lock() = None;
        }
    }

    fn current(&self) -> Arc<Current> {
        // Held to the end: a reload meanwhile would be undone.
        let servers = self.servers.lock();
        let written = |path| Path::new(path).metadata().and_then(|m| m.modified()).ok();
        let files = [written(HOSTS), written(SERVERS)];
        let mut current = self.current.lock();
        if let Some(current) = current.as_ref().filter(|c| c.files == files) {
            return Arc::clone(current);
        }
        let resolver = match resolver(&servers) {
            Ok(resolver) => Some(resolver),
            Err(cause) => {
                tracing::warn!(target: "segue::origin", %cause, "no name servers are known: names are asked of the system");
                None
            }
        };
        let hosts = Hosts::from_system().unwrap_or_default();
        Arc::clone(current.insert(Arc::new(Current { resolver, hosts, files })))
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if servers.is_empty() {
        Resolver::builder(provider)?
    } else {
        let servers = servers.iter().map(|at| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut c| {
                c.port = at.port();
                c
            });
            NameServerConfig::new(at.ip(), true, connections.to_vec())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        Resolver::builder_with_config(config, provider)
    };
    let options = builder.options_mut();
    options.timeout = TIMEOUT;
    options.attempts = options.attempts.max(3);
    // Answers are kept by whoever asks, for as long as they hold.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

#[async_trait]
impl Resolve for NameServers {
    async fn lookup(&self, host: &str) -> Result<Resolved, ResolveError> {
        let current = self.current();
        let name = Name::from_utf8(host).map_err(|e| ResolveError::Failed(e.to_string()))?;
        if let Some(found) = of_file(&current.hosts, &name) {
            return Ok(found);
        }
        match &current.resolver {
            Some(resolver) => ask(resolver, &name).await,
            None => SystemNames.lookup(host).await,
        }
    }
}

fn of_file(hosts: &Hosts, name: &Name) -> Option<Resolved> {
    let kinds = [RecordType::A, RecordType::AAAA];
    let found = kinds.iter().filter_map(|kind| {
        hosts.lookup_static_host(&Query::query(name.clone(), *kind)).map(|l| l.answers().to_vec())
    });
    let records: Vec<Record> = found.flatten().collect();
    let found = resolved(&records, &[], false)?;
    Some(Resolved { ttl: OF_FILE, ..found })
}

/// Both kinds of addresses side by side. A server that never answers for IPv6, of which there are some,
/// must not take IPv4 with it.
async fn ask(resolver: &TokioResolver, name: &Name) -> Result<Resolved, ResolveError> {
    let one = |kind| resolver.lookup(name.clone(), kind);
    let (mut four, mut six) = (Box::pin(one(RecordType::A)), Box::pin(one(RecordType::AAAA)));
    let (four, six) = tokio::select! {
        first = &mut four => match first {
            Ok(_) => (first, timeout(GRACE, six).await.unwrap_or(Err(NetError::Timeout))),
            Err(_) => (first, six.await),
        },
        first = &mut six => (four.await, first),
    };
    let failed =
        |r: &Result<_, NetError>| r.as_ref().err().is_some_and(|e| !e.is_no_records_found());
    let partial = failed(&four) || failed(&six);
    let records = |r: &Result<hickory_resolver::lookup::Lookup, NetError>| {
        r.as_ref().map(|l| l.answers().to_vec()).unwrap_or_default()
    };
    match resolved(&records(&four), &records(&six), partial) {
        Some(found) => Ok(found),
        // A failure says more than that there is none of the other kind.
        None => Err(why(if failed(&six) { six.err() } else { four.err() })),
    }
}

/// The addresses among `records`. The TTL is the shortest on the way, CNAMEs included.
fn resolved(four: &[Record], six: &[Record], partial: bool) -> Option<Resolved> {
    let records = || four.iter().chain(six);
    let address = |record: &Record| match record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in records().filter_map(address) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let ttl = Duration::from_secs(records().map(|r| r.ttl).min()?.into());
    (!addresses.is_empty()).then_some(Resolved { addresses, ttl, partial })
}

fn why(error: Option<NetError>) -> ResolveError {
    match error {
        Some(e) if e.is_nx_domain() => ResolveError::NoSuchName,
        Some(NetError::Timeout) => ResolveError::Timeout(TIMEOUT),
        Some(e) if e.is_no_records_found() => ResolveError::NoAddress,
        Some(e) => ResolveError::Failed(e.to_string()),
        None => ResolveError::NoAddress,
    }
}
