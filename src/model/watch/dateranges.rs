//! EXT-X-DATERANGE: an ID says the same for ever (RFC 8216, 4.3.2.7), and hangs on dates.

use std::collections::{BTreeMap, VecDeque};

use super::shown::Shown;
use super::{Finding, Rule};
use crate::model::playlist::attributes::attributes;

/// IDs remembered, at the most: SCTE-35 breaks of days.
const IDS_MAX: usize = 10_000;
/// Attributes remembered of one ID.
const ATTRIBUTES_MAX: usize = 64;

/// What was said of each ID, also after it left: where two packagers count their IDs alike, one
/// playlist may never show both at once.
#[derive(Debug, Default)]
pub(super) struct Dateranges {
    said: BTreeMap<String, BTreeMap<String, String>>,
    /// The IDs as they came.
    order: VecDeque<String>,
    /// The lines of the last look: nearly always those of this one.
    lines: Vec<String>,
    undated_told: bool,
}

impl Dateranges {
    pub(super) fn look(&mut self, shown: &Shown, found: &mut Vec<Finding>) {
        let undated = !shown.dateranges.is_empty() && !shown.dated();
        if undated && !self.undated_told && !shown.segments.is_empty() {
            let sentence = "EXT-X-DATERANGE stands in a playlist without EXT-X-PROGRAM-DATE-TIME";
            let (rule, expected) = (Rule::DaterangeWithoutDate, "EXT-X-PROGRAM-DATE-TIME");
            found.push(Finding::new(rule, None, expected, "none", sentence.to_owned()));
        }
        self.undated_told = undated;
        if shown.dateranges == self.lines {
            return;
        }
        for line in &shown.dateranges {
            self.line(line, found);
        }
        self.lines.clone_from(&shown.dateranges);
    }

    fn line(&mut self, line: &str, found: &mut Vec<Finding>) {
        let list = line.split_once(':').map_or("", |(_, list)| list);
        let Some(id) = attributes(list).find(|a| a.name == "ID").map(|a| a.value) else { return };
        if !self.said.contains_key(id) {
            self.order.push_back(id.to_owned());
            if self.order.len() > IDS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.said.remove(&oldest);
            }
        }
        let said = self.said.entry(id.to_owned()).or_default();
        for attribute in attributes(list) {
            let Some(was) = said.get(attribute.name) else {
                if said.len() < ATTRIBUTES_MAX {
                    said.insert(attribute.name.to_owned(), attribute.value.to_owned());
                }
                continue;
            };
            if was != attribute.value {
                let (name, is) = (attribute.name, attribute.value);
                let sentence =
                    format!("EXT-X-DATERANGE {id:?} had {name}={was}, and has {name}={is} now");
                found.push(Finding::new(Rule::DaterangeClash, None, was, is, sentence));
                said.insert(name.to_owned(), is.to_owned());
            }
        }
    }
}
