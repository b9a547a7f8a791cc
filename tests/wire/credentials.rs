//! What requests show: the pool's credentials in our own name, what a viewer showed in his, and never both.

use std::sync::Arc;

use segue::model::shown::Shown;
use segue::origin::{Client, Credentials, Endpoint, Limits, Origin as _, OriginError};

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, SHORT, a, client, endpoint};

fn with_credentials(port: u16) -> Endpoint {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut endpoint = endpoint(port);
    endpoint.headers = vec![own("X-Edge", "edge")];
    endpoint.credentials =
        Credentials { queries: vec![own("pass", "hush")], headers: vec![own("X-Edge", "own")] };
    endpoint
}

fn viewer() -> Shown {
    Shown {
        query: "token=his".to_owned(),
        headers: vec![("authorization".to_owned(), "Bearer his".to_owned())],
        address: Some("203.0.113.7".to_owned()),
    }
}

/// One answer for each request, each on a connection of its own.
async fn answering(answers: Vec<Vec<u8>>) -> (Server, Client) {
    let connection = |answer| vec![Act::Answer(answer), Act::Close];
    let server = Server::play(answers.into_iter().map(connection).collect()).await;
    let client = client(with_credentials(server.port));
    (server, client)
}

#[tokio::test]
async fn in_our_own_name() {
    let to = |location: &str| head("302 F", &[("Location", location), ("Content-Length", "0")], "");
    let listed = "a.ts?pass=hush\nb.ts?x=1&pass=hush\nc.ts?pass=theirs\n";
    let (server, client) = answering(vec![
        ok(listed),
        ok("bytes"),
        ok("x"),
        to("/b?pass=hush"),
        ok("x"),
        to("c"),
        ok("x"),
    ])
    .await;
    let list = client.playlist(&a(), "/live/cam.m3u8?DVR", PATIENT).await.unwrap();
    // Copies of ours are taken out: from there they would reach logs and viewers.
    assert_eq!(list.body, "a.ts\nb.ts?x=1\nc.ts?pass=theirs\n");
    client.segment(&a(), "/live/a.ts", None, PATIENT).await.unwrap();
    client.segment(&a(), "/live/c.ts?pass=theirs", None, PATIENT).await.unwrap();
    client.playlist(&a(), "/live/a.m3u8", PATIENT).await.unwrap();
    client.playlist(&a(), "/live/a.m3u8", PATIENT).await.unwrap();
    let requests = server.requests();
    let targets: Vec<&str> = requests.iter().map(|r| r.split(' ').nth(1).unwrap()).collect();
    assert_eq!(
        targets,
        [
            "/live/cam.m3u8?DVR&pass=hush",
            "/live/a.ts?pass=hush",
            "/live/c.ts?pass=theirs",
            "/live/a.m3u8?pass=hush",
            "/b?pass=hush",
            "/live/a.m3u8?pass=hush",
            "/live/c?pass=hush",
        ]
    );
    for request in requests {
        let request = request.to_ascii_lowercase();
        assert_eq!(request.matches("x-edge: ").count(), 1, "{request}");
        assert!(request.contains("x-edge: own\r\n"), "{request}");
    }
}

#[tokio::test]
async fn nothing_goes_to_another_host_and_errors_do_not_tell() {
    let other = Server::once(ok("x")).await;
    let url = format!("http://127.0.0.1:{}/x", other.port);
    let to = |query: &str| {
        head("302 F", &[("Location", &format!("{url}?{query}")), ("Content-Length", "0")], "")
    };
    let (_server, client) = answering(vec![to("pass=hush"), to("token=his")]).await;
    let ours = client.playlist(&a(), "/live/cam.m3u8", PATIENT).await.err();
    assert_eq!(ours, Some(OriginError::Redirect(url.clone())));
    let his = client.entry(&a(), "/live/cam.m3u8", &viewer(), PATIENT).await.err();
    assert_eq!(his, Some(OriginError::Redirect(url)));
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn in_a_viewer_s_name() {
    let (server, client) =
        answering(vec![ok("x"), ok("x"), head("403 F", &[("Content-Length", "0")], "")]).await;
    client.entry(&a(), "/live/cam.m3u8?DVR", &viewer(), PATIENT).await.unwrap();
    client.entry(&a(), "/live/cam.m3u8", &Shown::default(), PATIENT).await.unwrap();
    let refused = client.entry(&a(), "/live/cam.m3u8", &viewer(), PATIENT).await;
    assert_eq!(refused, Err(OriginError::Status(403)));
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /live/cam.m3u8?DVR&token=his "), "{requests:?}");
    assert!(requests[1].starts_with("GET /live/cam.m3u8 "), "{requests:?}");
    for (request, times) in requests.iter().zip([1, 0, 1]) {
        let request = request.to_ascii_lowercase();
        for line in ["authorization: bearer his\r\n", "x-forwarded-for: 203.0.113.7\r\n"] {
            assert_eq!(request.matches(line).count(), times, "{request}");
        }
        // What the packager wants of everybody, and nothing that opens it to us.
        assert!(request.contains("x-edge: edge\r\n") && !request.contains("hush"), "{request}");
    }
}

#[tokio::test]
async fn viewers_who_are_not_answered_hold_up_nothing_else() {
    // Of 8 places viewers have 3: all of them hang, one waits, and the rest is refused.
    let mut script = vec![vec![Act::Hear]; 3];
    script.extend(vec![vec![Act::Answer(ok("x"))]; 2]);
    let server = Server::play(script).await;
    let mut endpoint = with_credentials(server.port);
    endpoint.limits = Limits { requests_max: 8, waiting_max: 1, ..Limits::default() };
    let client = Arc::new(client(endpoint));
    let ask = || {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.entry(&a(), "/cam.m3u8", &viewer(), PATIENT).await })
    };
    let asking: Vec<_> = (0..3).map(|_| ask()).collect();
    while server.requests().len() < 3 {
        tokio::task::yield_now().await;
    }
    let waits = async { client.entry(&a(), "/cam.m3u8", &viewer(), SHORT).await };
    let refused = async {
        tokio::task::yield_now().await;
        client.entry(&a(), "/cam.m3u8", &viewer(), SHORT).await
    };
    let (waits, refused) = tokio::join!(waits, refused);
    assert_eq!((waits, refused), (Err(OriginError::Timeout(SHORT)), Err(OriginError::Busy)));
    client.playlist(&a(), "/cam.m3u8", PATIENT).await.unwrap();
    client.segment(&a(), "/a.ts", None, PATIENT).await.unwrap();
    asking.iter().for_each(tokio::task::JoinHandle::abort);
}
