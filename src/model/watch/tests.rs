//! Each rule, by a good sequence with exactly one fault.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::model::names::ContentHash;

mod balanced;
mod dates;
mod encryption;
mod renditions;
mod splits;
mod windows;

/// Target duration 4 s, six segments of 4 s, numbers from `first`; EXT-X-DISCONTINUITY before each
/// of `splices`, counted as it must be.
fn good(first: u64, splices: &[u64]) -> String {
    window(first, 6, splices)
}

fn window(first: u64, count: u64, splices: &[u64]) -> String {
    let gone = splices.iter().filter(|s| **s < first).count();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{gone}\n"
    );
    for msn in first..first + count {
        if splices.contains(&msn) {
            text += "#EXT-X-DISCONTINUITY\n";
        }
        let _ = write!(text, "#EXTINF:4.000,\n#EXT-X-CUE:{msn}\nt0ken/v0/{msn}-abc.ts?x=1\n");
    }
    text
}

fn place(url: usize, rendition: &str) -> Place {
    Place { url, rendition: rendition.to_owned() }
}

fn at(ms: u64) -> Polled {
    Polled { sent: Duration::from_millis(ms), received: Duration::from_millis(ms + 20) }
}

/// Feeds texts to one place, 4 s apart, and returns the rules broken.
fn rules(texts: &[String]) -> Vec<Rule> {
    let mut observer = Observer::default();
    let mut broken = Vec::new();
    for (text, ms) in texts.iter().zip((0..).step_by(4_000)) {
        broken.extend(look(&mut observer, &place(0, "v0"), ms, text));
    }
    broken
}

fn look(observer: &mut Observer, place: &Place, ms: u64, text: &str) -> Vec<Rule> {
    let seen = observer.playlist(place, at(ms), Answer::Whole(text.as_bytes()));
    seen.breaches.iter().map(|b| b.rule).collect()
}

/// Changes the texts from the one numbered `from` on.
fn later(texts: &mut [String], from: usize, what: &str, with: &str) {
    for text in &mut texts[from..] {
        *text = text.replace(what, with);
    }
}

#[test]
fn a_good_stream_with_splices_has_no_breach() {
    let texts: Vec<String> = (100..130).map(|n| good(n, &[100, 107, 108, 120])).collect();
    assert_eq!(rules(&texts), []);
}

