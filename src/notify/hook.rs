//! One receiver: its queue, and the task that empties it in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::{Counts, Current, Shared, Spec};
use crate::model::notify::{
    Kind, News, Proxy, SIGNATURE_HEADER, Verdict, delay, signature, verdict,
};
use crate::outside::client::Client;
use crate::outside::post::Answered;

/// A message, the same for all hooks.
pub(super) struct Message {
    pub id: String,
    pub kind: Kind,
    pub body: String,
}

/// One receiver while it runs.
pub(super) struct Hook {
    pub name: String,
    spec: Current,
    client: Arc<Client>,
    counts: Arc<dyn Counts>,
    waiting: Mutex<Waiting>,
    /// Something came, or was changed.
    changed: Notify,
    /// Nothing waits any more.
    emptied: Notify,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Waiting {
    /// The oldest first, each with when it came.
    queue: VecDeque<(Arc<Message>, Instant)>,
    /// One more is being sent.
    sending: bool,
    /// Nothing is taken any more.
    ended: bool,
}

impl Waiting {
    fn take(&mut self) -> Option<(Arc<Message>, Instant)> {
        let next = self.queue.pop_front()?;
        self.sending = true;
        Some(next)
    }
    fn count(&self) -> usize {
        self.queue.len() + usize::from(self.sending)
    }
}

impl Hook {
    pub fn start(spec: &Spec, shared: &Shared, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let hook = Arc::new(Self {
            name: spec.name.clone(),
            spec: Current::from_pointee(spec.clone()),
            client: Arc::clone(&shared.client),
            counts: Arc::clone(&shared.counts),
            waiting: Mutex::default(),
            changed: Notify::new(),
            emptied: Notify::new(),
            task: Mutex::default(),
        });
        hook.counts.queued(&hook.name, 0);
        let task = shared.tasks.spawn(Arc::clone(&hook).run(stopping));
        *hook.task.lock() = Some(task.abort_handle());
        hook
    }

    /// Takes another configuration; what waits for the next try is tried at once.
    pub fn change(&self, spec: &Spec) {
        if **self.spec.load() != *spec {
            self.spec.store(Arc::new(spec.clone()));
            self.changed.notify_one();
        }
    }

    /// Puts it into the queue; the oldest leaves where there is no room.
    pub fn push(&self, message: &Arc<Message>) {
        let spec = self.spec.load();
        if message.kind != Kind::Test && !spec.events.contains(&message.kind) {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            return;
        }
        let mut dropped = 0;
        while waiting.queue.len() >= spec.queue.max(1) {
            waiting.queue.pop_front();
            dropped += 1;
        }
        waiting.queue.push_back((Arc::clone(message), Instant::now()));
        if dropped > 0 {
            self.counts.dropped(&self.name, dropped);
        }
        self.counts.queued(&self.name, waiting.count());
        drop(waiting);
        self.changed.notify_one();
    }

    /// Sends no more; what waits is dropped.
    pub fn end(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        let mut waiting = self.waiting.lock();
        let dropped = waiting.count();
        *waiting = Waiting { ended: true, ..Waiting::default() };
        if dropped > 0 {
            self.counts.dropped(&self.name, dropped);
            tracing::warn!(
                hook = self.name,
                dropped,
                "messages of a webhook are dropped at its end"
            );
        }
        self.counts.queued(&self.name, 0);
    }

    /// Until nothing waits.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.waiting.lock().count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let (message, since) = self.next().await;
            self.deliver(&message, since, &mut failures, &mut stopping).await;
            self.sent();
            self.emptied.notify_waiters();
        }
    }

    fn sent(&self) {
        let mut waiting = self.waiting.lock();
        waiting.sending = false;
        self.counts.queued(&self.name, waiting.count());
    }

    async fn next(&self) -> (Arc<Message>, Instant) {
        loop {
            if let Some(next) = self.waiting.lock().take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    /// Sends it until it is taken, refused, or too old. `failures` in a row, over messages: a receiver
    /// that is away is not knocked at for each of them.
    async fn deliver(
        &self,
        message: &Message,
        since: Instant,
        failures: &mut u32,
        stopping: &mut watch::Receiver<bool>,
    ) {
        loop {
            let spec = self.spec.load_full();
            let answer = post(&self.client, &spec, message).await;
            let said = match &answer {
                Ok(answered) => format!("it answers {}", answered.status),
                Err(why) => why.clone(),
            };
            let hook = self.name.as_str();
            match answer.map_or(Verdict::Again, |answered| verdict(answered.status)) {
                Verdict::Delivered => {
                    if std::mem::take(failures) > 0 {
                        tracing::info!(hook, "a webhook takes messages again");
                    }
                    self.counts.sent(hook);
                    return;
                }
                Verdict::Refused => {
                    tracing::warn!(
                        hook,
                        event = message.kind.as_str(),
                        said,
                        "a webhook refuses a message"
                    );
                    self.counts.failed(hook);
                    return;
                }
                Verdict::Again => *failures = failures.saturating_add(1),
            }
            if *failures == 1 {
                tracing::warn!(
                    hook,
                    event = message.kind.as_str(),
                    said,
                    "a webhook takes no messages: trying again"
                );
            }
            if since.elapsed() >= spec.retry_for || *stopping.borrow() {
                tracing::warn!(
                    hook,
                    event = message.kind.as_str(),
                    said,
                    "a message of a webhook is given up"
                );
                self.counts.failed(hook);
                if !*stopping.borrow() {
                    self.pause(*failures, stopping).await;
                }
                return;
            }
            self.pause(*failures, stopping).await;
        }
    }

    /// Waits until the next try is due, the configuration changes or the process ends.
    async fn pause(&self, failures: u32, stopping: &mut watch::Receiver<bool>) {
        let until = tokio::time::sleep(delay(failures, rand::random()));
        tokio::pin!(until);
        let before = self.spec.load_full();
        loop {
            tokio::select! {
                () = &mut until => return,
                _ = stopping.changed() => return,
                // Mostly another message.
                () = self.changed.notified() => {
                    if !Arc::ptr_eq(&before, &self.spec.load()) {
                        return;
                    }
                }
            }
        }
    }
}

async fn post(client: &Client, spec: &Spec, message: &Message) -> Result<Answered, String> {
    let mut headers = spec.headers.clone();
    headers.push(("Idempotency-Key".to_owned(), message.id.clone()));
    headers.push(("X-Segue-Event".to_owned(), message.kind.as_str().to_owned()));
    if let Some(secret) = &spec.secret {
        let signature = signature(secret, message.body.as_bytes());
        headers.push((SIGNATURE_HEADER.to_owned(), signature));
    }
    let sent = client.post(&spec.url.0, &headers, &message.body);
    tokio::time::timeout(spec.timeout, sent)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", spec.timeout.as_secs())))
}

/// What a receiver said to one try.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its status and the beginning of its body, or why there is none.
    pub answer: Result<(u16, String), String>,
    /// It took the message.
    pub taken: bool,
    /// How long that took.
    pub took: Duration,
}

/// Sends `news` to one receiver, once.
pub async fn try_once(spec: &Spec, news: &News, proxy: &Proxy) -> Tried {
    let id = format!("{:032x}", rand::random::<u128>());
    let body = news.body(&id, proxy);
    let message = Message { id, kind: news.kind, body };
    let began = Instant::now();
    let answer = post(&Client::new("segue webhook"), spec, &message).await;
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    Tried {
        taken: answer.as_ref().is_ok_and(|a| verdict(a.status) == Verdict::Delivered),
        answer: answer.map(|a| (a.status, text(&a.body))),
        took: began.elapsed(),
    }
}
