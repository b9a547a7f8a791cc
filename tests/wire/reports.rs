//! What packagers say of themselves, over real sockets: from a real Apache, which asks for basic and
//! digest authentication, and over TLS.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pingora::services::background::BackgroundService as _;
use segue::model::load::{Kind, WowzaLoad};
use segue::model::names::PoolName;
use segue::origin::{AdminPlace, Client, Endpoint};
use segue::packagers::{
    HealthChecks, KindSpec, Login, Packager, PackagerSpec, PoolSpec, Pools, Reads, Report,
    ReportSpec, Spread, Thresholds,
};
use tokio::net::TcpSocket;

use crate::server::{Act, Server, head, ok};
use crate::{PATIENT, a, endpoint};

const REALM: &str = "Wowza Media Systems";
const USER: &str = "segue";
const PASSWORD: &str = "a: \"b\"";

/// A real Apache in a directory of its own. Ends when dropped.
struct Apache {
    dir: tempfile::TempDir,
    port: u16,
    process: Child,
    _reserved: TcpSocket,
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What openssl makes of its standard input.
fn openssl(args: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    let piped = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = process.wait_with_output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().rsplit(' ').next().unwrap().to_owned()
}

impl Apache {
    async fn start() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        // Started by root it reads its files as another user.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        for kind in ["basic", "digest"] {
            fs::create_dir_all(root.join("www").join(kind)).unwrap();
        }
        let ha1 = openssl(&["md5"], &format!("{USER}:{REALM}:{PASSWORD}"));
        fs::write(root.join("digest.users"), format!("{USER}:{REALM}:{ha1}\n")).unwrap();
        let hash = openssl(&["passwd", "-apr1", "-stdin"], PASSWORD);
        fs::write(root.join("basic.users"), format!("{USER}:{hash}\n")).unwrap();
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = reserved.local_addr().unwrap().port();
        fs::write(root.join("conf"), configuration(root, port)).unwrap();
        let log = fs::File::create(root.join("out")).unwrap();
        let process = Command::new("/usr/sbin/apache2")
            .args(["-X", "-f"])
            .arg(root.join("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("apache2 does not start ({e}): run `make setup-e2e`"));
        let apache = Self { dir, port, process, _reserved: reserved };
        apache.count(3);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let out = fs::read_to_string(apache.dir.path().join("out")).unwrap();
            assert!(out.is_empty() || !out.contains("rror"), "{out}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        apache
    }

    /// So many connections are counted from now on.
    fn count(&self, connections: u64) {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<WowzaMediaServer><ConnectionsCurrent>{connections}</ConnectionsCurrent></WowzaMediaServer>"
        );
        for kind in ["basic", "digest"] {
            let file = self.dir.path().join("www").join(kind).join("connectioncounts");
            // At once: a file that is written in place can be read in the middle.
            fs::write(file.with_extension("new"), &text).unwrap();
            fs::rename(file.with_extension("new"), file).unwrap();
        }
    }

    /// How often it answered a request for this path with this status.
    fn answered(&self, path: &str, status: u16) -> usize {
        let log = fs::read_to_string(self.dir.path().join("access")).unwrap_or_default();
        log.lines().filter(|line| *line == format!("{path} {status}")).count()
    }
}

fn configuration(root: &Path, port: u16) -> String {
    let modules = [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "auth_digest",
    ];
    let load =
        |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let loaded: String = modules.iter().map(load).collect();
    let root = root.display();
    format!(
        "{loaded}ServerRoot {root}\nDefaultRuntimeDir {root}\nPidFile {root}/pid\nServerName localhost\n\
         Listen 127.0.0.1:{port}\nDocumentRoot {root}/www\nErrorLog {root}/error\n\
         LogFormat \"%U %>s\" short\nCustomLog {root}/access short\n\
         <IfModule unixd_module>\nUser www-data\nGroup www-data\n</IfModule>\n\
         <Location /digest>\nAuthType Digest\nAuthName \"{REALM}\"\nAuthDigestProvider file\n\
         AuthUserFile {root}/digest.users\nAuthDigestNonceLifetime 1\nRequire valid-user\n</Location>\n\
         <Location /basic>\nAuthType Basic\nAuthName \"{REALM}\"\nAuthBasicProvider file\n\
         AuthUserFile {root}/basic.users\nRequire valid-user\n</Location>\n"
    )
}

fn pool(report: Option<ReportSpec>) -> [PoolSpec; 1] {
    let kind = KindSpec { kind: Kind::Wowza, report, warm_up: Duration::ZERO };
    let spec =
        PackagerSpec { id: a(), zone: String::new(), weight: 1, capacity: None, check: None, kind };
    let (name, hosts) = (PoolName::new("live"), vec!["*".to_owned()]);
    [PoolSpec { name, hosts, zone_hosts: vec![], packagers: vec![spec], spread: Spread::default() }]
}

/// A packager that is asked until this is dropped.
struct Asked {
    pools: Arc<Pools>,
    task: tokio::task::JoinHandle<()>,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asked {
    fn new(client: Client, report: ReportSpec) -> Self {
        let pools = Arc::new(Pools::new(&pool(Some(report))));
        let checks = HealthChecks::new(Arc::clone(&pools), Arc::new(client));
        let (stop, shutdown) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move { checks.start(shutdown).await });
        Self { pools, task, _stop: stop }
    }

