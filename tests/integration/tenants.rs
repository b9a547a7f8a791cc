//! Tenants: several pools behind one proxy, each answered in its own way.

use std::time::Duration;

use crate::http;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

const X: &str = "x.example";
const Y: &str = "y.example";

fn packagers() -> [Packager; 2] {
    ["a", "b"].map(|id| Packager::fake(id).segments_of(2000, 2).live())
}

/// Tenant `live` at x.example, on `a`, and tenant `other` at y.example, on `b`.
fn two(packagers: &[Packager; 2], of_x: &[&str], of_y: &[&str]) -> Proxy {
    let hosts = format!("hosts: [{Y}]");
    let of_y: Vec<&str> = of_y.iter().copied().chain([hosts.as_str()]).collect();
    let proxy = Proxy::over(&[&packagers[0]]).pool("other", &of_y, &[&packagers[1]]);
    let of_x = of_x.iter().copied().chain(["hosts: [x.example]"]);
    of_x.fold(proxy, Proxy::pool_setting)
}

#[tokio::test]
async fn two_tenants_are_answered_differently() {
    let ab = packagers();
    let of_x = [
        "answers: { cors_origins: [\"https://x.example\"], entry_max_age_seconds: 5, playlist_max_age_seconds: 3, segment_max_age_seconds: 60 }",
        "limits: { streams: 1 }",
        "paths: [\"/cam/**\", \"/second/**\"]",
    ];
    let of_y = [
        "answers: { cors_origins: [\"https://one.example\", \"https://two.example\"], segment_max_age_seconds: 86400 }",
        "limits: { streams: 1 }",
        "paths: [\"/cam/**\", \"/second/**\"]",
    ];
    let proxy = two(&ab, &of_x, &of_y).start().await;
    let two = "https://two.example";
    for (host, allows, ages) in [
        (X, "https://x.example", ["max-age=5", "max-age=3", "max-age=60, immutable"]),
        (Y, two, ["max-age=1", "max-age=1", "max-age=86400, immutable"]),
    ] {
        let mut viewer = proxy.viewer_at(host, "cam").await;
        viewer.refresh().await;
        let segment = viewer.segment_path();
        let from = format!("Host: {host}\r\nOrigin: {two}\r\n");
        let entry = "/cam/playlist.m3u8";
        for (path, age) in [entry, viewer.path(), &segment].into_iter().zip(ages) {
            let reply = http::get_from(proxy.port(), path, &from).await.unwrap();
            assert_eq!(reply.status, 200, "{host}{path}");
            assert_eq!(reply.header("cache-control"), Some(age), "{host}{path}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(allows), "{host}{path}");
        }
        for (path, status) in [
            ("/second/playlist.m3u8", 503),
            ("/favicon.ico", 404),
            ("/forbidden/playlist.m3u8", 404),
            ("/cam/../x.m3u8", 400),
            (&segment.replace("/v0/", "/v7/"), 404),
            ("/cam/playlist~1.0.forged.x/v0/index.m3u8", 400),
        ] {
            let reply = http::get_from(proxy.port(), path, &from).await.unwrap();
            assert_eq!(reply.status, status, "{host}{path}: {}", reply.text());
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{host}{path}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(allows), "{host}{path}");
        }
        // A page of the other tenant may read nothing here, be it an error.
        let elsewhere = format!("Host: {host}\r\nOrigin: https://elsewhere.example\r\n");
        for path in [entry, "/second/playlist.m3u8"] {
            let reply = http::get_from(proxy.port(), path, &elsewhere).await.unwrap();
            let allowed = reply.header("access-control-allow-origin");
            assert_ne!(allowed, Some("https://elsewhere.example"), "{host}{path}");
            assert_ne!(allowed, Some("*"), "{host}{path}");
        }
    }
}

