//! What grows has a limit: newcomers are refused, those who are in stay unharmed.

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

async fn refused(proxy: &Proxy, path: &str) {
    let reply = proxy.get(path).await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}