#[test]
fn one_fault_is_one_breach() {
    type Fault = fn(&mut Vec<String>);
    let table: &[(Rule, Fault)] = &[
        (Rule::LastMsnFell, |t| t[3] = window(103, 4, &[103])),
        (Rule::Hole, |t| {
            t.truncate(3);
            t.push(window(109, 6, &[103]));
        }),
        (Rule::OtherUri, |t| later(t, 3, "105-abc", "105-abd")),
        (Rule::OtherUri, |t| later(t, 3, "105-abc.ts?x=1", "105-abc.ts?x=2")),
        (Rule::OtherLines, |t| later(t, 3, "EXT-X-CUE:105", "EXT-X-CUE:0")),
        (Rule::OtherLines, |t| later(t, 3, "4.000,\n#EXT-X-CUE:104", "4.001,\n#EXT-X-CUE:104")),
        (Rule::OtherLines, |t| {
            later(t, 3, "#EXT-X-CUE:106", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-CUE:106");
            later(t, 3, "#EXT-X-CUE:107", "#EXT-X-KEY:METHOD=NONE\n#EXT-X-CUE:107");
        }),
        (Rule::OtherLines, |t| later(t, 3, "#EXT-X-CUE:107", "#EXT-X-GAP\n#EXT-X-CUE:107")),
        (Rule::OtherLines, |t| {
            later(t, 0, "#EXT-X-CUE:107", "#EXT-X-GAP\n#EXT-X-CUE:107");
            later(t, 4, "#EXT-X-GAP\n", "");
        }),
        (Rule::DiscontinuityChanged, |t| {
            later(t, 5, "#EXT-X-CUE:109", "#EXT-X-DISCONTINUITY\n#EXT-X-CUE:109");
        }),
        (Rule::DiscontinuityChanged, |t| {
            t.truncate(3);
            later(t, 2, "#EXT-X-DISCONTINUITY\n", "");
        }),
        (Rule::DiscontinuitySequence, |t| later(t, 4, "-SEQUENCE:1\n", "-SEQUENCE:0\n")),
        (Rule::DiscontinuitySequence, |t| later(t, 4, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "")),
        (Rule::TargetDurationChanged, |t| later(t, 3, "DURATION:4", "DURATION:5")),
        (Rule::SegmentTooLong, |t| later(t, 0, "4.000,\n#EXT-X-CUE:107", "4.5,\n#EXT-X-CUE:107")),
        (Rule::EdgeStale, |t| {
            let still = t[2].clone();
            t.insert(3, still.clone());
            t.insert(4, still);
        }),
        (Rule::Shrunk, |t| {
            t.truncate(2);
            t.push(window(105, 2, &[103]));
        }),
        (Rule::MapWithoutDiscontinuity, |t| {
            later(t, 0, "#EXT-X-CUE:110", "#EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-CUE:110");
        }),
        (Rule::EndedThenMore, |t| t[3] += "#EXT-X-ENDLIST\n"),
        (Rule::MsnTooLarge, |t| {
            t.clear();
            t.push(good(1 << 53, &[]));
            t.push(good((1 << 53) + 1, &[]));
        }),
        (Rule::Unparsable, |t| t[3] = "<html>sorry</html>".to_owned()),
        (Rule::Unparsable, |t| t[3] = t[3].replace("4.000", "NaN")),
        (Rule::Unparsable, |t| t[3] = t[3].replace(":103", ":99999999999999999999")),
    ];
    for (row, (rule, fault)) in table.iter().enumerate() {
        let mut texts: Vec<String> = (100..106).map(|n| good(n, &[103])).collect();
        assert_eq!(rules(&texts), [], "the sequence is good before its fault");
        fault(&mut texts);
        assert_eq!(rules(&texts), [*rule], "row {row}");
    }
}

#[test]
fn a_restart_from_zero_is_told_and_then_forgotten() {
    let mut texts: Vec<String> = (100..104).map(|n| good(n, &[])).collect();
    texts.extend((0..4).map(|n| good(n, &[])));
    assert_eq!(rules(&texts), [Rule::FirstMsnFell, Rule::LastMsnFell]);
}

#[test]
fn segments_put_back_at_the_head_are_told() {
    let texts = [good(100, &[]), good(101, &[]), window(100, 8, &[])];
    assert_eq!(rules(&texts), [Rule::FirstMsnFell]);
}

#[test]
fn unknown_tags_at_the_head_of_a_list_may_be_the_playlists() {
    let head = |n: u64| good(n, &[]).replacen("#EXTINF", "#EXT-X-TWITCH-INFO:a=1\n#EXTINF", 1);
    assert_eq!(rules(&[head(100), head(101), head(102), head(103)]), []);
}

#[test]
fn program_date_time_may_stand_at_the_head_alone_but_not_change() {
    let dated = |n: u64, date: &str| {
        good(n, &[]).replacen("#EXTINF", &format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF"), 1)
    };
    assert_eq!(rules(&[dated(100, "x"), dated(101, "y"), dated(102, "z")]), []);
    assert_eq!(rules(&[dated(100, "x"), dated(100, "y")]), [Rule::OtherLines]);
}

#[test]
fn a_gap_is_no_breach() {
    let gap = |n: u64| good(n, &[]).replace("#EXT-X-CUE:107", "#EXT-X-GAP\n#EXT-X-CUE:107");
    let mut observer = Observer::default();
    for (n, ms) in (100..106).zip((0..).step_by(4_000)) {
        assert_eq!(look(&mut observer, &place(0, ""), ms, &gap(n)), []);
    }
    assert_eq!(observer.due(&place(0, ""), 107, Duration::ZERO), None, "nothing to fetch");
    assert_eq!(observer.summaries()[&place(0, "")].gaps, 1);
}

#[test]
fn the_end_is_no_breach_however_short_or_long_it_stands() {
    let ended = window(103, 2, &[]) + "#EXT-X-ENDLIST\n";
    assert_eq!(rules(&[window(100, 5, &[]), ended.clone(), ended.clone(), ended]), []);
}

#[test]
fn a_slow_poll_does_not_make_an_edge_stale() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    assert_eq!(look(&mut observer, &v0, 0, &good(100, &[])), []);
    assert_eq!(look(&mut observer, &v0, 9_000, &good(101, &[])), [], "it may have come at 4 s");
    assert_eq!(look(&mut observer, &v0, 15_000, &good(101, &[])), [], "5.98 s after");
    assert_eq!(look(&mut observer, &v0, 15_200, &good(101, &[])), [Rule::EdgeStale]);
    assert_eq!(look(&mut observer, &v0, 17_000, &good(101, &[])), [], "told once");
}

#[test]
fn renditions_are_held_against_each_other() {
    let table: &[(&[Rule], String)] = &[
        (&[], good(101, &[103])),
        (&[Rule::RenditionsDisagree], good(501, &[503])),
        (&[Rule::RenditionsDisagree], good(101, &[])),
        (&[Rule::TargetDurationDiffers], good(101, &[103]).replace("DURATION:4", "DURATION:6")),
    ];
    for (rules, text) in table {
        let mut observer = Observer::default();
        assert_eq!(look(&mut observer, &place(0, "v0"), 0, &good(100, &[103])), []);
        assert_eq!(look(&mut observer, &place(0, "v1"), 500, text), *rules);
        assert_eq!(look(&mut observer, &place(0, "v1"), 600, text), [], "told once");
    }
}

#[test]
fn urls_are_held_against_each_other() {
    let other = good(100, &[103]).replace("t0ken", "other");
    let table: &[(&[Rule], String)] = &[
        (&[], other.clone()),
        (&[Rule::Split], other.replace("104-abc", "104-xyz")),
        (&[Rule::Split], other.replace("CUE:104", "CUE:1")),
        (&[Rule::Split], other.replace("#EXT-X-DISCONTINUITY\n", "")),
        (&[Rule::Split], other.replace("SEQUENCE:0", "SEQUENCE:7")),
        (&[Rule::TargetDurationDiffers], other.replace("DURATION:4", "DURATION:6")),
    ];
    for (rules, text) in table {
        let mut observer = Observer::default();
        assert_eq!(look(&mut observer, &place(0, "v0"), 0, &good(100, &[103])), []);
        let found = look(&mut observer, &place(1, "v0"), 500, text);
        assert_eq!(found.first(), rules.first(), "{text}");
    }
}

#[test]
fn edges_half_a_target_duration_apart_are_told_once() {
    let mut observer = Observer::default();
    let (one, two) = (place(0, "v0"), place(1, "v0"));
    assert_eq!(look(&mut observer, &one, 0, &good(100, &[])), []);
    assert_eq!(look(&mut observer, &two, 0, &good(100, &[])), []);
    assert_eq!(look(&mut observer, &one, 4_000, &good(101, &[])), []);
    assert_eq!(look(&mut observer, &two, 5_900, &good(100, &[])), [], "1.88 s behind");
    assert_eq!(look(&mut observer, &two, 6_120, &good(100, &[])), [Rule::EdgesApart]);
    assert_eq!(look(&mut observer, &two, 6_400, &good(101, &[])), []);
}

#[test]
fn segments_are_whole_there_and_the_same() {
    let fetched = |n: u8| Fetched { hash: ContentHash::of(&[n]), length: 1 };
    let (one, two) = (place(0, "v0"), place(1, "v0"));
    let table: Vec<(&[Rule], Place, Answer<Fetched>)> = vec![
        (&[], one.clone(), Answer::Whole(fetched(1))),
        (&[], two.clone(), Answer::Whole(fetched(1))),
        (&[Rule::OtherBytes], one.clone(), Answer::Whole(fetched(2))),
        (&[Rule::OtherBytes], two, Answer::Whole(fetched(2))),
        (&[Rule::NotOk], one.clone(), Answer::Status(404)),
        (&[Rule::NotOk], one.clone(), Answer::Failed("refused".to_owned())),
        (&[Rule::CutShort], one.clone(), Answer::Cut(10, 20)),
    ];
    for (rules, place, answer) in table {
        let mut observer = Observer::default();
        look(&mut observer, &one, 0, &good(100, &[]));
        let wanted = observer.due(&one, 102, Duration::from_secs(1)).unwrap();
        assert_eq!(wanted.uri, "t0ken/v0/102-abc.ts?x=1");
        let now = Duration::from_secs(1);
        assert_eq!(observer.segment(&one, now, &wanted, Answer::Whole(fetched(1))), []);
        let found = observer.segment(&place, now, &wanted, answer);
        assert_eq!(found.iter().map(|b| b.rule).collect::<Vec<_>>(), rules);
    }
}

#[test]
fn a_segment_is_due_until_its_length_and_a_window_after_it_left() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    look(&mut observer, &v0, 0, &good(100, &[]));
    look(&mut observer, &v0, 4_000, &good(101, &[]));
    assert!(observer.due(&v0, 100, Duration::from_secs(28)).is_some());
    assert!(observer.due(&v0, 100, Duration::from_secs(29)).is_none());
}

