//! What stands before the proxy: a CDN that shows a secret header, and proxies that say who asks.

use crate::authorisation::per_viewer;
use crate::http::{self, Reply};
use crate::packager::Packager;
use crate::proxy::Proxy;

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
