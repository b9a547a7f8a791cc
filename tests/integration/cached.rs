//! Behind a real cache, nginx, set up as carelessly as can be: its key leaves out the query, so that only
//! what the answers say keeps viewers apart.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::authorisation::per_viewer;
use crate::http;
use crate::packager::{Packager, socket};
use crate::wait_for;

struct Cache {
    port: u16,
    process: Child,
    _dir: tempfile::TempDir,
    _reserved: TcpSocket,
}

impl Cache {
    async fn before(upstream: u16) -> Self {
        let reserved = socket(0);
        let port = reserved.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t;\n\
             scgi_temp_path t; access_log off;\nproxy_cache_path cache keys_zone=c:1m;\n\
             server {{ listen 127.0.0.1:{port};\nlocation / {{ proxy_pass http://127.0.0.1:{upstream};\n\
             proxy_cache c; proxy_cache_key $host$uri; proxy_cache_lock on;\n\
             add_header X-Cache $upstream_cache_status always; }} }} }}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let debian = "/usr/sbin/nginx";
        let program = if std::path::Path::new(debian).exists() { debian } else { "nginx" };
        let mut nginx = Command::new(program);
        nginx.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = nginx.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let cache = Self { port, process, _dir: dir, _reserved: reserved };
        let up = || async move {
            http::get(port, "/.segue/healthz").await.is_ok_and(|r| r.status == 200)
        };
        wait_for("nginx", Duration::from_secs(20), up).await.unwrap();
        cache
    }

    /// Status, and whether it came from the cache.
    async fn get(&self, path: &str) -> (u16, bool, String) {
        let reply = http::get(self.port, path).await.unwrap();
        (reply.status, reply.header("x-cache") == Some("HIT"), reply.text())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_cache_keeps_no_viewer_s_answer_and_all_that_they_share() {
    let a = Packager::fake("a").segments_of(2000, 2).guarded(["one", "two"]).live();
    let proxy = per_viewer(&[&a]).start().await;
    let cache = Cache::before(proxy.port()).await;
    let entry = "/cam/playlist.m3u8";
    let (status, _, text) = cache.get(&format!("{entry}?token=one")).await;
    assert_eq!(status, 200);
    for (query, status) in
        [("?token=bad", 403), ("", 403), ("?token=two", 200), ("?token=bad", 403)]
    {
        let (got, hit, text) = cache.get(&format!("{entry}{query}")).await;
        assert_eq!((got, hit), (status, false), "{query}: {text}");
    }
    assert_eq!(a.asked_for_viewers().len(), 5);
    // What is under a token is shared by all who have it.
    let media = text.lines().find(|line| line.contains("index.m3u8")).unwrap();
    let (_, _, list) = cache.get(&format!("/cam/{media}")).await;
    let segment = list.lines().find(|line| !line.starts_with('#')).unwrap();
    let segment = format!("/cam/{}", media.replace("index.m3u8", segment));
    let [first, second] = [cache.get(&segment).await, cache.get(&segment).await];
    assert_eq!([(first.0, first.1), (second.0, second.1)], [(200, false), (200, true)]);
}
