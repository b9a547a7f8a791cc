//! EXT-X-PROGRAM-DATE-TIME and EXT-X-DATERANGE.

use super::*;

/// The window of numbers from `first`, 4 s each; `date` gives the millisecond at which each begins.
fn dated(first: u64, splices: &[u64], date: impl Fn(u64) -> Option<i64>) -> String {
    let mut text = window(first, 6, splices);
    for msn in first..first + 6 {
        if let Some(ms) = date(msn) {
            let tag = format!("#EXT-X-CUE:{msn}\n");
            text = text.replace(&tag, &format!("{tag}#EXT-X-PROGRAM-DATE-TIME:{}\n", iso(ms)));
        }
    }
    text
}

fn iso(ms: i64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("2026-01-01T{:02}:{:02}:{:02}.{ms:03}Z", 1 + s / 3600, s / 60 % 60, s % 60)
}

/// Segment 90 begins with moment 0 of the content.
fn content(msn: u64) -> i64 {
    (msn.cast_signed() - 90) * 4_000
}

/// What a splice at 108 makes of dates, seen to by a watch that looks every 4 s.
fn over_a_splice(date: impl Fn(u64) -> Option<i64>) -> Vec<Rule> {
    rules(&(96..114).map(|n| dated(n, &[108], &date)).collect::<Vec<_>>())
}

#[test]
fn dates_go_on_by_extinf() {
    let all = |off: fn(u64) -> i64| {
        rules(&(100..108).map(|n| dated(n, &[], |m| Some(content(m) + off(m)))).collect::<Vec<_>>())
    };
    assert_eq!(all(|_| 0), []);
    assert_eq!(all(|m| if m % 2 == 0 { 400 } else { 0 }), [], "stamped by the wall clock");
    assert_eq!(all(|m| m.cast_signed() * 100), [], "clocks drift");
    let once = [Rule::DateNotContinuous];
    assert_eq!(all(|m| if m >= 104 { 600 } else { 0 }), once, "a step, told once");
    assert_eq!(all(|m| if m >= 107 { -600 } else { 0 }), once, "and back, where it is new");
}

#[test]
fn dates_at_the_head_alone_go_on_from_look_to_look() {
    let heads = |off: fn(u64) -> i64| {
        let head = |n: u64| dated(n, &[], |m| (m == n).then(|| content(m) + off(m)));
        rules(&(100..106).map(head).collect::<Vec<_>>())
    };
    assert_eq!(heads(|_| 0), []);
    assert_eq!(heads(|m| if m >= 103 { 5_000 } else { 0 }), [Rule::DateNotContinuous]);
}

#[test]
fn whole_seconds_may_have_been_rounded() {
    // Segments of 3.6 s, written as 4: each date is 0.4 s off what EXTINF says.
    let text = |n: u64| {
        let head = dated(n, &[], |m| (m == n).then(|| (m.cast_signed() - 100) * 3_600));
        head.replace("EXTINF:4.000,", "EXTINF:4,")
    };
    assert_eq!(rules(&(100..108).map(text).collect::<Vec<_>>()), []);
}

#[test]
fn a_splice_may_repeat_or_lose_content_but_no_clock_may_jump() {
    let table: &[(&[Rule], i64)] = &[
        (&[], 0),
        (&[], -4_000),
        (&[], -4_400),
        (&[], 4_000),
        (&[Rule::DateJumps], -10_000),
        (&[Rule::DateJumps], 10_000),
        (&[Rule::DateJumps], 3_600_000),
    ];
    for (rules, off) in table {
        let date = |m: u64| Some(600_000 + content(m) + if m >= 108 { *off } else { 0 });
        assert_eq!(over_a_splice(date), *rules, "{off} ms");
    }
}

#[test]
fn content_that_was_lost_is_dated_truthfully() {
    // For 30 s nothing came; then what is live, behind a discontinuity.
    let date = |m: u64| Some(content(m) + if m >= 108 { 30_000 } else { 0 });
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    for (n, ms) in (96..112).zip((0..).step_by(4_000)) {
        let ms = if n + 5 >= 108 { ms + 30_000 } else { ms };
        assert_eq!(look(&mut observer, &v0, ms, &dated(n, &[108], date)), [], "{n}");
    }
}

#[test]
fn a_discontinuity_without_date_ends_what_is_known() {
    let date = |m: u64| (m < 108).then(|| content(m));
    assert_eq!(over_a_splice(date), []);
}

#[test]
fn dateranges_say_the_same_for_ever() {
    let ranges = |n: u64, lines: &str| {
        dated(n, &[], |m| Some(content(m))).replacen("#EXTINF", &format!("{lines}#EXTINF"), 1)
    };
    let out = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T01:00:00Z\",SCTE35-OUT=0xFC30\n";
    let back = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T01:00:00Z\",SCTE35-IN=0xFC31\n";
    let other = out.replace("FC30", "FC39");
    let clash: &[Rule] = &[Rule::DaterangeClash];
    assert_eq!(rules(&[ranges(100, out), ranges(101, back)]), [], "it ends");
    assert_eq!(rules(&[ranges(100, &(out.to_owned() + back)), ranges(101, back)]), []);
    assert_eq!(rules(&[ranges(100, out), ranges(101, ""), ranges(102, &other)]), clash);
    assert_eq!(rules(&[ranges(100, &(out.to_owned() + &other)), ranges(101, "")]), clash);
}

#[test]
fn dateranges_need_dates() {
    let ranges = |n: u64| good(n, &[]).replacen("#EXTINF", "#EXT-X-DATERANGE:ID=\"a\"\n#EXTINF", 1);
    assert_eq!(rules(&[ranges(100), ranges(101)]), [Rule::DaterangeWithoutDate], "told once");
}
