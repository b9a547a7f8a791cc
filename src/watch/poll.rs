//! The loop of one media playlist: reload as a player does, fetch what is new, hand everything to
//! the judge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fetch::{Job, fetch};
use super::report::Report;
use super::{Outcome, Segments};
use crate::model::names::LaneId;
use crate::model::route::Route;
use crate::model::token::lane_named;
use crate::model::watch::{Answer, Breach, Observer, Place, Polled, Seen, Shown};
use crate::outside::client::{Client, Url};

/// Never reload faster than this, whatever the target duration.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Segments waiting to be fetched, per playlist.
const QUEUE_MAX: usize = 10_000;
/// Of a longer list, only a sample of what was there before the watch began is fetched: a window of
/// hours would keep a packager busy for nobody.
const OLD_MAX: usize = 32;
/// So many of that sample lie at its newest end, where players begin, and as many are spread.
const OLD_SAMPLE: usize = 8;
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
    pub fn now(&self) -> Duration {
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
    /// URLs of which nothing could be watched yet, and why.
    away: BTreeMap<usize, String>,
}

impl Judge {
    pub fn new(report: Report, balanced: bool) -> Self {
        let (observer, away) = (Observer::new(balanced), BTreeMap::new());
        Self { observer, report, breaches: 0, segments: 0, bytes: 0, latest: Duration::ZERO, away }
    }

    /// Nothing of a URL can be watched; told again only for another reason.
    pub fn is_away(&mut self, number: usize, url: &str, why: String) {
        if self.away.get(&number) != Some(&why) {
            let place = Place { url: number, rendition: String::new() };
            self.note(&place, &format!("cannot watch {url}: {why}"));
            self.away.insert(number, why);
        }
    }

    /// A playlist is watched from here on.
    pub fn begins(&mut self, place: &Place, title: &str, url: &Url) {
        self.away.remove(&place.url);
        self.note(place, &format!("watching {title} {url}"));
        for other in self.observer.is_of(place, lane_of(url)) {
            let (one, two) = (place.min(&other), place.max(&other));
            self.note(place, &format!("{one} and {two} are on different lanes: not compared"));
        }
    }

    pub fn note(&mut self, place: &Place, text: &str) {
        self.report.note(self.latest, place, text);
    }

    /// Something was fetched whole or in part, and these are the breaches in it.
    pub fn fetched(&mut self, bytes: u64, breaches: &[Breach]) {
        self.bytes += bytes;
        self.tell(breaches);
    }

    /// The same of a segment.
    pub fn fetched_segment(&mut self, bytes: u64, breaches: &[Breach]) {
        self.segments += 1;
        self.fetched(bytes, breaches);
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
        for note in &seen.notes {
            self.report.note(polled.received, place, note);
        }
        for split in &seen.splits_over {
            self.report.split_over(place, split);
        }
        seen
    }

    /// It is over after `watched`.
    pub fn finish(&mut self, watched: Duration) -> Outcome {
        let away = std::mem::take(&mut self.away);
        for (number, why) in &away {
            let place = Place { url: *number, rendition: String::new() };
            self.note(&place, &format!("was never watched: {why}"));
        }
        let all = away.is_empty() && !self.observer.summaries().is_empty();
        let totals = (self.segments, self.bytes, self.breaches);
        let splits: Vec<_> = self.observer.splits().collect();
        self.report.summary(watched, self.observer.summaries(), &splits, totals);
        match (self.breaches, all) {
            (0, false) => Outcome::Unwatchable,
            (0, true) => Outcome::Clean,
            _ => Outcome::Breached,
        }
    }
}

/// The lane of Segue's that a media playlist is of, by its URL.
fn lane_of(url: &Url) -> Option<LaneId> {
    let path = url.path().split('?').next()?;
    match Route::parse(path) {
        Ok(Route::Playlist(place)) => lane_named(place.token),
        _ => None,
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
    let mut first_look = true;
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
            for job in jobs_of(&context, &place, &shown, &seen.added, first_look) {
                let _ = queue.try_send((job, got.landed.clone()));
            }
            if !seen.added.is_empty() {
                grew_at = received;
            }
            looks_after_end = if shown.ended { looks_after_end + 1 } else { 0 };
            if shown.ended && first_look {
                context.judge.lock().note(&place, "it has ended already: judged once");
                break;
            }
            first_look = false;
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

/// What to fetch after a look: keys and init segments, then segments.
fn jobs_of(
    context: &Context,
    place: &Place,
    shown: &Shown,
    added: &[u64],
    first_look: bool,
) -> Vec<Job> {
    if context.segments == Segments::None {
        return Vec::new();
    }
    let resources = context.judge.lock().observer.resources(place, context.now());
    let mut jobs: Vec<Job> = resources.into_iter().map(Job::Resource).collect();
    if added.is_empty() {
        return jobs;
    }
    let segments = match context.segments {
        Segments::All if first_look => spread(added),
        Segments::All => added.to_vec(),
        Segments::Sample => shown.last_msn().into_iter().collect(),
        Segments::None => Vec::new(),
    };
    jobs.extend(segments.into_iter().chain(sample(context, place, added)).map(Job::Segment));
    jobs
}

/// All of a short list, and of a long one its newest and some that are spread over the rest.
fn spread(msns: &[u64]) -> Vec<u64> {
    if msns.len() <= OLD_MAX {
        return msns.to_vec();
    }
    let (old, newest) = msns.split_at(msns.len() - OLD_SAMPLE);
    let every = old.len().div_ceil(OLD_SAMPLE).max(1);
    old.iter().step_by(every).chain(newest).copied().collect()
}

/// The oldest and the newest listed, once they were fetched before: they must have the same bytes.
fn sample(context: &Context, place: &Place, added: &[u64]) -> Vec<u64> {
    // The newest of the list before this one: the newest now has not been fetched at all.
    let first_added = added.first().copied().unwrap_or_default();
    let mut sample = context.judge.lock().observer.sample(place);
    sample.push(first_added.saturating_sub(1));
    sample.retain(|msn| *msn < first_added);
    sample.dedup();
    sample
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn a_long_list_is_sampled_and_a_short_one_fetched_whole() {
        let short: Vec<u64> = (5..37).collect();
        assert_eq!(spread(&short), short);
        let long: Vec<u64> = (0..18_000).collect();
        let sample = spread(&long);
        assert_eq!(sample.len(), 16);
        assert_eq!((sample.first(), sample.last()), (Some(&0), Some(&17_999)));
        assert!(sample.is_sorted());
    }
}
