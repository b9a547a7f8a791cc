//! Scripted viewers of a fleet: many that watch on and on, and one that comes anew each second and tells
//! how long its first playlist took. Like players they ask once more where an answer fails.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use crate::http::{self, Answer};
use crate::process::now_ms;

/// How long a player waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits before it asks again.
const AGAIN: Duration = Duration::from_millis(500);

/// A viewer that came.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// Unix milliseconds.
    pub t: u64,
    /// Until it had a playlist that lists segments.
    pub first_playlist_ms: u64,
    /// Until it had a segment as well.
    pub playing_ms: u64,
    pub error: Option<String>,
}

/// A request that failed twice.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Unix milliseconds.
    pub t: u64,
    pub what: String,
}

/// The viewers. They leave with the value.
pub struct Crowd {
    shared: Arc<Shared>,
    viewers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    arrivals: Mutex<Vec<Arrival>>,
    failures: Mutex<Vec<Failure>>,
}

impl Crowd {
    /// `watching` viewers of `entry`, and one that comes each second.
    pub fn at(entry: &str, watching: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let each = |n| {
            let (entry, shared) = (entry.to_owned(), Arc::clone(&shared));
            thread::spawn(move || shared.watch(&entry, n))
        };
        let mut viewers: Vec<_> = (0..watching as u64).map(each).collect();
        let (entry, inner) = (entry.to_owned(), Arc::clone(&shared));
        viewers.push(thread::spawn(move || inner.arrive(&entry)));
        Self { shared, viewers }
    }

    /// Ends them: who came, and what failed.
    pub fn end(mut self) -> (Vec<Arrival>, Vec<Failure>) {
        self.leave();
        let arrivals = std::mem::take(&mut *self.shared.arrivals.lock().unwrap());
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap());
        (arrivals, failures)
    }

    fn leave(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.viewers.drain(..).for_each(|v| drop(v.join()));
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    fn watch(&self, entry: &str, n: u64) {
        let mut media = None;
        let mut last = String::new();
        while self.goes_on() {
            let step = Self::look(entry, &mut media, &mut last);
            if let Err(what) = step {
                self.failures.lock().unwrap().push(Failure { t: now_ms(), what });
                thread::sleep(AGAIN);
            }
            thread::sleep(Duration::from_millis(1500 + 17 * (n % 30)));
        }
    }

    /// Refreshes once, and fetches what is newest if it is new.
    fn look(entry: &str, media: &mut Option<String>, last: &mut String) -> Result<(), String> {
        let url = match media {
            Some(url) => url.clone(),
            None => media.insert(media_playlist(entry)?).clone(),
        };
        let text = whole(&url)?.text();
        if let Some(newest) = newest(&text).filter(|uri| uri != last) {
            whole(&http::resolve(&url, &newest))?;
            *last = newest;
        }
        Ok(())
    }

    fn arrive(&self, entry: &str) {
        while self.goes_on() {
            let t = now_ms();
            let mut arrival = Arrival { t, first_playlist_ms: 0, playing_ms: 0, error: None };
            arrival.error = come(entry, &mut arrival).err();
            self.arrivals.lock().unwrap().push(arrival);
            let took = now_ms() - t;
            thread::sleep(Duration::from_millis(1000_u64.saturating_sub(took)));
        }
    }
}

fn come(entry: &str, arrival: &mut Arrival) -> Result<(), String> {
    let media = media_playlist(entry)?;
    let text = whole(&media)?.text();
    let newest = newest(&text).ok_or("the first playlist lists nothing")?;
    arrival.first_playlist_ms = now_ms() - arrival.t;
    whole(&http::resolve(&media, &newest))?;
    arrival.playing_ms = now_ms() - arrival.t;
    Ok(())
}

/// Where the stream's first rendition is, as `entry` says.
pub fn media_playlist(entry: &str) -> Result<String, String> {
    let text = whole(entry)?.text();
    let first = text.lines().find(|l| !l.starts_with('#') && !l.is_empty());
    first.map(|uri| http::resolve(entry, uri)).ok_or_else(|| format!("no rendition: {text}"))
}

fn newest(text: &str) -> Option<String> {
    text.lines().rfind(|l| !l.starts_with('#') && !l.is_empty()).map(str::to_owned)
}

/// An answer that is whole and good, at the second try at the latest.
fn whole(url: &str) -> Result<Answer, String> {
    let good = |answer: io::Result<Answer>| match answer {
        Ok(answer) if answer.status == 200 && !answer.body.is_empty() => Ok(answer),
        Ok(answer) => Err(format!("{}: {}", answer.status, answer.text())),
        Err(e) => Err(e.to_string()),
    };
    good(http::get(url, PATIENCE)).or_else(|first| {
        thread::sleep(AGAIN);
        let again = good(http::get(url, PATIENCE));
        again.map_err(|second| format!("{url}: {first}; then {second}"))
    })
}
