//! Names: several addresses, addresses that change, and reloads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use segue::origin::{Client, Endpoint, Origin as _, OriginError, Resolve};

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, a, client, endpoint};

/// Answers every name with these.
pub struct Fixed(pub Vec<SocketAddr>);

#[async_trait]
impl Resolve for Fixed {
    async fn lookup(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        if self.0.is_empty() {
            return Err(io::Error::other("no such name"));
        }
        Ok(self.0.clone())
    }
}

fn named(addresses: Vec<SocketAddr>) -> Client {
    let endpoint = Endpoint::from_url("http://pack.example.com:8080").unwrap();
    Client::with_names([(a(), endpoint)], Arc::new(Fixed(addresses))).unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::test]
async fn one_of_two_addresses_refuses() {
    let gone = Server::play(vec![]).await;
    let dead = local(gone.port);
    gone.stop().await;
    let close = head("200 OK", &[("Content-Length", "2"), ("Connection", "close")], "ok");
    let server = Server::play(vec![vec![Act::Answer(close)], vec![Act::Answer(ok("ok"))]]).await;
    let client = named(vec![dead, local(server.port)]);
    assert_eq!(client.addresses(&a()).await.unwrap()[0], dead);
    for _ in 0..2 {
        assert_eq!(client.playlist(&a(), "/x", PATIENT).await.unwrap().body, "ok");
        assert_eq!(client.addresses(&a()).await.unwrap()[0].port(), server.port, "last good first");
    }
    assert!(server.requests()[0].to_lowercase().contains("\r\nhost: pack.example.com:8080\r\n"));
}

#[tokio::test]
async fn no_such_name() {
    let answer = named(vec![]).playlist(&a(), "/x", PATIENT).await;
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
