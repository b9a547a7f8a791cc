//! What grows has a limit: newcomers are refused, those who are in stay unharmed.

use futures_util::future::join_all;

use crate::packager::Packager;
use crate::proxy::Proxy;

#[tokio::test]
async fn a_stream_over_the_limit_is_refused() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).setting("limits: { streams: 1 }").start().await;
    let mut viewer = proxy.viewer("one").await;
    viewer.more(1).await;
    refused(&proxy, "/two/playlist.m3u8").await;
    viewer.more(2).await;
    proxy.viewer("one").await.more(1).await;
}

#[tokio::test]
async fn a_lane_over_the_limit_is_refused() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).setting("limits: { lanes: 1 }").start().await;
    let mut viewer = proxy.viewer("one").await;
    viewer.more(1).await;
    refused(&proxy, "/two/playlist.m3u8").await;
    viewer.more(2).await;
    proxy.viewer("one").await.more(1).await;
}

/// A lane takes a while to open; others that open meanwhile are counted with it.
#[tokio::test]
async fn streams_that_begin_together_do_not_open_more_lanes_than_there_may_be() {
    let a = Packager::fake("a").live();
    let proxy = Proxy::over(&[&a]).setting("limits: { lanes: 2 }").start().await;
    let paths: Vec<String> = (0..8).map(|n| format!("/s{n}/playlist.m3u8")).collect();
    let replies = join_all(paths.iter().map(|path| proxy.get(path))).await;
    let mut given: Vec<u16> = replies.into_iter().map(|reply| reply.unwrap().status).collect();
    given.sort_unstable();
    assert_eq!(given, [200, 200, 503, 503, 503, 503, 503, 503]);
}

async fn refused(proxy: &Proxy, path: &str) {
    let reply = proxy.get(path).await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}
