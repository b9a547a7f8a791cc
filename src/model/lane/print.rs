//! A log to a media playlist: nothing but the newest steps, printed.

use std::fmt::Write as _;

use super::{Entry, Init, Log, Step};
use crate::model::names::OutputMsn;

/// The name of a segment in a playlist: `<OutputMsn>-<h>.<ext>`, relative to the playlist.
#[must_use]
pub fn segment_name(msn: OutputMsn, entry: &Entry) -> Option<String> {
    let held = entry.held?;
    Some(format!("{msn}-{}.{}", held.hash.short(), entry.extension))
}

/// The name of an init segment: by content, so that it names one content for ever.
#[must_use]
pub fn init_name(init: &Init) -> String {
    format!("init-{}.{}", init.held.hash.short(), init.extension)
}

/// The playlist of the `rendition`-th rendition from step `first` on. None where there is nothing
/// to list. Every step from `first` to the tail must be held for this rendition.
#[must_use]
pub fn print(log: &Log, rendition: usize, first: OutputMsn) -> Option<String> {
    let header = log.header();
    let head = log.get(first).filter(|s| !s.end)?;
    let mut out = String::with_capacity(4096);
    out.push_str("#EXTM3U\n");
    let _ = writeln!(out, "#EXT-X-VERSION:{}", header.version);
    let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", header.target_duration);
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}");
    // Always written, even as 0: it has to be there before a DISCONTINUITY can leave the window.
    let before_head = head.discontinuity_number - u64::from(head.discontinuity);
    let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{before_head}");
    if header.independent_segments {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut map: Option<&Init> = None;
    for step in log.from(first) {
        if step.end {
            out.push_str("#EXT-X-ENDLIST\n");
            break;
        }
        print_step(&mut out, step, step.entries.get(rendition)?, &mut map)?;
    }
    Some(out)
}

fn print_step<'a>(
    out: &mut String,
    step: &Step,
    entry: &'a Entry,
    map: &mut Option<&'a Init>,
) -> Option<()> {
    if step.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    // MAP holds until the next one; repeated at a splice, since the timeline begins again there.
    if let Some(init) = &entry.map
        && (step.discontinuity || *map != Some(init))
    {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", init_name(init));
        *map = Some(init);
    }
    for line in &entry.lines {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&segment_name(step.msn, entry)?);
    out.push('\n');
    Some(())
}
