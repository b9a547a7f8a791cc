//! What good requests are answered.

use std::sync::atomic::Ordering;

use segue::front::access_log::{AccessLog, Target};
use segue::front::{Kind, PoolSettings, Settings};
use segue::model::names::PoolName;

use crate::client::{Client, get, wait_for};
use crate::stand::{Serving, pattern, token};

const TYPE: &str = "application/vnd.apple.mpegurl";

fn playlist_path() -> String {
    format!("/live/cam/playlist~{}/v0/index.m3u8", token())
}

#[test]
fn an_entry_request_is_given_a_token() {
    let serving = Serving::start(Settings::default(), &[]);
    let answer = get(serving.address, "/live/cam/playlist.m3u8?whatever=1", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(TYPE));
    assert_eq!(answer.header("cache-control"), Some("max-age=1"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let uri = answer.text().lines().last().unwrap().to_owned();
    let media = get(serving.address, &format!("/live/cam/{uri}"), "");
    assert_eq!((media.status, media.header("content-type")), (200, Some(TYPE)));
}

#[test]
fn a_playlist_is_answered_from_memory() {
    let serving = Serving::start(Settings::default(), &[]);
    let mut client = Client::connect(serving.address);
    let plain = client.get(&playlist_path(), "");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("cache-control"), Some("max-age=2"), "a quarter of 8 s");
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    assert_eq!(plain.header("etag"), Some("\"p1\""));
    assert_eq!(plain.header("connection"), Some("keep-alive"));
    assert!(plain.text().starts_with("#EXTM3U"));

    let zipped = client.get(&playlist_path(), "Accept-Encoding: br, gzip\r\n");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.header("etag"), Some("\"p1-gz\""));
    let mut text = String::new();
    let mut unzip = flate2::read::GzDecoder::new(&*zipped.body);
    std::io::Read::read_to_string(&mut unzip, &mut text).unwrap();
    assert_eq!(text, plain.text());

    let same = client.get(&playlist_path(), "If-None-Match: \"x\", \"p1\"\r\n");
    assert_eq!((same.status, same.header("etag")), (304, Some("\"p1\"")));
    assert_eq!(same.header("cache-control"), Some("max-age=2"));
    let other = client.get(&playlist_path(), "If-None-Match: \"p1\"\r\nAccept-Encoding: gzip\r\n");
    assert_eq!(other.status, 200, "the validator is of the other encoding");

    let head = client.ask("HEAD", &playlist_path(), "");
    assert_eq!(head.header("content-length"), plain.header("content-length"));
    // The connection is in step still.
    assert_eq!(client.get(&playlist_path(), "").text(), plain.text());
    assert_eq!(serving.lanes.lane_calls.load(Ordering::SeqCst), 1, "one token, one look-up");
}

#[test]
fn max_age_of_playlists_can_be_set() {
    let pool = PoolSettings { playlist_max_age: Some(7), ..PoolSettings::default() };
    let pools = [(PoolName::new("live"), pool)].into();
    let settings = Settings { pools, ..Settings::default() };
    let serving = Serving::start(settings, &[]);
    let answer = get(serving.address, &playlist_path(), "");
    assert_eq!(answer.header("cache-control"), Some("max-age=7"));
}

