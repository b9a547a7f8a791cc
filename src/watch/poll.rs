//! The loop of one media playlist: reload as a player does, fetch what is new, hand everything to
//! the judge.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::{Client, Url};
use super::report::Report;
use super::{Outcome, Segments};
use crate::model::names::ContentHash;
use crate::model::watch::{Answer, Breach, Fetched, Observer, Place, Polled, Seen, Shown};

/// Never reload faster than this, whatever the target duration.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Segments waiting to be fetched, per playlist.
const QUEUE_MAX: usize = 10_000;
/// The timing slack of the judge, and a little more: a poll just after it settles the matter.
const JUST_AFTER: Duration = Duration::from_millis(120);

/// What all loops share.
pub struct Context {
    pub client: Client,
    pub judge: Mutex<Judge>,
    segments: Segments,
    /// Several URLs are compared: a quarter of a target duration between polls tells their edges
    /// apart well enough.
    several: bool,
    began: Instant,
}

impl Context {
    pub fn new(client: Client, judge: Judge, segments: Segments, several: bool) -> Self {
        Self { client, judge: Mutex::new(judge), segments, several, began: Instant::now() }
    }
    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The observer and the report: every answer passes both, in order.
pub struct Judge {
    pub observer: Observer,
    report: Report,
    breaches: u64,
    segments: u64,
    bytes: u64,
    latest: Duration,
}

impl Judge {
    pub fn new(report: Report) -> Self {
        let observer = Observer::default();
        Self { observer, report, breaches: 0, segments: 0, bytes: 0, latest: Duration::ZERO }
    }

    pub fn note(&mut self, place: &Place, text: &str) {
        self.report.note(self.latest, place, text);
    }

    fn tell(&mut self, breaches: &[Breach]) {
        for breach in breaches {
            self.breaches += 1;
            self.report.breach(breach);
        }
    }

    fn playlist(&mut self, place: &Place, polled: Polled, answer: Answer<&[u8]>) -> Seen {
        self.latest = polled.received;
        let seen = self.observer.playlist(place, polled, answer);
        if let Some(shown) = seen.shown.as_ref().filter(|_| !seen.added.is_empty()) {
            self.report.grew(polled.received, place, shown, &seen.added);
        }
        self.tell(&seen.breaches);
        seen
    }

    pub fn finish(&mut self) -> Outcome {
        let watched = !self.observer.summaries().is_empty();
        let totals = (self.segments, self.bytes, self.breaches);
        self.report.summary(self.latest, self.observer.summaries(), totals);
        match (watched, self.breaches) {
            (false, _) => Outcome::Unwatchable,
            (true, 0) => Outcome::Clean,
            (true, _) => Outcome::Breached,
        }
    }
}

/// Polls one media playlist until it has ended for good.
pub async fn playlist(context: Arc<Context>, place: Place, url: Url) {
    let (queue, jobs) = mpsc::channel(QUEUE_MAX);
    // A set, so that it stops with this loop.
    let mut fetcher = JoinSet::new();
    fetcher.spawn(fetch(Arc::clone(&context), place.clone(), jobs));
    let mut redirected = None;
    let mut grew_at = context.now();
    let mut last: Option<Vec<u8>> = None;
    let mut target = Duration::from_secs(2);
    let mut looks_after_end = 0;
    while looks_after_end < 2 {
        let sent = context.now();
        let got = context.client.get(&url).await;
        let received = context.now();
        let answer = got.answer.as_deref();
        let seen = context.judge.lock().playlist(&place, Polled { sent, received }, answer);
        if got.landed != url && redirected.as_ref() != Some(&got.landed) {
            let text = format!("redirected to {}", got.landed);
            context.judge.lock().note(&place, &text);
            redirected = Some(got.landed.clone());
        }
        let mut changed = false;
        if let (Some(shown), Answer::Whole(body)) = (seen.shown, got.answer) {
            target = shown.target.max(Duration::from_millis(500));
            if !seen.added.is_empty() {
                grew_at = received;
                let again = sample(&context, &place, &seen.added);
                for msn in wanted(context.segments, &shown, &seen.added) {
                    let _ = queue.try_send((msn, got.landed.clone()));
                }
                for msn in again {
                    let _ = queue.try_send((msn, got.landed.clone()));
                }
            }
            looks_after_end = if shown.ended { looks_after_end + 1 } else { 0 };
            changed = last.replace(body.clone()).is_none_or(|l| l != body);
        }
        tokio::time::sleep(pause(&context, target, changed, grew_at)).await;
    }
    drop(queue);
    while fetcher.join_next().await.is_some() {}
}

/// Reload after a target duration, or half of it where nothing changed (RFC 8216, 6.3.4); and just
/// after the moment by which a segment had to come.
fn pause(context: &Context, target: Duration, changed: bool, grew_at: Duration) -> Duration {
    let usual = match (context.several, changed) {
        (true, _) => target / 4,
        (false, true) => target,
        (false, false) => target / 2,
    };
    let settles = (grew_at + target * 3 / 2 + JUST_AFTER).saturating_sub(context.now());
    let pause = if settles.is_zero() { usual } else { usual.min(settles) };
    pause.max(PAUSE_MIN)
}

fn wanted(segments: Segments, shown: &Shown, added: &[u64]) -> Vec<u64> {
    match segments {
        Segments::All => added.to_vec(),
        Segments::Sample => shown.last_msn().into_iter().collect(),
        Segments::None => Vec::new(),
    }
}

/// The oldest and the newest listed, once they were fetched before: they must have the same bytes.
fn sample(context: &Context, place: &Place, added: &[u64]) -> Vec<u64> {
    if context.segments == Segments::None {
        return Vec::new();
    }
    // The newest of the list before this one: the newest now has not been fetched at all.
    let first_added = added.first().copied().unwrap_or_default();
    let mut sample = context.judge.lock().observer.sample(place);
    sample.push(first_added.saturating_sub(1));
    sample.retain(|msn| *msn < first_added);
    sample.dedup();
    sample
}

/// Fetches segments in the order in which they were listed.
async fn fetch(context: Arc<Context>, place: Place, mut jobs: mpsc::Receiver<(u64, Url)>) {
    let mut lost = VecDeque::new();
    while let Some((msn, base)) = jobs.recv().await {
        let due = context.judge.lock().observer.due(&place, msn, context.now());
        let Some(wanted) = due else { continue };
        let mut hasher = Hasher::default();
        let answer = match base.join(&wanted.uri) {
            Ok(url) => context.client.read(&url, wanted.range, |c| hasher.take(c)).await.answer,
            Err(why) => Answer::Failed(why),
        };
        let failed = !matches!(answer, Answer::Whole(()));
        if failed && lost.contains(&msn) {
            continue; // told already
        }
        if failed {
            lost.push_back(msn);
            if lost.len() > 100 {
                lost.pop_front();
            }
        }
        let mut judge = context.judge.lock();
        judge.segments += 1;
        judge.bytes += hasher.length;
        let answer = answer.map(|()| hasher.fetched());
        let at = context.now();
        let breaches = judge.observer.segment(&place, at, &wanted, answer);
        judge.tell(&breaches);
    }
}

#[derive(Default)]
struct Hasher {
    hasher: blake3::Hasher,
    length: u64,
}

impl Hasher {
    fn take(&mut self, chunk: &[u8]) -> bool {
        self.hasher.update(chunk);
        self.length += chunk.len() as u64;
        true
    }
    fn fetched(&self) -> Fetched {
        let hash = ContentHash(*self.hasher.finalize().as_bytes());
        Fetched { hash, length: self.length }
    }
}
