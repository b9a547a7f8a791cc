//! Bad requests: each a clear answer that nobody stores.

use std::sync::atomic::Ordering;

use segue::front::Settings;
use segue::model::names::{LaneId, PoolName};
use segue::model::token::Keyring;

use crate::client::{Client, get, wait_for};
use crate::stand::{Serving, claims, keyring, token};

fn media(token: &str) -> String {
    format!("/live/cam/playlist~{token}/v0/index.m3u8")
}

#[test]
fn bad_requests_are_refused_clearly() {
    let serving = Serving::start(Settings::default(), &[10]);
    let good = token();
    let foreign = {
        let mut claims = claims();
        claims.stream.path = "/live/other.m3u8".into();
        keyring().sign(&claims)
    };
    let other_pool = {
        let mut claims = claims();
        claims.stream.pool = PoolName::new("other");
        keyring().sign(&claims)
    };
    let expired = {
        let mut claims = claims();
        claims.expires_unix_s = Some(1);
        keyring().sign(&claims)
    };
    let forged = Keyring::new([[8_u8; 32]]).unwrap().sign(&claims());
    let other_lane = {
        let mut claims = claims();
        claims.lane = LaneId::new("b-2");
        let text = keyring().sign(&claims);
        text.replace("b-2", "a-1")
    };
    let cases = [
        (media(&forged), 403),
        (media(&foreign), 403),
        (media(&other_pool), 403),
        (media(&other_lane), 403),
        (media(&expired), 403),
        (media(&good[..good.len() - 4]), 400),
        (media("x"), 400),
        (format!("/live/cam/playlist~{good}/v7/index.m3u8"), 404),
        (format!("/live/cam/playlist~{good}/v0/99-0011aabb.ts"), 404),
        (format!("/live/cam/playlist~{good}/v0/../index.m3u8"), 400),
        ("/live/%2e%2e/secret.m3u8".to_owned(), 400),
        ("/live%2fcam.m3u8".to_owned(), 400),
        ("/live//cam.m3u8".to_owned(), 400),
        ("/live/cam%00.m3u8".to_owned(), 400),
        ("/favicon.ico".to_owned(), 404),
        ("/live/none.m3u8".to_owned(), 404),
        (format!("/{}.m3u8", "a".repeat(9000)), 414),
    ];
    for (path, status) in cases {
        let answer = get(serving.address, &path, "");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.text().lines().count(), 1, "{path}");
        assert_eq!(answer.header("retry-after"), None, "{path}");
    }
}

#[test]
fn what_is_wrong_beside_the_path() {
    let serving = Serving::start(Settings::default(), &[]);
    let path = media(&token());
    let cases = [
        ("unknown host", format!("GET {path} HTTP/1.1\r\nHost: unknown.example\r\n\r\n"), 421),
        ("foreign host", format!("GET {path} HTTP/1.1\r\nHost: other.example\r\n\r\n"), 403),
        ("no host", format!("GET {path} HTTP/1.1\r\n\r\n"), 400),
        ("two hosts", format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400),
        ("POST", format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), 405),
        ("DELETE", format!("DELETE {path} HTTP/1.1\r\nHost: a\r\n\r\n"), 405),
        (
            "headers over the limit",
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "c".repeat(40_000)),
            431,
        ),
    ];
    for (what, request, status) in cases {
        let mut client = Client::connect(serving.address);
        client.send(request.as_bytes());
        let answer = client.answer(false);
        assert_eq!(answer.status, status, "{what}");
        // Two hosts are refused by the server itself, in its own words.
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{what}");
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    // Shorter than HTTP/2's preface, and still a request.
    let mut short = Client::connect(serving.address);
    short.send(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(short.answer(false).status, 400);
    // What is not HTTP is refused before the front sees it, and harms nobody.
    for rubbish in ["\0\0\0\0\r\n\r\n".to_owned(), "GET\r\n\r\n".to_owned()] {
        let mut client = Client::connect(serving.address);
        client.send(rubbish.as_bytes());
        client.rest();
    }
    assert_eq!(get(serving.address, &path, "").status, 200);
}

#[test]
fn our_own_faults_ask_to_come_back() {
    let serving = Serving::start(Settings::default(), &[]);
    for path in ["/live/down.m3u8", "/live/full.m3u8"] {
        let answer = get(serving.address, path, "");
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert!(!answer.text().contains("limits."), "tells of the inside: {}", answer.text());
    }
}

#[test]
fn requests_that_wait_are_bounded() {
    let settings = Settings { waiting_max: 2, ..Settings::default() };
    let serving = Serving::start(settings, &[]);
    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(serving.address)).collect();
    for client in &mut held {
        client.send(b"GET /live/held.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait_for("two requests that wait", || serving.stages.in_flight() == 2);
    let mut third = None;
    wait_for("a refusal", || {
        let answer = get(serving.address, "/live/cam/playlist.m3u8", "");
        let refused = answer.status == 503;
        third = Some(answer);
        refused
    });
    assert_eq!(third.unwrap().header("retry-after"), Some("1"));
    // Those that wait, and all who are known, are not touched by it.
    while held.iter().any(|_| serving.stages.in_flight() > 0) {
        serving.lanes.release.notify_waiters();
        std::thread::yield_now();
    }
    for client in &mut held {
        assert_eq!(client.answer(false).status, 200);
    }
    assert_eq!(get(serving.address, &media(&token()), "").status, 200);
    assert_eq!(serving.lanes.lane_calls.load(Ordering::SeqCst), 1);
}

#[test]
fn silent_connections_are_let_go() {
    let keepalive = std::time::Duration::from_secs(1);
    let serving = Serving::start(Settings { keepalive, ..Settings::default() }, &[]);
    assert_eq!(Client::connect(serving.address).rest(), 0, "was answered without a request");
}

#[test]
fn connections_are_bounded() {
    let settings = Settings { connections_max: 3, ..Settings::default() };
    let serving = Serving::start(settings, &[]);
    let mut silent: Vec<Client> = (0..8).map(|_| Client::connect(serving.address)).collect();
    wait_for("what is too much to be closed", || {
        silent.retain_mut(|client| !client.is_closed());
        silent.len() == 3
    });
    drop(silent);
    wait_for("room again", || {
        let mut client = Client::connect(serving.address);
        client.try_get("/.segue/healthz").is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_token_that_was_good_expires() {
    let serving = Serving::start(Settings::default(), &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut claims = claims();
    claims.expires_unix_s = Some(now.as_secs() + 3);
    let path = media(&keyring().sign(&claims));
    assert_eq!(get(serving.address, &path, "").status, 200);
    wait_for("the end of the token", || get(serving.address, &path, "").status == 403);
    assert_eq!(serving.lanes.lane_calls.load(Ordering::SeqCst), 1, "it was known throughout");
}
