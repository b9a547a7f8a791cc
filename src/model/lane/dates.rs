//! What a lane makes of a packager's dates: EXT-X-PROGRAM-DATE-TIME goes on over a splice though
//! packagers' clocks differ, and EXT-X-DATERANGE never uses one ID for two ranges (RFC 8216,
//! 4.3.2.6 and 4.3.2.7).

use std::borrow::Cow;
use std::time::Duration;

use crate::model::names::UnixMs;
use crate::model::playlist::attributes::{Edit, attribute, edited};
use crate::model::playlist::date;

const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:";
const RANGE: &str = "#EXT-X-DATERANGE:";
/// Two packagers that tell of one event by clocks of their own are no further apart.
const SAME_EVENT: Duration = Duration::from_secs(1);

/// How the lines of one segment are carried.
pub(super) struct Dates<'a> {
    /// The lane carries dates at all.
    pub(super) carried: bool,
    /// What its packager's dates are moved by, milliseconds.
    pub(super) shift_ms: i64,
    /// When the segment begins, as viewers are told.
    pub(super) begins: Option<UnixMs>,
    /// The newest EXT-X-DATERANGE of that ID in the lane: the line.
    pub(super) known: &'a dyn Fn(&str) -> Option<String>,
}

impl Dates<'_> {
    /// The lines with their dates right.
    pub(super) fn lines(&self, lines: &[String]) -> Vec<String> {
        let mut out: Vec<String> = Vec::with_capacity(lines.len() + 1);
        // The list's head must tell the date whichever segment stands there (RFC 8216bis, 6.2.1).
        if !lines.iter().any(|l| l.starts_with(DATE))
            && let Some(begins) = self.begins.filter(|_| self.carried)
        {
            out.push(format!("{DATE}{}", date::text(begins.0)));
        }
        for line in lines {
            if let Some(list) = line.strip_prefix(RANGE) {
                // A range given twice with one segment says the second time what was missing.
                let known = |id: &str| newest(out.iter(), id).or_else(|| (self.known)(id));
                let range = self.carried.then(|| range(list, self.shift_ms, &known));
                out.extend(range.map(|list| format!("{RANGE}{list}")));
            } else if let Some(value) = line.strip_prefix(DATE) {
                let moved = self.carried.then(|| moved(value, self.shift_ms));
                out.extend(moved.map(|value| format!("{DATE}{value}")));
            } else {
                out.push(line.clone());
            }
        }
        out
    }
}

/// `line` tells of a date range.
pub(super) fn is_range(line: &str) -> bool {
    line.starts_with(RANGE)
}

/// The newest of `lines` that tells of the range `id`.
pub(super) fn newest<'a>(
    lines: impl DoubleEndedIterator<Item = &'a String>,
    id: &str,
) -> Option<String> {
    let is = |line: &&String| {
        let list = line.strip_prefix(RANGE);
        list.and_then(|l| attribute(l, "ID")).is_some_and(|known| known.value == id)
    };
    lines.rev().find(is).cloned()
}

/// A date as it was written, or moved.
fn moved(value: &str, shift_ms: i64) -> Cow<'_, str> {
    if shift_ms == 0 {
        return value.into();
    }
    let at = date::unix_ms(value).and_then(|ms| ms.checked_add_signed(shift_ms));
    at.map_or(value.into(), |at| date::text(at).into())
}

/// An EXT-X-DATERANGE whose ID means one range in this lane.
fn range(list: &str, shift_ms: i64, known: &dyn Fn(&str) -> Option<String>) -> String {
    let shifted = replaced(list, |name, value| {
        matches!(name, "START-DATE" | "END-DATE").then(|| moved(value, shift_ms).into_owned())
    });
    let Some(id) = attribute(&shifted, "ID").map(|a| a.value.to_owned()) else { return shifted };
    let of_known = |id: &str| known(id).and_then(|l| Some(l.strip_prefix(RANGE)?.to_owned()));
    match of_known(&id) {
        None => shifted,
        Some(before) if same_event(&before, &shifted) => agreeing(&before, &shifted),
        Some(_) => {
            // Made of what tells it apart, so that an update of it gets the same name.
            let start = attribute(&shifted, "START-DATE").map_or("", |a| a.value);
            let other = match date::unix_ms(start) {
                Some(ms) => format!("{id}@{ms}"),
                None => format!("{id}@{start}"),
            };
            let renamed = replaced(&shifted, |name, _| (name == "ID").then(|| other.clone()));
            of_known(&other).map_or(renamed.clone(), |before| agreeing(&before, &renamed))
        }
    }
}

