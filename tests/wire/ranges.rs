//! Parts of a resource (EXT-X-BYTERANGE).

use bytes::Bytes;
use segue::model::lane::ByteRange;
use segue::origin::{Origin as _, OriginError};

use crate::server::{Server, head, ok};
use crate::{PATIENT, a, client, endpoint};

async fn part(
    answer: Vec<u8>,
    offset: u64,
    length: u64,
) -> (Result<Bytes, OriginError>, Vec<String>) {
    let server = Server::once(answer).await;
    let client = client(endpoint(server.port));
    let part = client.segment(&a(), "/s.mp4", Some(ByteRange { offset, length }), PATIENT).await;
    (part, server.requests())
}

fn partial(range: &str, body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    head("206 Partial Content", &[("Content-Range", range), ("Content-Length", &length)], body)
}

#[tokio::test]
async fn the_part_asked_for() {
    let (answer, requests) = part(partial("bytes 2-4/10", "234"), 2, 3).await;
    assert_eq!(answer.unwrap(), "234");
    assert!(requests[0].to_lowercase().contains("\r\nrange: bytes=2-4\r\n"), "{requests:?}");
}

#[tokio::test]
async fn the_whole_is_cut() {
    let (answer, _) = part(ok("0123456789"), 2, 3).await;
    assert_eq!(answer.unwrap(), "234");
    let (answer, _) = part(ok("0123"), 2, 3).await;
    assert_eq!(answer, Err(OriginError::Truncated(4)));
}

#[tokio::test]
async fn another_part_is_refused() {
    for range in ["bytes 3-5/10", "bytes 2-5/10", "bytes */10", "x"] {
        let (answer, _) = part(partial(range, "234"), 2, 3).await;
        assert!(matches!(answer, Err(OriginError::Protocol(_))), "{range}: {answer:?}");
    }
    let (answer, _) = part(partial("bytes 2-4/10", "23"), 2, 3).await;
    assert_eq!(answer, Err(OriginError::Truncated(2)));
    let (answer, _) =
        part(head("416 Range Not Satisfiable", &[("Content-Length", "0")], ""), 2, 3).await;
    assert_eq!(answer, Err(OriginError::Status(416)));
}

#[tokio::test]
async fn ranges_that_are_none() {
    for (offset, length) in [(0, 0), (u64::MAX, 2), (0, u64::MAX)] {
        let (answer, requests) = part(ok("x"), offset, length).await;
        assert!(answer.is_err());
        assert!(requests.is_empty());
    }
}
