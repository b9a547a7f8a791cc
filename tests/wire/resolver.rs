//! Names of a real name server that is well, fails, is silent or dies.

use std::net::IpAddr;
use std::time::Duration;

use segue::origin::{NameServers, Resolve as _, ResolveError, Resolved};

use crate::dns::{Leads, Mood, NameServer};

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

async fn stand() -> (NameServer, NameServers) {
    let server = NameServer::start(7).await;
    server.addresses("pack.example", &[2, 3]);
    let names = NameServers::new(vec![server.address()]);
    (server, names)
}

#[tokio::test]
async fn addresses_with_their_ttl() {
    let (server, names) = stand().await;
    let six: IpAddr = "::1".parse().unwrap();
    let found = |addresses: Vec<IpAddr>| {
        Ok(Resolved { addresses, ttl: Duration::from_secs(7), partial: false })
    };
    assert_eq!(names.lookup("pack.example").await, found(vec![ip(2), ip(3)]));
    server.lead("pack.example", Leads::To(vec![six, ip(4)]));
    assert_eq!(names.lookup("pack.example").await, found(vec![ip(4), six]), "not out of a cache");
    server.lead("pack.example", Leads::To(vec![six]));
    assert_eq!(names.lookup("pack.example").await, found(vec![six]));
    // By way of other names, said in one answer or asked for.
    server.lead("alias.example", Leads::Cname("pack.example"));
    server.lead("far.example", Leads::BareCname("alias.example"));
    for alias in ["alias.example", "far.example", "Far.Example"] {
        assert_eq!(names.lookup(alias).await, found(vec![six]), "{alias}");
    }
    server.lead("none.example", Leads::To(vec![]));
    assert_eq!(names.lookup("none.example").await, Err(ResolveError::NoAddress));
    assert_eq!(names.lookup("nobody.example").await, Err(ResolveError::NoSuchName));
    assert!(names.lookup("no name").await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_well() {
    let (mut server, names) = stand().await;
    server.be(Mood::Fails);
    let failed = names.lookup("pack.example").await;
    assert!(matches!(&failed, Err(ResolveError::Failed(_))), "{failed:?}");
    server.be(Mood::Truncates);
    let found = names.lookup("pack.example").await.unwrap();
    assert_eq!((found.addresses.len(), server.asked_over_tcp() > 0), (2, true));
    server.be(Mood::SilentOfIpv6);
    let found = names.lookup("pack.example").await.unwrap();
    assert_eq!((found.addresses.len(), found.partial), (2, true));
    server.be(Mood::Silent);
    let silent = names.lookup("pack.example").await;
    assert!(matches!(silent, Err(ResolveError::Timeout(_))), "{silent:?}");
    server.be(Mood::Well);
    assert!(names.lookup("pack.example").await.is_ok());
    server.die().await;
    assert!(names.lookup("pack.example").await.is_err());
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_another_server_after_a_reload() {
    let (server, names) = stand().await;
    server.be(Mood::Silent);
    let found = names.lookup("localhost").await.unwrap();
    assert!(found.addresses.iter().all(IpAddr::is_loopback), "{found:?}");
    assert_eq!(server.asked(), 0);
    let other = NameServer::start(7).await;
    other.addresses("pack.example", &[9]);
    names.reload(vec![other.address()]);
    assert_eq!(names.lookup("pack.example").await.unwrap().addresses, [ip(9)]);
}
