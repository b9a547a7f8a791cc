//! Telling operators by webhooks: what happened, as JSON, by POST.
//!
//! `hook` one receiver, with a queue and a task of its own, so that one that hangs holds up nobody;
//! this file all of them. What is worth a message, and how it is written, says `model/notify`.

mod hook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::model::notify::{Kind, News, Proxy};
use crate::outside::client::{Client, Url};

use hook::{Hook, Message};
pub use hook::{Tried, try_once};

/// A receiver as it is configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// What it is called in the log and in metrics; unique. Its URL is shown nowhere, since with many
    /// receivers it is the secret.
    pub name: String,
    /// Where it is sent to.
    pub url: Target,
    /// What it is told.
    pub events: Vec<Kind>,
    /// Headers that it wants.
    pub headers: Vec<(String, String)>,
    /// What messages are signed with, if anything.
    pub secret: Option<Vec<u8>>,
    /// For connection and answer together.
    pub timeout: Duration,
    /// A message that is not taken is sent again for so long.
    pub retry_for: Duration,
    /// Messages that wait at the most; of more the oldest is dropped.
    pub queue: usize,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook {}", self.name)
    }
}

/// An absolute http or https URL that messages are sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is none; without the URL itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        Url::parse(text).map(Self)
    }
}

/// Told how messages fare; `hook` is the name of a receiver.
pub trait Counts: Send + Sync {
    /// One was taken.
    fn sent(&self, hook: &str);
    /// One was refused, or not taken for too long.
    fn failed(&self, hook: &str);
    /// So many were dropped: the queue was full, or the process or the hook ended.
    fn dropped(&self, hook: &str, messages: usize);
    /// So many wait now.
    fn queued(&self, hook: &str, messages: usize);
    /// It is no longer configured.
    fn gone(&self, hook: &str);
}

/// All receivers.
pub struct Hooks {
    shared: Shared,
    running: Mutex<Vec<Arc<Hook>>>,
    stopping: watch::Sender<bool>,
}

/// What all hooks have in common.
#[derive(Clone)]
struct Shared {
    proxy: Arc<Proxy>,
    client: Arc<Client>,
    counts: Arc<dyn Counts>,
    tasks: Handle,
}

impl Hooks {
    /// None yet. Their tasks run on `tasks`.
    #[must_use]
    pub fn new(proxy: Proxy, counts: Arc<dyn Counts>, tasks: Handle) -> Self {
        let client = Arc::new(Client::new("segue webhook"));
        let shared = Shared { proxy: Arc::new(proxy), client, counts, tasks };
        Self { shared, running: Mutex::default(), stopping: watch::Sender::new(false) }
    }

    /// Takes `specs` in place of what was. What waits for a hook whose name stays is sent as it is
    /// configured now.
    pub fn reload(&self, specs: &[Spec]) {
        let mut running = self.running.lock();
        running.retain(|hook| {
            let stays = specs.iter().any(|spec| spec.name == hook.name);
            if !stays {
                hook.end();
                self.shared.counts.gone(&hook.name);
            }
            stays
        });
        for spec in specs {
            match running.iter().find(|hook| hook.name == spec.name) {
                Some(hook) => hook.change(spec),
                None => running.push(Hook::start(spec, &self.shared, self.stopping.subscribe())),
            }
        }
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.lock().is_empty()
    }

    /// Puts `news` into the queue of each hook that wants it. Waits for nobody.
    pub fn tell(&self, news: &News) {
        let id = format!("{:032x}", rand::random::<u128>());
        let body = news.body(&id, &self.shared.proxy);
        let message = Arc::new(Message { id, kind: news.kind, body });
        for hook in self.running.lock().iter() {
            hook.push(&message);
        }
    }

    /// Gives what waits this long to be taken; the rest is dropped.
    pub async fn finish(&self, within: Duration) {
        self.stopping.send_replace(true);
        let hooks = std::mem::take(&mut *self.running.lock());
        let all = async {
            for hook in &hooks {
                hook.empty().await;
            }
        };
        let _ = tokio::time::timeout(within, all).await;
        for hook in &hooks {
            hook.end();
        }
    }
}

/// The configuration of one hook, exchanged while it runs.
type Current = ArcSwap<Spec>;
