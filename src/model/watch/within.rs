//! What must hold inside one playlist, and of what kind it says it is.

use super::shown::{Kind, Listed, Shown};
use super::track::Track;
use super::{Finding, Rule, seconds};

impl Track {
    /// What must hold inside one playlist, told once for each segment.
    pub(super) fn within(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        let mut before: Option<&Listed> = None;
        for now in &shown.segments {
            // What was listed before was judged then; without a past all is new.
            let new = self.last.is_none_or(|last| now.msn > last);
            let rounded = (now.duration.as_millis() + 500) / 1000;
            let target = shown.target.as_secs();
            if new && !shown.iframes_only && rounded > u128::from(target) {
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
        self.maps(shown, found);
    }

    /// Told once for each line: an IV that is missing would be the number of a segment, and an init
    /// segment has none.
    fn maps(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        if shown.map_without_iv == self.map_without_iv {
            return;
        }
        if let Some(map) = &shown.map_without_iv {
            let sentence = format!("{map} is encrypted with AES-128 under a key without IV");
            found.push(Finding::new(Rule::MapWithoutIv, None, "IV", "no IV", sentence));
        }
        self.map_without_iv.clone_from(&shown.map_without_iv);
    }

    /// An EVENT playlist only grows (RFC 8216, 4.3.3.5).
    pub(super) fn event(&self, shown: &Shown, found: &mut Vec<Finding>) {
        if self.kind == Some(Kind::Event) && shown.first_msn > self.first {
            found.push(Finding::new(
                Rule::EventRemoved,
                Some(self.first),
                self.first,
                shown.first_msn,
                format!(
                    "the EVENT playlist began at {} and now begins at {}: nothing may be removed",
                    self.first, shown.first_msn
                ),
            ));
        }
    }
}
