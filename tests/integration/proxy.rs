//! The real `segue` process over scripted packagers. Ended by its id when the test ends, however it
//! ends; its log is printed if the test fails, and a panic in it fails the test.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::http::{self, Reply};
use crate::packager::{Packager, socket, socket_at};
use crate::viewer::Viewer;
use crate::wait_for;

/// What a change must show.
pub const ADMIN_TOKEN: &str = "a-secret-of-16-letters";

/// A proxy and what it needs: ports, a directory, a configuration.
pub struct Proxy {
    port: u16,
    admin: u16,
    fleet: SocketAddr,
    dir: tempfile::TempDir,
    settings: Settings,
    process: Option<Child>,
    reserved: [TcpSocket; 3],
}

/// What stands in the configuration's file, as YAML.
struct Settings {
    top: Vec<String>,
    pool: Vec<String>,
    packagers: Vec<String>,
    /// Pools beside that one, each as it stands in the file.
    others: Vec<String>,
}

impl Proxy {
    /// A proxy before these packagers, not started yet. It prefers the first.
    pub fn over(packagers: &[&Packager]) -> Self {
        let reserved = [socket(0), socket(0), socket(0)];
        let [port, admin, fleet] = reserved.each_ref().map(|s| s.local_addr().unwrap());
        let [port, admin] = [port, admin].map(|at| at.port());
        let mut proxy = Self {
            port,
            admin,
            fleet,
            dir: tempfile::tempdir().unwrap(),
            settings: Settings { top: vec![], pool: vec![], packagers: vec![], others: vec![] },
            process: None,
            reserved,
        };
        for (n, packager) in packagers.iter().enumerate() {
            proxy = proxy.packager(packager, if n == 0 { "here" } else { "there" });
        }
        proxy
    }

    /// One packager more, in the file.
    pub fn packager(mut self, packager: &Packager, zone: &str) -> Self {
        self.add_packager(packager, zone);
        self
    }

    pub fn add_packager(&mut self, packager: &Packager, zone: &str) {
        self.add_packager_with(packager, &format!("zone: {zone}"));
    }

    /// The same, with these keys of its own.
    pub fn packager_with(mut self, packager: &Packager, keys: &str) -> Self {
        self.add_packager_with(packager, keys);
        self
    }

    fn add_packager_with(&mut self, packager: &Packager, keys: &str) {
        let (id, port) = (packager.id(), packager.port());
        let line = format!("{{ id: {id}, url: \"http://127.0.0.1:{port}\", {keys} }}");
        self.settings.packagers.push(line);
        self.write();
    }

    /// An entry of `packagers`, as it stands in the file.
    pub fn entry(mut self, line: &str) -> Self {
        self.settings.packagers.push(line.to_owned());
        self.write();
        self
    }

