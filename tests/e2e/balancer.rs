//! A real HAProxy before several proxies, by the configuration that docs/haproxy.md tells users to
//! write: what is tried is what is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::http;
use crate::packagers::ENTRY;
use crate::ports::Port;
use crate::process::{Process, wait_until};

/// The page with the sample, between its marks of a block of configuration.
const PAGE: &str = include_str!("../../docs/haproxy.md");

/// HAProxy, running.
pub struct Balancer {
    port: Port,
    folder: PathBuf,
    process: Option<Process>,
}

impl Balancer {
    /// Starts one before `servers`, each `host:port`, and waits until it sends viewers to all of them.
    pub fn before(servers: &[String], folder: &Path) -> Self {
        let folder = folder.join("haproxy");
        std::fs::create_dir_all(&folder).unwrap();
        let mut balancer = Self { port: Port::reserve(), folder, process: None };
        let file = balancer.folder.join("haproxy.cfg");
        std::fs::write(&file, balancer.config(servers)).unwrap();
        let mut haproxy = Command::new(program());
        haproxy.arg("-db").arg("-f").arg(&file);
        let logs = balancer.folder.parent().unwrap();
        balancer.process = Some(Process::spawn("haproxy", haproxy, logs));
        let process = balancer.process.as_mut().unwrap();
        let url = format!("http://{}{ENTRY}", balancer.port.address());
        wait_until("haproxy answers", Duration::from_secs(10), || {
            assert!(process.is_running(), "haproxy ended: {}", process.log_text());
            http::get(&url, Duration::from_secs(10)).is_ok_and(|a| a.status != 503)
        });
        balancer
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// What players are given.
    pub fn url(&self) -> String {
        format!("http://{}{ENTRY}", self.address())
    }

    /// The sample of the page, with this run's addresses in the place of its own.
    fn config(&self, servers: &[String]) -> String {
        let (_, block) = PAGE.split_once("```haproxy\n").expect("a sample in docs/haproxy.md");
        let (block, _) = block.split_once("```").expect("an end of the sample");
        let mut config = String::new();
        let mut line_of_a_server = None;
        for line in block.lines() {
            if line.trim_start().starts_with("server ") {
                line_of_a_server.get_or_insert(line);
                continue;
            }
            let line = line.replace("bind :80", &format!("bind {}", self.address()));
            // It takes two files for each, and begins only where there may be so many.
            let line = line.replace("maxconn 20000", "maxconn 2000");
            config.push_str(&line);
            config.push('\n');
        }
        let line = line_of_a_server.expect("a server in the sample");
        let words: Vec<&str> = line.split_whitespace().collect();
        for (i, server) in servers.iter().enumerate() {
            let more = words[3..].join(" ");
            config.push_str(&format!("    server proxy{} {server} {more}\n", i + 1));
        }
        config
    }
}

/// Debian keeps it in sbin, which users do not always have on their PATH.
fn program() -> &'static str {
    if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" }
}

/// Three servers: one is killed, one frozen. Each request is answered with 200, in time.
#[test]
fn a_server_that_dies_or_freezes_costs_a_viewer_little() {
    use crate::nginx;
    use crate::process::Signal;

    let _alone = crate::scenarios::alone();
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
    let mut servers = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let name = format!("server-{i}");
        let config = format!(
            "http {{ {} server {{ listen {}; location / {{ return 200 here; }} }} }}\n",
            nginx::HTTP_TEMP_PATHS,
            port.address()
        );
        servers.push(Some(nginx::start(&name, &folder.path().join(&name), &config)));
        let address = port.address();
        wait_until("nginx", Duration::from_secs(5), || {
            http::connect(&address, Duration::from_secs(1)).is_ok()
        });
    }
    let addresses: Vec<String> = ports.iter().map(Port::address).collect();
    let balancer = Balancer::before(&addresses, folder.path());
    let slowest = |count: usize| {
        let each = (0..count).map(|_| {
            let begun = std::time::Instant::now();
            let answer = http::get(&balancer.url(), Duration::from_secs(10)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            begun.elapsed()
        });
        each.max().unwrap()
    };
    servers[0] = None;
    assert!(slowest(30) < Duration::from_secs(2), "no answer is waited for");
    let frozen = servers[1].as_ref().unwrap();
    frozen.signal(Signal::Stop);
    // One after another: each third goes there, until the checks have found out.
    let waited = slowest(30);
    assert!(waited > Duration::from_secs(1), "it was asked: {waited:?}");
    assert!(
        waited < Duration::from_secs(4),
        "one patience, and the next proxy answers: {waited:?}"
    );
    assert!(slowest(30) < Duration::from_secs(2), "it is out");
    frozen.signal(Signal::Cont);
}
