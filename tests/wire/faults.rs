//! Answers that are wrong, each alone.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use segue::origin::{Origin as _, OriginError};

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, SHORT, a, client, endpoint};

async fn playlist_of(server: &Server) -> Result<Bytes, OriginError> {
    playlist_within(server, PATIENT).await
}

async fn playlist_within(server: &Server, deadline: Duration) -> Result<Bytes, OriginError> {
    let mut endpoint = endpoint(server.port);
    endpoint.limits.playlist_bytes_max = 1 << 20;
    let client = client(endpoint);
    Ok(client.playlist(&a(), "/live/cam.m3u8", deadline).await?.body)
}

async fn segment_of(server: &Server) -> Result<Bytes, OriginError> {
    client(endpoint(server.port)).segment(&a(), "/live/cam-1.ts", None, PATIENT).await
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    head(
        "200 OK",
        &[("Content-Encoding", coding), ("Content-Length", &body.len().to_string())],
        body,
    )
}

#[tokio::test]
async fn what_is_asked() {
    let server = Server::once(ok("x")).await;
    let mut endpoint = endpoint(server.port);
    endpoint.host_header = Some("live.example.com".into());
    endpoint.headers = vec![("X-Key".into(), "k1".into())];
    let body = client(endpoint).playlist(&a(), "/a b.m3u8?t=1", PATIENT).await.unwrap().body;
    assert_eq!(body, "x");
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /a%20b.m3u8?t=1 HTTP/1.1\r\n"), "{request}");
    for line in [
        "host: live.example.com",
        "accept-encoding: identity",
        "x-key: k1",
        concat!("user-agent: segue/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(request.to_lowercase().contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
}

#[tokio::test]
async fn refuses() {
    let server = Server::play(vec![]).await;
    let port = server.port;
    server.stop().await;
    let answer = client(endpoint(port)).playlist(&a(), "/x", PATIENT).await;
    assert!(matches!(answer, Err(OriginError::Connect(_))), "{answer:?}");
}

#[tokio::test]
async fn ends_before_the_head() {
    for act in [Act::Close, Act::Reset] {
        let server = Server::play(vec![vec![Act::Hear, act]]).await;
        let answer = playlist_of(&server).await;
        assert!(matches!(answer, Err(OriginError::Connect(_))), "{answer:?}");
        assert_eq!(server.connections(), 1, "a new connection is not tried again");
    }
}

#[tokio::test]
async fn stalls() {
    for part in
        ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"]
    {
        let server = Server::play(vec![vec![Act::Answer(part.into())]]).await;
        let answer = playlist_within(&server, SHORT).await;
        assert_eq!(answer, Err(OriginError::Timeout(SHORT)), "{part:?}");
    }
}

#[tokio::test]
async fn is_cut_off() {
    let length = head("200 OK", &[("Content-Length", "10")], "12345");
    let chunks = head("200 OK", &[("Transfer-Encoding", "chunked")], "5\r\n12345\r\n");
    let chunk = head("200 OK", &[("Transfer-Encoding", "chunked")], "9\r\n12345");
    for answer in [length, chunks, chunk] {
        let server = Server::once(answer.clone()).await;
        assert_eq!(playlist_of(&server).await, Err(OriginError::Truncated(5)));
        let server = Server::once(answer).await;
        assert_eq!(segment_of(&server).await, Err(OriginError::Truncated(5)));
    }
}

#[tokio::test]
async fn resets_in_the_body() {
    let part = head("200 OK", &[("Content-Length", "10")], "12345");
    let server = Server::play(vec![vec![Act::Answer(part), Act::Reset]]).await;
    // A reset may overtake what was sent before it, the head included.
    let answer = segment_of(&server).await;
    assert!(
        matches!(answer, Err(OriginError::Truncated(_) | OriginError::Connect(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn is_not_http() {
    let many: String = (0..300).map(|i| format!("X-{i}: y\r\n")).collect();
    for (name, bytes) in [
        ("garbage", "\u{1}\u{2}garbage\r\n\r\n".to_owned()),
        (
            "headers of 100 KiB",
            format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(100 << 10)),
        ),
        ("headers of 2 MiB", format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 << 20))),
        ("300 headers", format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned(),
        ),
        ("a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n".to_owned()),
        ("endless 100s", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)),
    ] {
        let server = Server::play(vec![vec![Act::Answer(bytes.into())]]).await;
        let answer = playlist_of(&server).await;
        let Err(OriginError::Protocol(cause)) = answer else { panic!("{name}: {answer:?}") };
        assert!(cause.len() < 300, "{name}: {cause}");
    }
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let bytes = [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec(), ok("yes")].concat();
    let server = Server::once(bytes).await;
    assert_eq!(playlist_of(&server).await.unwrap(), "yes");
}

#[tokio::test]
async fn is_too_large() {
    let big = "x".repeat(10 << 20);
    let chunked = head(
        "200 OK",
        &[("Transfer-Encoding", "chunked")],
        format!("{:x}\r\n{big}\r\n0\r\n\r\n", big.len()),
    );
    let endless = head("200 OK", &[("Connection", "close")], &big);
    // Of the first, nothing is read: the server never sends it.
    for bytes in [head("200 OK", &[("Content-Length", "10485760")], ""), ok(&big), chunked, endless]
    {
        let server = Server::play(vec![vec![Act::Answer(bytes)]]).await;
        assert_eq!(playlist_of(&server).await, Err(OriginError::TooLarge(1 << 20)));
    }
}

#[tokio::test]
async fn content_codings() {
    let text = "#EXTM3U\n".repeat(1000);
    let gz = gzip(text.as_bytes());
    let zlib = {
        let mut e = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(text.as_bytes()).unwrap();
        e.finish().unwrap()
    };
    let raw = {
        let mut e = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(text.as_bytes()).unwrap();
        e.finish().unwrap()
    };
    for (coding, body) in [("gzip", &gz), ("X-GZip", &gz), ("deflate", &zlib), ("deflate", &raw)] {
        let server = Server::once(coded(coding, body)).await;
        assert_eq!(playlist_of(&server).await.unwrap(), text, "{coding}");
    }
    let bomb = gzip(&vec![b'x'; 64 << 20]);
    assert!(bomb.len() < 1 << 20, "the bomb itself is within the limit");
    let server = Server::once(coded("gzip", &bomb)).await;
    assert_eq!(playlist_of(&server).await, Err(OriginError::TooLarge(1 << 20)));

    let server = Server::once(coded("gzip", &gz[..gz.len() / 2])).await;
    let answer = playlist_of(&server).await;
    assert!(matches!(answer, Err(OriginError::Truncated(_))), "{answer:?}");
    for (coding, body) in
        [("gzip", &b"this is no gzip at all"[..]), ("br", &b"x"[..]), ("gzip, gzip", &gz[..])]
    {
        let server = Server::once(coded(coding, body)).await;
        let answer = playlist_of(&server).await;
        assert!(matches!(answer, Err(OriginError::Protocol(_))), "{coding}: {answer:?}");
    }
}

#[tokio::test]
async fn statuses() {
    for (line, want) in [
        ("204 No Content", 204),
        ("206 Partial Content", 206),
        ("304 Not Modified", 304),
        ("404 Not Found", 404),
        ("500 Internal Server Error", 500),
        ("101 Switching Protocols", 101),
    ] {
        let server = Server::once(head(line, &[("Content-Length", "0")], "")).await;
        assert_eq!(playlist_of(&server).await, Err(OriginError::Status(want)));
    }
    assert!(OriginError::Status(404).is_gone());
}

#[tokio::test]
async fn redirects() {
    let to =
        |location: &str| head("302 Found", &[("Location", location), ("Content-Length", "0")], "");
    let server = Server::play(vec![
        vec![Act::Answer(to("../b/x.m3u8?s=1"))],
        vec![Act::Answer(ok("there"))],
    ])
    .await;
    assert_eq!(playlist_of(&server).await.unwrap(), "there");
    assert!(server.requests()[1].starts_with("GET /b/x.m3u8?s=1 "), "{:?}", server.requests());

    let round = Act::Answer(to("/live/cam.m3u8"));
    let server = Server::play(vec![vec![round; 9]]).await;
    let answer = playlist_of(&server).await;
    assert!(matches!(answer, Err(OriginError::Redirect(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 4, "the request and three redirects");

    let other = Server::once(ok("secret")).await;
    let url = format!("http://127.0.0.1:{}/x", other.port);
    let server = Server::once(to(&url)).await;
    assert_eq!(playlist_of(&server).await, Err(OriginError::Redirect(url)));
    assert_eq!(other.connections(), 0);
    let server = Server::once(head("301 Moved", &[("Content-Length", "0")], "")).await;
    assert_eq!(playlist_of(&server).await, Err(OriginError::Redirect(String::new())));
}

#[tokio::test]
async fn bodies_that_end_with_the_connection() {
    for version in ["1.0", "1.1"] {
        let bytes = format!("HTTP/{version} 200 OK\r\n\r\nwhole");
        let server = Server::once(bytes.clone()).await;
        assert_eq!(playlist_of(&server).await.unwrap(), "whole");
        let server = Server::once(bytes).await;
        let answer = segment_of(&server).await;
        assert!(matches!(answer, Err(OriginError::Protocol(_))), "{answer:?}");
    }
    let chunked =
        head("200 OK", &[("Transfer-Encoding", "chunked")], "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let server = Server::once(chunked).await;
    assert_eq!(segment_of(&server).await.unwrap(), "abcde");
}

#[tokio::test]
async fn more_wait_than_may() {
    let server = Server::play(vec![vec![Act::Hear], vec![Act::Hear]]).await;
    let mut endpoint = endpoint(server.port);
    endpoint.limits.requests_max = 1;
    endpoint.limits.waiting_max = 1;
    let client = client(endpoint);
    let packager = a();
    let ask = || client.playlist(&packager, "/x", SHORT);
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    let answers = [one.unwrap_err(), two.unwrap_err(), three.unwrap_err()];
    assert_eq!(answers.iter().filter(|e| **e == OriginError::Busy).count(), 1, "{answers:?}");
    assert_eq!(
        answers.iter().filter(|e| **e == OriginError::Timeout(SHORT)).count(),
        2,
        "{answers:?}"
    );
}

#[tokio::test]
async fn segments_leave_room_for_playlists() {
    let silent = (0..3).map(|_| vec![Act::Hear]);
    let server = Server::play(silent.chain([vec![Act::Answer(ok("list"))]]).collect()).await;
    let mut endpoint = endpoint(server.port);
    endpoint.limits.requests_max = 4;
    let client = std::sync::Arc::new(client(endpoint));
    let mut segments = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = std::sync::Arc::clone(&client);
        segments.spawn(async move { client.segment(&a(), "/s.ts", None, PATIENT).await });
    }
    while server.requests().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.playlist(&a(), "/x", PATIENT).await.unwrap().body, "list");
    assert_eq!(server.requests().len(), 4);
}
