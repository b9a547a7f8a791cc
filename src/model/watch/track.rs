//! One playlist against its own past.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::dateranges::Dateranges;
use super::dates::Arrivals;
use super::observer::Polled;
use super::shown::{Kind, Listed, Shown};
use super::{Finding, Rule, seconds};

/// What a poll's timing may be off by: scheduling, and clocks that count in milliseconds.
pub(super) const SLACK: Duration = Duration::from_millis(100);
/// Segments remembered after they left the list, at the most.
const HISTORY_MAX: usize = 2_000;
/// JavaScript's largest whole number: players in browsers cannot count further.
const MSN_MAX: u64 = (1 << 53) - 1;

/// A segment and when it was first seen.
#[derive(Debug)]
pub(super) struct Known {
    pub listed: Listed,
    /// When the answer that first listed it had come.
    pub seen_at: Duration,
    /// When it was seen to have left the list.
    pub left_at: Option<Duration>,
}

/// What one playlist has shown so far.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub target: Option<Duration>,
    pub history: BTreeMap<u64, Known>,
    pub first: u64,
    pub last: Option<u64>,
    pub ended: bool,
    pub kind: Option<Kind>,
    pub iframes_only: bool,
    /// Segments listed now.
    pub listed: usize,
    pub dated: Dated,
    pub dateranges: Dateranges,
    pub arrivals: Arrivals,
    pub map_without_iv: Option<String>,
    /// The longest content it has listed: how long a removed segment must stay (RFC 8216, 6.2.2).
    pub longest: Duration,
    /// When the last poll's answer had come.
    pub looked_at: Option<Duration>,
    /// When the answer that listed the newest segment had come.
    pub grew_at: Duration,
    /// The longest time between two answers that listed something new.
    pub longest_wait: Duration,
    /// A balancer asks now one proxy and now another.
    balanced: bool,
    told: Told,
}

/// Breaches that stand: each is told once.
#[derive(Debug, Default)]
struct Told {
    stale: bool,
    too_large: bool,
    apart: Apart,
}

/// What differs between proxies behind a balancer.
#[derive(Debug, Default)]
struct Apart {
    head: bool,
    edge: bool,
}

/// Which of the segments listed now have a date, told or counted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dated {
    #[default]
    None,
    /// The newer ones: dates began a short time ago.
    Newer,
    All,
}

impl Dated {
    fn of(shown: &Shown) -> Self {
        match (shown.dated(), shown.segments.first().and_then(|s| s.moment)) {
            (false, _) => Self::None,
            (true, None) => Self::Newer,
            (true, Some(_)) => Self::All,
        }
    }
}

/// What was new in a look.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// MSNs that were not listed before.
    pub added: Vec<u64>,
    /// Numbers started again lower: the past no longer counts.
    pub restarted: bool,
    /// What differs between proxies behind a balancer, and may.
    pub notes: Vec<String>,
}

impl Track {
    /// Of a URL that may lead to one proxy now and to another then.
    pub fn new(balanced: bool) -> Self {
        Self { balanced, ..Self::default() }
    }

    /// The breaches in `shown` against all that was shown before, and what is new in it.
    pub fn look(&mut self, polled: Polled, shown: &Shown) -> (Vec<Finding>, Growth) {
        let mut found = Vec::new();
        self.numbers_in_range(shown, &mut found);
        self.target(shown, &mut found);
        let mut growth = Growth::default();
        if self.looked_at.is_some() {
            self.ended(shown, &mut found);
            growth.restarted = self.fell(shown, &mut found, &mut growth.notes);
            if growth.restarted {
                self.history.clear();
                self.last = None;
                self.first = 0;
                self.arrivals = Arrivals::default();
            } else {
                self.frozen(shown, &mut found);
                self.hole(polled, shown, &mut found);
                self.shrunk(shown, &mut found);
                self.event(shown, &mut found);
                self.same_dates(shown, &mut found);
            }
        }
        self.within(shown, &mut found);
        self.dates(polled, shown, &mut found);
        self.dateranges.look(shown, &mut found);
        self.take(polled, shown, &mut growth);
        self.stale(polled, shown, growth.added.is_empty(), &mut found);
        self.looked_at = Some(polled.received);
        (found, growth)
    }