    fn packager(&self) -> Arc<Packager> {
        Arc::clone(&self.pools.get(&PoolName::new("live")).unwrap().packagers()[0])
    }

    /// Waits for a report of which `met` holds.
    async fn until(&self, what: &str, met: impl Fn(&Report) -> bool) -> Arc<Report> {
        let seen = async {
            loop {
                if let Some(report) = self.packager().report().filter(|report| met(report)) {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = || panic!("{what}: {:?}", self.packager().report());
        tokio::time::timeout(PATIENT, seen).await.unwrap_or_else(|_| late())
    }
}

fn report(port: u16, path: &str, password: Option<&str>) -> ReportSpec {
    let login = |password: &str| Login { user: USER.to_owned(), password: password.to_owned() };
    ReportSpec {
        place: AdminPlace { tls: false, host: None, port },
        path: path.to_owned(),
        login: password.map(login),
        reads: Reads::Wowza(WowzaLoad::Connections),
        interval: Duration::from_millis(20),
        timeout: PATIENT,
        thresholds: Thresholds { rise: 1, fall: 1 },
        must_answer: false,
    }
}

#[tokio::test]
async fn a_real_apache_asks_for_basic_and_digest() {
    let apache = Apache::start().await;
    for path in ["/basic/connectioncounts", "/digest/connectioncounts"] {
        apache.count(3);
        // The packager's own port is another; its host is the same.
        let client = Client::new([(a(), endpoint(1))]).unwrap();
        let asked = Asked::new(client, report(apache.port, path, Some(PASSWORD)));
        asked.until(path, |report| report.load == Some(3)).await;
        apache.count(4);
        asked.until(path, |report| report.load == Some(4)).await;
        let (good, asked_for) = (apache.answered(path, 200), apache.answered(path, 401));
        assert!(good >= 2 && asked_for < good, "{path}: {good} good, {asked_for} challenges");
    }
    // Of a nonce that has grown old it wants another.
    let path = "/digest/connectioncounts";
    let client = Client::new([(a(), endpoint(1))]).unwrap();
    let asked = Asked::new(client, report(apache.port, path, Some(PASSWORD)));
    let before = apache.answered(path, 401);
    asked
        .until("three nonces", |report| {
            assert_eq!(report.trouble, "");
            apache.answered(path, 401) >= before + 3
        })
        .await;
}

#[tokio::test]
async fn a_real_apache_refuses_and_that_is_told() {
    let apache = Apache::start().await;
    for path in ["/basic/connectioncounts", "/digest/connectioncounts"] {
        for (password, trouble) in [
            (Some("wrong"), "user or password is wrong (401)"),
            (None, "wants user and password (401)"),
        ] {
            let client = Client::new([(a(), endpoint(1))]).unwrap();
            let asked = Asked::new(client, report(apache.port, path, password));
            let report = asked.until(path, |report| !report.trouble.is_empty()).await;
            assert_eq!((report.trouble.as_str(), report.load), (trouble, None), "{path}");
        }
    }
    let client = Client::new([(a(), endpoint(1))]).unwrap();
    let asked = Asked::new(client, report(apache.port, "/nowhere", Some(PASSWORD)));
    let report = asked.until("404", |report| !report.trouble.is_empty()).await;
    assert_eq!(report.trouble, "answered 404");
}

#[tokio::test]
async fn what_is_no_report_or_never_ends() {
    let counts = "<WowzaMediaServer><ConnectionsCurrent>1</ConnectionsCurrent></WowzaMediaServer>";
    let long = [("Content-Length", "99999999")];
    for (answer, trouble) in [
        (ok("<html/>"), "its report is no connection counts"),
        (ok(&counts[..60]), "its report ends in the middle"),
        (head("200 OK", &[("Content-Length", "500")], counts), "cut off after"),
        (head("200 OK", &long, ""), "over the limit of"),
        (head("302 Found", &[("Location", "/x"), ("Content-Length", "0")], ""), "answered 302"),
        (
            head("401 No", &[("Content-Length", "0")], ""),
            "wants another authentication: no challenges given",
        ),
        (
            head("401 No", &[("Content-Length", "0"), ("WWW-Authenticate", "Negotiate")], ""),
            "wants another authentication: ",
        ),
        (b"\0\0\0\0\r\n\r\n".to_vec(), ""),
        (Vec::new(), ""),
    ] {
        let server = Server::play(vec![vec![Act::Answer(answer.clone()), Act::Close]; 50]).await;
        let client = Client::new([(a(), endpoint(1))]).unwrap();
        let asked = Asked::new(client, report(server.port, "/connectioncounts", Some("p")));
        let report = asked.until(trouble, |report| !report.trouble.is_empty()).await;
        assert!(report.trouble.starts_with(trouble), "{trouble}: {}", report.trouble);
        assert_eq!(report.load, None);
    }
}

#[tokio::test]
async fn the_packager_s_own_headers_are_not_shown_to_its_admin_port() {
    let counts = "<WowzaMediaServer><ConnectionsCurrent>1</ConnectionsCurrent></WowzaMediaServer>";
    let server = Server::play(vec![vec![Act::Answer(ok(counts)), Act::Close]; 50]).await;
    let mut packager = Endpoint::from_url("http://pack.example.com:1").unwrap();
    packager.headers = vec![("X-Edge-Key".to_owned(), "secret".to_owned())];
    packager.host_header = Some("live.example.com".to_owned());
    let client = Client::new([(a(), packager)]).unwrap();
    let mut spec = report(server.port, "/connectioncounts?flat", None);
    spec.place.host = Some("127.0.0.1".to_owned());
    Asked::new(client, spec).until("a report", |report| report.load == Some(1)).await;
    let request = server.requests()[0].to_lowercase();
    assert!(request.starts_with("get /connectioncounts?flat http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: 127.0.0.1:{}\r\n", server.port)), "{request}");
    assert!(!request.contains("x-edge-key"), "{request}");
}

#[tokio::test]
async fn a_reload_begins_and_ends_reports() {
    let counts = |n: u32| {
        ok(&format!(
            "<WowzaMediaServer><ConnectionsCurrent>{n}</ConnectionsCurrent></WowzaMediaServer>"
        ))
    };
    let answers = |n| Server::play(vec![vec![Act::Answer(counts(n)), Act::Close]; 5000]);
    let (one, two) = (answers(1).await, answers(2).await);
    let client = Client::new([(a(), endpoint(1))]).unwrap();
    let asked = Asked::new(client, report(one.port, "/", None));
    asked.until("one", |report| report.load == Some(1)).await;
    asked.pools.reload(&pool(Some(report(two.port, "/", None))));
    asked.until("two", |report| report.load == Some(2)).await;
    asked.pools.reload(&pool(None));
    let forgotten = async {
        while asked.packager().report().is_some() || asked.packager().load().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENT, forgotten).await.unwrap();
}

/// Asked over TLS, by a packager that is http itself.
pub async fn over_tls(port: u16, ca: Option<std::path::PathBuf>, sni: Option<&str>) -> String {
    let mut packager = endpoint(1);
    packager.ca_file = ca;
    packager.sni = sni.map(str::to_owned);
    let mut spec = report(port, "/connectioncounts", None);
    spec.place.tls = true;
    let asked = Asked::new(Client::new([(a(), packager)]).unwrap(), spec);
    asked.until("a report", |report| !report.trouble.is_empty()).await.trouble.clone()
}
