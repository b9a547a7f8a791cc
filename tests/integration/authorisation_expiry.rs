//! Who was let in comes again when his token has ended.

use std::time::Duration;

use crate::authorisation::per_viewer;
use crate::packager::Packager;
use crate::wait_for;

fn unix_s() -> u64 {
    segue::stream::Clock::system().now().0 / 1000
}

fn max_age(reply: &crate::http::Reply) -> u64 {
    let value = reply.header("cache-control").unwrap();
    let seconds = value.split(',').next().unwrap().strip_prefix("max-age=");
    seconds.unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

#[tokio::test]
async fn a_token_ends_for_playlists_and_segments() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded(["good"]).live();
    let proxy = per_viewer(&[&a]).start().await;
    let mut long = proxy.viewer_with("cam", "?token=good").await;
    long.more(1).await;
    let end = unix_s() + 12;
    let mut short = proxy.viewer_with("cam", &format!("?token=good&tokenend={end}")).await;
    short.refresh().await;
    let segment = short.segment_path();
    let reply = proxy.get(&segment).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(max_age(&reply) <= 12, "a cache must not keep it beyond the token");
    let reply = proxy.get(&long.segment_path()).await.unwrap();
    assert!(max_age(&reply) > 3000);
    assert_eq!(a.asked_for_viewers().len(), 2);

    let over = || async { short.ask().await.unwrap().status == 403 };
    wait_for("the token to end", Duration::from_secs(40), over).await.unwrap();
    assert!(unix_s() >= end, "it ended early");
    for path in [short.path(), &segment] {
        let reply = proxy.get(path).await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (403, "token expired\n"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    // The other goes on; and he comes again.
    long.more(1).await;
    let again = format!("?token=good&tokenend={end}");
    let reply = proxy.get(&format!("/cam/playlist.m3u8{again}")).await.unwrap();
    assert_eq!(reply.status, 403, "his own end is over");
    proxy.viewer_with("cam", "?token=good").await.more(1).await;
}

#[tokio::test]
async fn tokens_of_before_do_not_hold() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded(["good"]).live();
    let mut proxy = per_viewer(&[&a]).start().await;
    let open = std::fs::read_to_string(proxy.file()).unwrap();
    std::fs::write(proxy.file(), open.replace("auth: per_viewer", "auth: none")).unwrap();
    proxy.kill();
    proxy.start_again().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    assert_eq!(a.asked_for_viewers().len(), 0);
    std::fs::write(proxy.file(), open).unwrap();
    proxy.signal("HUP");
    let over = || async { viewer.ask().await.unwrap().status == 403 };
    wait_for("the token to be refused", Duration::from_secs(10), over).await.unwrap();
    assert_eq!(proxy.get(&viewer.segment_path()).await.unwrap().status, 403);
    proxy.viewer_with("cam", "?token=good").await.more(1).await;
}