    fn numbers_in_range(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        let largest = shown.last_msn().unwrap_or(shown.first_msn).max(shown.discontinuity_sequence);
        if largest > MSN_MAX && !self.told.too_large {
            self.told.too_large = true;
            found.push(Finding::new(
                Rule::MsnTooLarge,
                shown.last_msn(),
                format!("at most {MSN_MAX}"),
                largest,
                format!("the number {largest} is larger than players in browsers can count"),
            ));
        }
    }

    fn target(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        if let Some(before) = self.target.replace(shown.target)
            && before != shown.target
        {
            let (was, is) = (before.as_secs(), shown.target.as_secs());
            found.push(Finding::new(
                Rule::TargetDurationChanged,
                None,
                was,
                is,
                format!("EXT-X-TARGETDURATION was {was} and is {is} now; it must never change"),
            ));
        }
    }

    fn ended(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        // Behind a balancer another proxy may not have heard of the end yet.
        let goes_on = !shown.ended && !self.balanced;
        if self.ended && (goes_on || shown.last_msn() > self.last) {
            let last = self.last.map_or("nothing".to_owned(), |m| m.to_string());
            let now = shown.last_msn().map_or("nothing".to_owned(), |m| m.to_string());
            found.push(Finding::new(
                Rule::EndedThenMore,
                shown.last_msn(),
                format!("nothing after {last}"),
                &now,
                format!(
                    "the stream had ended with EXT-X-ENDLIST at {last}, and now goes on to {now}"
                ),
            ));
        }
    }

    /// True if the numbers are so much lower that the past says nothing about them.
    fn fell(&mut self, shown: &Shown, found: &mut Vec<Finding>, notes: &mut Vec<String>) -> bool {
        let mut fell = false;
        if shown.first_msn < self.first && self.may_differ(shown) {
            if !std::mem::replace(&mut self.told.apart.head, true) {
                let (was, now) = (self.first, shown.first_msn);
                notes
                    .push(format!("proxies list from {was} and from {now} on, which is no breach"));
            }
        } else if shown.first_msn < self.first {
            fell = true;
            found.push(Finding::new(
                Rule::FirstMsnFell,
                Some(shown.first_msn),
                format!("{} or more", self.first),
                shown.first_msn,
                format!("the first segment was {}, and now it is {}", self.first, shown.first_msn),
            ));
        }
        if let Some(last) = self.last
            && shown.last_msn().is_none_or(|now| now < last)
        {
            if let Some(now) = shown.last_msn().filter(|_| self.may_differ(shown)) {
                if !std::mem::replace(&mut self.told.apart.edge, true) {
                    notes.push(format!(
                        "proxies list up to {last} and up to {now}, which is no breach"
                    ));
                }
                return fell;
            }
            let now = shown.last_msn().map_or("none".to_owned(), |m| m.to_string());
            fell |= shown.last_msn().is_some();
            found.push(Finding::new(
                Rule::LastMsnFell,
                shown.last_msn(),
                format!("{last} or more"),
                &now,
                format!("the newest segment was {last}, and now it is {now}"),
            ));
        }
        fell
    }

    /// A list as another proxy of one fleet may print it: of the same content, its edge behind by a segment or by
    /// half a target duration (law 2). How much older content each lists is its own.
    fn may_differ(&self, shown: &Shown) -> bool {
        let (Some(last), Some(now)) = (self.last, shown.last_msn()) else { return false };
        let missing = self.history.range((Bound::Excluded(now), Bound::Unbounded));
        let content: Duration = missing.map(|(_, known)| known.listed.duration).sum();
        let near = last.saturating_sub(now) <= 1 || content <= shown.target / 2;
        self.balanced && now >= self.first && near
    }

    fn hole(&self, polled: Polled, shown: &Shown, found: &mut Vec<Finding>) {
        let (Some(last), Some(looked_at)) = (self.last, self.looked_at) else { return };
        let next = last.saturating_add(1);
        // A player that looks this often must not miss a segment: the list holds 3 target durations.
        let often = polled.received.saturating_sub(looked_at) <= shown.target * 3;
        if shown.first_msn > next && often && !self.ended {
            let missing = shown.first_msn - next;
            found.push(Finding::new(
                Rule::Hole,
                Some(next),
                format!("{next} listed after {last}"),
                shown.first_msn,
                format!(
                    "{missing} segments were never listed: the list ended at {last}, and {} later \
                     begins at {}",
                    seconds(polled.received.saturating_sub(looked_at)),
                    shown.first_msn
                ),
            ));
        }
    }

