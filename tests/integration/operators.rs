//! What operators see and change: metrics, status, readiness, reload.

use std::time::Duration;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

#[tokio::test]
async fn readiness_does_not_depend_on_packagers() {
    let a = Packager::fake("a");
    let proxy = Proxy::over(&[&a]).start().await;
    for path in ["/.segue/healthz", "/.segue/readyz"] {
        assert_eq!(proxy.get(path).await.unwrap().status, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(proxy.admin(path).await.status, 200, "{path}");
    }
    let reply = proxy.get("/cam/playlist.m3u8").await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(proxy.get("/.segue/readyz").await.unwrap().status, 200);
}

#[tokio::test]
async fn metrics_and_status_tell_of_a_splice() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;

    let status = proxy.status().await;
    let lane = &status["streams"][0]["lanes"][0];
    assert_eq!(lane["lane"].as_str(), viewer.token().split('.').nth(2), "{status:#}");
    assert_eq!(lane["packager"], "b");
    assert!(lane["edge"].as_u64().is_some_and(|edge| edge >= viewer.edge()));
    let splice = &lane["splices"][0];
    let border = &viewer.borders()[0];
    assert_eq!((&splice["to"], splice["msn"].as_u64()), (&"b".into(), Some(border.msn)));
    for key in ["from", "reason", "method", "gap_ms"] {
        assert!(!splice[key].is_null(), "{key}: {splice:#}");
    }
    assert!(lane["decisions"].as_array().is_some_and(|d| !d.is_empty()), "{lane:#}");
    assert!(lane["steps"].as_array().is_some_and(|s| s.len() > 5));

    let text = proxy.admin("/metrics").await.text();
    for family in [
        "segue_requests_total",
        "segue_lanes",
        "segue_streams",
        "segue_splices_total",
        "segue_splice_gap_milliseconds",
        "segue_packager_up",
        "segue_stream_state",
        "segue_playlist_age_milliseconds",
        "segue_origin_fetches_total",
        "segue_origin_refreshes_total",
        "segue_segment_bytes",
        "segue_listing_delay_seconds",
        "segue_memory_resident_bytes",
    ] {
        assert!(text.contains(&format!("\n# TYPE {family} ")), "{family} is missing:\n{text}");
    }
    assert!(proxy.metric("segue_requests_total{kind=\"playlist\",status=\"2xx\"}").await >= 5.0);
    assert!(text.contains("segue_splices_total{from=\"a\",reason="), "{text}");
    let down = || async { proxy.metric("segue_packager_up{packager=\"a\"}").await == 0.0 };
    wait_for("a to be down", Duration::from_secs(15), down).await.unwrap();
    // One line for the one splice, with all that an operator wants of it.
    let lines = proxy.logged(&["splice", "from=a", "to=b", "reason=", "msn=", "gap_ms="]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_changed_file_is_taken_whole_or_not_at_all() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(500).live();
    let mut proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;

    // Broken: a good new packager, and a key that nobody knows.
    proxy.add_packager(&b, "there");
    let good = std::fs::read_to_string(proxy.file()).unwrap();
    std::fs::write(proxy.file(), format!("{good}\nspeling: 1\n")).unwrap();
    proxy.signal("HUP");
    let told = || async { !proxy.logged(&["speling"]).is_empty() };
    wait_for("the log to tell", Duration::from_secs(5), told).await.unwrap();
    let line = format!("{}", good.lines().count() + 2);
    let told = proxy.logged(&["speling"]);
    assert!(told[0].contains(&line) && told[0].contains("unknown key"), "{told:?}");
    let status = proxy.status().await;
    assert_eq!(status["packagers"].as_array().unwrap().len(), 1, "{status:#}");
    viewer.more(1).await;

    // A key that only a new process can take: the same.
    std::fs::write(proxy.file(), good.replace("zone: here\nstore", "zone: away\nstore")).unwrap();
    proxy.signal("HUP");
    let told = || async { !proxy.logged(&["zone", "running process"]).is_empty() };
    wait_for("the log to tell", Duration::from_secs(5), told).await.unwrap();

    std::fs::write(proxy.file(), &good).unwrap();
    proxy.signal("HUP");
    let taken = || async { !proxy.logged(&["configuration reloaded"]).is_empty() };
    wait_for("the reload", Duration::from_secs(5), taken).await.unwrap();
    assert_eq!(proxy.status().await["packagers"].as_array().unwrap().len(), 2);
    viewer.more(1).await;
    assert_eq!(viewer.borders().len(), 0, "a reload is no reason to splice");
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
}