fn same_event(before: &str, now: &str) -> bool {
    let both = |name: &str| (attribute(before, name), attribute(now, name));
    let class = both("CLASS");
    if class.0.map(|a| a.value) != class.1.map(|a| a.value) {
        return false;
    }
    let (Some(was), Some(is)) = both("START-DATE") else { return true };
    match (date::unix_ms(was.value), date::unix_ms(is.value)) {
        (Some(was), Some(is)) => Duration::from_millis(was.abs_diff(is)) <= SAME_EVENT,
        _ => was.value == is.value,
    }
}

/// `now` with the values that were told before where it tells others: an attribute of a range
/// never changes (RFC 8216, 4.3.2.7).
fn agreeing(before: &str, now: &str) -> String {
    replaced(now, |name, value| {
        let was = attribute(before, name)?;
        (was.value != value).then(|| was.value.to_owned())
    })
}

/// `list` with other values where `value` gives one.
fn replaced(list: &str, value: impl Fn(&str, &str) -> Option<String>) -> String {
    edited(list, |a| value(a.name, a.value).map_or(Edit::Keep, Edit::Replace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(shift_ms: i64, known: &[&str], lines: &[&str]) -> Vec<String> {
        let known: Vec<String> = known.iter().map(|l| (*l).to_owned()).collect();
        let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        let find = |id: &str| newest(known.iter(), id);
        let begins = Some(UnixMs(1_000));
        Dates { carried: true, shift_ms, begins, known: &find }.lines(&lines)
    }

    const A: &str =
        "#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-11-25T10:00:00Z\",SCTE35-OUT=0xFC";

    #[test]
    fn dates_move_by_what_the_clocks_differ() {
        let pdt = "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T10:00:00.250+01:00";
        assert_eq!(carried(0, &[], &[pdt, "#EXTINF:4,"]), [pdt, "#EXTINF:4,"]);
        let moved = carried(-1250, &[], &[pdt, A]);
        assert_eq!(moved[0], "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T08:59:59.000Z");
        assert!(moved[1].contains("START-DATE=\"2026-11-25T09:59:58.750Z\",SCTE35-OUT=0xFC"));
    }

    #[test]
    fn a_segment_without_a_date_is_given_one() {
        let lines = carried(0, &[], &["#EXTINF:4,"]);
        assert_eq!(lines, ["#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z", "#EXTINF:4,"]);
    }

    #[test]
    fn a_lane_without_dates_carries_none() {
        let dates = Dates { carried: false, shift_ms: 0, begins: None, known: &|_| None };
        let lines = [A, "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T10:00:00Z", "#EXT-X-CUE-OUT:30"];
        assert_eq!(dates.lines(&lines.map(str::to_owned)), ["#EXT-X-CUE-OUT:30"]);
    }

    #[test]
    fn one_id_means_one_range() {
        let range = |known: &[&str], line: &str| carried(0, known, &[line]).pop().unwrap();
        assert_eq!(range(&[], A), A);
        assert_eq!(range(&[A], A), A);
        // The same event by another packager's clock, and with its end.
        let late = A.replace("10:00:00Z\"", "10:00:00.300Z\",END-DATE=\"2026-11-25T10:00:30Z\"");
        let agreed = range(&[A], &late);
        assert!(agreed.contains("START-DATE=\"2026-11-25T10:00:00Z\",END-DATE="), "{agreed}");
        // Another event that only has the same name, and its update.
        let other = A.replace("10:00:00Z", "11:00:00Z");
        let renamed = range(&[A], &other);
        assert!(renamed.starts_with("#EXT-X-DATERANGE:ID=\"ad@1795604400000\","), "{renamed}");
        let update = other.replace("SCTE35-OUT=0xFC", "SCTE35-IN=0xFD");
        let updated = range(&[A, &renamed], &update);
        assert!(updated.contains("ID=\"ad@1795604400000\""), "{updated}");
    }
}
