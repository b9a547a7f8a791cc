//! A real redis-server: killed, frozen, started again with what it had or empty.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::http;
use crate::ports::Port;
use crate::process::{Process, Signal, wait_until};

/// A redis-server with a port and a folder of its own.
pub struct Redis {
    port: Port,
    /// Further addresses that it listens at.
    hosts: Vec<String>,
    folder: PathBuf,
    process: Option<Process>,
}

impl Redis {
    /// Starts one that keeps what it is told over a restart, as an append-only file.
    pub fn start(folder: &Path) -> Self {
        Self::start_at(folder, &[])
    }

    /// The same, at more addresses of this machine than loopback.
    pub fn start_at(folder: &Path, hosts: &[String]) -> Self {
        let folder = folder.join("redis");
        std::fs::create_dir_all(&folder).unwrap();
        let (port, hosts) = (Port::reserve(), hosts.to_vec());
        let mut redis = Self { port, hosts, folder, process: None };
        redis.start_again();
        redis
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The same port at another of its addresses.
    pub fn address_at(&self, host: &str) -> String {
        format!("{host}:{}", self.port.number)
    }

    /// `kill -9`: connections end at once, and new ones are refused.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// A new process on what the last one had written.
    pub fn start_again(&mut self) {
        let mut server = Command::new("redis-server");
        let port = self.port.number.to_string();
        server.args(["--port", &port, "--save", "", "--appendonly", "yes"]);
        server.args(["--appendfsync", "everysec", "--daemonize", "no"]);
        // The addresses it has; none is open to others than this machine.
        server.args(["--protected-mode", "no", "--bind", "127.0.0.1"]).args(&self.hosts);
        server.arg("--dir").arg(&self.folder);
        let logs = self.folder.parent().unwrap();
        self.process = Some(Process::spawn("redis", server, logs));
        let address = self.address();
        let process = self.process.as_mut().unwrap();
        wait_until("redis answers", Duration::from_secs(10), || {
            assert!(process.is_running(), "redis-server ended: {}", process.log_text());
            ask(&address, "PING", Duration::from_millis(500)).as_deref() == Ok("+PONG")
        });
    }

    /// A new process that has nothing.
    pub fn start_empty(&mut self) {
        self.kill();
        let kept = self.folder.join("appendonlydir");
        if kept.exists() {
            std::fs::remove_dir_all(kept).unwrap();
        }
        self.start_again();
    }

    /// SIGSTOP: connections open, nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::Stop);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::Cont);
    }

    /// The number of keys it has.
    pub fn keys(&self) -> usize {
        let answer = ask(&self.address(), "DBSIZE", Duration::from_secs(2)).unwrap();
        answer.trim_start_matches(':').parse().unwrap_or_else(|_| panic!("DBSIZE: {answer}"))
    }

    /// One order, and the first line of its answer.
    pub fn ask(&self, order: &str) -> Result<String, String> {
        ask(&self.address(), order, Duration::from_secs(2))
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }
}

fn ask(address: &str, order: &str, limit: Duration) -> Result<String, String> {
    let asked = || -> std::io::Result<String> {
        let mut stream = http::connect(address, limit)?;
        stream.write_all(format!("{order}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    asked().map_err(|e| e.to_string())
}

#[test]
fn redis_is_killed_frozen_and_started_with_and_without_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    assert_eq!(redis.ask("SET lane 1").as_deref(), Ok("+OK"));
    // The file is written once a second at the latest; a process that ends by itself writes all.
    assert_eq!(redis.ask("CONFIG SET appendfsync always").as_deref(), Ok("+OK"));
    assert_eq!(redis.ask("SET lane 2").as_deref(), Ok("+OK"));
    redis.kill();
    assert!(redis.ask("PING").is_err());
    redis.start_again();
    assert_eq!(redis.keys(), 1);
    redis.freeze();
    assert!(ask(&redis.address(), "PING", Duration::from_millis(300)).is_err());
    redis.thaw();
    assert_eq!(redis.ask("PING").as_deref(), Ok("+PONG"));
    redis.start_empty();
    assert_eq!(redis.keys(), 0);
}
