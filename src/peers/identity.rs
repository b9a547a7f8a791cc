//! What this proxy is called, and at which address others reach it.

use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _, UdpSocket};
use std::path::Path;

use crate::model::names::{ProxyId, is_proxy_id};

/// Beside the segments: who loses the one loses the other, and is another proxy then.
const FILE: &str = "proxy-id";
/// Bytes of the zone that stand in an id.
const ZONE_MAX: usize = 32;

/// The id kept in `dir`, or a new one, of the zone and a random part, kept there from now on. Without a directory new
/// with each start. Touches the disk: for start-up.
///
/// # Errors
/// The file cannot be read or written.
pub fn own_id(zone: &str, dir: Option<&Path>) -> io::Result<ProxyId> {
    let zone = zone.get(..zone.len().min(ZONE_MAX)).filter(|zone| !zone.is_empty());
    let fresh = format!("{}-{:08x}", zone.unwrap_or("proxy"), rand::random::<u32>());
    let Some(dir) = dir else { return Ok(ProxyId::new(fresh)) };
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        // One that moved to another zone is another proxy.
        Ok(text) if is_proxy_id(text.trim()) && of_zone(text.trim(), zone) => {
            return Ok(ProxyId::new(text.trim()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(dir)?;
    let written = dir.join(format!("{FILE}.{:08x}", rand::random::<u32>()));
    fs::write(&written, format!("{fresh}\n"))?;
    fs::rename(&written, &path)?;
    Ok(ProxyId::new(fresh))
}

fn of_zone(id: &str, zone: Option<&str>) -> bool {
    let random = id.strip_prefix(zone.unwrap_or("proxy")).and_then(|rest| rest.strip_prefix('-'));
    random.is_some_and(|random| random.len() == 8 && !random.contains('-'))
}

/// The own address that leads to `host`: that of a socket connected to it, over which nothing is sent.
///
/// # Errors
/// The name is not known, or nothing leads there.
pub fn local_address_to(host: &str, port: u16) -> io::Result<IpAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for to in (host, port).to_socket_addrs()? {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        match socket.connect(to).and_then(|()| socket.local_addr()) {
            Ok(own) => return Ok(own.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_beside_the_segments() {
        let dir = tempfile::tempdir().unwrap();
        let segments = dir.path().join("segments");
        let id = own_id("az1", Some(&segments)).unwrap();
        assert!(id.as_str().starts_with("az1-") && is_proxy_id(id.as_str()), "{id}");
        assert_eq!(own_id("az1", Some(&segments)).unwrap(), id);
        let moved = own_id("az1-b", Some(&segments)).unwrap();
        assert!(moved.as_str().starts_with("az1-b-"), "{moved}");
        let back = own_id("az1", Some(&segments)).unwrap();
        assert!(back != id && of_zone(back.as_str(), Some("az1")), "{back}");
        fs::write(segments.join(FILE), "Not a name").unwrap();
        assert!(is_proxy_id(own_id("az1", Some(&segments)).unwrap().as_str()));
        let (one, other) = (own_id("", None).unwrap(), own_id("", None).unwrap());
        assert!(one.as_str().starts_with("proxy-") && one != other);
        assert!(is_proxy_id(own_id(&"z".repeat(32), None).unwrap().as_str()));
    }

    #[test]
    fn the_own_address_is_the_one_that_leads_there() {
        assert_eq!(local_address_to("127.0.0.1", 6379).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
