//! The YAML file and the checked [`Config`] that comes of it.
//!
//! `section` reads the file key by key, collects every problem and knows which keys there are;
//! `environment` puts environment variables in; `values` and `hosts` are the kinds of values; `pool` and this
//! file hold what a configuration says, its defaults and its bounds; `check` what must hold between
//! keys, `store` where lanes' logs are kept, `tenants` between a pool and the proxy, `fleet` what is of other
//! proxies; `operators` what commands that ask a running proxy need; `lines` finds the line of a key; `error` is what
//! is told of a bad file.
//! Every key and default stands in `conf/segue.yaml`; a test holds the two together.

mod check;
mod dns;
mod environment;
mod error;
mod fleet;
mod hosts;
mod lines;
mod operators;
mod pool;
mod section;
mod store;
mod tenants;
mod values;
mod webhook;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use dns::Dns;
pub use error::{ConfigErrors, Problem};
pub use fleet::Fleet;
pub use operators::Operators;
pub use pool::{
    Answers, Auth, Credentials, Group, GroupSource, HealthChecks, OriginLimits, Packager,
    PackagerKind, Pool, PoolLimits, Reports, Selection, Viewers,
};
pub use store::{Redis, StoreSpec};
pub use tenants::Allowed;
pub use values::{ByteSize, OriginSecret, PackagerUrl, Secret};
pub use webhook::Webhook;

use section::Section;

/// A configuration that was checked: what is in it can be used as it is. Paths are as written,
/// relative to the working directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where viewers are answered. Never empty.
    pub listen: Vec<SocketAddr>,
    /// Where metrics, status and what changes things are answered.
    pub admin: SocketAddr,
    /// What a request that changes things must bring; none: there are no such requests.
    pub admin_token: Option<Secret<String>>,
    /// The networks whose X-Forwarded-For and X-Forwarded-Host count. Empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// What shows that a request came through the CDN, for pools that have nothing of their own.
    pub origin_secret: Option<OriginSecret>,
    /// The zone this proxy stands in; empty for none.
    pub zone: String,
    /// Where lanes' logs are kept.
    pub store: StoreSpec,
    /// What is set of a store in Redis.
    pub redis: Redis,
    /// Where segments are held.
    pub segments: Segments,
    /// Keys of tokens: the first signs, all verify. Empty: one is made and kept in the store.
    pub token_keys: Vec<Secret<Vec<u8>>>,
    /// The other proxies; none: alone.
    pub fleet: Option<Fleet>,
    /// Whom names are asked of.
    pub dns: Dns,
    /// The server.
    pub server: Server,
    /// Limits of everything that grows.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
    /// Whom to tell what happens.
    pub webhooks: Vec<Webhook>,
    /// Never empty.
    pub pools: Vec<Pool>,
    /// What is accepted but should be known, for the log.
    pub warnings: Vec<Problem>,
}

/// Where segments are held, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The directory; none: memory only, and a restarted process holds none.
    pub dir: Option<PathBuf>,
    /// The most held in memory.
    pub memory: ByteSize,
    /// The most held on disk.
    pub disk: ByteSize,
}

/// The server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Worker threads.
    pub threads: usize,
    /// From SIGTERM on, readiness fails for this long while serving goes on.
    pub drain_delay: Duration,
    /// Then what is in flight has this long to end.
    pub grace_period: Duration,
    /// The socket over which listeners are handed to a new process.
    pub upgrade_sock: PathBuf,
    /// Holds the id of the running process.
    pub pid_file: PathBuf,
    /// An idle connection of a viewer is kept for this long.
    pub keepalive_timeout: Duration,
    /// Requests on one connection before it is closed.
    pub keepalive_requests: u32,
}

/// Limits of everything that grows; those of packagers stand in their pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams watched.
    pub streams: usize,
    /// Lanes held.
    pub lanes: usize,
    /// Viewers' requests that wait (for a first playlist or a filling segment).
    pub waiting_requests: usize,
    /// Connections of viewers at one time.
    pub connections: usize,
    /// All header lines of a viewer's request together, bytes.
    pub header_bytes: usize,
    /// Path and query of a viewer's request, bytes.
    pub uri_bytes: usize,
    /// Bits per second that this machine can send: nothing is refused for it, but `segue_proxy_utilisation`
    /// goes by it.
    pub bandwidth_bps: Option<u64>,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severity that is logged.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// One line for each request.
    pub access: AccessLog,
}

/// The least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const ALL: [(&str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The level's name, which log filters read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

impl Config {
    /// Where operators are answered if the file does not say it.
    pub const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// All that is wrong with it; nothing of it is to be used then.
    pub fn load(path: &std::path::Path) -> Result<Self, ConfigErrors> {
        check::load(path)
    }

