//! Requests that no honest player sends: a clear 4xx that nobody may cache, and no harm.

use base64::Engine as _;
use segue::model::names::{LaneId, PoolName, StreamKey};
use segue::model::token::{Claims, Keyring};

use crate::http::{self, Reply};
use crate::packager::Packager;
use crate::proxy::Proxy;

const KEY: [u8; 32] = [7; 32];

/// The configuration's line for [`KEY`].
pub fn token_keys() -> String {
    let key = base64::engine::general_purpose::STANDARD.encode(KEY);
    format!("token_keys: [\"{key}\"]")
}

fn claims(lane: &str, stream: &str, expires_unix_s: Option<u64>) -> Claims {
    let stream = StreamKey {
        pool: PoolName::new("live"),
        path: format!("/{stream}/playlist.m3u8").into(),
        query: "".into(),
    };
    Claims { stream, lane: LaneId::new(lane), viewer: None, expires_unix_s }
}

fn sign(key: [u8; 32], claims: &Claims) -> String {
    Keyring::new([key.as_slice()]).unwrap().sign(claims)
}

#[track_caller]
fn refused(what: &str, reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{what}: {}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    let text = reply.text();
    assert!(text.lines().count() == 1 && text.len() < 100, "{what}: one line says why: {text:?}");
    assert!(!text.contains("127.0.0.1"), "{what}: {text}");
}

#[tokio::test]
async fn bad_requests_are_refused_and_harm_nobody() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a])
        .setting(&token_keys())
        .setting("limits: { header_bytes: 16384, uri_bytes: 4096 }")
        .pool_setting("hosts: [\"localhost\"]")
        .start()
        .await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    let good = viewer.token().to_owned();
    let lane = good.split('.').nth(2).unwrap().to_owned();
    let with = |token: &str| format!("/cam/playlist~{token}/v0/index.m3u8");
    assert_eq!(proxy.get(&with(&good)).await.unwrap().status, 200, "the token as it was given");

    let (head, mac) = good.rsplit_once('.').unwrap();
    let flipped = if mac.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &mac[1..]);
    let other_lane = good.replacen(&lane, "a-00000000", 1);
    let truncated = &good[..good.len() - 4];
    let foreign = sign([9; 32], &claims(&lane, "cam", None));
    let other_stream = sign(KEY, &claims(&lane, "other", None));
    let expired = sign(KEY, &claims(&lane, "cam", Some(1_000_000_000)));
    let segment = viewer.segment_path();
    let (folder, file) = segment.rsplit_once('/').unwrap();
    let (msn, short) = file.split_once('-').unwrap();
    let [beyond, left] = [1000, -1000].map(|n| msn.parse::<i64>().unwrap() + n);
    let cases: [(&str, String, u16); 20] = [
        ("a forged token", with(&forged), 403),
        ("another lane under the same MAC", with(&other_lane), 403),
        ("a truncated token", with(truncated), 400),
        ("a foreign token", with(&foreign), 403),
        ("a token of another stream", with(&other_stream), 403),
        ("an expired token", with(&expired), 403),
        ("a token of junk", with("1.%FF"), 400),
        ("a rendition that is not there", with(&good).replace("/v0/", "/v7/"), 404),
        ("an MSN that left", format!("{folder}/{left}-{short}"), 404),
        // By another proxy, perhaps.
        ("an MSN never announced here", format!("{folder}/{beyond}-{short}"), 503),
        ("another hash", format!("{folder}/{msn}-00000000.ts"), 404),
        ("an MSN over all bounds", format!("{folder}/99999999999999999999999-{short}"), 404),
        ("a packager's own name", "/cam/playlist-600.ts".into(), 404),
        ("dots", "/cam/../cam/playlist.m3u8".into(), 400),
        ("dots under the token", format!("{folder}/../v0/{file}"), 400),
        ("encoded dots", "/cam/%2e%2e/playlist.m3u8".into(), 400),
        ("an encoded slash", "/cam%2Fplaylist.m3u8".into(), 400),
        ("an encoded backslash", "/cam%5Cplaylist.m3u8".into(), 400),
        ("a NUL", "/cam/%00playlist.m3u8".into(), 400),
        ("a URI over the limit", format!("/{}/playlist.m3u8", "x".repeat(5000)), 414),
    ];
    for (what, path, status) in cases {
        let reply = proxy.get(&path).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        refused(what, &reply, status);
    }

    let entry = "/cam/playlist.m3u8";
    let port = proxy.port();
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    refused("headers over the limit", &http::get_from(port, entry, &long).await.unwrap(), 431);
    let host = "Host: elsewhere.example\r\n";
    refused("an unknown host", &http::get_from(port, entry, host).await.unwrap(), 421);
    let post = "POST /cam/playlist.m3u8 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    refused("POST", &http::send(port, post.as_bytes()).await.unwrap(), 405);
    // Not HTTP at all: anything but a success, and the proxy lives.
    for junk in ["\x16\x03\x01\x02 junk\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let reply = http::send(port, junk.as_bytes()).await;
        assert!(reply.as_ref().map_or(true, |r| r.status >= 400), "{junk:?}: {reply:?}");
    }
    viewer.more(1).await;
    // Nothing of this was passed on.
    let asked: Vec<_> = a.requests().into_iter().map(|(_, path)| path).collect();
    assert!(asked.iter().all(|p| p.starts_with("/cam/playlist")), "{asked:?}");
}
