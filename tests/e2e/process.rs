//! Child processes of a test: each logs into the run's folder, is signalled by its own pid, and
//! ends with the value that holds it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch: the one clock that tests, browser pages and players share.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Looks at `condition` every 50 ms until it holds; panics with `what` after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let begun = now_ms();
    while !condition() {
        let waited = Duration::from_millis(now_ms() - begun);
        assert!(waited < limit, "waited {waited:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The signals that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Term,
    Quit,
    Stop,
    Cont,
}

impl Signal {
    const fn flag(self) -> &'static str {
        match self {
            Self::Term => "-TERM",
            Self::Quit => "-QUIT",
            Self::Stop => "-STOP",
            Self::Cont => "-CONT",
        }
    }
}

/// A running child. Dropping it kills it and waits for its end.
pub struct Process {
    pub name: String,
    pub child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its errors (and its output, unless that is piped by the caller
    /// through [`Process::spawn_piped`]) in `folder/name.log`.
    pub fn spawn(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = append(&log);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self::begin(name, command, log)
    }

    /// The same, with stdin and stdout left to the caller in `child`.
    pub fn spawn_piped(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(append(&log));
        Self::begin(name, command, log)
    }

    fn begin(name: &str, mut command: Command, log: PathBuf) -> Self {
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Sends `signal` to this process and to no other.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal.flag(), &pid]).stderr(Stdio::null()).status();
        assert!(sent.is_ok(), "kill {} {pid}", signal.flag());
    }

    /// It has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its exit status, once it ended; panics after `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        let what = format!("the end of {}", self.name);
        wait_until(&what, limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// What it has logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            // A stopped process takes SIGKILL as well.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}
