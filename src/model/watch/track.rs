//! One playlist against its own past.

use std::collections::BTreeMap;
use std::time::Duration;

use super::observer::Polled;
use super::read::{Listed, Shown};
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
    /// The longest content it has listed: how long a removed segment must stay (RFC 8216, 6.2.2).
    pub longest: Duration,
    /// When the last poll's answer had come.
    pub looked_at: Option<Duration>,
    /// When the answer that listed the newest segment had come.
    pub grew_at: Duration,
    /// The longest time between two answers that listed something new.
    pub longest_wait: Duration,
    stale_told: bool,
    too_large_told: bool,
}

/// What was new in a look.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// MSNs that were not listed before.
    pub added: Vec<u64>,
    /// Numbers started again lower: the past no longer counts.
    pub restarted: bool,
}

impl Track {
    /// The breaches in `shown` against all that was shown before, and what is new in it.
    pub fn look(&mut self, polled: Polled, shown: &Shown) -> (Vec<Finding>, Growth) {
        let mut found = Vec::new();
        self.numbers_in_range(shown, &mut found);
        self.target(shown, &mut found);
        let mut growth = Growth::default();
        if self.looked_at.is_some() {
            self.ended(shown, &mut found);
            growth.restarted = self.fell(shown, &mut found);
            if growth.restarted {
                self.history.clear();
                self.last = None;
            } else {
                self.frozen(shown, &mut found);
                self.hole(polled, shown, &mut found);
                self.shrunk(shown, &mut found);
            }
        }
        self.within(shown, &mut found);
        self.take(polled, shown, &mut growth);
        self.stale(polled, shown, growth.added.is_empty(), &mut found);
        self.looked_at = Some(polled.received);
        (found, growth)
    }