#[test]
fn a_segment_whole_and_in_parts() {
    const LENGTH: usize = 1_300_007;
    let serving = Serving::start(Settings::default(), &[LENGTH, 10]);
    let path = serving.lanes.segment_path(&token(), 0);
    let body = pattern(LENGTH);
    let mut client = Client::connect(serving.address);
    let whole = client.get(&path, "");
    assert_eq!(whole.status, 200);
    assert!(whole.body == body, "other bytes");
    assert_eq!(whole.header("content-type"), Some("video/mp2t"));
    assert_eq!(whole.header("cache-control"), Some("max-age=3600, immutable"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let etag = whole.header("etag").unwrap().to_owned();

    let head = client.ask("HEAD", &path, "");
    assert_eq!(head.header("content-length"), Some("1300007"));
    let cases = [
        ("Range: bytes=0-9\r\n".to_owned(), 206, 0..10),
        ("Range: bytes=600000-\r\n".to_owned(), 206, 600_000..LENGTH),
        ("Range: bytes=-7\r\n".to_owned(), 206, LENGTH - 7..LENGTH),
        ("Range: bytes=0-1,5-6\r\n".to_owned(), 200, 0..LENGTH),
        (format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n"), 206, 1..3),
        ("Range: bytes=1-2\r\nIf-Range: \"old\"\r\n".to_owned(), 200, 0..LENGTH),
    ];
    for (more, status, range) in cases {
        let part = client.get(&path, &more);
        assert_eq!(part.status, status, "{more}");
        assert!(part.body == body[range.clone()], "{more}: other bytes");
        if status == 206 {
            let content_range = format!("bytes {}-{}/{LENGTH}", range.start, range.end - 1);
            assert_eq!(part.header("content-range"), Some(&*content_range));
        }
    }
    let outside = client.get(&path, "Range: bytes=1300007-\r\n");
    assert_eq!(outside.status, 416);
    assert_eq!(outside.header("content-range"), Some("bytes */1300007"));
    assert_eq!(outside.header("cache-control"), Some("no-store"));
    let same = client.get(&path, &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(same.status, 304);
    let small = client.get(&serving.lanes.segment_path(&token(), 1), "");
    assert_eq!(small.body, pattern(10));
}

#[test]
fn pages_of_other_sites_may_ask() {
    let serving = Serving::start(Settings::default(), &[]);
    let mut client = Client::connect(serving.address);
    let more = "Origin: https://page.example\r\nAccess-Control-Request-Method: GET\r\n\
                Access-Control-Request-Headers: range\r\n";
    let preflight = client.ask("OPTIONS", &playlist_path(), more);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("GET"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Range"));
    let refused = client.get("/live/none.m3u8", "Origin: https://page.example\r\n");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "players read errors");

    let allowing = |origins: &[&str]| {
        let cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let others = PoolSettings { cors_origins, ..PoolSettings::default() };
        Serving::start(Settings { others, ..Settings::default() }, &[])
    };
    let closed = allowing(&[]);
    let answer = get(closed.address, &playlist_path(), "Origin: https://a.example\r\n");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let one = allowing(&["https://a.example"]);
    let answer = get(one.address, &playlist_path(), "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    let two = allowing(&["https://a.example", "https://b.example"]);
    for (origin, allowed) in
        [("https://b.example", Some("https://b.example")), ("https://c.example", None)]
    {
        let answer = get(two.address, &playlist_path(), &format!("Origin: {origin}\r\n"));
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        let vary: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "vary").collect();
        assert_eq!(vary.len(), 2, "by Origin and by Accept-Encoding: {vary:?}");
    }
}

#[test]
fn health_needs_no_host_that_is_known() {
    let serving = Serving::start(Settings::default(), &[]);
    let mut client = Client::connect(serving.address);
    client.send(b"GET /.segue/healthz HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
    let health = client.answer(false);
    assert_eq!((health.status, health.header("cache-control")), (200, Some("no-store")));
    client.send(b"GET /.segue/readyz HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
    assert_eq!(client.answer(false).status, 200);
    assert_eq!(client.get("/.segue/other", "").status, 404);
}

#[test]
fn every_answer_is_told_and_logged_without_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(Target::File(path.clone())).unwrap();
    let serving = Serving::start_with(Settings::default(), &[1000], Some(log));
    let mut client = Client::connect(serving.address);
    let token = token();
    client
        .get(&serving.lanes.segment_path(&token, 0), "X-Amz-Cf-Id: cf-7\r\nX-Request-Id: r-1\r\n");
    client.get("/live/cam/playlist.m3u8", "");
    client.get("/live/none.m3u8", "");
    wait_for("three answers told", || serving.told.0.lock().unwrap().len() == 3);
    let told: Vec<_> = serving
        .told
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|t| (t.kind, t.status, t.bytes > 0, t.cut))
        .collect();
    assert_eq!(
        told,
        [
            (Kind::Segment, 200, true, false),
            (Kind::Entry, 200, true, false),
            (Kind::Entry, 404, true, false)
        ]
    );
    let mut text = String::new();
    wait_for("three lines", || {
        text = std::fs::read_to_string(&path).unwrap();
        text.lines().count() == 3
    });
    assert!(!text.contains(&token), "the log holds a token:\n{text}");
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["cf_id"], "cf-7");
    assert_eq!(first["request_id"], "r-1");
    assert_eq!(first["bytes"], 1000);
    assert!(first["path"].as_str().unwrap().starts_with("/live/cam/playlist~a-1/v0/1000-"));
}
