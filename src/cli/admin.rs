//! Asking the running proxy's operators' service, found by the configuration.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use segue::config::Operators;

/// For the connection, and for each read: a store that does not answer is given up after 5 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer of use is longer.
const ANSWER_MAX: u64 = 1 << 20;

/// The operators' service.
pub struct Admin {
    address: SocketAddr,
    token: Option<String>,
}

/// What it answered.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Admin {
    /// Of the proxy that runs with this configuration.
    pub fn of(conf: &Path) -> anyhow::Result<Self> {
        let Operators { admin, token } = Operators::load(conf)?;
        let token = token.map(|token| token.reveal().clone());
        Ok(Self { address: reachable(admin), token })
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// A change: with the token.
    pub fn post(&self, path: &str) -> anyhow::Result<Answer> {
        self.post_json(path, "")
    }

    /// A change that `json` tells more of.
    pub fn post_json(&self, path: &str, json: &str) -> anyhow::Result<Answer> {
        let Some(token) = &self.token else {
            bail!(
                "the configuration has no admin_token, and without one nothing can be changed: \
                 write one of 16 letters or more, and have the proxy take it with `segue reload`"
            );
        };
        let length = json.len();
        let head = format!("Content-Length: {length}\r\nAuthorization: Bearer {token}\r\n");
        self.ask(&format!("POST {path} HTTP/1.1\r\n{head}"), json)
    }

    fn ask(&self, head: &str, body: &str) -> anyhow::Result<Answer> {
        let address = self.address;
        let none = || format!("no proxy answers at {address}, the configuration's `admin`");
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(none)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}")
            .with_context(none)?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut bytes).with_context(none)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.with_context(|| format!("what answers at {address} is no Segue"))?;
        Ok(Answer { status, body: body.to_owned() })
    }
}

/// One that listens on all addresses is reached on this machine's own.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}
