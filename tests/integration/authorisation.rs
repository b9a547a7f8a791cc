//! Who is let in is a packager's word, asked for each viewer; the proxy's own requests carry the pool's
//! credentials.

use std::time::Duration;

use futures_util::future::join_all;

use crate::guard::{CREDENTIALS, Mood, OWN_HEADER, OWN_QUERY};
use crate::http::{self, Reply};
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

/// A proxy that asks for each viewer, over these packagers.
pub fn per_viewer(packagers: &[&Packager]) -> Proxy {
    Proxy::over(packagers)
        .pool_setting("auth: per_viewer")
        .pool_setting("auth_queries: [\"token*\"]")
        .pool_setting("auth_headers: [Authorization]")
        .pool_setting("auth_expiry_query: tokenend")
        .pool_setting(CREDENTIALS)
}

async fn entry(proxy: &Proxy, query: impl AsRef<str>) -> Reply {
    let query = query.as_ref();
    proxy.get(&format!("/cam/playlist.m3u8{query}")).await.unwrap()
}

/// For nobody but who asked.
fn is_private(reply: &Reply) {
    let cache = reply.header("cache-control").unwrap();
    let wanted = if reply.status == 200 { "private, no-store" } else { "no-store" };
    assert_eq!(cache, wanted, "{}", reply.status);
    assert_eq!((reply.header("etag"), reply.header("last-modified")), (None, None));
}

#[tokio::test]
async fn each_of_fifty_viewers_is_asked_for_once_and_answered_alone() {
    let tokens: Vec<String> = (0..50).map(|n| format!("viewer-{n}")).collect();
    let valid = |n: usize| n.is_multiple_of(2);
    let let_in = tokens.iter().enumerate().filter(|(n, _)| valid(*n)).map(|(_, t)| t.as_str());
    let a = Packager::fake("a").segments_of(2000, 2).guarded(let_in).live();
    let proxy = per_viewer(&[&a]).start().await;
    let replies =
        join_all(tokens.iter().map(|t| entry(&proxy, format!("?x=1&token={t}&DVR")))).await;
    for (n, reply) in replies.iter().enumerate() {
        let expected = if valid(n) { 200 } else { 403 };
        assert_eq!(reply.status, expected, "{n}: {}", reply.text());
        is_private(reply);
        assert_eq!(reply.text().contains("playlist~"), valid(n));
    }
    let mut asked: Vec<String> = a.asked_for_viewers().into_iter().map(|a| a.path).collect();
    let mut wanted: Vec<String> =
        tokens.iter().map(|t| format!("/cam/playlist.m3u8?DVR&token={t}")).collect();
    asked.sort();
    wanted.sort();
    assert_eq!(asked, wanted, "each once, with what is named and nothing else");

    // The same at the same time is still one for each.
    let same = join_all((0..5).map(|_| entry(&proxy, "?token=viewer-2"))).await;
    assert!(same.iter().all(|reply| reply.status == 200));
    assert_eq!(a.asked_for_viewers().len(), 55);

    // He who comes again is asked for again, and his word is not remembered.
    a.with_guard(|guard| guard.tokens.clear());
    assert_eq!(entry(&proxy, "?token=viewer-0").await.status, 403);
    // An entry without a token is asked for as well: the packager decides.
    assert_eq!(entry(&proxy, "").await.status, 403);
    assert_eq!(a.asked_for_viewers().len(), 57);
    let refused = proxy.metric("segue_admissions_total{packager=\"a\",verdict=\"refused\"}").await;
    assert!((refused - 27.0).abs() < 0.1, "{refused}");
}

