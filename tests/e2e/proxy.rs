//! What stands between packagers and players in a run: Segue as it is shipped, or, to compare
//! with, nginx as a primary/backup proxy, or nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::http;
use crate::net::Namespace;
use crate::nginx;
use crate::packagers::{ENTRY, Packager};
use crate::ports::Port;
use crate::process::{Process, Signal, wait_until};

/// The proxies that a run can be made with (`E2E_PROXY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Segue,
    /// nginx with one `upstream`, the first packager, the others `backup`.
    Nginx,
    /// Players watch the first packager.
    Direct,
}

impl Which {
    /// What the environment asks for; Segue without it.
    pub fn chosen() -> Self {
        match std::env::var("E2E_PROXY").as_deref() {
            Ok("nginx") => Self::Nginx,
            Ok("direct") => Self::Direct,
            Ok("segue") | Err(_) => Self::Segue,
            Ok(other) => panic!("E2E_PROXY is segue, nginx or direct, not {other}"),
        }
    }
}

/// What a change of the running proxy must show: `segue drain` finds it in the configuration.
const ADMIN_TOKEN: &str = "a-secret-of-16-letters";

/// Where a proxy runs and listens.
pub struct Place {
    /// `host:port` for viewers, and for operators.
    viewers: String,
    admin: String,
    /// The network namespace that it runs in.
    within: Option<String>,
    _held: Vec<Port>,
}

impl Place {
    /// Free ports of loopback.
    pub fn loopback() -> Self {
        let (viewers, admin) = (Port::reserve(), Port::reserve());
        let addresses = (viewers.address(), admin.address());
        Self { viewers: addresses.0, admin: addresses.1, within: None, _held: vec![viewers, admin] }
    }

    /// Inside of a namespace, where all ports are free.
    pub fn within(namespace: &Namespace) -> Self {
        let at = |port: u16| format!("{}:{port}", namespace.host);
        let within = Some(namespace.name.clone());
        Self { viewers: at(8080), admin: at(8081), within, _held: Vec::new() }
    }
}

/// What makes one Segue of a test another than the next.
pub struct Shape {
    /// Its folder, and the name of its log.
    pub name: String,
    /// Where logs are kept; an SQLite file of its own where none is said.
    pub store: Option<String>,
    pub zone: String,
    /// Lines of the whole configuration, each with its end.
    pub top: String,
    /// Lines of its one pool, indented.
    pub pool: String,
    /// The entries below `packagers`, indented.
    pub packagers: String,
}

impl Shape {
    /// Over `upstreams`, all hosts; the first is in the proxy's own zone.
    fn over(upstreams: &[Upstream]) -> Self {
        let zone = |i: usize| if i == 0 { "az1" } else { "az2" };
        let packagers = upstreams.iter().enumerate().map(|(i, u)| u.entry(zone(i))).collect();
        let (top, pool) = (String::new(), "    hosts: [\"*\"]\n".to_owned());
        let (name, zone) = ("proxy".to_owned(), "az1".to_owned());
        Self { name, store: None, zone, top, pool, packagers }
    }
}

/// A running proxy.
pub struct Proxy {
    pub which: Which,
    folder: PathBuf,
    place: Place,
    /// Socket paths are short: not in the run's folder, which may lie deep.
    run: tempfile::TempDir,
    process: Option<Process>,
    /// The process that a hand-over left behind, draining.
    former: Option<Process>,
    first_packager: String,
}

/// A splice as `/status.json` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub lane: String,
    pub msn: u64,
    pub from: String,
    pub to: String,
    pub reason: String,
    pub method: String,
    /// Content lost, or repeated where negative, milliseconds.
    pub gap_ms: i64,
}

/// A packager as the proxy is told of it.
pub struct Upstream {
    pub id: String,
    pub url: String,
}

impl Upstream {
    /// The packager itself.
    pub fn direct(packager: &Packager) -> Self {
        Self { id: packager.id.clone(), url: packager.url() }
    }
    /// The packager behind its fault proxy.
    pub fn faulty(packager: &Packager) -> Self {
        Self { id: packager.id.clone(), url: packager.faults.url() }
    }
    /// Its entry in Segue's configuration.
    pub fn entry(&self, zone: &str) -> String {
        format!("      - {{ id: {}, url: \"{}\", zone: \"{zone}\" }}\n", self.id, self.url)
    }
}

impl Proxy {
    /// Starts `which` over `upstreams`; the first is in the proxy's own zone.
    pub fn start(which: Which, folder: &Path, upstreams: &[Upstream]) -> Self {
        let mut proxy = Self::prepare(which, folder, "proxy", Place::loopback());
        proxy.first_packager.clone_from(&upstreams[0].url);
        match which {
            Which::Segue => proxy.run(&Shape::over(upstreams)),
            Which::Nginx => {
                proxy.process =
                    Some(nginx::start("proxy", &proxy.folder, &proxy.baseline(upstreams)));
                let address = proxy.address();
                wait_until("the nginx proxy", Duration::from_secs(10), || {
                    http::connect(&address, Duration::from_secs(1)).is_ok()
                });
            }
            Which::Direct => {}
        }
        proxy
    }