    /// A line of the configuration, at its top.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.top.push(line.to_owned());
        self
    }

    /// Where other proxies ask it, if it is `in_fleet`.
    pub const fn fleet(&self) -> SocketAddr {
        self.fleet
    }

    /// Other proxies ask it at 127.0.0.N, for those whose name is one.
    pub fn asked_at(mut self, host: u8, port: u16) -> Self {
        self.reserved[2] = socket_at(host, port);
        self.fleet = self.reserved[2].local_addr().unwrap();
        self
    }

    /// One of a fleet, with these keys beside `listen`.
    pub fn in_fleet(self, keys: &str) -> Self {
        let line = format!("fleet: {{ listen: \"{}\", {keys} }}", self.fleet);
        self.setting(&line)
    }

    /// The same, where others are found through the store.
    pub fn in_fleet_on_all_addresses(self) -> Self {
        let line = format!("fleet: {{ listen: \"0.0.0.0:{}\" }}", self.fleet.port());
        self.setting(&line)
    }

    /// Another line in place of the one that begins so. The file is written; nobody is told.
    pub fn replace_setting(&mut self, begins: &str, line: &str) {
        let old = self.settings.top.iter_mut().find(|old| old.starts_with(begins));
        line.clone_into(old.unwrap());
        self.write();
    }

    /// Things can be changed: see [`Proxy::change`].
    pub fn with_admin_token(self) -> Self {
        self.setting(&format!("admin_token: {ADMIN_TOKEN}"))
    }

    /// A line of the configuration, in the pool.
    pub fn pool_setting(mut self, line: &str) -> Self {
        self.settings.pool.push(line.to_owned());
        self
    }

    /// A pool beside the one, with lines of its own.
    pub fn pool(mut self, name: &str, lines: &[&str], packagers: &[&Packager]) -> Self {
        let mut text = format!("  - name: {name}\n");
        for line in lines {
            text += &format!("    {line}\n");
        }
        text += "    packagers:\n";
        for packager in packagers {
            let (id, port) = (packager.id(), packager.port());
            text += &format!("      - {{ id: {id}, url: \"http://127.0.0.1:{port}\" }}\n");
        }
        self.settings.others.push(text);
        self
    }

    /// Writes the file and starts. Returns when it is ready.
    pub async fn start(mut self) -> Self {
        self.write();
        self.start_again().await;
        self
    }

    /// Starts with the file as it is. Returns when it is ready.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.process = Some(self.spawn(false));
        let (port, log) = (self.port, self.log_file());
        wait_for("the proxy to be ready", Duration::from_secs(20), || async move {
            http::get(port, "/.segue/readyz").await.is_ok_and(|r| r.status == 200)
        })
        .await
        .unwrap_or_else(|e| panic!("{e}: {}", std::fs::read_to_string(&log).unwrap_or_default()));
    }

    fn spawn(&self, upgrade: bool) -> Child {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
        command.arg("--conf").arg(self.file()).current_dir(self.dir.path());
        if upgrade {
            command.arg("--upgrade");
        }
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The logs of all lanes are gone.
    pub fn lose_store(&self) {
        for file in std::fs::read_dir(self.dir()).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with("segue.db") {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    }

    /// So are the bytes of all segments.
    pub fn lose_segments(&self) {
        std::fs::remove_dir_all(self.dir().join("segments")).unwrap();
    }

    /// A new process takes over the listening sockets. Returns when the old one has ended.
    pub async fn upgrade(&mut self) {
        let new = self.spawn(true);
        self.signal("QUIT");
        let old = self.process.replace(new).unwrap();
        end_of(old).await;
    }

    /// Sends a signal: TERM, HUP, QUIT.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        // The shell's own `kill`: a program of that name is not everywhere.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process has ended by itself, well.
    pub async fn ends(&mut self) {
        end_of(self.process.take().unwrap()).await;
    }

    fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// GET from where viewers are answered.
    pub async fn get(&self, path: &str) -> Result<Reply, String> {
        http::get(self.port, path).await
    }
    /// The same, asked of `host`.
    pub async fn get_at(&self, host: &str, path: &str) -> Reply {
        http::get_at(self.port, host, path).await.unwrap_or_else(|e| panic!("{host}{path}: {e}"))
    }
    /// GET from where operators are answered; 200 or panic.
    pub async fn admin(&self, path: &str) -> Reply {
        http::get(self.admin, path).await.unwrap()
    }
    /// POST to where operators are answered.
    pub async fn post(&self, path: &str, headers: &str) -> Reply {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
        );
        http::send(self.admin, request.as_bytes()).await.unwrap()
    }
    /// A change with the admin token: what it answered; 200 or panic.
    pub async fn change(&self, path: &str) -> serde_json::Value {
        let reply = self.post(path, &format!("Authorization: Bearer {ADMIN_TOKEN}\r\n")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }
    pub async fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.admin("/status.json").await.body).unwrap()
    }
    /// One value of the metrics, by its name and labels; 0 if it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").await.text();
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |v| v.trim().parse().unwrap())
    }

    /// A viewer who joins `stream`. Panics if he is refused.
    pub async fn viewer(&self, stream: &str) -> Viewer {
        Viewer::join(self.port, stream).await.unwrap_or_else(|e| panic!("{stream}: {e}"))
    }

    /// A viewer who joins `stream` at `host`.
    pub async fn viewer_at(&self, host: &str, stream: &str) -> Viewer {
        let joined = Viewer::join_at(self.port, host, stream, "").await;
        joined.unwrap_or_else(|e| panic!("{host}/{stream}: {e}"))
    }

    /// A viewer who joins `stream` with a query, `?DVR`.
    pub async fn viewer_with(&self, stream: &str, query: &str) -> Viewer {
        let joined = Viewer::join_with(self.port, stream, query).await;
        joined.unwrap_or_else(|e| panic!("{stream}{query}: {e}"))
    }

    pub const fn port(&self) -> u16 {
        self.port
    }
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("segue.yaml")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }
    /// All that it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
    /// The lines of the log that hold all of `words`.
    pub fn logged(&self, words: &[&str]) -> Vec<String> {
        let log = self.log();
        let holds = |l: &&str| words.iter().all(|w| l.contains(w));
        log.lines().filter(holds).map(str::to_owned).collect()
    }

    /// Resident memory, MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Writes the configuration as it is now known here.
    pub fn write(&self) {
        let Settings { top, pool, packagers, others } = &self.settings;
        let mut text =
            format!("listen: [\"127.0.0.1:{}\"]\nadmin: \"127.0.0.1:{}\"\n", self.port, self.admin);
        for (key, default) in [
            ("zone", "zone: here"),
            ("store", "store: \"sqlite:segue.db\""),
            ("server", "server: { threads: 2, upgrade_sock: \"run/upgrade.sock\" }"),
        ] {
            if !top.iter().any(|line| line.starts_with(&format!("{key}:"))) {
                text += &format!("{default}\n");
            }
        }
        for line in top {
            text += &format!("{line}\n");
        }
        text += "pools:\n  - name: live\n";
        for line in pool {
            text += &format!("    {line}\n");
        }
        text += "    packagers:\n";
        for line in packagers {
            text += &format!("      - {line}\n");
        }
        text.extend(others.iter().map(String::as_str));
        std::fs::write(self.file(), text).unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
        let log = self.log();
        if std::thread::panicking() {
            let from = log.len().saturating_sub(12_000);
            eprintln!("--- log of the proxy\n{}---", log.get(from..).unwrap_or(&log));
        } else {
            let panicked: Vec<_> = log.lines().filter(|l| l.contains("panicked")).collect();
            assert!(panicked.is_empty(), "the proxy panicked: {panicked:?}");
        }
    }
}

async fn end_of(process: Child) {
    let process = parking_lot::Mutex::new(process);
    let ended = wait_for("the process to end", Duration::from_secs(25), || async {
        process.lock().try_wait().unwrap().is_some()
    });
    if let Err(error) = ended.await {
        let _ = process.lock().kill();
        panic!("{error}");
    }
    let status = process.lock().wait().unwrap();
    assert!(status.success(), "{status}");
}
