//! Whether two proxies that could not ask each other appended the same step, and whether a step is the direct
//! successor of another.

use super::{Entry, Share, Step};

/// Viewers are given the same by both: all proxies append the segments of the same packager, so that is the usual
/// case. What each proxy only reckons (when it was listed, where its content ended) may differ, and so may why it
/// spliced.
pub(super) fn prints_same(a: &Step, b: &Step) -> bool {
    let one = || same(a, b) && a.discontinuity == b.discontinuity;
    a.end == b.end && (says_nothing(a) || says_nothing(b) || one())
}

/// They are of the same content, marked or not.
pub(super) fn same(a: &Step, b: &Step) -> bool {
    let shares = || a.shares.len() == b.shares.len() && a.shares.iter().zip(&b.shares).all(alike);
    a.msn == b.msn && a.end == b.end && (a.end || (a.packager == b.packager && shares()))
}

/// No rendition of it is listed: it stands for what its writer did not have.
pub(super) fn says_nothing(step: &Step) -> bool {
    !step.end && step.shares.iter().all(|share| !share.entries.iter().any(Entry::listed))
}

/// Where nobody asked one of the proxies for a rendition its playlist begins later there.
fn alike((a, b): (&Share, &Share)) -> bool {
    let unasked = |s: &Share| !s.entries.is_empty() && !s.entries.iter().any(Entry::listed);
    let entries = || a.entries.len() == b.entries.len() && a.entries.iter().zip(&b.entries).all(is);
    unasked(a) || unasked(b) || entries()
}

/// The same lines and bytes. Where they come from is compared only where the name is made of it: a packager may
/// tell each proxy another path (sessions).
fn is((a, b): (&Entry, &Entry)) -> bool {
    let told = |e: &Entry| (e.duration, e.held, e.gap, e.on_demand);
    let named = || a.held.is_some() || !a.on_demand || a.source == b.source;
    told(a) == told(b)
        && (&a.lines, &a.extension) == (&b.lines, &b.extension)
        && (&a.map, &a.keys) == (&b.map, &b.keys)
        && named()
}

/// They are counted alike.
pub(super) fn same_numbers(a: &Step, b: &Step) -> bool {
    // Tags before an entry that has come are behind what follows.
    let open = |s: &Share| s.tags.filter(|_| s.entries.is_empty());
    let shares = |(a, b): (&Share, &Share)| (a.next_msn(), open(a)) == (b.next_msn(), open(b));
    a.discontinuity_number == b.discontinuity_number && a.shares.iter().zip(&b.shares).all(shares)
}

/// As many entries of each rendition end with them.
pub(super) fn counts_alike(a: &Step, b: &Step) -> bool {
    let next = |step: &Step| step.shares.iter().map(Share::next_msn).collect::<Vec<_>>();
    next(a) == next(b)
}

/// `next` is counted on from `tail`, and of its packager unless it is marked.
pub(super) fn goes_on(tail: &Step, next: &Step) -> bool {
    let number = tail.discontinuity_number.saturating_add(u64::from(next.discontinuity));
    let counted = |(before, share): (&Share, &Share)| before.next_msn() == share.msn;
    next.discontinuity_number == number
        && tail.shares.iter().zip(&next.shares).all(counted)
        && (next.end || next.discontinuity || tail.packager == next.packager)
}

/// `next` begins where the packager's numbers do not go on, and nothing marks it.
pub(super) fn jumps(tail: &Step, next: &Step) -> bool {
    !next.end && !next.discontinuity && succeeds(tail, next) == Some(false)
}

/// `next` may be the direct successor of `tail`, by what the packager calls the two.
pub(super) fn joins(tail: &Step, next: &Step) -> bool {
    let named = |(a, b): (&Share, &Share)| match (a.entries.last(), b.entries.first()) {
        (Some(a), Some(b)) => in_a_row(&a.source.path, &b.source.path),
        _ => true,
    };
    tail.packager == next.packager
        && succeeds(tail, next) == Some(true)
        && tail.shares.iter().zip(&next.shares).all(named)
}

/// Their names differ by nothing but the last number before the ending: another run has other names at many
/// packagers.
fn in_a_row(a: &str, b: &str) -> bool {
    let around = |path: &str| {
        let digit = |c: char| c.is_ascii_digit();
        let path = path.split('?').next().unwrap_or_default();
        let (stem, ending) = path.rsplit_once('.').unwrap_or((path, ""));
        let (head, tail) = stem.rsplit_once(digit).unwrap_or((stem, ""));
        [head.trim_end_matches(digit), tail, ending].map(str::to_owned)
    };
    a == b || around(a) == around(b)
}

/// `next`, which is the direct successor of `before`, is that of `onto` as well: these two end with the same
/// segment of the same run in some rendition, and none counts otherwise.
pub(super) fn follows(before: &Step, onto: &Step, next: &Step) -> bool {
    let ends_alike = |(a, b): (&Share, &Share)| match (a.entries.last(), b.entries.last()) {
        (Some(a), Some(b)) => a.whole().is_some() && a.whole() == b.whole(),
        _ => false,
    };
    let one_run = before.packager == onto.packager
        && onto.packager == next.packager
        && before.shares.iter().zip(&onto.shares).any(ends_alike);
    let mut all = onto.shares.iter().zip(&next.shares).filter_map(|(a, b)| counts_on(a, b));
    one_run && succeeds(onto, next) == Some(true) && all.all(|on| on)
}

/// The packager's numbers go on in a rendition. None: no rendition tells.
fn succeeds(tail: &Step, next: &Step) -> Option<bool> {
    let mut told = tail.shares.iter().zip(&next.shares).filter_map(|(a, b)| counts_on(a, b));
    let first = told.next()?;
    Some(first || told.any(|on| on))
}

/// None where one of them has no segment of its packager.
fn counts_on(a: &Share, b: &Share) -> Option<bool> {
    let of_packager = |e: &&Entry| !e.source.path.is_empty();
    let a = a.entries.last().filter(of_packager)?;
    let b = b.entries.first().filter(of_packager)?;
    // Who slides a list of byte ranges without counting is counted for, by each proxy from its own beginning.
    let borders = a.source.path == b.source.path
        && matches!((a.source.range, b.source.range), (Some(a), Some(b)) if a.offset.saturating_add(a.length) == b.offset);
    Some(borders || a.source.msn.next() == b.source.msn)
}

#[cfg(test)]
mod tests {
    use super::in_a_row;

    #[test]
    fn names_of_one_run() {
        let cases = [
            ("/live/cam-33.ts", "/live/cam-34.ts", true),
            ("/live/cam-99.ts", "/live/cam-100.ts", true),
            ("/live/seg-33.m4s?x=1", "/live/seg-34.m4s?x=2", true),
            ("/live/media_w12_7.ts", "/live/media_w13_8.ts", false),
            ("/live/a.ts", "/live/a.ts", true),
            ("/live/33", "/live/34", true),
            ("/v1/cam-33.ts", "/v2/cam-34.ts", false),
        ];
        for (a, b, alike) in cases {
            assert_eq!(in_a_row(a, b), alike, "{a} {b}");
        }
    }
}