    /// Starts Segue in that shape.
    pub fn shaped(folder: &Path, shape: &Shape) -> Self {
        Self::placed(folder, shape, Place::loopback())
    }

    /// The same in that place.
    pub fn placed(folder: &Path, shape: &Shape, place: Place) -> Self {
        let mut proxy = Self::prepare(Which::Segue, folder, &shape.name, place);
        proxy.run(shape);
        proxy
    }

    fn prepare(which: Which, folder: &Path, name: &str, place: Place) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            which,
            folder,
            place,
            run: tempfile::tempdir().unwrap(),
            process: None,
            former: None,
            first_packager: String::new(),
        }
    }

    fn run(&mut self, shape: &Shape) {
        std::fs::write(self.config_file(), self.config(shape)).unwrap();
        self.process = Some(self.spawn(&[]));
        self.wait_ready();
    }

    /// Where it answers viewers, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.place.viewers.clone()
    }

    /// `kill -9`, for good.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// `http://127.0.0.1:port` for viewers.
    pub fn base(&self) -> String {
        match self.which {
            Which::Direct => self.first_packager.clone(),
            _ => format!("http://{}", self.place.viewers),
        }
    }

    /// What players are given.
    pub fn url(&self) -> String {
        format!("{}{ENTRY}", self.base())
    }

    /// The process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the proxy runs")
    }

    /// SIGSTOP: connections open, nothing answers.
    pub fn freeze(&mut self) {
        self.process().signal(Signal::Stop);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.process().signal(Signal::Cont);
    }

    /// `kill -9`, then a new process on the same files.
    pub fn kill_and_restart(&mut self) {
        self.process = None;
        self.start_again();
    }

    /// A new process on the same files, after the end of the last.
    pub fn start_again(&mut self) {
        self.process = Some(self.spawn(&[]));
        self.wait_ready();
    }

    /// A new process takes the listening sockets over; the old one drains.
    pub fn upgrade(&mut self) {
        let old = self.process.take().expect("the proxy runs");
        let new = self.spawn(&["--upgrade"]);
        // The old process waits for the new one before it sends its sockets.
        old.signal(Signal::Quit);
        self.process = Some(new);
        self.former = Some(old);
        self.wait_ready();
    }

    /// `segue drain`: returns when no lane is on that packager.
    pub fn drain(&self, packager: &str) {
        self.command(&["drain", packager, "--wait"]);
    }

    /// `segue undrain`, once its checks say that it is up.
    pub fn undrain(&self, packager: &str) {
        self.command(&["undrain", packager, "--wait"]);
    }

    /// A command to the running proxy; ends well within a minute or panics.
    fn command(&self, args: &[&str]) {
        let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
        segue.args(args).arg("--conf").arg(self.config_file()).current_dir(&self.folder);
        let mut process = Process::spawn("segue-command", segue, self.folder.parent().unwrap());
        let status = process.wait_end(Duration::from_secs(60));
        assert!(status.success(), "segue {args:?}: {status}: {}", process.log_text());
    }

    /// Waits for the end of the process that was left behind by [`Proxy::upgrade`].
    pub fn former_ended(&mut self, limit: Duration) {
        if let Some(mut former) = self.former.take() {
            let status = former.wait_end(limit);
            assert!(status.success(), "the old process ended with {status}: {}", former.log_text());
        }
    }

    /// `/status.json`, if this proxy has one.
    pub fn status(&self) -> Option<Value> {
        let url = format!("http://{}/status.json", self.place.admin);
        let answer = http::get(&url, Duration::from_secs(2)).ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// `/metrics`.
    pub fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.place.admin);
        http::get(&url, Duration::from_secs(2)).map(|a| a.text()).unwrap_or_default()
    }

    /// The splices of each lane that the status still knows.
    pub fn splices(&self) -> Vec<Told> {
        let status = self.status().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found = Vec::new();
        for lane in lanes(&status) {
            let splices = lane["splices"].as_array().into_iter().flatten();
            found.extend(splices.map(|splice| Told {
                lane: text(&lane["lane"]),
                msn: splice["msn"].as_u64().unwrap_or(0),
                from: text(&splice["from"]),
                to: text(&splice["to"]),
                reason: text(&splice["reason"]),
                method: text(&splice["method"]),
                gap_ms: splice["gap_ms"].as_i64().unwrap_or(0),
            }));
        }
        found
    }

    /// The newest number that a lane lists.
    pub fn edge(&self) -> Option<u64> {
        let status = self.status()?;
        lanes(&status).iter().filter_map(|l| l["edge"].as_u64()).max()
    }

    /// The proxy sees the packager up, and its playlist move.
    pub fn sees_moving(&self, packager: &str) -> bool {
        let status = self.status().unwrap_or_default();
        let is = |list: &Value, key: &str, value: &str| {
            let mut list = list.as_array().into_iter().flatten();
            list.any(|p| p["packager"] == packager && p[key] == value)
        };
        let streams = status["streams"].as_array().into_iter().flatten();
        is(&status["packagers"], "health", "up")
            && streams.into_iter().all(|s| is(&s["packagers"], "state", "moves"))
    }

    /// `POST /packagers/{id}/drain` or `undrain`, as the API's own users do it.
    pub fn post(&self, packager: &str, act: &str) {
        let url = format!("http://{}/packagers/{packager}/{act}", self.place.admin);
        let token = format!("Bearer {ADMIN_TOKEN}");
        let answer = http::post(&url, &[("Authorization", &token)], Duration::from_secs(5));
        let answer = answer.unwrap_or_else(|e| panic!("POST {url}: {e}"));
        assert_eq!(answer.status, 200, "POST {url}: {}", answer.text());
    }

    /// The packager that the lanes are on; none where they differ or there is no lane.
    pub fn serving(&self) -> Option<String> {
        let status = self.status()?;
        let mut ids: Vec<_> =
            lanes(&status).iter().filter_map(|l| l["packager"].as_str()).collect();
        ids.dedup();
        match ids[..] {
            [id] => Some(id.to_owned()),
            _ => None,
        }
    }

    /// The packager that this lane is on.
    pub fn serving_of(&self, lane: &str) -> Option<String> {
        let status = self.status()?;
        let lane = lanes(&status).into_iter().find(|l| l["lane"] == lane)?;
        lane["packager"].as_str().map(str::to_owned)
    }

    /// Polls the readiness that a load balancer would see.
    fn wait_ready(&mut self) {
        let url = format!("{}/.segue/readyz", self.base());
        let process = self.process.as_mut().unwrap();
        wait_until("segue is ready", Duration::from_secs(20), || {
            assert!(process.is_running(), "segue ended: {}", process.log_text());
            http::get(&url, Duration::from_secs(1)).is_ok_and(|a| a.status == 200)
        });
    }

    fn spawn(&self, more: &[&str]) -> Process {
        let program = env!("CARGO_BIN_EXE_segue");
        let mut segue = match &self.place.within {
            // It becomes the program: the same process id.
            Some(namespace) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", namespace, program]);
                ip
            }
            None => Command::new(program),
        };
        segue.arg("--conf").arg(self.config_file()).args(more).current_dir(&self.folder);
        let name = self.folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        Process::spawn(&format!("segue-{name}"), segue, self.folder.parent().unwrap())
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("segue.yaml")
    }

    fn config(&self, shape: &Shape) -> String {
        let Shape { zone, top, pool, packagers, store, .. } = shape;
        let own = || format!("sqlite:{}", self.folder.join("segue.db").display());
        let store = store.clone().unwrap_or_else(own);
        format!(
            "listen: [\"{}\"]\nadmin: \"{}\"\nadmin_token: {ADMIN_TOKEN}\nzone: \"{zone}\"\nstore: \"{store}\"\n\
             segments: {{ dir: \"{}\", memory: \"256MiB\", disk: \"512MiB\" }}\n\
             server: {{ threads: 2, drain_delay_seconds: 2, grace_period_seconds: 10, \
             upgrade_sock: \"{}\" }}\n\
             {top}pools:\n  - name: live\n{pool}    packagers:\n{packagers}",
            self.place.viewers,
            self.place.admin,
            self.folder.join("segments").display(),
            self.run.path().join("upgrade.sock").display(),
        )
    }

    /// Primary and backup as an operator would write it: next packager on errors and on 404,
    /// two seconds of patience.
    fn baseline(&self, upstreams: &[Upstream]) -> String {
        let servers: String = upstreams
            .iter()
            .enumerate()
            .map(|(i, u)| {
                let role = if i == 0 { "max_fails=1 fail_timeout=5s" } else { "backup" };
                format!("server {} {role}; ", http::split(&u.url).0)
            })
            .collect();
        format!(
            "http {{ {}\n upstream packagers {{ {servers} }}\n server {{ listen {}; location / {{ \
             proxy_pass http://packagers; proxy_connect_timeout 2s; proxy_read_timeout 2s; \
             proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_404; \
             }} }} }}\n",
            nginx::HTTP_TEMP_PATHS,
            self.place.viewers
        )
    }
}

/// The lanes of all streams, wherever the status keeps them.
fn lanes(status: &Value) -> Vec<&Value> {
    match status {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, inner)| match inner {
                Value::Array(list) if name == "lanes" => list.iter().collect(),
                _ => lanes(inner),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(lanes).collect(),
        _ => Vec::new(),
    }
}
