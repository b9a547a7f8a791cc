//! Which host leads where: each to its own pool, and those of nobody to none.

use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;

use crate::http;
use crate::packager::Packager;
use crate::proxy::Proxy;

const ENTRY: &str = "/cam/playlist.m3u8";

/// Three tenants: one by its name, one by all names of a domain, one by both.
async fn three(packagers: [&Packager; 3]) -> Proxy {
    let [a, b, c] = packagers;
    Proxy::over(&[a])
        .pool_setting("hosts: [x.example]")
        .pool("deep", &["hosts: [\"*.y.example\"]"], &[b])
        .pool("both", &["hosts: [z.example, special.y.example]"], &[c])
        .start()
        .await
}

#[tokio::test]
async fn a_host_leads_to_its_own_packagers() {
    let [a, b, c] = ["a", "b", "c"].map(|id| Packager::fake(id).segments_of(2000, 2).live());
    let proxy = three([&a, &b, &c]).await;
    for (host, packager) in [
        ("x.example", "a"),
        ("X.Example", "a"),
        ("x.example.", "a"),
        ("x.example:8080", "a"),
        ("X.EXAMPLE.:8080", "a"),
        ("one.y.example", "b"),
        ("two.one.Y.example.", "b"),
        ("z.example", "c"),
        ("special.y.example:443", "c"),
    ] {
        let stream = format!("for-{}", host.to_ascii_lowercase().replace([':', '.'], "-"));
        let mut viewer = proxy.viewer_at(host, &stream).await;
        viewer.refresh().await;
        assert_eq!(viewer.lane_packager(), packager, "{host}");
    }
    // Each asked its own packagers alone, though all have every stream.
    for (packager, streams) in [(&a, "/for-x-"), (&b, "y-example"), (&c, "/for-")] {
        let asked = packager.requests();
        assert!(!asked.is_empty());
        let other = asked.iter().find(|(_, path)| !path.contains(streams));
        assert!(other.is_none(), "{}: {other:?}", packager.id());
    }
}

#[tokio::test]
async fn an_unknown_host_gets_421_whatever_it_asks_for() {
    let [a, b, c] = ["a", "b", "c"].map(|id| Packager::fake(id).segments_of(2000, 2).live());
    let proxy = three([&a, &b, &c]).await;
    let mut viewer = proxy.viewer_at("x.example", "cam").await;
    viewer.refresh().await;
    let asked = a.requests().len();
    let paths = [
        ENTRY,
        "/other/playlist.m3u8",
        viewer.path(),
        &viewer.segment_path(),
        "/favicon.ico",
        "/cam/playlist~1.forged/v0/index.m3u8",
    ];
    for host in
        ["elsewhere.example", "y.example", "x.example.evil", "xx.example", "127.0.0.1", "[::1]:80"]
    {
        for path in paths {
            let reply = proxy.get_at(host, path).await;
            assert_eq!(reply.status, 421, "{host}{path}: {}", reply.text());
            assert_eq!(reply.text(), "unknown host\n", "{host}{path}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{host}{path}");
        }
        // A load balancer asks by address: health is of no tenant.
        for path in ["/.segue/healthz", "/.segue/readyz"] {
            assert_eq!(proxy.get_at(host, path).await.status, 200, "{host}{path}");
        }
    }
    // The absolute form: one that is not that of Host is no request at all.
    let absolute = |host: &str, header: &str| {
        format!("GET http://{host}{ENTRY} HTTP/1.1\r\nHost: {header}\r\nConnection: close\r\n\r\n")
    };
    let port = proxy.port();
    for (host, header, status) in [
        ("elsewhere.example", "elsewhere.example", 421),
        ("elsewhere.example", "x.example", 400),
        ("x.example", "z.example", 400),
    ] {
        let reply = http::send(port, absolute(host, header).as_bytes()).await.unwrap();
        assert_eq!(reply.status, status, "{host} {header}: {}", reply.text());
    }
    for hosts in ["", "Host: x.example\r\nHost: z.example\r\n", "Host: \r\n", "Host: .\r\n"] {
        let request = format!("GET {ENTRY} HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        let reply = http::send(port, request.as_bytes()).await.unwrap();
        assert_eq!(reply.status, 400, "{hosts:?}: {}", reply.text());
    }
    let others =
        a.requests().into_iter().skip(asked).filter(|(_, path)| !path.starts_with("/cam/"));
    assert_eq!(others.count(), 0);
    assert!(b.requests().is_empty() && c.requests().is_empty());
}

#[tokio::test]
async fn it_is_the_same_over_http_2() {
    let [a, b, c] = ["a", "b", "c"].map(|id| Packager::fake(id).segments_of(2000, 2).live());
    let proxy = three([&a, &b, &c]).await;
    let mut viewer = proxy.viewer_at("x.example", "cam").await;
    viewer.refresh().await;
    let mut peer = HttpPeer::new(("127.0.0.1", proxy.port()), false, String::new());
    peer.options.set_http_version(2, 2);
    let connector = Connector::new(None);
    for (host, path, status) in [
        ("x.example", ENTRY, 200),
        ("X.example.:8080", ENTRY, 200),
        ("x.example", &viewer.segment_path(), 200),
        ("z.example", &viewer.segment_path(), 403),
        ("elsewhere.example", ENTRY, 421),
        ("elsewhere.example", &viewer.segment_path(), 421),
        ("elsewhere.example", "/.segue/healthz", 200),
    ] {
        assert_eq!(get(&connector, &peer, host, path).await, status, "{host}{path}");
    }
}

async fn get(connector: &Connector, peer: &HttpPeer, host: &str, path: &str) -> u16 {
    let (mut session, _) = connector.get_http_session(peer).await.unwrap();
    assert!(session.as_http2().is_some(), "not HTTP/2");
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    request.insert_header("host", host).unwrap();
    session.write_request_header(Box::new(request)).await.unwrap();
    session.finish_request_body().await.unwrap();
    session.read_response_header().await.unwrap();
    let status = session.response_header().unwrap().status.as_u16();
    while session.read_response_body().await.unwrap().is_some() {}
    status
}
