//! HTTP/2 with prior knowledge, on the same port.

use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use segue::front::Settings;

use crate::client::LIMIT;
use crate::stand::{Serving, pattern, token};

async fn get(connector: &Connector, peer: &HttpPeer, path: &str) -> (u16, Vec<u8>) {
    let (mut session, _) = connector.get_http_session(peer).await.unwrap();
    assert!(session.as_http2().is_some(), "not HTTP/2");
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    request.insert_header("host", "media.example").unwrap();
    session.write_request_header(Box::new(request)).await.unwrap();
    session.finish_request_body().await.unwrap();
    session.read_response_header().await.unwrap();
    let status = session.response_header().unwrap().status.as_u16();
    let mut body = Vec::new();
    while let Some(piece) = session.read_response_body().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    (status, body)
}

#[test]
fn playlists_and_segments_over_one_connection() {
    const LENGTH: usize = 3_000_001;
    let serving = Serving::start(Settings::default(), &[LENGTH]);
    let mut peer = HttpPeer::new(serving.address, false, String::new());
    peer.options.set_http_version(2, 2);
    let path = serving.lanes.segment_path(&token(), 0);
    let playlist = format!("/live/cam/playlist~{}/v0/index.m3u8", token());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = async {
        let connector = Connector::new(None);
        let (status, body) = get(&connector, &peer, &playlist).await;
        assert!(status == 200 && body.starts_with(b"#EXTM3U"));
        let (status, body) = get(&connector, &peer, &path).await;
        assert!(status == 200 && body == pattern(LENGTH), "cut or other bytes");
        assert_eq!(get(&connector, &peer, "/live/none.m3u8").await.0, 404);
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, asked).await }).expect("no answer");
}
