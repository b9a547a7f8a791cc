//! A segment once listed says the same for ever: URI, lines, keys and discontinuities.

use super::shown::{Listed, Shown};
use super::track::{Known, Track};
use super::{Finding, Rule};

impl Track {
    /// A segment once listed says the same for ever (RFC 8216, 6.2.1).
    pub(super) fn frozen(&self, shown: &Shown, found: &mut Vec<Finding>) {
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
    if one.uri != other.uri && name(&one.uri) != name(&other.uri) {
        let sentence =
            format!("segment {} is {}, but {whence} it was {}", other.msn, other.uri, one.uri);
        found.push(Finding::new(Rule::OtherUri, msn, &one.uri, &other.uri, sentence));
    }
    let head = one.head || other.head;
    let mut sides = Vec::new();
    if one.lines != other.lines {
        sides.push((one.comparable(head).join(" "), other.comparable(head).join(" ")));
    }
    // An offset may be written or not, as long as it is the same.
    if one.range != other.range {
        let range = |l: &Listed| {
            let text = l.range.map(|(length, offset)| format!("EXT-X-BYTERANGE {length}@{offset}"));
            text.unwrap_or_else(|| "no EXT-X-BYTERANGE".to_owned())
        };
        sides.push((range(one), range(other)));
    }
    if one.map != other.map {
        let map = |l: &Listed| l.map.as_deref().map(&name).unwrap_or_default();
        sides.push((map(one), map(other)));
    }
    if one.keys != other.keys {
        let keys = |l: &Listed| l.keys.iter().map(|k| name(k)).collect::<Vec<_>>().join(" ");
        sides.push((keys(one), keys(other)));
    }
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
