//! What stands before the proxy: a CDN that shows a secret header, and proxies that say who asks.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::authorisation::per_viewer;
use crate::faults::Fault;
use crate::http::{self, Reply};
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

async fn ask(proxy: &Proxy, path: &str, headers: &str) -> Reply {
    http::get_from(proxy.port(), path, headers).await.unwrap()
}

#[tokio::test]
async fn what_goes_around_the_cdn_is_refused() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let secret = "origin_secret_header: { name: X-Origin-Secret, value: \"the-new-secret-of-the-cdn\", \
                  other_values: [\"the-old-secret-of-the-cdn\"] }";
    let proxy = Proxy::over(&[&a]).setting(secret).start().await;
    let entry = "/cam/playlist.m3u8";
    let shown = "X-Origin-Secret: the-new-secret-of-the-cdn\r\n";
    let reply = ask(&proxy, entry, shown).await;
    assert_eq!(reply.status, 200);
    let media = reply.text().lines().find(|l| l.contains("index.m3u8")).unwrap().to_owned();
    let media = format!("/cam/{media}");
    for (path, headers, status) in [
        (entry, "", 403),
        (entry, "X-Origin-Secret: the-new-secret-of-the-cd\r\n", 403),
        (entry, "X-Origin-Secret: the-old-secret-of-the-cdn\r\n", 200),
        // Before anything else is looked at.
        ("/a//b", "", 403),
        ("/none", "", 403),
        ("/none", shown, 404),
        (&*media, "", 403),
        (&*media, shown, 200),
        ("/.segue/healthz", "", 200),
        ("/.segue/readyz", "", 200),
    ] {
        let reply = ask(&proxy, path, headers).await;
        assert_eq!(reply.status, status, "{path} {headers}");
        if status == 403 {
            assert_eq!(reply.text(), "not allowed\n");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
    let refused = proxy.metric("segue_requests_not_through_cdn_total").await;
    assert!((refused - 5.0).abs() < 0.1, "{refused}");
    assert_eq!(proxy.logged(&["origin_secret_header"]).len(), 1, "once a minute");
    for text in [proxy.log(), proxy.admin("/status.json").await.text()] {
        assert!(!text.contains("secret-of-the-cdn"), "{text}");
    }
}

#[tokio::test]
async fn a_pool_may_have_a_secret_of_its_own() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let secret =
        |value: &str| format!("origin_secret_header: {{ name: X-Origin-Secret, value: {value} }}");
    let proxy = Proxy::over(&[&a])
        .setting(&secret("that-of-all-pools"))
        .pool_setting(&secret("that-of-this-pool"))
        .pool_setting("hosts: [localhost]")
        .start()
        .await;
    for (headers, status) in [
        ("X-Origin-Secret: that-of-this-pool\r\n", 200),
        ("X-Origin-Secret: that-of-all-pools\r\n", 403),
        ("Host: unknown\r\nX-Origin-Secret: that-of-this-pool\r\n", 403),
        ("Host: unknown\r\nX-Origin-Secret: that-of-all-pools\r\n", 421),
    ] {
        assert_eq!(ask(&proxy, "/cam/playlist.m3u8", headers).await.status, status, "{headers}");
    }
}

