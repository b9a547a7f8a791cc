//! Whom names are asked of.

use std::net::SocketAddr;

use super::hosts;
use super::section::Section;

/// Whom names are asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers; empty: those of the system.
    pub servers: Vec<SocketAddr>,
}

impl Dns {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self { servers: section.parsed_list("servers", &[], |_, text| server(text)) }
    }
}

/// An address, with port 53 where none is written.
fn server(text: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.parse() {
        return Ok(SocketAddr::new(ip, 53));
    }
    hosts::address(text).map_err(|_| {
        format!(
            "`{text}` is no name server; write its IP address, such as 10.0.0.2 or 127.0.0.1:5353"
        )
    })
}