    fn numbers_in_range(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        let largest = shown.last_msn().unwrap_or(shown.first_msn).max(shown.discontinuity_sequence);
        if largest > MSN_MAX && !self.too_large_told {
            self.too_large_told = true;
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
        if self.ended && (!shown.ended || shown.last_msn() > self.last) {
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
    fn fell(&self, shown: &Shown, found: &mut Vec<Finding>) -> bool {
        let mut fell = false;
        if shown.first_msn < self.first {
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

    /// A segment once listed says the same for ever (RFC 8216, 6.2.1).
    fn frozen(&self, shown: &Shown, found: &mut Vec<Finding>) {
        let mut counted = false;
        for now in &shown.segments {
            let Some(Known { listed: was, .. }) = self.history.get(&now.msn) else { continue };
            found.extend(differs(was, now, "earlier", str::to_owned));
            if was.discontinuity != now.discontinuity {
                let word = |d: bool| if d { "with" } else { "without" };
                found.push(Finding::new(
                    Rule::DiscontinuityChanged,
                    Some(now.msn),
                    format!("{} EXT-X-DISCONTINUITY", word(was.discontinuity)),
                    format!("{} EXT-X-DISCONTINUITY", word(now.discontinuity)),
                    format!(
                        "segment {} was listed {} EXT-X-DISCONTINUITY and is listed {} it now",
                        now.msn,
                        word(was.discontinuity),
                        word(now.discontinuity)
                    ),
                ));
                counted = true; // a tag that came or went shifts the count: said once
            }
            if was.discontinuity_number != now.discontinuity_number && !counted {
                counted = true;
                found.push(self.miscounted(shown, was, now));
            }
        }
    }

    fn miscounted(&self, shown: &Shown, was: &Listed, now: &Listed) -> Finding {
        let found = shown.discontinuity_sequence;
        let expected = i128::from(found) + i128::from(was.discontinuity_number)
            - i128::from(now.discontinuity_number);
        let left = self
            .history
            .range(self.first..shown.first_msn)
            .filter(|(_, k)| k.listed.discontinuity)
            .count();
        Finding::new(
            Rule::DiscontinuitySequence,
            Some(now.msn),
            expected,
            found,
            format!(
                "EXT-X-DISCONTINUITY-SEQUENCE should be {expected} and is {found} (absent counts as \
                 0): {left} EXT-X-DISCONTINUITY left the list since the last look"
            ),
        )
    }

    /// What must hold inside one playlist, told once for each segment.
    fn within(&self, shown: &Shown, found: &mut Vec<Finding>) {
        let mut before: Option<&Listed> = None;
        for now in &shown.segments {
            let new = !self.history.contains_key(&now.msn);
            let rounded = (now.duration.as_millis() + 500) / 1000;
            let target = shown.target.as_secs();
            if new && rounded > u128::from(target) {
                found.push(Finding::new(
                    Rule::SegmentTooLong,
                    Some(now.msn),
                    format!("{target} s at most"),
                    seconds(now.duration),
                    format!(
                        "segment {} lasts {}, more than the target duration of {target} s",
                        now.msn,
                        seconds(now.duration)
                    ),
                ));
            }
            if let Some(before) = before
                && before.map != now.map
                && !now.discontinuity
                && new
            {
                found.push(Finding::new(
                    Rule::MapWithoutDiscontinuity,
                    Some(now.msn),
                    before.map.as_deref().unwrap_or("no EXT-X-MAP"),
                    now.map.as_deref().unwrap_or("no EXT-X-MAP"),
                    format!("EXT-X-MAP changes at segment {} without EXT-X-DISCONTINUITY", now.msn),
                ));
            }
            before = Some(now);
        }
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
        if shown.first_msn > self.first && !shown.ended && held < least {
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
            // A difference is told once: from here on the new form is the one to hold. Only the
            // head of a list cannot say which lines are the segment's own.
            let was = std::mem::replace(&mut known.listed, listed.clone());
            if listed.head && !was.head {
                known.listed.lines = was.lines;
                known.listed.head = false;
            }
            known.listed.date = known.listed.date.take().or(was.date);
        }
        for (_, known) in self.history.range_mut(..shown.first_msn) {
            known.left_at.get_or_insert(polled.received);
        }
        while self.history.len() > HISTORY_MAX.max(shown.segments.len()) {
            self.history.pop_first();
        }
        self.first = shown.first_msn;
        self.last = shown.last_msn().or(self.last);
        self.ended = shown.ended;
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
            self.stale_told = false;
            return;
        }
        let stood = polled.sent.saturating_sub(self.grew_at);
        if shown.ended || self.stale_told || stood <= shown.target * 3 / 2 + SLACK {
            return;
        }
        self.stale_told = true;
        let last = self.last.map_or("the empty list".to_owned(), |m| format!("segment {m}"));
        found.push(Finding::new(
            Rule::EdgeStale,
            self.last,
            format!("a new segment within {}", seconds(shown.target * 3 / 2)),
            format!("none for {}", seconds(stood)),
            format!(
                "no segment has followed {last} for {}, more than 1.5 target durations",
                seconds(stood)
            ),
        ));
    }
}

/// How two listings of one MSN differ in what `name` leaves of URIs and lines.
pub(super) fn differs(
    one: &Listed,
    other: &Listed,
    whence: &str,
    name: impl Fn(&str) -> String,
) -> Vec<Finding> {
    let msn = Some(other.msn);
    let mut found = Vec::new();
    if name(&one.uri) != name(&other.uri) {
        let sentence =
            format!("segment {} is {}, but {whence} it was {}", other.msn, other.uri, one.uri);
        found.push(Finding::new(Rule::OtherUri, msn, &one.uri, &other.uri, sentence));
    }
    let head = one.head || other.head;
    let mut sides = vec![(one.comparable(head).join(" "), other.comparable(head).join(" "))];
    sides.push((
        one.map.as_deref().map(&name).unwrap_or_default(),
        other.map.as_deref().map(&name).unwrap_or_default(),
    ));
    let keys = |l: &Listed| l.keys.iter().map(|k| name(k)).collect::<Vec<_>>().join(" ");
    sides.push((keys(one), keys(other)));
    if let (Some(one), Some(other)) = (&one.date, &other.date) {
        sides.push((one.clone(), other.clone()));
    }
    if one.gap != other.gap {
        let word = |gap: bool| if gap { "EXT-X-GAP" } else { "no EXT-X-GAP" };
        sides.push((word(one.gap).to_owned(), word(other.gap).to_owned()));
    }
    for (was, is) in sides.into_iter().filter(|(was, is)| was != is) {
        let sentence =
            format!("segment {} is listed with {is:?}, but {whence} with {was:?}", other.msn);
        found.push(Finding::new(Rule::OtherLines, msn, was, is, sentence));
    }
    found
}