    fn shrunk(&self, shown: &Shown, found: &mut Vec<Finding>) {
        let least = shown.target * 3;
        // EXTINF is rounded in many playlists, so a list may sum up to a little less.
        let held = shown.duration() + SLACK;
        let removed = shown.first_msn > self.first;
        if removed && !shown.ended && !shown.iframes_only && held < least {
            found.push(Finding::new(
                Rule::Shrunk,
                Some(shown.first_msn),
                format!("{} or more", seconds(least)),
                seconds(shown.duration()),
                format!(
                    "segments were removed so that only {} are left, less than 3 target durations",
                    seconds(shown.duration())
                ),
            ));
        }
    }

    fn take(&mut self, polled: Polled, shown: &Shown, growth: &mut Growth) {
        for listed in &shown.segments {
            if self.last.is_none_or(|last| listed.msn > last) {
                growth.added.push(listed.msn);
            }
            let Some(known) = self.history.get_mut(&listed.msn) else {
                let known =
                    Known { listed: listed.clone(), seen_at: polled.received, left_at: None };
                self.history.insert(listed.msn, known);
                continue;
            };
            if known.listed == *listed {
                continue; // nearly always, and a window may hold thousands
            }
            // A difference is told once: from here on the new form is the one to hold. Only the
            // head of a list cannot say which lines are the segment's own.
            let was = std::mem::replace(&mut known.listed, listed.clone());
            if listed.head && !was.head {
                known.listed.lines = was.lines;
                known.listed.head = false;
            }
            known.listed.date = known.listed.date.take().or(was.date);
            known.listed.moment = known.listed.moment.or(was.moment);
        }
        // From the newest back: what left earlier was marked then.
        for (_, known) in self.history.range_mut(..shown.first_msn).rev() {
            if known.left_at.is_some() {
                break;
            }
            known.left_at = Some(polled.received);
        }
        while self.history.len() > HISTORY_MAX.saturating_add(shown.segments.len()) {
            self.history.pop_first();
        }
        // Neither falls but in a restart, or where another proxy's list is a little different.
        self.first = self.first.max(shown.first_msn);
        self.last = self.last.max(shown.last_msn());
        self.ended = shown.ended || (self.balanced && self.ended && !growth.restarted);
        self.kind = shown.kind.or(self.kind);
        self.iframes_only = shown.iframes_only;
        self.listed = shown.segments.len();
        self.dated = Dated::of(shown);
        self.longest = self.longest.max(shown.duration());
    }

    /// Only what is certain counts: the list had grown when one answer had come, and had not
    /// grown again when a later request was sent.
    fn stale(&mut self, polled: Polled, shown: &Shown, still: bool, found: &mut Vec<Finding>) {
        if !still || self.looked_at.is_none() {
            if self.looked_at.is_some() {
                let wait = polled.received.saturating_sub(self.grew_at);
                self.longest_wait = self.longest_wait.max(wait);
            }
            self.grew_at = polled.received;
            self.told.stale = false;
            return;
        }
        let stood = polled.sent.saturating_sub(self.grew_at);
        // The newest segment may have been seen at the quicker of two proxies.
        let apart = if self.balanced { shown.target / 2 } else { Duration::ZERO };
        let longest = shown.target * 3 / 2 + apart;
        // Frames come as their segments do, and a segment of many frames is no one's breach.
        if shown.ended || shown.iframes_only || self.told.stale || stood <= longest + SLACK {
            return;
        }
        self.told.stale = true;
        let last = self.last.map_or("the empty list".to_owned(), |m| format!("segment {m}"));
        found.push(Finding::new(
            Rule::EdgeStale,
            self.last,
            format!("a new segment within {}", seconds(longest)),
            format!("none for {}", seconds(stood)),
            format!(
                "no segment has followed {last} for {}, more than {} target durations",
                seconds(stood),
                if self.balanced { "2" } else { "1.5" }
            ),
        ));
    }
}
