//! Kept connections: used again, replaced when gone, and what their end says of the packager.

use segue::origin::Origin as _;

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, a, client, endpoint};

/// Asks twice for one playlist; `reconnected` of the second answer, and the server.
async fn twice(script: Vec<Vec<Act>>) -> (bool, Server) {
    let server = Server::play(script).await;
    let client = client(endpoint(server.port));
    let first = client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap();
    assert!(!first.reconnected, "the first answer says nothing");
    assert_eq!(first.body, "one");
    let second = client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap();
    assert_eq!(second.body, "two");
    (second.reconnected, server)
}

fn one() -> Act {
    Act::Answer(ok("one"))
}

fn two() -> Act {
    Act::Answer(ok("two"))
}

#[tokio::test]
async fn kept() {
    let (reconnected, server) = twice(vec![vec![one(), two()]]).await;
    assert!(!reconnected);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn closed_or_reset_between_requests() {
    for end in [Act::Close, Act::Reset] {
        let (reconnected, server) = twice(vec![vec![one(), end], vec![two()]]).await;
        assert!(reconnected);
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn closed_on_the_next_request() {
    for end in [Act::Close, Act::Reset] {
        let (reconnected, server) = twice(vec![vec![one(), Act::Hear, end], vec![two()]]).await;
        assert!(reconnected);
        assert_eq!(server.requests().len(), 3, "asked again, once");
    }
}

#[tokio::test]
async fn a_retry_is_not_retried() {
    let hear = || vec![Act::Hear, Act::Close];
    let server = Server::play(vec![vec![one(), Act::Hear, Act::Close], hear(), hear()]).await;
    let client = client(endpoint(server.port));
    client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap();
    client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap_err();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn nothing_was_promised() {
    let closing = head("200 OK", &[("Content-Length", "3"), ("Connection", "close")], "one");
    let unframed = head("200 OK", &[], "one");
    let old = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\none".to_vec();
    let brief = head("200 OK", &[("Content-Length", "3"), ("Keep-Alive", "timeout=1")], "one");
    for answer in [closing, unframed, old, brief] {
        let script = vec![vec![Act::Answer(answer), Act::Close], vec![two()]];
        let (reconnected, _) = twice(script).await;
        assert!(!reconnected);
    }
}

#[tokio::test]
async fn each_playlist_has_its_own() {
    let server = Server::play(vec![vec![one(), Act::Close], vec![two()], vec![one()]]).await;
    let client = client(endpoint(server.port));
    assert!(!client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap().reconnected);
    assert!(!client.playlist(&a(), "/y.m3u8", PATIENT).await.unwrap().reconnected);
    assert!(client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap().reconnected);
}

#[tokio::test]
async fn an_answer_of_no_use_keeps_the_connection() {
    let gone = head("404 Not Found", &[("Content-Length", "4")], "gone");
    let server = Server::play(vec![vec![Act::Answer(gone), one()]]).await;
    let client = client(endpoint(server.port));
    client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap_err();
    assert!(!client.playlist(&a(), "/x.m3u8", PATIENT).await.unwrap().reconnected);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn segments_share_theirs() {
    let server = Server::play(vec![vec![one(), two()]]).await;
    let client = client(endpoint(server.port));
    assert_eq!(client.segment(&a(), "/1.ts", None, PATIENT).await.unwrap(), "one");
    assert_eq!(client.segment(&a(), "/2.ts", None, PATIENT).await.unwrap(), "two");
    assert_eq!(server.connections(), 1);
}
