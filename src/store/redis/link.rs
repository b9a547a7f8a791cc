//! The one connection for all commands, and the breaker before it: once an answer is late or the connection
//! is gone, calls fail at once until a task in the background has found the server well again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{Place, check, readable};
use crate::store::{StoreError, StoreObserver};

/// Waits before the server is tried again: from the first, doubled up to the last.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How often the connected server, and where its name leads, are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// That the cause is another is told so often at the most.
const CAUSE_EVERY: Duration = Duration::from_secs(30);
/// A connection that lasted for so long was a good one.
const LASTING: Duration = Duration::from_secs(5);
/// The name has moved once so many looks in a row did not find the connected address: one look may be
/// shown a part of several.
const ELSEWHERE: u32 = 2;

/// How it stands with the server.
#[derive(Clone)]
pub enum State {
    /// The first try is under way.
    Connecting,
    /// It answers.
    Up(Connected),
    /// It does not, and why.
    Down(Arc<str>),
}

/// A connection that works.
#[derive(Clone)]
pub struct Connected {
    /// Tells it apart from those before it.
    pub number: u64,
    pub connection: MultiplexedConnection,
    at: SocketAddr,
}

/// See the file.
pub struct Link {
    pub place: Place,
    timeout: Duration,
    state: watch::Sender<State>,
    observer: Arc<dyn StoreObserver>,
    /// It answers and refuses to write: told once.
    refuses: AtomicBool,
}

impl Link {
    pub fn new(place: Place, timeout: Duration, observer: Arc<dyn StoreObserver>) -> Self {
        let state = watch::Sender::new(State::Connecting);
        observer.down("not connected yet");
        Self { place, timeout, state, observer, refuses: AtomicBool::new(false) }
    }

    /// How it stands, from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Asks the server. It is given `more` than the usual time for what is large.
    pub async fn ask<T, F>(
        &self,
        more: Duration,
        asked: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Connected { number, connection, .. } = self.connected().await?;
        let patience = self.timeout + more;
        match timeout(patience, asked(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.judge(number, &error)),
            Err(_) => {
                let why = format!("{}: no answer in {patience:?}", self.place.name());
                self.fail(number, &why);
                Err(StoreError::Unreachable(why))
            }
        }
    }

    /// It has written what takes memory, as a server that is full refuses to: reading and removing goes on there.
    pub fn wrote(&self) {
        if self.refuses.swap(false, Ordering::Relaxed) {
            tracing::warn!(store = self.place.name(), "the store takes writes again");
        }
    }

    /// The connection, if there is one. Only the first one of a process is waited for.
    async fn connected(&self) -> Result<Connected, StoreError> {
        let mut state = self.state.subscribe();
        let tried = until(&mut state, |state| !matches!(state, State::Connecting));
        // What it is then says all.
        let _ = timeout(self.timeout, tried).await;
        match &*self.state.borrow() {
            State::Up(connected) => Ok(connected.clone()),
            State::Down(why) => Err(StoreError::Unreachable(why.to_string())),
            State::Connecting => {
                let why = format!("{}: no connection in {:?}", self.place.name(), self.timeout);
                Err(StoreError::Unreachable(why))
            }
        }
    }

    /// What an error means: for the caller, and for the connection.
    fn judge(&self, number: u64, error: &RedisError) -> StoreError {
        let why = format!("{}: {}", self.place.name(), readable(error));
        match error.kind() {
            ErrorKind::UnexpectedReturnType => return StoreError::Unreadable(why),
            ErrorKind::Server(
                ServerErrorKind::ResponseError
                | ServerErrorKind::ExecAbort
                | ServerErrorKind::NoPerm,
            )
            | ErrorKind::Extension => {
                if error.code() == Some("WRONGTYPE") {
                    return StoreError::Unreadable(why);
                }
                // It lives, and others may be answered: it is full, cannot write its disk, or forbids this.
                if !self.refuses.swap(true, Ordering::Relaxed) {
                    tracing::warn!(error = why, "the store refuses what is asked of it");
                }
            }
            _ => self.fail(number, &why),
        }
        StoreError::Unreachable(why)
    }

