//! What a CDN and a load balancer expect of every answer, whatever it is.

use std::time::Duration;

use segue::front::{PoolSettings, Settings};

use crate::client::{Answer, Client, get};
use crate::stand::{FIRST, STREAM, Serving, token};

/// One request for each kind of answer, and what it is answered.
fn all_kinds(serving: &Serving) -> Vec<(String, u16)> {
    let token = token();
    let of = |name: &str| format!("/live/cam/playlist~{token}/v0/{name}");
    vec![
        (STREAM.to_owned(), 200),
        (of("index.m3u8"), 200),
        (serving.lanes.segment_path(&token, 0), 200),
        ("/.segue/healthz".to_owned(), 200),
        ("/.segue/readyz".to_owned(), 200),
        ("/live/down.m3u8".to_owned(), 503),
        ("/live/full.m3u8".to_owned(), 503),
        ("/live/none.m3u8".to_owned(), 404),
        (of(&format!("{}-0011aabb.ts", FIRST - 1)), 404),
        (of(&format!("{}-0011aabb.ts", FIRST + 9)), 503),
        ("/live//cam.m3u8".to_owned(), 400),
        ("/live/cam/playlist~x/v0/index.m3u8".to_owned(), 400),
        (format!("/live/cam/playlist~{}/v0/index.m3u8", token.replace("a-1", "a-2")), 403),
        (format!("/{}", "x".repeat(8192)), 414),
    ]
}

/// Without it CloudFront keeps an answer for 24 hours.
#[test]
fn every_answer_says_how_long_it_may_be_kept_and_errors_not_at_all() {
    let serving = Serving::start(Settings::default(), &[1000]);
    let mut client = Client::connect(serving.address);
    for (path, status) in all_kinds(&serving) {
        for method in ["GET", "HEAD"] {
            let answer = client.ask(method, &path, "");
            assert_eq!(answer.status, status, "{method} {path}");
            let kept = answer.header("cache-control").unwrap();
            let wanted =
                if status == 200 && !path.starts_with("/.segue") { "max-age=" } else { "no-store" };
            assert!(kept.starts_with(wanted), "{method} {path}: {kept}");
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{path}");
        }
    }
    for (method, path) in [("OPTIONS", STREAM), ("POST", STREAM), ("DELETE", "/x")] {
        let answer = client.ask(method, path, "");
        assert!(answer.header("cache-control").is_some(), "{method}: {answer:?}");
    }
    // Never what CloudFront hides behind a page of its own, and players do not come back from.
    assert!(all_kinds(&serving).iter().all(|(_, status)| !matches!(status, 502 | 504)));
}

