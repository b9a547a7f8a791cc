//! Takes every answer that a watch got and returns the breaches in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::across::{self, Pairs};
use super::bytes::{Bytes, Fetched, Resource, Wanted};
use super::read::{Unreadable, read_with};
use super::shown::{Listed, Shown};
use super::split::Split;
use super::track::Track;
use super::variables::Variables;
use super::{Breach, Finding, Place, Rule};
use crate::model::names::LaneId;

/// When a request was sent and its whole answer had come, since the watch began.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    /// The request was sent.
    pub sent: Duration,
    /// The whole answer had come.
    pub received: Duration,
}

/// What came back for a request.
#[derive(Clone, Debug)]
pub enum Answer<T> {
    /// 200 (206 where a range was asked), whole.
    Whole(T),
    /// Another status.
    Status(u16),
    /// Shorter than its Content-Length: bytes that came, bytes promised.
    Cut(u64, u64),
    /// No answer, and why.
    Failed(String),
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Whole(t) => Answer::Whole(f(t)),
            Self::Status(status) => Answer::Status(status),
            Self::Cut(came, promised) => Answer::Cut(came, promised),
            Self::Failed(why) => Answer::Failed(why),
        }
    }
    /// The same answer, what came borrowed.
    pub fn as_deref(&self) -> Answer<&T::Target>
    where
        T: std::ops::Deref,
    {
        match self {
            Self::Whole(t) => Answer::Whole(&**t),
            Self::Status(status) => Answer::Status(*status),
            Self::Cut(came, promised) => Answer::Cut(*came, *promised),
            Self::Failed(why) => Answer::Failed(why.clone()),
        }
    }
}

/// What one playlist's answer gave.
#[derive(Debug, Default)]
pub struct Seen {
    /// The rules broken.
    pub breaches: Vec<Breach>,
    /// The playlist, if it could be read.
    pub shown: Option<Shown>,
    /// MSNs listed for the first time.
    pub added: Vec<u64>,
    /// Splits that are over.
    pub splits_over: Vec<Split>,
    /// What is no breach and should be known, in a sentence each.
    pub notes: Vec<String>,
}

/// What a playlist came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments seen.
    pub segments: u64,
    /// Of these, how many with EXT-X-DISCONTINUITY.
    pub discontinuities: u64,
    /// Of these, how many with EXT-X-GAP.
    pub gaps: u64,
    /// The longest time without a new segment, as far as the polls tell.
    pub longest_wait: Duration,
}

/// Watches any number of playlists of one stream.
#[derive(Debug, Default)]
pub struct Observer {
    tracks: BTreeMap<Place, Track>,
    bytes: BTreeMap<Place, Bytes>,
    summaries: BTreeMap<Place, Summary>,
    failing: BTreeSet<Place>,
    imports: BTreeMap<Place, Variables>,
    pairs: Pairs,
    balanced: bool,
}

impl Observer {
    /// Of URLs that lead to a load balancer before several proxies, if they are `balanced`: an answer's list may
    /// then begin and end a little differently than the one before.
    #[must_use]
    pub fn new(balanced: bool) -> Self {
        Self { balanced, ..Self::default() }
    }

    /// Of which lane the playlist is; none: its URL does not say it. Playlists of two lanes are not compared; those
    /// of other URLs for which that holds are returned.
    pub fn is_of(&mut self, place: &Place, lane: Option<LaneId>) -> Vec<Place> {
        let lanes = &mut self.pairs.lanes;
        lanes.insert(place.clone(), lane);
        let other = |p: &&Place| p.url != place.url && p.rendition == place.rendition;
        let others = lanes.keys().filter(other);
        others.filter(|p| !across::is_one_list(lanes, place, p)).cloned().collect()
    }

    /// What the playlist may import: the variables of its multivariant playlist, and its query.
    pub fn import(&mut self, place: &Place, variables: Variables) {
        self.imports.insert(place.clone(), variables);
    }

