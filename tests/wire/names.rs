//! Names: several addresses, addresses that change, and reloads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue::origin::{Client, Endpoint, Origin as _, OriginError, Resolve, ResolveError, Resolved};

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, a, client, endpoint};

/// Answers every name with these.
pub struct Fixed(pub Vec<IpAddr>);

#[async_trait]
impl Resolve for Fixed {
    async fn lookup(&self, _: &str) -> Result<Resolved, ResolveError> {
        if self.0.is_empty() {
            return Err(ResolveError::NoSuchName);
        }
        let ttl = Duration::from_secs(60);
        Ok(Resolved { addresses: self.0.clone(), ttl, partial: false })
    }
}

/// A name of these addresses, 127.0.0.N.
fn named(port: u16, last: &[u8]) -> Client {
    let addresses = last.iter().map(|n| IpAddr::from([127, 0, 0, *n])).collect();
    let endpoint = Endpoint::from_url(&format!("http://pack.example.com:{port}")).unwrap();
    Client::with_names([(a(), endpoint)], Arc::new(Fixed(addresses))).unwrap()
}

#[tokio::test]
async fn one_of_two_addresses_refuses() {
    let close = head("200 OK", &[("Content-Length", "2"), ("Connection", "close")], "ok");
    let server = Server::play(vec![vec![Act::Answer(close)], vec![Act::Answer(ok("ok"))]]).await;
    let client = named(server.port, &[2, 1]);
    let at = |last| SocketAddr::from(([127, 0, 0, last], server.port));
    assert_eq!(client.addresses(&a()).await.unwrap()[0], at(2), "where nobody listens");
    for _ in 0..2 {
        assert_eq!(client.playlist(&a(), "/x", PATIENT).await.unwrap().body, "ok");
        assert_eq!(client.addresses(&a()).await.unwrap()[0], at(1), "last good first");
    }
    let host = format!("\r\nhost: pack.example.com:{}\r\n", server.port);
    assert!(server.requests()[0].to_lowercase().contains(&host));
}

#[tokio::test]
async fn no_such_name() {
    let answer = named(80, &[]).playlist(&a(), "/x", PATIENT).await;
    assert!(
        matches!(&answer, Err(OriginError::Connect(c)) if c.contains("no such name")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn reload_leads_elsewhere() {
    let (one, two) = (Server::once(ok("one")).await, Server::once(ok("two")).await);
    let client = client(endpoint(one.port));
    assert_eq!(client.playlist(&a(), "/x", PATIENT).await.unwrap().body, "one");
    client.reload([(a(), endpoint(two.port))]).unwrap();
    let answer = client.playlist(&a(), "/x", PATIENT).await.unwrap();
    assert_eq!((&answer.body[..], answer.reconnected), (&b"two"[..], false));
    let mut wrong = endpoint(one.port);
    wrong.ca_file = Some("/nonexistent/ca.pem".into());
    assert!(client.reload([(a(), wrong)]).is_err());
    assert!(client.addresses(&a()).await.is_ok(), "all or nothing");
    client.reload([]).unwrap();
    assert_eq!(client.playlist(&a(), "/x", PATIENT).await.unwrap_err(), OriginError::Unknown);
}
