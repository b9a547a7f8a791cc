//! A log to a media playlist: nothing but the newest steps, printed.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::{Entry, Init, Key, KeyUri, Log, Step};
use crate::model::multivariant::NO_RENDITION;
use crate::model::names::{ContentHash, OutputMsn, PackagerId};
use crate::model::playlist::Extent;
use crate::model::rendition::Kind;

/// Stands for a hash in the name of what has no bytes (EXT-X-GAP).
pub const GAP_SHORT: &str = "00000000";

/// The name of a segment in a playlist: `<OutputMsn>-<h>.<ext>`, relative to the playlist. None
/// where it is not listed.
#[must_use]
pub fn segment_name(packager: &PackagerId, msn: OutputMsn, entry: &Entry) -> Option<String> {
    let short = match entry.held {
        Some(held) => held.hash.short(),
        None if entry.on_demand => short_on_demand(packager, entry),
        None if entry.gap => GAP_SHORT.to_owned(),
        None => return None,
    };
    Some(format!("{msn}-{short}.{}", entry.extension))
}

/// What stands for the hash of bytes that are not known yet: of where they are.
#[must_use]
pub fn short_on_demand(packager: &PackagerId, entry: &Entry) -> String {
    let source = &entry.source;
    let range = source.range.map(|r| (r.offset, r.length));
    ContentHash::of(format!("{packager} {} {} {range:?}", source.msn, source.path).as_bytes())
        .short()
}

/// The name of an init segment: by content, so that it names one content for ever.
#[must_use]
pub fn init_name(init: &Init) -> String {
    format!("init-{}.{}", init.held.hash.short(), init.extension)
}

/// The file name of a key that is held.
#[must_use]
pub fn key_name(name: &str) -> String {
    format!("key-{name}")
}

/// The playlist of the `rendition`-th rendition from step `first` on. None where there is nothing
/// to list. Every step from `first` to the tail must be listable for this rendition.
#[must_use]
pub fn print(log: &Log, rendition: usize, first: OutputMsn) -> Option<String> {
    let tail = log.tail()?.msn;
    print_with(log, rendition, first..=tail, &|_| None)
}

/// The same of the steps from the first of `listed` to its last, the edge: what comes after is not listed yet.
/// `known` may tell what [`short_on_demand`] gives: of a window of hours, working it out for every entry
/// costs more than all the rest.
#[must_use]
pub fn print_with(
    log: &Log,
    rendition: usize,
    listed: RangeInclusive<OutputMsn>,
    known: &dyn Fn(OutputMsn) -> Option<[u8; 8]>,
) -> Option<String> {
    let header = log.header();
    let (first, edge) = listed.into_inner();
    let head = log.get(first).filter(|s| !s.end)?;
    let mut out = String::with_capacity(4096);
    out.push_str("#EXTM3U\n");
    let _ = writeln!(out, "#EXT-X-VERSION:{}", header.version);
    let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", header.target_duration);
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", head.shares.get(rendition)?.msn);
    // Always written, even as 0: it has to be there before a DISCONTINUITY can leave the window.
    let tags = head.shares.get(rendition)?.tags.unwrap_or(u64::from(head.discontinuity));
    let before_head = head.discontinuity_number.saturating_sub(tags);
    let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{before_head}");
    match header.extent {
        Extent::Sliding => {}
        Extent::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
        Extent::Whole => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
    }
    if header.independent_segments {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if header.renditions.get(rendition).is_some_and(|r| r.traits.kind == Kind::IFrames) {
        out.push_str("#EXT-X-I-FRAMES-ONLY\n");
    }
    if let Some(start) = &header.start {
        let _ = writeln!(out, "{start}");
    }
    let mut printer = Printer { out, known, map: None, keys: &[], discontinuities: before_head };
    let mut listed = false;
    for step in log.from(first).take_while(|step| step.msn <= edge) {
        if step.end {
            printer.out.push_str("#EXT-X-ENDLIST\n");
            break;
        }
        for (msn, entry) in step.shares.get(rendition)?.numbered() {
            printer.entry(step, msn, entry)?;
            listed = true;
        }
    }
    // A list without a segment would tell players that nothing is there.
    listed.then_some(printer.out)
}

/// What has been printed so far, and what is in force because of it.
struct Printer<'a> {
    out: String,
    known: &'a dyn Fn(OutputMsn) -> Option<[u8; 8]>,
    map: Option<&'a Init>,
    keys: &'a [Key],
    discontinuities: u64,
}

impl<'a> Printer<'a> {
    fn entry(&mut self, step: &Step, msn: OutputMsn, entry: &'a Entry) -> Option<()> {
        // A step without an entry here may have had a tag of its own: each counts.
        let begins_again = self.discontinuities < step.discontinuity_number;
        while self.discontinuities < step.discontinuity_number {
            self.out.push_str("#EXT-X-DISCONTINUITY\n");
            self.discontinuities += 1;
        }
        // MAP holds until the next one; repeated at a splice, since the timeline begins again
        // there.
        if let Some(init) = &entry.map
            && (begins_again || self.map != Some(init))
        {
            // The keys that stand before it are those it is encrypted with (RFC 8216, 4.3.2.4).
            self.keys(&init.keys);
            let _ = writeln!(self.out, "#EXT-X-MAP:URI=\"{}\"", init_name(init));
            self.map = Some(init);
        }
        self.keys(&entry.keys);
        for line in &entry.lines {
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.name(step, msn, entry)?;
        self.out.push('\n');
        Some(())
    }

    fn name(&mut self, step: &Step, msn: OutputMsn, entry: &Entry) -> Option<()> {
        let asked = (entry.held.is_none() && entry.on_demand).then(|| (self.known)(msn)).flatten();
        match asked.as_ref().and_then(|short| std::str::from_utf8(short).ok()) {
            Some(short) => {
                let _ = write!(self.out, "{msn}-{short}.{}", entry.extension);
            }
            None => self.out.push_str(&segment_name(&step.packager, msn, entry)?),
        }
        Some(())
    }

    /// Brings `keys` into force. One ends the one of its KEYFORMAT; what has no successor is ended
    /// by METHOD=NONE, before the next keys (RFC 8216, 4.3.2.4).
    fn keys(&mut self, keys: &'a [Key]) {
        let same = |a: &Key| keys.iter().any(|b| a.format == b.format);
        if !self.keys.iter().all(same) {
            self.out.push_str("#EXT-X-KEY:METHOD=NONE\n");
            self.keys = &[];
        }
        for key in keys.iter().filter(|key| !self.keys.contains(key)) {
            let Key { before, after, .. } = key;
            let _ = match &key.uri {
                KeyUri::Held { name, .. } => {
                    let name = key_name(name);
                    writeln!(self.out, "#EXT-X-KEY:{before}../{NO_RENDITION}/{name}{after}")
                }
                KeyUri::Elsewhere(uri) => writeln!(self.out, "#EXT-X-KEY:{before}{uri}{after}"),
            };
        }
        self.keys = keys;
    }
}