    /// This connection is no good any more.
    fn fail(&self, number: u64, why: &str) {
        let mut failed = false;
        self.state.send_if_modified(|state| {
            failed = matches!(state, State::Up(up) if up.number == number);
            if failed {
                *state = State::Down(why.into());
            }
            failed
        });
        if failed {
            self.tell_down(why);
        }
    }

    fn tell_down(&self, why: &str) {
        tracing::warn!(error = why, "the store cannot be reached: lanes go on without it");
        self.observer.down(why);
    }

    fn up(&self, connected: Connected) {
        let before = self.state.send_replace(State::Up(connected));
        self.observer.up();
        match before {
            State::Connecting => {
                tracing::info!(store = self.place.name(), "the store is connected");
            }
            State::Down(_) => tracing::warn!(store = self.place.name(), "the store answers again"),
            State::Up(_) => {
                tracing::warn!(store = self.place.name(), "the store has moved: followed");
            }
        }
    }

    fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// Keeps the connection: makes it, looks at it, makes it again.
    pub async fn keep(&self) {
        let mut wait = Wait::new();
        let mut told: Option<Instant> = None;
        for number in 0.. {
            match self.place.connect(None).await {
                Ok((connection, at)) => {
                    let since = Instant::now();
                    self.up(Connected { number, connection, at });
                    self.look_after(number).await;
                    // One that breaks at once again is not knocked at without end.
                    if since.elapsed() > LASTING {
                        wait = Wait::new();
                    }
                }
                // A name that has moved leads nowhere yet: the old server may do meanwhile.
                Err(why) if self.is_up() => tracing::debug!(why, "the store has not moved yet"),
                Err(why) => {
                    let before = self.state.send_replace(State::Down(why.as_str().into()));
                    match before {
                        State::Down(cause) if *cause == *why => {}
                        // The first was that a connection broke, mostly; this is what is to be mended.
                        State::Down(_) => {
                            self.observer.down(&why);
                            // Several addresses may each have another.
                            if told.is_none_or(|at| at.elapsed() > CAUSE_EVERY) {
                                told = Some(Instant::now());
                                tracing::warn!(error = why, "the store is still away");
                            }
                        }
                        State::Connecting | State::Up(_) => self.tell_down(&why),
                    }
                }
            }
            wait.once_more().await;
        }
    }

    /// Until the connection is no good, or its server's name leads elsewhere.
    async fn look_after(&self, number: u64) {
        let mut state = self.state.subscribe();
        let mut elsewhere = 0;
        loop {
            let ours = |state: &State| matches!(state, State::Up(up) if up.number == number);
            let failed = until(&mut state, |state| !ours(state));
            if timeout(CHECK_EVERY, failed).await.is_ok() {
                return;
            }
            let State::Up(Connected { mut connection, at, .. }) = self.state.borrow().clone()
            else {
                return;
            };
            let why = match timeout(self.timeout, check(&mut connection)).await {
                Ok(answer) => answer.err(),
                Err(_) => Some(format!("no answer in {:?}", self.timeout)),
            };
            if let Some(why) = why {
                return self.fail(number, &format!("{}: {why}", self.place.name()));
            }
            // A name server that fails says nothing about the store.
            let moved = self.place.addresses().await.is_ok_and(|found| !found.contains(&at));
            elsewhere = if moved { elsewhere + 1 } else { 0 };
            if elsewhere >= ELSEWHERE {
                return;
            }
        }
    }
}

/// Waits until it stands so.
pub async fn until(state: &mut watch::Receiver<State>, wanted: impl FnMut(&State) -> bool) {
    // The sender lives as long as the store: there is no error.
    let _ = state.wait_for(wanted).await;
}

/// Longer from try to try, and never in step with other proxies.
pub struct Wait(Duration);

impl Wait {
    pub const fn new() -> Self {
        Self(RETRY_MIN)
    }

    pub async fn once_more(&mut self) {
        let part = rand::rng().random_range(0.5..1.0);
        sleep(self.0.mul_f64(part)).await;
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
}
