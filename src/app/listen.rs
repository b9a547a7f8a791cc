//! The listening services: viewers, operators and other proxies. Binding is tried beforehand, since Pingora
//! panics in one task, and lives on, when it fails.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use pingora::listeners::L4BufferSettings;
use pingora::listeners::ListenerConfig;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;

use crate::front::{Connections, Front, Lanes};
use crate::ops::{Admin, Operations};
use crate::peers::Serving;

/// A connection's read buffer; the default would be 64 KiB for each idle viewer.
const READ_BUFFER_BYTES: usize = 4096;
/// A connection's write buffer: one TCP segment.
const WRITE_BUFFER_BYTES: usize = 1460;
/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The configuration's key.
    pub key: String,
    /// The address as configured.
    pub address: String,
    /// Why.
    pub source: io::Error,
}

/// Tries the addresses, each with the key that it comes from.
///
/// # Errors
/// The first that is in use, not of this machine, or no address at all.
pub fn check<'a>(
    addresses: impl IntoIterator<Item = (String, &'a str)>,
) -> Result<(), ListenError> {
    for (key, address) in addresses {
        if let Err(source) = TcpListener::bind(address) {
            return Err(ListenError { key, address: address.to_owned(), source });
        }
    }
    Ok(())
}

/// The viewers' service on `addresses`: HTTP/1.1 and h2c on one port.
pub fn viewers<L: Lanes>(
    conf: &Arc<ServerConf>,
    front: &Arc<Front<L>>,
    addresses: &[String],
) -> Service<Connections<L>> {
    let mut service = Service::new("viewers".to_owned(), Connections::new(conf, front));
    for address in addresses {
        service.add_listener(
            ListenerConfig::tcp(address.as_str())
                .l4_buffer(L4BufferSettings::new(READ_BUFFER_BYTES, WRITE_BUFFER_BYTES)),
        );
    }
    service
}

/// The operators' service on `address`.
#[must_use]
pub fn admin<O: Operations>(admin: Admin<O>, address: &str) -> Service<Admin<O>> {
    let mut service = Service::new("admin".to_owned(), admin);
    service.threads = Some(1);
    service.add_tcp(address);
    service
}

/// The service for other proxies on `address`.
#[must_use]
pub fn fleet(serving: Serving, address: &str) -> Service<Serving> {
    let mut service = Service::new("proxies".to_owned(), serving);
    service.add_tcp(address);
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_told_with_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = check([("listen[1]".to_owned(), address.as_str())]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("listen[1]: cannot listen on {address}")));
        drop(taken);
        check([("admin".to_owned(), address.as_str())]).unwrap();
        assert!(check([("admin".to_owned(), "nonsense")]).is_err());
    }
}
