//! From the first listener to the last answer: signals, drain, hand-over, end.
//!
//! - SIGTERM: readiness fails first and every answer carries `Connection: close`; serving goes on
//!   for the drain delay; then the listeners close, and the process ends as soon as nothing is in
//!   flight, at the end of the grace period at the latest. A second SIGTERM skips the delay.
//! - SIGQUIT: the listening sockets go to a process started with `--upgrade`; then as above.
//! - SIGINT: at once. SIGHUP: reload.
//!
//! Pingora's own graceful stop is a fixed sleep after which everything is cut. It runs on a thread
//! of its own here, and this one ends the process before that sleep does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{ExecutionPhase, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::front::{Stage, Stages};

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that serve viewers.
    pub threads: usize,
    /// How long SIGTERM leaves readiness failed before the listeners close.
    pub drain_delay: Duration,
    /// How long requests in flight may take to end.
    pub grace_period: Duration,
    /// The hand-over's socket, in a private directory.
    pub upgrade_sock: PathBuf,
    /// Where the process's number is written, if anywhere.
    pub pid_file: Option<PathBuf>,
    /// Started with `--upgrade`: the listening sockets come from a running process.
    pub upgrade: bool,
}

/// How long SIGQUIT waits for the new process's socket.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(10);
/// Nothing in flight for this long, once the listeners are closed, is the end: connections that
/// were accepted last have had their turn, and HTTP/2 has written what it buffers.
const QUIET: Duration = Duration::from_millis(500);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A file of the running process, or its directory, cannot be written.
    #[error("{0}: {1}")]
    RunFile(PathBuf, io::Error),
    /// No thread or no signal handler to be had.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// A server to which services can be added.