#[tokio::test]
async fn trusted_proxies_say_who_asks_and_for_which_host() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded(["good"]).live();
    let forwarded = "Host: localhost\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.1.1\r\n\
                     X-Forwarded-Host: Media.Example:443, evil.example\r\n";
    let proxy = |trusted: &str| {
        per_viewer(&[&a])
            .pool_setting("hosts: [media.example]")
            .setting(trusted)
            .setting("log: { access: stdout }")
    };
    let trusting = proxy("trusted_proxies: [\"10.0.0.0/8\", \"127.0.0.1\"]").start().await;
    let path = "/cam/playlist.m3u8?token=good";
    assert_eq!(ask(&trusting, path, forwarded).await.status, 200);
    assert_eq!(a.asked_for_viewers()[0].all("x-forwarded-for"), ["203.0.113.7"]);
    let logged = || async { !trusting.logged(&["\"client\":\"203.0.113.7\""]).is_empty() };
    crate::wait_for("the access log", std::time::Duration::from_secs(10), logged).await.unwrap();
    assert_eq!(ask(&trusting, path, "").await.status, 421, "localhost is not its host");
    let bad = "Host: localhost\r\nX-Forwarded-Host: ,\r\n";
    assert_eq!(ask(&trusting, path, bad).await.status, 400);

    // From others both are ignored; by default from all.
    for trusted in ["trusted_proxies: [\"10.0.0.0/8\"]", "trusted_proxies: []"] {
        let proxy = proxy(trusted).start().await;
        assert_eq!(ask(&proxy, path, forwarded).await.status, 421, "{trusted}");
        let host = "Host: media.example\r\nX-Forwarded-For: 6.6.6.6\r\n";
        assert_eq!(ask(&proxy, path, host).await.status, 200);
        let asked = a.asked_for_viewers().pop().unwrap();
        // Where it is known which peers are proxies, this one is the viewer.
        let known = trusted.contains("10.0.0.0");
        let wanted: &[&str] = if known { &["127.0.0.1"] } else { &[] };
        assert_eq!(asked.all("x-forwarded-for"), wanted, "{trusted}");
        let logged = || async { !proxy.logged(&["\"client\":\"127.0.0.1\""]).is_empty() };
        crate::wait_for("the access log", std::time::Duration::from_secs(10), logged)
            .await
            .unwrap();
    }
}

/// As it is without any setting: what an ALB and CloudFront let through is taken, and all viewers get the same.
#[tokio::test]
async fn the_defaults_are_what_cloudfront_and_an_alb_expect() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let proxy = Proxy::over(&[&a]).start().await;
    let entry = "/cam/playlist.m3u8";
    let first = ask(&proxy, entry, "").await;
    assert_eq!(first.header("cache-control"), Some("max-age=1"));
    for (n, headers) in ["User-Agent: x\r\n", "Cookie: id=7\r\n", ""].iter().enumerate() {
        let other = ask(&proxy, &format!("{entry}?CMCD=sid%3D%22{n}%22"), headers).await;
        assert_eq!(other.text(), first.text(), "URLs of his own for {headers}");
    }
    let url = |length: usize| format!("{entry}?{}", "q".repeat(length - entry.len() - 1));
    assert_eq!(ask(&proxy, &url(8192), "").await.status, 200);
    assert_eq!(ask(&proxy, &url(8193), "").await.status, 414);
    let lines = |count: usize| format!("X-Long: {}\r\n", "v".repeat(16_374)).repeat(count);
    // 16 KiB each, and with Host and Connection a little less than 64 KiB.
    let most = lines(3) + &format!("X-Long: {}\r\n", "v".repeat(16_000));
    assert_eq!(ask(&proxy, entry, &most).await.status, 200);
    assert_eq!(ask(&proxy, entry, &lines(5)).await.status, 431);
}

#[tokio::test]
async fn readiness_does_not_hang_on_packagers() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let proxy = Proxy::over(&[&a])
        .pool_setting("health: { interval_seconds: 1, rise: 1, fall: 1 }")
        .start()
        .await;
    a.kill().await;
    let down = || async { proxy.metric("segue_packager_up{packager=\"a\"}").await < 0.5 };
    wait_for("the packager to be down", Duration::from_secs(20), down).await.unwrap();
    assert_eq!(ask(&proxy, "/.segue/readyz", "").await.status, 200);
    let refused = ask(&proxy, "/cam/playlist.m3u8", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}

/// A deregistration waits for requests under way: one that waits for a packager is answered after the
/// listeners have closed.
#[tokio::test]
async fn a_request_that_is_held_is_answered_after_sigterm() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let mut proxy = Proxy::over(&[&a]).start().await;
    a.break_playlists("cam", Fault::Silence);
    let port = proxy.port();
    let held = tokio::spawn(async move { http::get(port, "/cam/playlist.m3u8").await });
    let asked = || async { !a.requests().is_empty() };
    wait_for("the packager to be asked", Duration::from_secs(20), asked).await.unwrap();
    proxy.signal("TERM");
    let closed = || async { TcpStream::connect(("127.0.0.1", port)).await.is_err() };
    wait_for("the listener to close", Duration::from_secs(10), closed).await.unwrap();
    assert!(!held.is_finished(), "answered before the packager was");
    a.mend("cam");
    let reply = held.await.unwrap().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    proxy.ends().await;
}
