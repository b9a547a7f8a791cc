//! The five servers: their configuration, one worker each, on free ports, in a temporary folder.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::client::Client;
use crate::packager;
use crate::process::{Processor, Tree, pinned};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Playlist,
    Segment,
}

/// Which server. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Segue,
    Bare,
    Nginx,
    Haproxy,
    Varnish,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segue => "Segue",
            Self::Bare => "bare Pingora",
            Self::Nginx => "nginx proxy_cache",
            Self::Haproxy => "HAProxy cache",
            Self::Varnish => "Varnish",
        }
    }
}

/// What is set of Segue beside what every bench needs: lines and keys of its configuration.
#[derive(Default)]
pub struct Extra {
    /// Lines before the pools.
    pub top: String,
    /// Keys of the pool.
    pub pool: String,
    /// The hosts of the pool, where they are not all.
    pub hosts: Option<&'static str>,
    /// Lines of other pools.
    pub pools: String,
}

/// A running server, ended when dropped.
pub struct Server {
    pub kind: Kind,
    pub port: u16,
    pub tree: Tree,
    /// The stream that is asked for, where it is Segue.
    entry: &'static str,
}

impl Server {
    /// Segue, in front of a packager of `origin` that lists so many segments at `entry`.
    pub fn segue(folder: &Path, origin: u16, entry: &'static str, listed: u64) -> Result<Self> {
        Self::segue_with(folder, origin, entry, listed, &Extra::default())
    }

    /// The same, with more settings.
    pub fn segue_with(
        folder: &Path,
        origin: u16,
        entry: &'static str,
        listed: u64,
        extra: &Extra,
    ) -> Result<Self> {
        let Extra { top, pool, hosts, pools } = extra;
        let hosts = hosts.unwrap_or("*");
        let dir = new_dir(folder, "segue")?;
        let (port, admin) = (free_port()?, free_port()?);
        let text = format!(
            r#"listen: ["127.0.0.1:{port}"]
admin: "127.0.0.1:{admin}"
store: "sqlite:{0}/segue.db"
segments: {{ dir: "{0}/segments", memory: "1GiB", disk: "4GiB" }}
server: {{ threads: 1, upgrade_sock: "{0}/run/upgrade.sock" }}
log: {{ level: warn }}
{top}pools:
  - name: live
    hosts: ["{hosts}"]
    packagers: [{{ id: a, url: "http://127.0.0.1:{origin}" }}]
{pool}{pools}"#,
            dir.display()
        );
        let conf = dir.join("segue.yaml");
        fs::write(&conf, text)?;
        // Built together, they lie side by side.
        let own = std::env::current_exe()?.with_file_name("segue");
        let mut command = pinned(own.to_str().context("own path")?, Processor::Server);
        command.arg("--conf").arg(conf);
        let server = Self::start_at(Kind::Segue, port, command, &dir, entry)?;
        server.wait_for_a_whole_window(listed)?;
        Ok(server)
    }

    /// The four others, over the answers saved in the folder's `files`, which `origin` serves.
    pub fn others(folder: &Path, origin: u16) -> Result<Vec<Self>> {
        Ok(vec![
            Self::bare(folder)?,
            Self::nginx(folder, origin)?,
            Self::haproxy(folder, origin)?,
            Self::varnish(folder, origin)?,
        ])
    }

    /// Over the answers saved in the folder's `files`.
    pub fn bare(folder: &Path) -> Result<Self> {
        let (dir, port) = (new_dir(folder, "bare")?, free_port()?);
        let own = std::env::current_exe()?;
        let mut command = pinned(own.to_str().context("own path")?, Processor::Server);
        command.arg("--bare").arg(port.to_string()).arg(folder.join("files"));
        Self::start(Kind::Bare, port, command, &dir)
    }