    /// A playlist's answer.
    pub fn playlist(&mut self, place: &Place, polled: Polled, answer: Answer<&[u8]>) -> Seen {
        let mut seen = Seen::default();
        let body = match answer {
            Answer::Whole(body) => body,
            other => {
                let finding = failure(&other, None, "the playlist");
                // A playlist that stays away is told once.
                if self.failing.insert(place.clone()) {
                    seen.breaches = breaches(place, polled.received, finding);
                }
                return seen;
            }
        };
        let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned());
        let imports = self.imports.entry(place.clone()).or_default();
        let shown = text.and_then(|t| read_with(t, imports).map_err(|e: Unreadable| e.to_string()));
        let shown = match shown {
            Ok(shown) => shown,
            Err(why) => {
                if self.failing.insert(place.clone()) {
                    let sentence = format!("the playlist cannot be read: {why}");
                    let found =
                        Finding::new(Rule::Unparsable, None, "a media playlist", &why, sentence);
                    seen.breaches = breaches(place, polled.received, [found]);
                }
                return seen;
            }
        };
        self.failing.remove(place);
        let track = self.tracks.entry(place.clone()).or_insert_with(|| Track::new(self.balanced));
        let (mut found, growth) = track.look(polled, &shown);
        if growth.restarted {
            self.bytes.entry(place.clone()).or_default().restarted();
        }
        let summary = self.summaries.entry(place.clone()).or_default();
        summary.longest_wait = track.longest_wait;
        let new = growth.added.first().map_or(&[][..], |first| shown.from(*first));
        for listed in new {
            summary.segments += 1;
            summary.discontinuities += u64::from(listed.discontinuity);
            summary.gaps += u64::from(listed.gap);
        }
        self.bytes.entry(place.clone()).or_default().needs(&shown);
        let added = &growth.added;
        let (apart, over) = across::judge(&self.tracks, place, added, polled, &mut self.pairs);
        found.extend(apart);
        seen.splits_over = over;
        seen.breaches = breaches(place, polled.received, found);
        seen.added = growth.added;
        seen.notes = growth.notes;
        seen.shown = Some(shown);
        seen
    }

    /// A segment's answer. Only what is listed, or has left so short a time ago that it must still
    /// be there (RFC 8216, 6.2.2), can be a breach: ask [`Observer::due`] when the request is sent.
    pub fn segment(
        &mut self,
        place: &Place,
        at: Duration,
        wanted: &Wanted,
        answer: Answer<Fetched>,
    ) -> Vec<Breach> {
        let fetched = match answer {
            Answer::Whole(fetched) => fetched,
            other => {
                let what = format!("segment {} ({})", wanted.msn, wanted.uri);
                return breaches(place, at, failure(&other, Some(wanted.msn), &what));
            }
        };
        let mut found = Vec::new();
        for (elsewhere, bytes) in &self.bytes {
            let same = across::is_one_list(&self.pairs.lanes, elsewhere, place);
            if same && !self.pairs.splits.told(elsewhere, place, wanted.msn) {
                found.extend(bytes.elsewhere(elsewhere, wanted, fetched));
            }
        }
        let known = self.tracks.get(place).and_then(|t| t.history.get(&wanted.msn));
        let encrypted = known.is_some_and(|k| k.listed.is_aes_128());
        let bytes = self.bytes.entry(place.clone()).or_default();
        found.extend(bytes.segment(wanted, fetched, encrypted));
        breaches(place, at, found)
    }

    /// The keys and init segments to be fetched now: those that the playlist needs and that were
    /// never fetched, or not for long. They count as asked for from here on.
    pub fn resources(&mut self, place: &Place, now: Duration) -> Vec<Resource> {
        self.bytes.get_mut(place).map(|b| b.due(now)).unwrap_or_default()
    }

    /// A key's or an init segment's answer: it must be there as long as the playlist needs it.
    pub fn resource(
        &mut self,
        place: &Place,
        at: Duration,
        wanted: &Resource,
        answer: Answer<Fetched>,
    ) -> Vec<Breach> {
        let bytes = self.bytes.entry(place.clone()).or_default();
        let found = match answer {
            Answer::Whole(fetched) => bytes.resource(wanted, fetched),
            _ if !bytes.is_needed(wanted) => Vec::new(),
            other => failure(&other, None, &wanted.to_string()).into_iter().collect(),
        };
        breaches(place, at, found)
    }

    /// The segment as it must be fetched; none where it has left the list for so long that its
    /// server may have dropped it, or is an EXT-X-GAP.
    #[must_use]
    pub fn due(&self, place: &Place, msn: u64, now: Duration) -> Option<Wanted> {
        let track = self.tracks.get(place)?;
        let known = track.history.get(&msn)?;
        if let Some(left) = known.left_at {
            // It may have left up to a poll before it was seen to.
            if now.saturating_sub(left) + track.target? > known.listed.duration + track.longest {
                return None;
            }
        }
        let Listed { msn, uri, range, gap, .. } = &known.listed;
        (!gap).then(|| Wanted { msn: *msn, uri: uri.clone(), range: *range })
    }

    /// The oldest and the newest segment listed: a sample to be fetched again.
    #[must_use]
    pub fn sample(&self, place: &Place) -> Vec<u64> {
        let Some(track) = self.tracks.get(place) else { return Vec::new() };
        let mut sample = vec![track.first];
        sample.extend(track.last.filter(|last| *last > track.first));
        sample
    }

    /// EXT-X-ENDLIST was the last that this playlist said.
    #[must_use]
    pub fn ended(&self, place: &Place) -> bool {
        self.tracks.get(place).is_some_and(|t| t.ended)
    }

    /// The splits so far: those that are over (the newest of them), then those that are not.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        self.pairs.splits.all()
    }

    /// What each playlist came to.
    #[must_use]
    pub fn summaries(&self) -> &BTreeMap<Place, Summary> {
        &self.summaries
    }
}

fn failure<T>(answer: &Answer<T>, msn: Option<u64>, what: &str) -> Option<Finding> {
    let (rule, expected, found, sentence) = match answer {
        Answer::Whole(_) => return None,
        Answer::Status(status) => {
            (Rule::NotOk, "200".into(), status.to_string(), format!("{what} was answered {status}"))
        }
        Answer::Failed(why) => {
            (Rule::NotOk, "200".into(), why.clone(), format!("{what} could not be had: {why}"))
        }
        Answer::Cut(came, promised) => (
            Rule::CutShort,
            format!("{promised} bytes"),
            format!("{came} bytes"),
            format!("{what} ended after {came} of {promised} bytes"),
        ),
    };
    Some(Finding::new(rule, msn, expected, found, sentence))
}

fn breaches(place: &Place, at: Duration, found: impl IntoIterator<Item = Finding>) -> Vec<Breach> {
    found
        .into_iter()
        .map(|f| Breach {
            rule: f.rule,
            place: place.clone(),
            other: f.other,
            at,
            msn: f.msn,
            expected: f.expected,
            found: f.found,
            sentence: f.sentence,
        })
        .collect()
}