#[test]
fn a_playlist_that_stays_away_is_told_once() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    look(&mut observer, &v0, 0, &good(100, &[]));
    let first = observer.playlist(&v0, at(4_000), Answer::Status(404));
    assert_eq!(first.breaches[0].sentence, "the playlist was answered 404");
    assert_eq!(observer.playlist(&v0, at(4_100), Answer::Status(404)).breaches, []);
    look(&mut observer, &v0, 4_200, &good(101, &[]));
    assert_eq!(observer.playlist(&v0, at(4_300), Answer::Cut(1, 2)).breaches.len(), 1);
}

#[test]
fn byte_ranges_follow_their_predecessor() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n#EXT-X-BYTERANGE:100@50\nall.ts\n\
                #EXTINF:4,\n#EXT-X-BYTERANGE:30\nall.ts\n";
    let shown = read(text).unwrap();
    assert_eq!(shown.segments[1].range, Some((30, 150)));
    assert!(read(&text.replace("@50", "")).is_err());
    // At the head of the list the offset has to be written out: it says the same.
    let (first, second) = text.split_at(text.find("#EXTINF:4,\n#EXT-X-BYTERANGE:30").unwrap());
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n";
    let more = "#EXTINF:4,\nx.ts\n#EXTINF:4,\ny.ts\n#EXTINF:4,\nz.ts\n";
    for (offset, wanted) in [("150", &[][..]), ("151", &[Rule::OtherLines])] {
        let second = second.replace(":30", &format!(":30@{offset}"));
        let texts = [
            format!("{first}#EXTINF:4,\n#EXT-X-BYTERANGE:30\nall.ts\n{more}"),
            format!("{head}{second}{more}"),
        ];
        assert_eq!(rules(&texts), wanted, "{offset}");
    }
}
