//! `segue health`: a health check that needs no other program, for containers.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// For connection and answer together.
const PATIENCE: Duration = Duration::from_secs(2);

/// Succeeds if `url` answers 200.
pub fn health(url: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let uri: http::Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        bail!("`{url}` is no URL that begins with http://");
    };
    let port = uri.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address =
        (bare, port).to_socket_addrs().with_context(|| format!("{host} has no address"))?.next();
    let address = address.with_context(|| format!("{host} has no address"))?;

    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n")?;
    match status_line(&mut stream, deadline).with_context(|| format!("{url} does not answer"))? {
        line if line.starts_with("HTTP/1.1 200") || line.starts_with("HTTP/1.0 200") => Ok(()),
        line => bail!("{url} answers `{line}`"),
    }
}

/// The first line of the answer, or as much of it as says the status.
fn status_line(stream: &mut TcpStream, deadline: Instant) -> anyhow::Result<String> {
    let mut answer = [0; 64];
    let mut length = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("nothing within {} s", PATIENCE.as_secs());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(answer.get_mut(length..).unwrap_or_default())?;
        length += read;
        let line = answer
            .get(..length)
            .unwrap_or_default()
            .split(|b| *b == b'\r')
            .next()
            .unwrap_or_default();
        if read == 0 || line.len() < length || length == answer.len() {
            return Ok(String::from_utf8_lossy(line).escape_debug().to_string());
        }
    }
}
