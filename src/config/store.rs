//! Where lanes' logs are kept: `store`, and `redis` for what a URL does not say.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::lines::Path;
use super::section::{Report, Section};
use super::values::ca_file;
use super::{Config, hosts};
use crate::model::redis_url::RedisUrl;

/// Where lanes' logs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSpec {
    /// In memory: lost when the process ends.
    Memory,
    /// In this `SQLite` file, of one proxy.
    Sqlite(PathBuf),
    /// In this Redis or Valkey, of several proxies.
    Redis(RedisUrl),
}

impl StoreSpec {
    // No message repeats the text: it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return if path.is_empty() || path.starts_with("//") {
                Err("wants a file, such as sqlite:segue.db or sqlite:/var/lib/segue/segue.db"
                    .to_owned())
            } else {
                Ok(Self::Sqlite(PathBuf::from(path)))
            };
        }
        if RedisUrl::is_meant_by(text) {
            return RedisUrl::parse(text).map(Self::Redis).map_err(|why| why.to_string());
        }
        Err("is no store; write sqlite:PATH (one proxy), redis://HOST:PORT (several) or memory"
            .to_owned())
    }
}

impl fmt::Display for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

/// What is set of a store in Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// With TLS: the file of the CA that has signed the server's certificate; none: the system's.
    pub ca: Option<PathBuf>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

impl Redis {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let timeout_ms = section.number("timeout_ms", 500, 50..=10_000);
        Self {
            ca: section.text("ca").map(PathBuf::from),
            // A brace in it would change which keys belong together.
            prefix: section.parsed("prefix", hosts::id).unwrap_or_else(|| "segue".to_owned()),
            timeout: Duration::from_millis(timeout_ms),
        }
    }
}

/// What must hold between `store` and other keys.
pub(super) fn check(config: &Config, report: &Report) {
    let StoreSpec::Redis(url) = &config.store else { return };
    let top = Path::default();
    if let Some(ca) = &config.redis.ca {
        let wrong = if url.tls {
            ca_file(&ca.to_string_lossy()).err()
        } else {
            let text = "is of use with TLS only: write `store: \"rediss://…\"`, or take this away";
            Some(text.to_owned())
        };
        if let Some(wrong) = wrong {
            report.error(&top.key("redis").key("ca"), wrong);
        }
    }
    if config.fleet.is_none() {
        let text = "is shared, and without `fleet` proxies give each other no segments: one that begins late, or whose \
                    packager dies, may miss what another has; write `fleet: {}` (docs/fleet.md)";
        report.warning(&top.key("store"), text);
    }
    if config.token_keys.is_empty() {
        let text = "are not set: proxies that share a store then take their key from it, and one that is started \
                    while it cannot be reached refuses the viewers of the others; set the same at all of them";
        report.warning(&top.key("token_keys"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::StoreSpec;

    #[test]
    fn what_a_store_is_called() {
        for (text, shown) in [
            ("memory", "memory"),
            ("sqlite:segue.db", "sqlite:segue.db"),
            ("sqlite:/var/lib/segue.db", "sqlite:/var/lib/segue.db"),
            ("redis://cache", "redis://cache:6379/0"),
            ("valkeys://u:hush@cache:1/2", "rediss://u@cache:1/2"),
        ] {
            assert_eq!(StoreSpec::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "sqlite:",
            "sqlite://x",
            "postgres://u:hush@x",
            "redis:/u:hush@cache",
            "redis://u:hush@cache:x",
            "redis://u:hush@",
            "rediss:u:hush@cache",
        ] {
            let why = StoreSpec::parse(text).unwrap_err();
            assert!(!why.contains("hush"), "{why}");
        }
    }
}