#[tokio::test]
async fn refreshes_and_fetches_show_the_pool_s_credentials_and_nothing_of_viewers() {
    let a = Packager::fake("a").segments_of(2000, 2).fmp4().audio("en", 2000);
    let a = a.copying_queries().guarded(["good"]).live();
    let b = Packager::fake("b").segments_of(2000, 2).fmp4().audio("en", 2000);
    let b = b.copying_queries().guarded(["good"]).live();
    let proxy = per_viewer(&[&a, &b]).setting("log: { level: debug, access: \"access.log\" }");
    let proxy = proxy.start().await;
    let mut viewer = proxy.viewer_with("cam", "?token=good").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    assert_eq!(a.asked_for_viewers().len() + b.asked_for_viewers().len(), 1);
    for asked in a.asked_by_itself().into_iter().chain(b.asked_by_itself()) {
        assert_eq!((asked.count_of("token"), asked.count_of(OWN_QUERY.0)), (0, 1), "{asked:?}");
        assert!(asked.all("authorization").is_empty(), "{asked:?}");
    }
    for asked in a.asked_for_viewers() {
        assert_eq!((asked.count_of("token"), asked.count_of(OWN_QUERY.0)), (1, 0), "{asked:?}");
        assert!(asked.all(OWN_HEADER.0).is_empty(), "{asked:?}");
    }
    assert_nothing_tells(&proxy, &["good"], viewer.entry()).await;
    assert_nothing_tells(&proxy, &[], viewer.text()).await;
}