#[tokio::test]
async fn a_token_of_one_tenant_opens_nothing_of_another() {
    let ab = packagers();
    let proxy = two(&ab, &[], &[]).start().await;
    let mut of_x = proxy.viewer_at(X, "cam").await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_x.refresh().await;
    of_y.refresh().await;
    assert_eq!((of_x.lane_packager(), of_y.lane_packager()), ("a", "b"));
    let asked = ab[0].requests().len();
    // Both before and after the proxy has seen each token.
    for _ in 0..2 {
        for (host, viewer) in [(X, &of_y), (Y, &of_x)] {
            for path in [viewer.path().to_owned(), viewer.segment_path()] {
                let reply = proxy.get_at(host, &path).await;
                assert_eq!(
                    (reply.status, reply.text().as_str()),
                    (403, "token not valid\n"),
                    "{path}"
                );
            }
        }
    }
    of_x.more(1).await;
    of_y.more(1).await;
    assert!(ab[0].requests().len() > asked);
    // A stream that only y's packager has been asked for.
    proxy.viewer_at(Y, "own").await.refresh().await;
    assert!(ab[0].requests().iter().all(|(_, path)| path.starts_with("/cam/")));
    assert!(ab[1].requests().iter().all(|(_, p)| p.starts_with("/cam/") || p.starts_with("/own/")));
}

