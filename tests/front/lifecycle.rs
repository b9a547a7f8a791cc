//! The life of the process: drain, hand-over, end. The process is this test binary itself, run
//! again for the one test `child`.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use segue::app::{lifecycle, listen};
use segue::front::{Settings, Stages};

use crate::client::{Client, get, wait_for};
use crate::stand::{Port, StandLanes, add_front, pattern, process_settings, token};

/// More than any pair of socket buffers holds.
const BIG: usize = 24 << 20;
/// Far over what any test waits: who ends, ends early.
const GRACE: Duration = Duration::from_secs(3600);

/// Not a test: the process of the others.
#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn child() {
    let of = |name: &str| std::env::var(name).ok();
    let Some(dir) = of("SEGUE_TEST_DIR").map(PathBuf::from) else { return };
    let address = of("SEGUE_TEST_ADDRESS").unwrap();
    let upgrade = of("SEGUE_TEST_UPGRADE").is_some();
    let drain = Duration::from_millis(of("SEGUE_TEST_DRAIN_MS").unwrap().parse().unwrap());
    let settings =
        lifecycle::Settings { grace_period: GRACE, ..process_settings(&dir, drain, upgrade) };
    if !upgrade {
        listen::check([("listen[0]".to_owned(), address.as_str())]).unwrap();
    }
    let stages = Arc::new(Stages::default());
    let mut server = lifecycle::server(&settings).unwrap();
    // The new process is told by its second segment.
    let lengths: &[usize] = if upgrade { &[BIG, 10] } else { &[BIG] };
    let lanes = StandLanes::new(lengths);
    let front = Settings::default();
    add_front(&mut server, lanes, &stages, front, address.parse().unwrap(), None, None);
    let reloaded = dir.join("reloaded");
    lifecycle::run(server, &settings, &stages, move || std::fs::write(&reloaded, "").unwrap())
        .unwrap();
    std::fs::write(dir.join("ended"), "").unwrap();
}

/// A child process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(port: &Port, dir: &Path, drain: Duration, upgrade: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "lifecycle::child", "--ignored", "--nocapture"])
            .env("SEGUE_TEST_DIR", dir)
            .env("SEGUE_TEST_ADDRESS", port.address.to_string())
            .env("SEGUE_TEST_DRAIN_MS", drain.as_millis().to_string())
            .stdout(Stdio::null());
        if upgrade {
            command.env("SEGUE_TEST_UPGRADE", "1");
        }
        let process = Self(command.spawn().unwrap());
        if !upgrade {
            wait_for("the process to be ready", || {
                TcpStream::connect(port.address).is_ok()
                    && get(port.address, "/.segue/readyz", "").status == 200
            });
        }
        process
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.unwrap().success());
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn ends(&mut self) {
        wait_for("the process to end", || !self.lives());
        assert!(self.0.try_wait().unwrap().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A viewer in the middle of a segment, reading nothing more for now.
fn in_the_middle(port: &Port) -> Client {
    let mut client = Client::connect_small(port.address);
    let path = StandLanes::new(&[BIG]).segment_path(&token(), 0);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(client.head().status, 200);
    client
}

#[test]
fn sigterm_drains_and_cuts_nothing() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let mut process = Process::start(&port, dir.path(), Duration::from_secs(4), false);
    let mut middle = in_the_middle(&port);
    let mut kept = Client::connect(port.address);
    assert_eq!(kept.get("/.segue/healthz", "").header("connection"), Some("keep-alive"));

    process.signal("TERM");
    // Readiness fails while everything else is answered still, on old and new connections.
    wait_for("readiness to fail", || get(port.address, "/.segue/readyz", "").status == 503);
    let playlist = format!("/live/cam/playlist~{}/v0/index.m3u8", token());
    for answer in [kept.get(&playlist, ""), get(port.address, &playlist, "")] {
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    assert_eq!(get(port.address, "/.segue/healthz", "").status, 200);

    wait_for("the listener to close", || TcpStream::connect(port.address).is_err());
    assert!(process.lives(), "ended with a viewer in the middle of a segment");
    assert!(middle.take(BIG) == pattern(BIG), "cut or other bytes");
    process.ends();
    assert!(dir.path().join("ended").exists(), "ended by something else");
    assert!(!dir.path().join("run/segue.pid").exists());
}

#[test]
fn an_idle_process_ends_without_waiting() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let mut process = Process::start(&port, dir.path(), Duration::ZERO, false);
    let mut kept = Client::connect(port.address);
    assert_eq!(kept.get("/.segue/healthz", "").status, 200);
    process.signal("TERM");
    process.ends();
    assert!(dir.path().join("ended").exists());
}

#[test]
fn a_second_sigterm_skips_the_delay_and_sigint_ends_at_once() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let mut process = Process::start(&port, dir.path(), GRACE, false);
    process.signal("TERM");
    wait_for("readiness to fail", || get(port.address, "/.segue/readyz", "").status == 503);
    process.signal("TERM");
    process.ends();

    let mut process = Process::start(&port, dir.path(), GRACE, false);
    let mut middle = in_the_middle(&port);
    process.signal("INT");
    process.ends();
    assert!(middle.rest() < BIG);
}

#[test]
fn sigquit_without_a_successor_changes_nothing() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let mut process = Process::start(&port, dir.path(), Duration::ZERO, false);
    process.signal("QUIT");
    // Taken up only once SIGQUIT was given up.
    process.signal("HUP");
    wait_for("the reload", || dir.path().join("reloaded").exists());
    assert!(process.lives());
    let answer = get(port.address, "/.segue/readyz", "");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("keep-alive")));
}

#[test]
fn sigquit_hands_the_sockets_over() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let mut old = Process::start(&port, dir.path(), Duration::ZERO, false);
    let mut middle = in_the_middle(&port);

    // A new connection every few milliseconds, all the time: not one may fail.
    let stop = Arc::new(AtomicBool::new(false));
    let poller = std::thread::spawn({
        let (stop, address) = (Arc::clone(&stop), port.address);
        move || {
            let mut answers = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(get(address, "/.segue/readyz", "").status, 200);
                answers += 1;
            }
            answers
        }
    });
    let mut new = Process::start(&port, dir.path(), Duration::ZERO, true);
    wait_for("the new process to ask", || dir.path().join("run/upgrade.sock").exists());
    old.signal("QUIT");
    let second = StandLanes::new(&[BIG, 10]).segment_path(&token(), 1);
    wait_for("the new process to answer", || get(port.address, &second, "").status == 200);
    assert!(old.lives(), "ended with a viewer in the middle of a segment");
    assert!(middle.take(BIG) == pattern(BIG), "cut or other bytes");
    old.ends();
    assert_eq!(get(port.address, &second, "").status, 200, "only the new process answers");
    stop.store(true, Ordering::SeqCst);
    assert!(poller.join().unwrap() > 0);
    let pid = std::fs::read_to_string(dir.path().join("run/segue.pid")).unwrap();
    assert_eq!(pid.trim(), new.0.id().to_string(), "the old process took the file away");
    assert!(new.lives());
    new.signal("TERM");
    new.ends();
}