/// CloudFront has an expired copy of a playlist that was there: it gives that for a 503, and not for a 404.
#[test]
fn a_stream_that_a_token_knows_is_503_where_nobody_has_it() {
    let serving = Serving::start(Settings::default(), &[1000]);
    serving.lanes.gone.store(true, std::sync::atomic::Ordering::SeqCst);
    for (path, status) in all_kinds(&serving).iter().filter(|(path, _)| path.contains(&token())) {
        let answer = get(serving.address, path, "");
        assert_eq!(answer.status, 503, "{path}, otherwise {status}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[test]
fn head_is_get_without_its_body() {
    let serving = Serving::start(Settings::default(), &[1000]);
    let mut client = Client::connect(serving.address);
    let headers = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
        headers.sort();
        headers
    };
    for (path, _) in all_kinds(&serving) {
        for more in ["", "Accept-Encoding: gzip\r\n", "Range: bytes=10-19\r\n"] {
            let [get, head] = ["GET", "HEAD"].map(|method| client.ask(method, &path, more));
            assert_eq!((head.status, headers(&head)), (get.status, headers(&get)), "{path} {more}");
        }
    }
}

/// CloudFront compresses from 1 kB to 10 MB, what has its length and a type that it knows.
#[test]
fn playlists_can_be_compressed_by_a_cdn() {
    for bytes in [100, 1_000, 65_536, 600_000, 10_000_000] {
        let serving = Serving::listing(&"#EXTM3U\n".repeat(bytes / 8 + 1));
        let path = format!("/live/cam/playlist~{}/v0/index.m3u8", token());
        for (path, more, plain) in [
            (path.as_str(), "", true),
            (path.as_str(), "Accept-Encoding: gzip\r\n", false),
            (STREAM, "", true),
        ] {
            let answer = get(serving.address, path, more);
            assert_eq!(answer.status, 200);
            let length = answer.header("content-length").map(|l| l.parse::<usize>().unwrap());
            assert_eq!(length, Some(answer.body.len()), "{bytes} {path}");
            assert!(path == STREAM || !plain || answer.body.len() >= bytes, "{bytes}");
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.header("content-type"), Some("application/vnd.apple.mpegurl"));
            assert_eq!(answer.header("content-encoding").is_none(), plain);
        }
    }
}

/// Who joins by the same URL gets the same bytes, or each viewer would fill the cache with his own.
#[test]
fn no_url_is_one_viewer_s_own() {
    let serving = Serving::start(Settings::default(), &[1000]);
    let viewers = [
        "User-Agent: one\r\nCookie: id=1\r\nX-Forwarded-For: 1.1.1.1\r\n",
        "User-Agent: other\r\nCookie: id=2\r\nX-Forwarded-For: 2.2.2.2\r\n",
    ];
    for (path, _) in all_kinds(&serving) {
        let query = |n: usize| format!("{path}?CMCD=sid%3D%22{n}%22");
        let [one, other] = [0, 1].map(|n| get(serving.address, &query(n), viewers[n]));
        assert_eq!((one.status, one.body), (other.status, other.body), "{path}");
        for answer in [&one.headers, &other.headers] {
            assert!(answer.iter().all(|(name, _)| !name.eq_ignore_ascii_case("set-cookie")));
            let vary = answer.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
            assert!(vary.into_iter().all(|(_, value)| value == "Accept-Encoding"), "{path}");
        }
    }
}

/// An ALB keeps an idle connection for 60 s and then may use it in its last moment.
#[test]
fn idle_connections_are_kept_for_longer_than_a_load_balancer_does() {
    assert!(Settings::default().keepalive > Duration::from_secs(60) + Duration::from_secs(10));
    let settings = Settings { keepalive: Duration::from_secs(4), ..Settings::default() };
    let serving = Serving::start(settings, &[1000]);
    let mut kept = Client::connect(serving.address);
    // Before its first request, and between two.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(kept.get(STREAM, "").status, 200);
        assert!(!kept.is_closed());
    }
    crate::client::wait_for("an idle connection to be let go", || kept.is_closed());
}

/// What either lets through: URLs of 8192 bytes, header lines of 16 KiB, 64 KiB in all.
#[test]
fn long_urls_and_headers_are_taken() {
    let settings = Settings { header_bytes_max: 65_536, ..Settings::default() };
    let serving = Serving::start(settings, &[1000]);
    let url = |length: usize| format!("{STREAM}?{}", "q".repeat(length - STREAM.len() - 1));
    assert_eq!(get(serving.address, &url(8192), "").status, 200);
    assert_eq!(get(serving.address, &url(8193), "").status, 414);
    let line = |n: usize, bytes: usize| format!("X-{n}: {}\r\n", "v".repeat(bytes - 7));
    assert_eq!(get(serving.address, STREAM, &line(0, 16 << 10)).status, 200);
    let lines = |count: usize| (0..count).map(|n| line(n, 8 << 10)).collect::<String>();
    let most = lines(7) + &line(7, 8 << 10)[50..].replacen('v', "X-8: v", 1);
    assert_eq!(get(serving.address, STREAM, &most).status, 200);
    assert_eq!(get(serving.address, STREAM, &lines(9)).status, 431);
}

#[test]
fn an_origin_is_answered_by_itself_or_for_all() {
    let origins = ["https://a.example", "https://b.example"].map(str::to_owned).to_vec();
    let others = PoolSettings { cors_origins: origins, ..PoolSettings::default() };
    let serving = Serving::start(Settings { others, ..Settings::default() }, &[1000]);
    for (path, _) in all_kinds(&serving).iter().filter(|(path, _)| !path.starts_with("/.segue")) {
        for origin in ["", "Origin: https://a.example\r\n", "Origin: https://evil.example\r\n"] {
            let answer = get(serving.address, path, origin);
            let mut vary = answer.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("vary"));
            assert!(vary.any(|(_, v)| v == "Origin"), "{path} {origin}: kept for all");
        }
    }
}