/// Neither the logs, nor what operators see, nor the store, nor `text` hold what must stay secret.
async fn assert_nothing_tells(proxy: &Proxy, more: &[&str], text: &str) {
    let mut told = vec![("log", proxy.log()), ("text", text.to_owned())];
    for page in ["/status.json", "/metrics"] {
        told.push((page, proxy.admin(page).await.text()));
    }
    for file in std::fs::read_dir(proxy.dir()).unwrap().flatten().filter(|f| f.path().is_file()) {
        if file.file_name() != "segue.yaml" {
            let bytes = std::fs::read(file.path()).unwrap();
            told.push(("a file", String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    assert!(told.len() > 4 && told[0].1.contains("lane opened"), "{}", told[0].1);
    let tokens: Vec<String> = more.iter().map(|t| format!("token={t}")).collect();
    let secrets = ["own-query-8c1f", OWN_HEADER.1].into_iter().chain(tokens.iter().map(|t| &**t));
    for secret in secrets {
        for (what, text) in &told {
            let at = text.find(secret);
            let around = at.and_then(|at| text.get(at.saturating_sub(60)..at + secret.len()));
            assert!(at.is_none(), "{what} tells {secret}: {around:?}");
        }
    }
}

#[tokio::test]
async fn whoever_fails_is_no_judge() {
    let [a, b] =
        ["a", "b"].map(|id| Packager::fake(id).segments_of(2000, 2).guarded(["good"]).live());
    let proxy = per_viewer(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer_with("cam", "?token=good").await;
    viewer.more(1).await;
    assert_eq!(
        (a.asked_for_viewers().len(), b.asked_for_viewers().len()),
        (1, 0),
        "own zone first"
    );
    // Whatever it says is the other's to say.
    for mood in [Mood::Hangs, Mood::Answers(500), Mood::Answers(429)] {
        a.guards(mood);
        for (query, status) in [("?token=good", 200), ("?token=bad", 403), ("", 403)] {
            assert_eq!(entry(&proxy, query).await.status, status, "{mood:?} {query}");
        }
    }
    // It is asked last, so that not every viewer waits for it.
    assert!(!proxy.logged(&["does not say who is let in", "packager=a"]).is_empty());
    assert!(a.asked_for_viewers().len() < 10, "{:?}", a.asked_for_viewers());
    a.guards(Mood::Decides);
    a.kill().await;
    assert_eq!(entry(&proxy, "?token=good").await.status, 200);
    assert_eq!(entry(&proxy, "?token=bad").await.status, 403);
    b.guards(Mood::Hangs);
    let nobody = entry(&proxy, "?token=good").await;
    assert_eq!(nobody.status, 503, "nobody says that he is let in");
    assert!(nobody.header("retry-after").is_some());
    is_private(&nobody);
    // Those who are in are not asked for any more.
    viewer.until_on("b").await;
    viewer.more(1).await;
}

#[tokio::test]
async fn a_stream_that_is_not_there() {
    let [a, b, c] =
        ["a", "b", "c"].map(|id| Packager::fake(id).segments_of(2000, 2).guarded(["good"]).live());
    let proxy = per_viewer(&[&a, &b, &c]).start().await;
    a.guards(Mood::Answers(404));
    let reply = entry(&proxy, "?token=good").await;
    assert_eq!(reply.status, 404);
    is_private(&reply);
    assert_eq!(b.asked_for_viewers().len(), 0, "it serves no lane of the stream");
    a.guards(Mood::Decides);
    let mut viewer = proxy.viewer_with("cam", "?token=good").await;
    viewer.more(1).await;
    // Known to stand by for it: one that has just restarted must not have the last word.
    let moves = || async {
        let status = proxy.status().await;
        let packagers = status["streams"][0]["packagers"].as_array().unwrap().clone();
        packagers.iter().any(|p| p["packager"] == "b" && p["state"] == "moves")
    };
    wait_for("b to stand by", Duration::from_secs(15), moves).await.unwrap();
    a.guards(Mood::Answers(404));
    assert_eq!(entry(&proxy, "?token=good").await.status, 200);
    assert_eq!(entry(&proxy, "?token=bad").await.status, 403);
    // Neither must it where the other failed a moment ago, and one that has nothing to do with the stream
    // would be asked before it.
    b.guards(Mood::Answers(500));
    assert_eq!(entry(&proxy, "?token=good").await.status, 404);
    b.guards(Mood::Decides);
    assert_eq!(entry(&proxy, "?token=good").await.status, 200);
    assert_eq!(c.asked_for_viewers().len(), 0, "it serves no lane of the stream");
}

#[tokio::test]
async fn headers_that_are_named_let_a_viewer_in() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded(["Bearer good"]).live();
    let proxy = per_viewer(&[&a]).start().await;
    for (headers, status) in [
        ("Authorization: Bearer good\r\nCookie: secret=1\r\nX-Forwarded-For: 6.6.6.6\r\n", 200),
        ("Authorization: Bearer bad\r\n", 403),
        ("", 403),
    ] {
        let reply = http::get_from(proxy.port(), "/cam/playlist.m3u8", headers).await.unwrap();
        assert_eq!(reply.status, status, "{headers}");
    }
    let asked = a.asked_for_viewers();
    assert_eq!(asked[0].all("authorization"), ["Bearer good"]);
    for asked in asked {
        // Nobody is trusted to name an address, and nothing else is passed on.
        for name in ["cookie", "x-forwarded-for", OWN_HEADER.0] {
            assert!(asked.all(name).is_empty(), "{asked:?}");
        }
    }
    // A page of another site may send it, and HEAD is GET without a body.
    let preflight = "OPTIONS /cam/playlist.m3u8 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                     Origin: https://x\r\nAccess-Control-Request-Headers: authorization\r\n\r\n";
    let reply = http::send(proxy.port(), preflight.as_bytes()).await.unwrap();
    assert_eq!(reply.status, 204);
    let allowed = reply.header("access-control-allow-headers").unwrap();
    assert!(allowed.split(", ").any(|name| name == "authorization"), "{allowed}");
    for (value, status) in [("good", 200), ("bad", 403)] {
        let head = format!(
            "HEAD /cam/playlist.m3u8 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {value}\r\n\r\n"
        );
        let reply = http::send(proxy.port(), head.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{value}");
    }
}

#[tokio::test]
async fn with_auth_none_queries_are_dropped_and_everybody_gets_in() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded([]).live();
    let proxy = Proxy::over(&[&a])
        .pool_setting("auth_queries: [\"token*\"]")
        .pool_setting(CREDENTIALS)
        .start()
        .await;
    let reply = entry(&proxy, "?token=any").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), Some("max-age=1"));
    assert_eq!(a.asked_for_viewers().len(), 0);
    assert_eq!(proxy.logged(&["auth_queries", "every viewer gets in"]).len(), 1, "a warning");
}
