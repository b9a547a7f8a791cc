//! Memory for an idle viewer: what a server's resident memory grows by with connections that are
//! kept open after a playlist.

use anyhow::{Context as _, Result};

use crate::client::Client;
use crate::servers::{Server, Target};

/// Bytes for each idle connection, in the order of the servers.
pub fn measure(servers: &[&Server], viewers: usize) -> Result<Vec<f64>> {
    servers.iter().map(|server| of(server, viewers)).collect()
}

#[allow(clippy::cast_precision_loss)] // some gigabytes at most
fn of(server: &Server, viewers: usize) -> Result<f64> {
    let path = server.path(Target::Playlist)?;
    let before = server.tree.resident();
    let mut idle = Vec::new();
    for n in 0..viewers {
        let mut client = Client::connect(server.port)
            .with_context(|| format!("{}: connection {n}; see ulimit -n", server.kind.name()))?;
        client.get(&path)?;
        idle.push(client);
    }
    let after = server.tree.resident();
    Ok(after.saturating_sub(before) as f64 / viewers.max(1) as f64)
}
