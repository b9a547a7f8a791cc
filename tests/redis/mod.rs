//! A real redis-server in a directory of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use segue::model::redis_url::RedisUrl;
use segue::store::{RedisSettings, RedisStore, Unobserved};
use tokio::net::TcpSocket;

/// Ends a test that would hang; no test waits for it to pass.
pub const HUNG: Duration = Duration::from_secs(60);
/// Lanes of a test outlive it, where it is not about that.
const LANE_EXPIRES: Duration = Duration::from_secs(3600);

/// One server. Ends when dropped.
pub struct Redis {
    dir: tempfile::TempDir,
    pub port: u16,
    tls: bool,
    more: String,
    process: Child,
    _reserved: TcpSocket,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Redis {
    /// Without a login and TLS.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines in its configuration.
    pub fn start_with(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more, false)
    }

    /// With TLS: its certificate is for `127.0.0.1`, and signed by a CA whose file is told.
    pub fn start_with_tls() -> (Self, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let ca = make_certificates(dir.path());
        let root = dir.path().display();
        let more = format!(
            "tls-cert-file {root}/server.pem\ntls-key-file {root}/server.key\ntls-ca-cert-file {root}/ca.pem\n\
             tls-auth-clients no\n"
        );
        (Self::start_in(dir, &more, true), ca)
    }

    fn start_in(dir: tempfile::TempDir, more: &str, tls: bool) -> Self {
        // Bound and never listening: the port stays this test's over restarts.
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = reserved.local_addr().unwrap().port();
        let process = spawn(dir.path(), port, tls, more);
        let server = Self { dir, port, tls, more: more.to_owned(), process, _reserved: reserved };
        server.wait();
        server
    }

    /// Until it accepts connections and has read its data.
    fn wait(&self) {
        let begun = std::time::Instant::now();
        loop {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let at = SocketAddr::from(([127, 0, 0, 1], self.port));
            if log.contains("Ready to accept connections")
                && TcpStream::connect_timeout(&at, HUNG).is_ok()
            {
                return;
            }
            assert!(begun.elapsed() < HUNG, "redis-server does not start: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on its port, with what it had saved, or empty.
    pub fn restart(&mut self, empty: bool) {
        self.kill();
        let _ = fs::remove_file(self.dir.path().join("log"));
        if empty {
            let _ = fs::remove_file(self.dir.path().join("dump.rdb"));
        }
        self.process = spawn(self.dir.path(), self.port, self.tls, &self.more);
        self.wait();
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What it answers on a connection of the test's own.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap()
    }

    pub fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        let mut connection = client.get_connection_with_timeout(HUNG)?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection)
    }

    /// A store on it, which hears of changes already.
    pub async fn store(&self) -> Arc<RedisStore> {
        let store = RedisStore::open(&self.settings(), Arc::new(Unobserved)).unwrap();
        tokio::time::timeout(HUNG, store.settled()).await.unwrap();
        Arc::new(store)
    }

    /// How a store is opened on it.
    pub fn settings(&self) -> RedisSettings {
        Self::settings_of(&format!("redis://127.0.0.1:{}", self.port))
    }

    pub fn settings_of(url: &str) -> RedisSettings {
        RedisSettings {
            url: RedisUrl::parse(url).unwrap(),
            ca: None,
            prefix: "segue".into(),
            // The machine may be busy: a test that is about it sets its own.
            timeout: Duration::from_secs(20),
            lane_expires: LANE_EXPIRES,
        }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }
}

fn spawn(dir: &Path, port: u16, tls: bool, more: &str) -> Child {
    let (plain, secure) = if tls { (0, port) } else { (port, 0) };
    let secure = if tls { format!("tls-port {secure}\n") } else { String::new() };
    let conf = format!(
        "bind 127.0.0.1\nport {plain}\n{secure}dir {}\nlogfile log\nsave \"\"\nappendonly no\n\
         repl-diskless-sync-delay 0\n{more}",
        dir.display()
    );
    fs::write(dir.join("conf"), conf).unwrap();
    Command::new("redis-server")
        .arg(dir.join("conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("redis-server does not start ({e}): run `make setup-e2e`"))
}

/// A CA, and a certificate that it has signed, in `dir`. Where the CA's is.
pub fn make_certificates(dir: &Path) -> PathBuf {
    let openssl = |args: &[&str]| {
        let made = Command::new("openssl").current_dir(dir).args(args).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=test CA",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    openssl(&[&ca[..], &key].concat());
    let request = ["req", "-subj", "/CN=store", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key].concat());
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
    dir.join("ca.pem")
}
