//! Fetches what a playlist lists: segments, and the keys and init segments that they need.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::poll::Context;
use crate::model::names::ContentHash;
use crate::model::watch::{Answer, Fetched, Place, Resource};
use crate::outside::client::Url;

/// Failures remembered, so that each is told once.
const LOST_MAX: usize = 100;

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    Segment(u64),
    Resource(Resource),
}

/// Fetches in the order in which things were listed; with each comes the URL of its playlist.
pub async fn fetch(context: Arc<Context>, place: Place, mut jobs: mpsc::Receiver<(Job, Url)>) {
    let mut lost = VecDeque::new();
    while let Some((job, base)) = jobs.recv().await {
        let failed = match &job {
            Job::Segment(msn) => segment(&context, &place, *msn, &base, &mut lost).await,
            Job::Resource(wanted) => resource(&context, &place, wanted, &base, &lost).await,
        };
        if failed && !lost.contains(&job) {
            lost.push_back(job);
            if lost.len() > LOST_MAX {
                lost.pop_front();
            }
        }
    }
}

/// True if it could not be had.
async fn segment(
    context: &Context,
    place: &Place,
    msn: u64,
    base: &Url,
    lost: &mut VecDeque<Job>,
) -> bool {
    let due = context.judge.lock().observer.due(place, msn, context.now());
    let Some(wanted) = due else { return false };
    let mut hasher = Hasher::default();
    let answer = match base.join(&wanted.uri) {
        Ok(url) => context.client.read(&url, wanted.range, |c| hasher.take(c)).await.answer,
        Err(why) => Answer::Failed(why),
    };
    let failed = !matches!(answer, Answer::Whole(()));
    if failed && lost.contains(&Job::Segment(msn)) {
        return true; // told already
    }
    let length = hasher.length;
    let answer = answer.map(|()| hasher.fetched());
    let at = context.now();
    let mut judge = context.judge.lock();
    let breaches = judge.observer.segment(place, at, &wanted, answer);
    judge.fetched_segment(length, &breaches);
    failed
}

/// True if it could not be had.
async fn resource(
    context: &Context,
    place: &Place,
    wanted: &Resource,
    base: &Url,
    lost: &VecDeque<Job>,
) -> bool {
    let mut hasher = Hasher::default();
    let (answer, ours) = match base.join(&wanted.uri) {
        Ok(url) => {
            let got = context.client.read(&url, wanted.range, |c| hasher.take(c)).await;
            (got.answer, url.same_host(base))
        }
        Err(why) => (Answer::Failed(why), true),
    };
    let failed = !matches!(answer, Answer::Whole(()));
    if failed && lost.contains(&Job::Resource(wanted.clone())) {
        return true; // told already
    }
    let length = hasher.length;
    let at = context.now();
    let mut judge = context.judge.lock();
    if failed && !ours {
        // A key server that wants to know who asks, or is not for us to reach.
        judge.note(place, &format!("{wanted} is on another host and could not be had"));
        return true;
    }
    let answer = answer.map(|()| hasher.fetched());
    let breaches = judge.observer.resource(place, at, wanted, answer);
    judge.fetched(length, &breaches);
    failed
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
