//! Where what a viewer saw went from one run to another, and whether all renditions did so as one.

use std::collections::BTreeMap;

use segue::model::watch::Listed;

use crate::content::Label;
use crate::viewer::{Viewer, Watched};

/// Where a lane went on in another run.
#[derive(Clone, Debug)]
pub struct Border {
    pub msn: u64,
    #[allow(dead_code, reason = "for who reads a failed test")]
    pub from: Label,
    pub to: Label,
    /// Content lost (positive) or repeated (negative), milliseconds.
    pub gap_ms: i64,
}

impl Viewer {
    /// The borders between runs, of the first rendition in use.
    pub fn borders(&self) -> Vec<Border> {
        borders(self.watched())
    }

    /// MSN n is the same moment in each rendition in use. The error says where not.
    pub fn same_moments(&self) -> Result<(), String> {
        let mut all = self.seen.iter().filter(|(r, _)| r.starts_with('v')).map(|(_, w)| w);
        let first = all.next().ok_or("nothing was watched")?;
        for (msn, other) in all.flatten() {
            let Some(one) = first.get(msn) else { continue };
            if (&one.label.packager, one.label.start_ms)
                != (&other.label.packager, other.label.start_ms)
            {
                return Err(format!("{msn}: {:?} and {:?}", one.label, other.label));
            }
        }
        Ok(())
    }

    /// The same of each rendition in use.
    pub fn borders_of_all(&self) -> Vec<Vec<Border>> {
        self.seen.values().map(borders).collect()
    }

    /// All renditions in use went to other runs as often, at one moment, as near as their borders
    /// let them, and count as many discontinuities. The error says where not.
    pub fn spliced_as_one(&self) -> Result<(), String> {
        let main = self.borders();
        for (rendition, watched) in &self.seen {
            let of_this = borders(watched);
            if of_this.len() != main.len() {
                return Err(format!("{rendition}: {of_this:#?}, and {main:#?}"));
            }
            for (one, other) in main.iter().zip(&of_this) {
                let (at, there) = (one.to.start_ms, other.to.start_ms);
                let (number, number_there) = (
                    self.watched()[&one.msn].listed.discontinuity_number,
                    watched[&other.msn].listed.discontinuity_number,
                );
                let near = one.to.duration_ms.max(other.to.duration_ms);
                if at.abs_diff(there) > near || one.to.run() != other.to.run() {
                    return Err(format!("{rendition}: {one:?} and {other:?}"));
                }
                if number != number_there {
                    return Err(format!("{rendition}: discontinuity {number} is {number_there}"));
                }
            }
        }
        Ok(())
    }
}

fn borders(watched: &BTreeMap<u64, Watched>) -> Vec<Border> {
    let pairs = watched.values().zip(watched.values().skip(1));
    pairs
        .filter(|(a, b)| b.label.run() != a.label.run() || b.listed.discontinuity)
        .map(|(a, b)| Border {
            msn: b.listed.msn,
            from: a.label.clone(),
            to: b.label.clone(),
            gap_ms: b.label.start_ms.cast_signed() - a.label.end_ms().cast_signed(),
        })
        .collect()
}

impl Viewer {
    /// The moment that a segment must show which the first life of `a` listed: seconds are counted
    /// from what he watched of it.
    pub fn moment_of_a(&self, listed: &Listed) -> u64 {
        let known = self.watched().values().rfind(|w| w.label.run() == ("a", 1)).unwrap();
        known.label.start_ms - (known.listed.msn - listed.msn) * 1000
    }
}

impl std::fmt::Display for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (rendition, watched) in &self.seen {
            writeln!(f, "{rendition}:")?;
            for (msn, w) in watched.iter().rev().take(12).rev() {
                let mark = if w.listed.discontinuity { "|" } else { " " };
                let Label { packager, life, number, start_ms, .. } = &w.label;
                writeln!(f, "  {mark}{msn} = {packager}.{life} {number} at {start_ms}")?;
            }
        }
        Ok(())
    }
}
