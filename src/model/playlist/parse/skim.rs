//! The oldest segments of a long list: counted, and nothing else but what goes on from them. A
//! list of hours is read with every refresh, so nearly all of its lines must cost nearly nothing.

use super::{Before, PlaylistError, Reader, unix_ms};
use crate::model::playlist::lines::printable;

/// What stands before the newest `kept` segments, if anything does, and the rest.
pub(super) fn cut(text: &str, kept: usize) -> (Option<&str>, &str) {
    // Nothing can stand before all.
    if kept == usize::MAX {
        return (None, text);
    }
    let mut rest = text;
    let mut found = 0;
    loop {
        let (before, line) = rest.rsplit_once('\n').unwrap_or(("", rest));
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            if found == kept {
                // Without the line's end: as many lines as the text has.
                let after = text.get(rest.len() + 1..).unwrap_or_default();
                return (Some(rest), after);
            }
            found += 1;
        }
        if before.is_empty() {
            return (None, text);
        }
        rest = before;
    }
}

impl<'l> Reader<'l> {
    /// Passes over a line of a segment that is not kept. False: it may matter, and is to be read
    /// like any other. What is wrong with it and changes nothing of what is kept goes unnoticed.
    pub(super) fn skim(&mut self, line: &'l str) -> Result<bool, PlaylistError> {
        const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:";
        if line.len() > self.limits.line_bytes || self.variables.any() {
            return Ok(false);
        }
        match line.as_bytes().first() {
            Some(b'#') if line.starts_with("#EXTINF:") => {
                let first = self.extinf.is_none() && self.next.duration.is_none();
                self.extinf = self.extinf.or(Some(line));
                Ok(first)
            }
            Some(b'#') => {
                let date = line.strip_prefix(DATE).and_then(|value| unix_ms(value.trim()));
                self.next.program_date_time = date.or(self.next.program_date_time);
                Ok(date.is_some())
            }
            Some(b'!'..=b'~') => self.skim_uri(),
            _ => Ok(false),
        }
    }

    /// The URI of a segment that is not kept, and no part of a resource.
    fn skim_uri(&mut self) -> Result<bool, PlaylistError> {
        let parts = self.next.range.is_some() || self.before.range.is_some();
        let full = self.skipped >= self.limits.segments;
        if self.extinf.is_none() || parts || full {
            return Ok(false);
        }
        let written = self.next.program_date_time;
        if written.is_none() && self.next.discontinuity {
            self.before.date = None;
        }
        if self.before.date.is_some() && written.is_none() {
            self.catch_up_before()?;
        }
        #[allow(clippy::cast_precision_loss)] // milliseconds of some thousand years
        let begins = written.map(|ms| ms as f64).or(self.before.date);
        self.before = Before { date: begins, extinf: self.extinf.take(), ..Before::default() };
        self.next.discontinuity = false;
        self.next.gap = false;
        self.next.program_date_time = None;
        self.skipped += 1;
        Ok(true)
    }

    /// Looks at the EXTINF lines that were passed over, before what needs them.
    pub(super) fn catch_up(&mut self) -> Result<(), PlaylistError> {
        if let Some(line) = self.extinf.take() {
            self.next.duration = Some(self.passed(line)?);
        }
        self.catch_up_before()
    }

    fn catch_up_before(&mut self) -> Result<(), PlaylistError> {
        if let Some(line) = self.before.extinf.take()
            && let Some(date) = self.before.date
        {
            self.before.date = Some(date + self.passed(line)?.as_secs_f64() * 1000.0);
        }
        Ok(())
    }

    fn passed(&self, line: &str) -> Result<std::time::Duration, PlaylistError> {
        let line = printable(line.trim());
        self.duration(line.split_once(':').map_or("", |(_, value)| value.trim()))
    }
}