#[tokio::test]
async fn paths_that_are_not_allowed_reach_no_packager() {
    let ab = packagers();
    let of_x = ["paths: [\"/live/*/playlist.m3u8\", \"/vod/acme-*/**\"]"];
    let mut proxy = two(&ab, &of_x, &[]).start().await;
    for good in ["live/cam", "live/%63am2", "vod/acme-1", "vod/acme-2/deep"] {
        proxy.viewer_at(X, good).await;
    }
    let asked = ab[0].requests().len();
    for (path, status) in [
        ("/cam/playlist.m3u8", 404),
        ("/live/playlist.m3u8", 404),
        ("/live/a/b/playlist.m3u8", 404),
        ("/live/cam/other.m3u8", 404),
        ("/LIVE/cam/playlist.m3u8", 404),
        ("/vod/other-1/playlist.m3u8", 404),
        ("/vod/acme-1/..;/playlist.m3u8", 404),
        ("/live/%252e%252e/playlist.m3u8", 404),
        ("/live/..%252fsecret/playlist.m3u8", 404),
        ("/vod/acme-1/%252e%252e/%252e%252e/secret/playlist.m3u8", 404),
        ("/vod/acme-1/../../secret/playlist.m3u8", 400),
        ("/vod/acme-1/%2e%2e/secret/playlist.m3u8", 400),
        ("/vod/acme-1/..%2fsecret/playlist.m3u8", 400),
        ("/live%2fcam/playlist.m3u8", 400),
    ] {
        let reply = proxy.get_at(X, path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    let known = ["/live/cam/", "/live/%63am2/", "/vod/acme-1/", "/vod/acme-2/deep/"];
    let new = ab[0].requests().into_iter().skip(asked);
    let new: Vec<String> = new.map(|(_, path)| path).collect();
    let others: Vec<&String> =
        new.iter().filter(|p| !known.iter().any(|k| p.starts_with(k))).collect();
    assert!(others.is_empty(), "{others:?}");
    // The other tenant has them all.
    proxy.viewer_at(Y, "cam").await;

    // A path that is taken away ends for those who are in, too, and for nobody else.
    let mut out = proxy.viewer_at(X, "vod/acme-1").await;
    let mut stays = proxy.viewer_at(X, "live/cam").await;
    out.refresh().await;
    stays.refresh().await;
    let file = std::fs::read_to_string(proxy.file()).unwrap();
    std::fs::write(proxy.file(), file.replace(", \"/vod/acme-*/**\"", "")).unwrap();
    proxy.signal("HUP");
    let taken = || async { !proxy.logged(&["configuration reloaded"]).is_empty() };
    wait_for("the reload", Duration::from_secs(10), taken).await.unwrap();
    for path in [out.path().to_owned(), out.segment_path(), "/vod/acme-1/playlist.m3u8".into()] {
        assert_eq!(proxy.get_at(X, &path).await.status, 404, "{path}");
    }
    stays.more(1).await;
    proxy.kill();
}

#[tokio::test]
async fn operators_see_what_each_tenant_takes() {
    let ab = packagers();
    let of_x = [
        "limits: { streams: 3, bandwidth_mbps: 50, waiting_requests: 7, segment_bytes: 100MiB }",
        "labels: { customer: acme, tier: gold }",
    ];
    let proxy = two(&ab, &of_x, &["labels: { customer: \"b & co\" }"])
        .setting("log: { access: access.log }")
        .start()
        .await;
    let mut of_x = proxy.viewer_at(X, "cam").await;
    let mut of_y = proxy.viewer_at(Y, "cam").await;
    of_x.more(1).await;
    of_y.more(1).await;
    proxy.viewer_at(X, "two").await;
    proxy.viewer_at(X, "three").await;
    assert_eq!(proxy.get_at(X, "/four/playlist.m3u8").await.status, 503);
    assert_eq!(proxy.get_at("elsewhere.example", "/cam/playlist.m3u8").await.status, 421);

    let status = proxy.status().await;
    let (x, y) = (&status["pools"][0], &status["pools"][1]);
    assert_eq!((&x["pool"], &y["pool"]), (&"live".into(), &"other".into()), "{status:#}");
    assert_eq!((&x["hosts"][0], &x["labels"]["tier"]), (&X.into(), &"gold".into()));
    let limits = &x["limits"];
    assert_eq!((&limits["streams"], &limits["bandwidth_bps"]), (&3.into(), &50_000_000.into()));
    assert_eq!(limits["segment_bytes"], 100 << 20);
    // Three quarters of what the proxy has.
    assert_eq!(
        (&y["limits"]["streams"], &y["limits"]["bandwidth_bps"]),
        (&1500.into(), &serde_json::Value::Null)
    );
    assert_eq!((&x["in_use"]["streams"], &y["in_use"]["streams"]), (&3.into(), &1.into()));
    assert_eq!((&x["in_use"]["lanes"], &y["in_use"]["lanes"]), (&3.into(), &1.into()));
    let held = |of: &serde_json::Value| of["in_use"]["segment_bytes"].as_u64().unwrap();
    // Of a lane three segments and more, of 18,800 bytes.
    assert!(held(x) > held(y) && held(y) > 3 * 18_800, "{status:#}");

    let metrics = proxy.admin("/metrics").await.text();
    for line in [
        "segue_pool_info{customer=\"acme\",pool=\"live\",tier=\"gold\"} 1\n",
        "segue_pool_info{customer=\"b & co\",pool=\"other\",tier=\"\"} 1\n",
        "segue_pool_limit{limit=\"waiting_requests\",pool=\"live\"} 7\n",
        "segue_pool_in_use{limit=\"streams\",pool=\"live\"} 3\n",
        "segue_pool_in_use{limit=\"lanes\",pool=\"other\"} 1\n",
        "segue_pool_refused_total{limit=\"pools.limits.streams\",pool=\"live\"} 1\n",
        "segue_pool_requests_total{pool=\"live\",status=\"5xx\"} 1\n",
        "segue_pool_requests_total{pool=\"other\",status=\"5xx\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let bytes = proxy.metric("segue_pool_response_bytes_total{pool=\"other\"}").await;
    assert!(bytes > 18_800.0, "{bytes}");
    // What flows is told as well, once a second of it is over.
    of_x.more(1).await;
    let segment = of_x.segment_path();
    let flows = || async {
        proxy.get_at(X, &segment).await;
        let now = "segue_pool_in_use{limit=\"bandwidth_bps\",pool=\"live\"}";
        proxy.metric(now).await > 0.0
    };
    wait_for("bandwidth", Duration::from_secs(20), flows).await.unwrap();
    let log = std::fs::read_to_string(proxy.dir().join("access.log")).unwrap();
    let of =
        |pool: &str| log.lines().filter(|l| l.contains(&format!("\"pool\":\"{pool}\""))).count();
    assert!(of("live") > 3 && of("other") > 2, "{log}");
}
