//! A connection to the server that takes writes now, wherever its name leads at this moment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::io::AsyncDNSResolver;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisFuture, ServerErrorKind,
    TlsCertificates, Value,
};
use tokio::time::timeout;

use super::scripts;
use crate::model::redis_url::RedisUrl;
use crate::store::StoreError;

/// For a name's addresses, and then for each address: TCP, TLS, login and the first answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// How the server is reached.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// The server, and who asks it.
    pub url: RedisUrl,
    /// With TLS: the file of the CA (PEM) that has signed the server's certificate; none: the system's.
    pub ca: Option<PathBuf>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// A lane's log goes so long after its last step; see [`crate::store::LaneStore::keep_lanes_for`].
    pub lane_expires: Duration,
}

/// Finds the addresses of the server's name: asked anew for each connection, and every few seconds.
#[async_trait]
pub trait Names: Send + Sync {
    /// Where `host` is now.
    async fn addresses(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>>;
}

/// As the system finds them.
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// What connections are made with.
pub struct Place {
    settings: RedisSettings,
    ca: Option<Vec<u8>>,
    names: Arc<dyn Names>,
}

/// Hears what the server says unasked.
pub type Heard = Arc<dyn Fn(PushInfo) + Send + Sync>;

impl Place {
    /// Reads the CA's file, if there is one.
    pub fn new(settings: &RedisSettings, names: Arc<dyn Names>) -> Result<Self, StoreError> {
        let ca = settings.ca.as_ref().map(|path| {
            let wrong = |why: String| {
                StoreError::Unreachable(format!("the CA in {}: {why}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
            // An address that nobody connects to: what the file holds is looked at here.
            Client::build_with_tls(address("localhost", 1, true), certificates(&pem))
                .map_err(|e| wrong(e.to_string()))?;
            if !pem.windows(11).any(|w| w == b"CERTIFICATE") {
                return Err(wrong("no certificate stands in it".to_owned()));
            }
            Ok(pem)
        });
        Ok(Self { settings: settings.clone(), ca: ca.transpose()?, names })
    }

    /// `HOST:PORT`, for the log.
    pub fn name(&self) -> String {
        self.settings.url.place()
    }

    /// Where the name leads now.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let url = &self.settings.url;
        let asked = timeout(CONNECT_TIMEOUT, self.names.addresses(&url.host, url.port)).await;
        let found = asked.map_err(|_| format!("{}: its name is not found in time", url.place()))?;
        let found = found.map_err(|e| format!("{}: {e}", url.place()))?;
        if found.is_empty() {
            return Err(format!("{}: its name has no address", url.place()));
        }
        Ok(found)
    }

    /// Connects to the first address that takes writes. With `heard`: for a subscription.
    pub async fn connect(
        &self,
        heard: Option<&Heard>,
    ) -> Result<(MultiplexedConnection, SocketAddr), String> {
        let mut why = String::new();
        for at in self.addresses().await?.into_iter().take(ADDRESSES_MAX) {
            match timeout(CONNECT_TIMEOUT, self.connect_to(at, heard)).await {
                Ok(Ok(connection)) => return Ok((connection, at)),
                Ok(Err(error)) => why = error,
                Err(_) => why = format!("no connection in {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(format!("{}: {why}", self.name()))
    }

    async fn connect_to(
        &self,
        at: SocketAddr,
        heard: Option<&Heard>,
    ) -> Result<MultiplexedConnection, String> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_dns_resolver(Only(at));
        if let Some(heard) = heard.cloned() {
            config = config.set_push_sender(move |push: PushInfo| {
                heard(push);
                Ok::<(), ()>(())
            });
        }
        let client = self.client(heard.is_some()).map_err(|e| readable(&e))?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(|e| readable(&e))?;
        check(&mut connection).await?;
        if heard.is_none() {
            // Where it may not be done in advance it is done when it is needed.
            let _ = scripts::load(&mut connection).await;
        }
        Ok(connection)
    }

    fn client(&self, hears: bool) -> Result<Client, RedisError> {
        let url = &self.settings.url;
        let mut login = RedisConnectionInfo::default().set_db(i64::from(url.database));
        if let Some(user) = &url.user {
            login = login.set_username(user);
        }
        if let Some(password) = &url.password {
            login = login.set_password(password);
        }
        if hears {
            login = login.set_protocol(ProtocolVersion::RESP3);
        }
        let info: ConnectionInfo = address(&url.host, url.port, url.tls).into_connection_info()?;
        let info = info
            .set_redis_settings(login)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        match &self.ca {
            Some(pem) if url.tls => Client::build_with_tls(info, certificates(pem)),
            _ => Client::open(info),
        }
    }
}

fn address(host: &str, port: u16, tls: bool) -> ConnectionAddr {
    let host = host.to_owned();
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn certificates(pem: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem.to_owned()) }
}

/// It answers, and it is no replica: after a failover the old primary may be one, and takes no writes.
pub async fn check(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let ping: Result<Value, _> = redis::cmd("PING").query_async(connection).await;
    ping.map_err(|e| readable(&e))?;
    let role: Result<Vec<Value>, _> = redis::cmd("ROLE").query_async(connection).await;
    // Where the user may not ask, a write will tell.
    let Ok(role) = role else { return Ok(()) };
    match role.first() {
        Some(Value::BulkString(role)) if role != b"master" => {
            Err("it is a replica, which takes no writes".to_owned())
        }
        _ => Ok(()),
    }
}

/// What went wrong, for an operator. Nothing of the login is in it.
pub fn readable(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            "it refuses the login: user or password is wrong".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            "it is one shard of several; a store is one server, with cluster mode disabled"
                .to_owned()
        }
        _ if error.code() == Some("NOAUTH") => {
            "it wants a login; write redis://user:password@host".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A resolver that knows one address.
struct Only(SocketAddr);

impl AsyncDNSResolver for Only {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let only: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(only)))
    }
}
