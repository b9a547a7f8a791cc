//! Real caches in front of the proxies, as a CDN is: nginx and Varnish, each set up exactly as docs/cdn.md says.
//! Ended by its id with the test.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::http;
use crate::packager::socket;
use crate::wait_for;

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Varnish,
}

/// A cache before one or two proxies.
pub struct Cdn {
    pub port: u16,
    program: Program,
    process: Child,
    dir: tempfile::TempDir,
    _reserved: TcpSocket,
}

/// A request as the cache tells of it.
#[derive(Clone, Debug)]
pub struct Told {
    pub hit: bool,
    pub status: u16,
    pub path: String,
}

impl Told {
    /// For a segment of `stream`.
    pub fn is_segment(&self, stream: &str) -> bool {
        let inside = self.path.strip_prefix('/').and_then(|path| path.strip_prefix(stream));
        inside.is_some_and(|rest| rest.starts_with("/playlist~") && rest.ends_with(".ts"))
    }
}

impl Cdn {
    /// Before these proxies, by their ports.
    pub async fn before(program: Program, proxies: [u16; 2]) -> Self {
        let reserved = socket(0);
        let port = reserved.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let mut command = match program {
            Program::Nginx => nginx(&dir, port, proxies),
            Program::Varnish => varnish(&dir, port, proxies),
        };
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = process.spawn().unwrap_or_else(|e| panic!("{program:?}: {e}"));
        let cdn = Self { port, program, process, dir, _reserved: reserved };
        let up = || async move {
            http::get(port, "/.segue/readyz").await.is_ok_and(|r| r.status == 200)
        };
        if let Err(why) = wait_for("the cache", Duration::from_secs(30), up).await {
            panic!("{why}: {}", std::fs::read_to_string(cdn.dir.path().join("log")).unwrap());
        }
        cdn
    }

    /// Every request so far.
    pub fn told(&self) -> Vec<Told> {
        let text = match self.program {
            Program::Nginx => std::fs::read_to_string(self.dir.path().join("access.log")).unwrap(),
            Program::Varnish => {
                let mut ncsa = Command::new("varnishncsa");
                ncsa.arg("-n").arg(self.dir.path().join("varnish")).arg("-d");
                ncsa.args(["-F", "%{Varnish:hitmiss}x %s %U"]).stderr(Stdio::null());
                let mut reading = ncsa.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
                let mut text = String::new();
                reading.stdout.take().unwrap().read_to_string(&mut text).unwrap();
                assert!(reading.wait().unwrap().success());
                text
            }
        };
        let told = |line: &str| {
            let mut words = line.split(' ');
            let hit = words.next()?.eq_ignore_ascii_case("hit");
            Some(Told { hit, status: words.next()?.parse().ok()?, path: words.next()?.to_owned() })
        };
        text.lines().filter_map(told).collect()
    }
}

impl Drop for Cdn {
    fn drop(&mut self) {
        // Varnish's worker is a process of its own, which ends when its manager is told to.
        let id = self.process.id().to_string();
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status();
        for _ in 0..100 {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The block in `language` of docs/cdn.md, each of these in it once and replaced.
fn documented(language: &str, replaced: &[(&str, String)]) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cdn.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    let mut text = rest.split("```").next().unwrap().to_owned();
    for (what, with) in replaced {
        assert_eq!(text.matches(what).count(), 1, "{what} in the block of docs/cdn.md");
        text = text.replace(what, with);
    }
    text
}

fn nginx(dir: &tempfile::TempDir, port: u16, proxies: [u16; 2]) -> Command {
    let site = documented(
        "nginx",
        &[
            ("/var/cache/nginx/segue", "cache".to_owned()),
            ("listen 80;", format!("listen 127.0.0.1:{port};")),
            ("10.0.1.10:8080", format!("127.0.0.1:{}", proxies[0])),
            ("10.0.2.10:8080", format!("127.0.0.1:{}", proxies[1])),
        ],
    );
    let config = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 2048; }}\nhttp {{\n\
         client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t;\n\
         scgi_temp_path t;\nlog_format told '$upstream_cache_status $status $uri';\n\
         access_log access.log told;\n{site}}}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let debian = "/usr/sbin/nginx";
    let mut nginx =
        Command::new(if std::path::Path::new(debian).exists() { debian } else { "nginx" });
    nginx.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
    nginx
}

fn varnish(dir: &tempfile::TempDir, port: u16, proxies: [u16; 2]) -> Command {
    let mut vcl = documented("vcl", &[]);
    for (host, proxy) in ["10.0.1.10", "10.0.2.10"].iter().zip(proxies) {
        let documented = format!(".host = \"{host}\";\n    .port = \"8080\";");
        assert_eq!(vcl.matches(&documented).count(), 1, "{host}");
        let ours = format!(".host = \"127.0.0.1\";\n    .port = \"{proxy}\";");
        vcl = vcl.replace(&documented, &ours);
    }
    std::fs::write(dir.path().join("segue.vcl"), vcl).unwrap();
    let debian = "/usr/sbin/varnishd";
    let mut varnish =
        Command::new(if std::path::Path::new(debian).exists() { debian } else { "varnishd" });
    varnish.arg("-F").arg("-n").arg(dir.path().join("varnish"));
    varnish.arg("-a").arg(format!("127.0.0.1:{port}"));
    varnish.arg("-f").arg(dir.path().join("segue.vcl"));
    // Who finds no thread, and no place in the queue for one, is hung up on.
    let threads =
        ["-p", "thread_pools=1", "-p", "thread_pool_min=200", "-p", "thread_queue_limit=200"];
    varnish.args(["-s", "malloc,64m"]).args(threads);
    // No sandbox: tests do not run as root, and as root its users may not be there.
    varnish.args(["-j", "none"]);
    varnish
}
