//! Two zones with a proxy and a host name each (docs/host-names.md): a zone dies, its viewers are led to
//! the other proxy, and back once the zone is.

use std::time::Duration;

use segue::model::watch::Rule;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

/// 32 bytes that both proxies have.
const KEY: &str = "token_keys: [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]";
const QUICK: &str = "health: { interval_seconds: 1, timeout_seconds: 1, rise: 1, fall: 1 }";

/// A proxy that prefers the first.
async fn proxy(packagers: &[&Packager]) -> Proxy {
    Proxy::over(packagers).setting(KEY).pool_setting(QUICK).start().await
}

/// His numbers have not fallen, and every number was one segment: the viewer judges that with each
/// refresh. That he came to another numbering is to be seen.
async fn goes_on(viewer: &mut Viewer, proxy: &Proxy) {
    let edge = viewer.edge();
    viewer.led_to(proxy.port());
    viewer.allowing(&[Rule::Hole]);
    viewer.more(2).await;
    assert!(viewer.edge() > edge);
    // hls.js walks through all the numbers below it, at each refresh.
    let number = viewer.playlist().discontinuity_sequence;
    assert!((10_000..100_000).contains(&number), "{number}");
}

#[tokio::test]
async fn a_zone_dies_and_comes_back() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).numbered_from(1000).live();
    let mut az1 = proxy(&[&a, &b]).await;
    let az2 = proxy(&[&b, &a]).await;
    let mut viewer = az1.viewer("cam").await;
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "a");
    // All of it: packager and proxy.
    a.kill().await;
    az1.kill();
    goes_on(&mut viewer, &az2).await;
    assert_eq!(viewer.lane_packager(), "b");
    // It comes back with an empty store; what segments it has may stay.
    a.restart().await;
    az1.lose_store();
    az1.start_again().await;
    goes_on(&mut viewer, &az1).await;
    viewer.check_all_listed().await;
}

const ZONE_HOSTS: &str =
    "zone_hosts: { media-here.example.com: here, media-there.example.com: there }";

#[tokio::test]
async fn a_host_that_names_a_zone_leads_to_its_packagers_and_on_to_others() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).pool_setting(QUICK).pool_setting(ZONE_HOSTS).start().await;
    for (host, on) in [
        ("localhost", "a"),
        ("media-here.example.com", "a"),
        ("media-there.example.com", "b"),
        ("MEDIA-THERE.example.com:8080", "b"),
    ] {
        let mut viewer = proxy.viewer_at(host, "cam").await;
        viewer.more(1).await;
        assert_eq!(viewer.lane_packager(), on, "{host}");
    }
    // Each zone has a lane of its own, and its packager's death is no end.
    let mut here = proxy.viewer("cam").await;
    let mut there = proxy.viewer_at("media-there.example.com", "cam").await;
    b.kill().await;
    there.until_on("a").await;
    there.more(1).await;
    assert_ne!(here.token(), there.token());
    let mut newcomer = proxy.viewer_at("media-there.example.com", "cam").await;
    newcomer.more(1).await;
    assert_eq!(newcomer.lane_packager(), "a");
    b.start();
    let up = || async { proxy.metric("segue_packager_up{packager=\"b\"}").await > 0.5 };
    wait_for("b to be up", Duration::from_secs(15), up).await.unwrap();
    // Its list has to move before somebody is sent there.
    let back = || async {
        let mut next = proxy.viewer_at("media-there.example.com", "cam").await;
        next.refresh().await;
        next.lane_packager() == "b"
    };
    wait_for("new viewers to go to b", Duration::from_secs(20), back).await.unwrap();
    here.more(1).await;
    assert_eq!((here.lane_packager(), there.lane_packager()), ("a", "a"), "old lanes stay");
}

#[tokio::test]
async fn what_a_zone_s_viewers_are_given_leads_to_its_host() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).live();
    let proxy = Proxy::over(&[&a, &b])
        .pool_setting(ZONE_HOSTS)
        .pool_setting("url_base: \"https://media-{zone}.example.com\"")
        .start()
        .await;
    for (host, base) in [
        ("localhost", "https://media-here.example.com/cam/playlist~"),
        ("media-here.example.com", "https://media-here.example.com/cam/playlist~"),
        ("media-there.example.com", "https://media-there.example.com/cam/playlist~"),
    ] {
        let entry = proxy.get_at(host, "/cam/playlist.m3u8").await;
        assert_eq!(entry.status, 200, "{host}");
        assert!(entry.text().lines().any(|l| l.starts_with(base)), "{host}: {}", entry.text());
    }
}

/// The text of a lane is frozen, so newcomers get another lane; who is in stays where he is.
#[tokio::test]
async fn a_changed_url_base_holds_for_newcomers_after_a_reload() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let before = "url_base: \"https://old.example.com\"";
    let proxy = Proxy::over(&[&a]).pool_setting(before).start().await;
    let leads_to = |base: &'static str| {
        let proxy = &proxy;
        move || async move {
            let entry = proxy.get("/cam/playlist.m3u8").await.unwrap();
            let wanted = format!("{base}playlist~");
            entry.status == 200 && entry.text().lines().any(|l| l.starts_with(&wanted))
        }
    };
    assert!(leads_to("https://old.example.com/cam/")().await);
    let file = std::fs::read_to_string(proxy.file()).unwrap();
    for (n, now, base) in
        [(1, "url_base: \"https://new.example.com\"", "https://new.example.com/cam/"), (2, "", "")]
    {
        std::fs::write(proxy.file(), file.replace(before, now)).unwrap();
        proxy.signal("HUP");
        let taken = || async { proxy.logged(&["configuration reloaded"]).len() == n };
        wait_for("the reload", Duration::from_secs(10), taken).await.unwrap();
        wait_for("newcomers to be led there", Duration::from_secs(10), leads_to(base))
            .await
            .unwrap();
    }
}