    /// Checks `text`; `file` names it in problems, `environment` is asked for variables.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn parse(
        file: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        check::parse(file, text, environment).0
    }

    /// Every key there is, with `[]` for each item of a list, such as `pools[].packagers[].url`.
    #[must_use]
    pub fn keys() -> BTreeSet<String> {
        check::parse("", "pools: [{ packagers: [{}] }]\nwebhooks: [{}]", &|_| None).1
    }

    /// Reads and checks the file again for a running process: all of it or nothing.
    ///
    /// # Errors
    /// See [`Config::load`]; also where a key changed that only a new process can take.
    pub fn reload(&self, path: &std::path::Path) -> Result<Self, ConfigErrors> {
        check::reload(self, path)
    }

    /// Reads the top of the file.
    fn read(section: &Section<'_>) -> Self {
        let zone = section.parsed("zone", hosts::id).unwrap_or_default();
        let address = |path: &lines::Path, text: &str| {
            let address = hosts::address(text)?;
            section.report.claim("address", &address.to_string(), path).map(|()| address)
        };
        let pools = section.sections("pools", |pool| Pool::read(pool, &zone));
        if pools.is_empty() {
            section.error("pools", "is empty; name one or more, each with its packagers");
        }
        Self {
            listen: section.parsed_list("listen", &["127.0.0.1:8080"], address),
            admin: section
                .parsed("admin", |text| address(&section.path.key("admin"), text))
                .unwrap_or(Self::ADMIN),
            admin_token: section.parsed("admin_token", |text| values::secret_text(text, 16)),
            trusted_proxies: section
                .parsed_list("trusted_proxies", &[], |_, text| hosts::network(text)),
            origin_secret: OriginSecret::read(section),
            store: section
                .parsed("store", StoreSpec::parse)
                .unwrap_or(StoreSpec::Sqlite(PathBuf::from("segue.db"))),
            redis: section.section("redis", Redis::read),
            segments: section.section("segments", Segments::read),
            token_keys: section.parsed_list("token_keys", &[], |_, text| values::token_key(text)),
            fleet: Fleet::read(section),
            dns: section.section("dns", Dns::read),
            server: section.section("server", Server::read),
            limits: section.section("limits", Limits::read),
            log: section.section("log", Log::read),
            webhooks: section.sections("webhooks", Webhook::read).into_iter().flatten().collect(),
            pools: pools.into_iter().flatten().collect(),
            zone,
            warnings: Vec::new(),
        }
    }
}

impl Segments {
    fn read(section: &Section<'_>) -> Self {
        let any = ByteSize(1)..=ByteSize::gib(1 << 20);
        Self {
            dir: match section.text("dir").unwrap_or("segments") {
                "off" => None,
                dir => Some(PathBuf::from(dir)),
            },
            memory: section.size("memory", ByteSize::gib(1), any.clone()),
            disk: section.size("disk", ByteSize::gib(4), any),
        }
    }
}

impl Server {
    fn read(section: &Section<'_>) -> Self {
        let upgrade_sock =
            PathBuf::from(section.text("upgrade_sock").unwrap_or("run/upgrade.sock"));
        let beside = upgrade_sock.with_file_name("segue.pid");
        Self {
            threads: section.count("threads", 2, 1..=1024),
            drain_delay: section.seconds("drain_delay_seconds", 0, 0..=3600),
            grace_period: section.seconds("grace_period_seconds", 10, 1..=3600),
            pid_file: section.text("pid_file").map_or(beside, PathBuf::from),
            upgrade_sock,
            keepalive_timeout: section.seconds("keepalive_timeout_seconds", 75, 1..=3600),
            keepalive_requests: section.small("keepalive_requests", 10_000, 1..=1_000_000_000),
        }
    }
}

impl Limits {
    fn read(section: &Section<'_>) -> Self {
        // What an ALB lets through (64 KiB) is let through here as well: a smaller limit would refuse
        // viewers whom the load balancer takes and would spare no memory, since Pingora has read the
        // lines, up to 1 MiB, before they can be counted.
        let header_bytes =
            section.size("header_bytes", ByteSize::kib(64), ByteSize::kib(1)..=ByteSize::mib(1));
        Self {
            streams: section.count("streams", 2_000, 1..=1_000_000),
            lanes: section.count("lanes", 10_000, 1..=10_000_000),
            waiting_requests: section.count("waiting_requests", 10_000, 1..=10_000_000),
            connections: section.count("connections", 100_000, 1..=10_000_000),
            header_bytes: header_bytes.as_usize(),
            // CloudFront's own limit for a URL.
            uri_bytes: section
                .size("uri_bytes", ByteSize(8192), ByteSize(256)..=ByteSize::kib(64))
                .as_usize(),
            bandwidth_bps: section
                .number_if_set("bandwidth_mbps", 1..=10_000_000)
                .map(|mbps| mbps * 1_000_000),
        }
    }
}

impl Log {
    fn read(section: &Section<'_>) -> Self {
        let level = |text: &str| one_of(text, &LogLevel::ALL);
        let format =
            |text: &str| one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        Self {
            level: section.parsed("level", level).unwrap_or(LogLevel::Info),
            format: section.parsed("format", format).unwrap_or(LogFormat::Text),
            access: match section.text("access").unwrap_or("off") {
                "off" => AccessLog::Off,
                "stdout" => AccessLog::Stdout,
                path => AccessLog::File(PathBuf::from(path)),
            },
        }
    }
}

fn one_of<T: Copy>(text: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}
