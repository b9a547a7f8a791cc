//! Many viewers cost a packager no more than one.

use std::collections::HashMap;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

const VIEWERS: usize = 200;
/// Of these, how many do not read what they asked for.
const SILENT: usize = 40;

#[tokio::test]
async fn two_hundred_viewers_cost_no_more_than_one() {
    // 1.5 MB each: more than fits between a proxy and a viewer who does not read.
    let a = Packager::fake("a").packets(8000).live();
    let b = Packager::fake("b").shifted(300).packets(8000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let began = Instant::now();
    let mut first = proxy.viewer("cam").await;
    first.refresh().await;
    let path = first.segment_path();
    let silent: Vec<TcpStream> = join_all((0..SILENT).map(|_| ask_only(proxy.port(), &path))).await;
    let viewers = join_all((SILENT..VIEWERS).map(|_| proxy.viewer("cam"))).await;
    join_all(viewers.into_iter().enumerate().map(|(n, mut viewer)| async move {
        // Each of the others watches every list; each segment is fetched by some.
        viewer.fetching_one_in(20, n as u64);
        viewer.more(5).await;
    }))
    .await;
    first.more(1).await;
    drop(silent);
    let seconds = began.elapsed().as_secs_f64();
    for packager in [&a, &b] {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (_, path) in packager.requests() {
            *counts.entry(path).or_default() += 1;
        }
        let playlists = counts.remove("/cam/playlist.m3u8").unwrap_or_default();
        // Three for each second, which is a segment, and the health check's connections are none.
        assert!(playlists as f64 <= 3.0 * seconds + 3.0, "{playlists} in {seconds:.1} s");
        assert!(counts.values().all(|n| *n == 1), "{}: {counts:?}", packager.id());
    }
    assert_eq!(Viewer::join(proxy.port(), "cam").await.map(|_| ()), Ok(()));
}

/// Asks for a segment over a small window and never reads.
async fn ask_only(port: u16, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