    fn nginx(folder: &Path, origin: u16) -> Result<Self> {
        let (dir, port) = (new_dir(folder, "nginx")?, free_port()?);
        let text = format!(
            "daemon off;
worker_processes 1;
pid {0}/pid;
error_log {0}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 10000;
  keepalive_timeout 75;
  client_body_temp_path {0}/body;
  proxy_temp_path {0}/temp;
  fastcgi_temp_path {0}/fastcgi;
  scgi_temp_path {0}/scgi;
  uwsgi_temp_path {0}/uwsgi;
  proxy_cache_path {0}/cache keys_zone=c:10m max_size=1g inactive=1h use_temp_path=off;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_cache c;
      proxy_cache_lock on;
    }}
  }}
}}
",
            dir.display()
        );
        let conf = dir.join("nginx.conf");
        fs::write(&conf, text)?;
        let mut command = pinned("nginx", Processor::Server);
        command.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log")).arg("-c").arg(conf);
        Self::start(Kind::Nginx, port, command, &dir)
    }

    fn haproxy(folder: &Path, origin: u16) -> Result<Self> {
        let (dir, port) = (new_dir(folder, "haproxy")?, free_port()?);
        let text = format!(
            "global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout server 30s
  timeout client 75s
  timeout http-keep-alive 75s
cache c
  total-max-size 64
  max-object-size 4194304
  max-age 3600
  process-vary on
frontend viewers
  bind 127.0.0.1:{port} backlog 4096
  http-request cache-use c
  http-response cache-store c
  default_backend origin
backend origin
  server o 127.0.0.1:{origin}
"
        );
        let conf = dir.join("haproxy.cfg");
        fs::write(&conf, text)?;
        let mut command = pinned("haproxy", Processor::Server);
        command.arg("-db").arg("-f").arg(conf);
        Self::start(Kind::Haproxy, port, command, &dir)
    }

    fn varnish(folder: &Path, origin: u16) -> Result<Self> {
        let (dir, port) = (new_dir(folder, "varnish")?, free_port()?);
        let vcl = dir.join("default.vcl");
        let text = format!(
            "vcl 4.1;\nbackend default {{ .host = \"127.0.0.1\"; .port = \"{origin}\"; }}\n"
        );
        fs::write(&vcl, text)?;
        let mut command = pinned("varnishd", Processor::Server);
        command.args(["-F", "-j", "none", "-s", "malloc,256m"]);
        command.args(["-p", "thread_pools=1", "-p", "thread_pool_min=100"]);
        command.args(["-p", "timeout_idle=75", "-p", "listen_depth=4096"]);
        command.arg("-a").arg(format!("127.0.0.1:{port}"));
        command.arg("-f").arg(vcl).arg("-n").arg(dir.join("work"));
        Self::start(Kind::Varnish, port, command, &dir)
    }

    /// Waits until it answers, with the same bytes as all others.
    fn start(kind: Kind, port: u16, command: std::process::Command, dir: &Path) -> Result<Self> {
        Self::start_at(kind, port, command, dir, "")
    }

    fn start_at(
        kind: Kind,
        port: u16,
        command: std::process::Command,
        dir: &Path,
        entry: &'static str,
    ) -> Result<Self> {
        let log = dir.join("log");
        let mut server = Self { kind, port, tree: Tree::start(command, &log)?, entry };
        let began = Instant::now();
        loop {
            let answered = server.path(Target::Playlist).and_then(|path| {
                Client::connect(port)?.get(&path)?;
                Client::connect(port)?.get(&server.path(Target::Segment)?)
            });
            match answered {
                Ok(_) => return Ok(server),
                Err(error) if server.tree.has_ended() || began.elapsed().as_secs() > 20 => {
                    let said = fs::read_to_string(log).unwrap_or_default();
                    bail!("{} does not answer: {error:#}\n{said}", kind.name());
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Where to ask for it. Segue's segments come and go, so it is the newest each time.
    pub fn path(&self, target: Target) -> Result<String> {
        if self.kind != Kind::Segue {
            return Ok(match target {
                Target::Playlist => "/playlist.m3u8".to_owned(),
                Target::Segment => "/segment.ts".to_owned(),
            });
        }
        let mut client = Client::connect(self.port)?;
        let entry = client.get(self.entry)?;
        let playlist = resolve(self.entry, last_uri(entry.text()?)?);
        Ok(match target {
            Target::Playlist => playlist,
            Target::Segment => {
                let listed = client.get(&playlist)?;
                resolve(&playlist, last_uri(listed.text()?)?)
            }
        })
    }

    /// A lane opens with few segments; its playlist is as long as the packager's after a while.
    fn wait_for_a_whole_window(&self, least: u64) -> Result<()> {
        let path = self.path(Target::Playlist)?;
        let began = Instant::now();
        while began.elapsed() < packager::SEGMENT * 60 {
            let listed = Client::connect(self.port)?.get(&path)?;
            let count = listed.text()?.matches("#EXTINF").count();
            if u64::try_from(count)? >= least {
                return Ok(());
            }
            thread::sleep(packager::SEGMENT / 4);
        }
        bail!("Segue's playlist did not grow to {least} segments")
    }
}

/// The last URI of a playlist, as it stands.
pub fn last_uri(playlist: &str) -> Result<&str> {
    let mut uris = playlist.lines().rev().filter(|l| !l.is_empty() && !l.starts_with('#'));
    uris.next().context("a playlist without a URI")
}

/// A relative path against the path of what holds it.
fn resolve(base: &str, uri: &str) -> String {
    match base.rsplit_once('/') {
        Some((folder, _)) if !uri.starts_with('/') => format!("{folder}/{uri}"),
        _ => uri.to_owned(),
    }
}

pub fn new_dir(folder: &Path, name: &str) -> Result<PathBuf> {
    let dir = folder.join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Free a moment ago, which is as much as servers that take a number can be given.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