///
/// # Errors
/// The socket's directory cannot be made.
pub fn server(settings: &Settings) -> Result<Server, LifecycleError> {
    let socket = &settings.upgrade_sock;
    private_parent(socket).map_err(|error| LifecycleError::RunFile(socket.clone(), error))?;
    if !settings.upgrade {
        // Left by a process that died in the middle: it would make SIGQUIT believe in a successor.
        let _ = std::fs::remove_file(socket);
    }
    let conf = ServerConf {
        threads: settings.threads.max(1),
        work_stealing: true,
        upgrade_sock: socket.to_string_lossy().into_owned(),
        grace_period_seconds: Some(settings.grace_period.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let options = Opt { upgrade: settings.upgrade, ..Opt::default() };
    Ok(Server::new_with_opt_and_conf(Some(options), conf))
}

/// A socket's file outlives the process that made it; the kernel's list does not. Connecting would
/// tell as well, but Pingora's successor accepts only once.
fn somebody_listens(socket: &Path) -> bool {
    let Ok(list) = std::fs::read_to_string("/proc/net/unix") else {
        return socket.exists();
    };
    // As the other process wrote it, which may be relative: the name itself has to do.
    let named = |line: &str| {
        line.split_whitespace().nth(7).and_then(|path| Path::new(path).file_name())
            == socket.file_name()
    };
    socket.exists() && list.lines().any(named)
}

/// Makes the directory that `file` will stand in, for this user alone, where there is none.
fn private_parent(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Runs until a signal ends it and the last answer is out. Returns on the calling thread, with
/// the server's own threads perhaps still asleep: the caller closes what it must and leaves.
///
/// # Errors
/// No thread or no signal handler to be had.
pub fn run(
    mut server: Server,
    settings: &Settings,
    stages: &Arc<Stages>,
    reload: impl Fn() + Send + Sync + 'static,
) -> Result<(), LifecycleError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    let phases = server.watch_execution_phase();
    let signals = Signals {
        stages: Arc::clone(stages),
        drain_delay: settings.drain_delay,
        socket: settings.upgrade_sock.clone(),
        reload: Arc::new(reload),
    };
    if settings.upgrade {
        tracing::info!(socket = %settings.upgrade_sock.display(), "waiting for the running process: send it SIGQUIT within 5 s");
    }
    // With `--upgrade`, waits here for the old process's sockets; ends the process without.
    server.bootstrap();
    let _pid = PidFile::write(settings.pid_file.as_deref())?;
    stages.reach(Stage::Serving);
    let running = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || server.run(RunArgs { shutdown_signal: Box::new(signals) }))?;
    runtime.block_on(async {
        if stopping(phases).await {
            let ended = || running.is_finished();
            tokio::select! {
                () = quiet(stages, ended) => {}
                _ = interrupts.recv() => {}
            }
        }
    });
    tracing::info!(in_flight = stages.in_flight(), "stopped");
    Ok(())
}

/// The file with the process's number; removed at the end, unless a successor has written its own.
struct PidFile(Option<PathBuf>);

impl PidFile {
    fn write(path: Option<&Path>) -> Result<Self, LifecycleError> {
        let Some(path) = path else { return Ok(Self(None)) };
        private_parent(path)
            .and_then(|()| std::fs::write(path, format!("{}\n", std::process::id())))
            .map_err(|error| LifecycleError::RunFile(path.to_owned(), error))?;
        Ok(Self(Some(path.to_owned())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        let ours = std::fs::read_to_string(path)
            .is_ok_and(|text| text.trim() == std::process::id().to_string());
        if ours {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Waits until the listeners are told to close. False: the server is at its end already.
async fn stopping(mut phases: broadcast::Receiver<ExecutionPhase>) -> bool {
    loop {
        match phases.recv().await {
            Ok(
                ExecutionPhase::GracefulTerminate
                | ExecutionPhase::ShutdownStarted
                | ExecutionPhase::ShutdownGracePeriod,
            ) => return true,
            Ok(ExecutionPhase::Terminated) | Err(RecvError::Closed) => return false,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

/// Waits until nothing has been in flight for a while, or the server has `ended`.
async fn quiet(stages: &Stages, ended: impl Fn() -> bool) {
    let mut since = Instant::now();
    while !ended() && since.elapsed() < QUIET {
        tokio::time::sleep(LOOK_EVERY).await;
        if stages.busy() {
            since = Instant::now();
        }
    }
}

/// What signals mean.
struct Signals {
    stages: Arc<Stages>,
    drain_delay: Duration,
    socket: PathBuf,
    reload: Arc<dyn Fn() + Send + Sync>,
}

struct Caught {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Caught {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut caught = match Caught::new() {
            Ok(caught) => caught,
            Err(error) => {
                tracing::error!(%error, "signals cannot be caught");
                return ShutdownSignal::FastShutdown;
            }
        };
        loop {
            tokio::select! {
                _ = caught.interrupt.recv() => return ShutdownSignal::FastShutdown,
                _ = caught.terminate.recv() => return self.drain(&mut caught).await,
                _ = caught.quit.recv() => {
                    if let Some(end) = self.hand_over(&mut caught).await {
                        return end;
                    }
                }
                _ = caught.hang_up.recv() => {
                    let reload = Arc::clone(&self.reload);
                    // Reads files: not on the thread that waits for signals.
                    drop(tokio::task::spawn_blocking(move || reload()));
                }
            }
        }
    }
}

impl Signals {
    async fn drain(&self, caught: &mut Caught) -> ShutdownSignal {
        self.stages.reach(Stage::Draining);
        tracing::info!(
            delay_seconds = self.drain_delay.as_secs(),
            in_flight = self.stages.in_flight(),
            "draining: not ready any more, serving on"
        );
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay) => {}
            _ = caught.terminate.recv() => {}
            _ = caught.interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        ShutdownSignal::GracefulTerminate
    }

    /// None: nobody is there to take over, so that serving goes on.
    async fn hand_over(&self, caught: &mut Caught) -> Option<ShutdownSignal> {
        let appears = async {
            let began = Instant::now();
            while began.elapsed() < SUCCESSOR_WITHIN {
                if somebody_listens(&self.socket) {
                    return true;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            false
        };
        let there = tokio::select! {
            there = appears => there,
            _ = caught.terminate.recv() => return Some(self.drain(caught).await),
            _ = caught.interrupt.recv() => return Some(ShutdownSignal::FastShutdown),
        };
        if !there {
            tracing::error!("SIGQUIT, but no process started with --upgrade: serving on");
            return None;
        }
        self.stages.reach(Stage::HandingOver);
        tracing::info!("handing the listening sockets to a new process");
        Some(ShutdownSignal::GracefulUpgrade)
    }
}
