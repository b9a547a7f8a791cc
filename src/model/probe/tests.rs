//! Packagers that are made up, and what a probe says of them.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Arrival, Class, Findings, Inside, Part, Probe, Seen, Which, panel};
use crate::model::media::{Codec, Content, Keyframe, PictureHash, Span, Ticks, Video};
use crate::model::multivariant::{Asked, Multivariant};
use crate::model::names::UnixMs;
use crate::model::playlist::{Limits, parse};

const S: i64 = Ticks::SECOND;
const BEGAN: u64 = 1_800_000_000_000;

/// A packager of segments of four seconds: what it shows at second `t` of the programme.
#[derive(Clone, Copy)]
struct Made {
    /// Its media time at second 0.
    clock: i64,
    /// Its number there.
    msn: u64,
    /// When it cuts, seconds after the whole four.
    cuts: i64,
    /// Which encoder.
    encoder: u8,
    closed: bool,
    /// When it lists a segment after its end, milliseconds.
    late: u64,
    /// Its dates are so many milliseconds off.
    dates: Option<u64>,
    key: &'static str,
}

const A: Made =
    Made { clock: 0, msn: 15, cuts: 0, encoder: 0, closed: true, late: 300, dates: None, key: "" };

impl Made {
    fn list(&self, n: u64) -> String {
        let mut list = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{}\n{}",
            self.msn + n,
            self.key
        );
        if let Some(off) = self.dates {
            let ms = 4000 * n + off;
            let (s, ms) = (ms / 1000, ms % 1000);
            let clock = format!("08:{:02}:{:02}.{ms:03}", s / 60, s % 60);
            writeln!(list, "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T{clock}Z").unwrap();
        }
        for k in n..n + 3 {
            writeln!(list, "#EXTINF:4,\n{}.ts", self.msn + k).unwrap();
        }
        list
    }

    /// The third that `list(n)` lists.
    fn content(&self, n: u64) -> Content {
        let begins = ((n.cast_signed() + 2) * 4 + self.cuts) * S;
        let keyframe = |second: i64| {
            let mut hash = [self.encoder; 16];
            hash[8..].copy_from_slice(&(begins + second * S).to_be_bytes());
            let pts = Ticks(begins + (second + self.clock) * S);
            Keyframe { pts, dts: pts, hash: PictureHash(hash), closed: self.closed }
        };
        let span = Span {
            first: Ticks(begins + self.clock * S),
            last: Ticks(begins + (self.clock + 4) * S - 3600),
        };
        let video = Video {
            codec: Codec::H264,
            parameter_sets: Some(PictureHash([self.encoder; 16])),
            pts: span,
            dts: span,
            pictures: 100,
            frame: Ticks(3600),
            keyframes: vec![keyframe(0), keyframe(2)],
        };
        Content { video: Some(video), audio: Vec::new(), pcr: None }
    }

    /// Its list as it is when segment `n + 2` has come, and what is in that.
    fn show(&self, probe: &mut Probe, which: Which, n: u64) {
        let list = parse(self.list(n).as_bytes(), &Limits::default()).unwrap();
        let ends = (n + 3) * 4000 + self.cuts.unsigned_abs() * 1000;
        let before = UnixMs(BEGAN + ends + self.late);
        let after = Some(before.minus(Duration::from_millis(200)));
        let at = Arrival { after, before };
        let Some(wanted) = probe.listed(which, &list, at) else { return };
        let encrypted = wanted.encrypted;
        let inside = if encrypted { Inside::Encrypted } else { Inside::Content(self.content(n)) };
        probe.looked(which, Seen { wanted, inside });
    }
}

fn reached() -> Probe {
    let mut probe = Probe::new("http://a/x.m3u8", "http://b/x.m3u8", None);
    probe.reached(Which::A, Probe::lone());
    probe.reached(Which::B, Probe::lone());
    probe
}

/// Both for so many segments.
fn after(segments: u64, a: Made, b: Made) -> Findings {
    let mut probe = reached();
    for n in 0..segments {
        a.show(&mut probe, Which::A, n);
        b.show(&mut probe, Which::B, n);
    }
    probe.findings(UnixMs(BEGAN + segments * 4000 + 12_000))
}

#[test]
fn a_relay_is_measured_to_the_frame() {
    let b = Made { clock: 500, msn: 0, cuts: 2, late: 1100, ..A };
    let found = after(8, A, b);
    assert_eq!(found.verdict, Class::Exact, "{}", found.why);
    assert_eq!((found.method, found.offset_ms), (Some("keyframe"), Some(500_000)));
    assert_eq!((found.border_phase_ms, found.border_phase_constant), (Some(2000), Some(true)));
    // In the middle of a's segment: which border is the nearest is decided once.
    assert_eq!((found.msn_difference, found.msn_difference_constant), (Some(-15), Some(true)));
    assert_eq!((found.lag_ms, found.gap_max_ms), (Some(800), Some(0)));
    assert_eq!((found.keyframes_equal, found.keyframes_compared), (15, 15));
    let turned = after(8, b, A);
    assert_eq!((turned.offset_ms, turned.lag_ms), (Some(-500_000), Some(-800)));
    assert_eq!(turned.border_phase_ms.map(i64::abs), Some(2000));
}

#[test]
fn one_picture_in_common_is_no_verdict() {
    assert_eq!(after(1, A, A).verdict, Class::Looking);
    assert_eq!(after(2, A, A).verdict, Class::Exact);
    let other = Made { encoder: 1, ..A };
    assert_eq!(after(2, A, other).verdict, Class::Looking);
    assert_eq!(after(4, A, other).verdict, Class::Unaligned);
}

#[test]
fn what_a_failover_would_be_like() {
    let other = Made { encoder: 1, clock: 90, ..A };
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    let dated = |made: Made, off| Made { dates: Some(off), ..made };
    let secret = |made: Made| Made { key, ..made };
    let cases = [
        ("open GOPs", A, Made { closed: false, ..A }, Class::Near, Some(2000)),
        ("dates", dated(A, 0), dated(other, 0), Class::Near, Some(2000)),
        ("dates of one", dated(A, 0), other, Class::Unaligned, Some(4000)),
        ("dates a minute off", dated(A, 0), dated(other, 60_000), Class::Unaligned, Some(4000)),
        ("encrypted", secret(A), secret(A), Class::Unaligned, Some(4000)),
        ("with dates", dated(secret(A), 0), dated(secret(A), 0), Class::Near, Some(0)),
        (
            "with other borders",
            dated(secret(A), 0),
            dated(secret(A), 1500),
            Class::Unaligned,
            Some(4000),
        ),
        ("one of them", A, secret(A), Class::Unaligned, Some(4000)),
    ];
    for (name, a, b, class, gap) in cases {
        let found = after(8, a, b);
        assert_eq!((found.verdict, found.gap_max_ms), (class, gap), "{name}: {}", found.why);
        assert!(
            found.verdict == Class::Exact || !found.advice.is_empty() || gap == Some(0),
            "{name}"
        );
    }
}

#[test]
fn a_new_run_is_related_anew() {
    let mut probe = reached();
    let again = Made { clock: 1000, msn: 0, ..A };
    for n in 0..8 {
        A.show(&mut probe, Which::A, n);
        if n < 4 { A } else { again }.show(&mut probe, Which::B, n);
        let offset = probe.findings(UnixMs(BEGAN + n * 4000)).offset_ms;
        assert_eq!(offset, Some(if n < 4 { 0 } else { 1_000_000 }));
    }
    let found = probe.findings(UnixMs(BEGAN + 40_000));
    assert_eq!((found.b.restarts, found.a.restarts, found.verdict), (1, 0, Class::Exact));
    // The numbers go on and the timeline does not.
    Made { clock: 5000, ..A }.show(&mut probe, Which::A, 8);
    assert_eq!(probe.findings(UnixMs(BEGAN + 44_000)).a.restarts, 1);
    // The timeline goes on and the numbers fall.
    Made { clock: 5000, msn: 0, ..A }.show(&mut probe, Which::A, 9);
    assert_eq!(probe.findings(UnixMs(BEGAN + 48_000)).a.restarts, 2);
}

#[test]
fn a_packager_that_fails_is_told_with_its_time() {
    let mut probe = reached();
    for n in 0..4 {
        A.show(&mut probe, Which::A, n);
        A.show(&mut probe, Which::B, n);
    }
    probe.failed(Which::B, UnixMs(BEGAN), "answered 500");
    probe.failed(Which::B, UnixMs(BEGAN + 1000), "answered 503");
    let found = probe.findings(UnixMs(BEGAN + 5000));
    assert_eq!((found.b.error.as_deref(), found.b.error_ms), (Some("answered 503"), Some(5000)));
    assert_eq!(found.verdict, Class::Exact, "what is known is still known");
    let found = probe.findings(UnixMs(BEGAN + 10_000));
    assert_eq!((found.verdict, found.offset_ms), (Class::Impossible, Some(0)), "{}", found.why);
    A.show(&mut probe, Which::B, 4);
    let found = probe.findings(UnixMs(BEGAN + 28_000));
    assert_eq!((found.b.error, found.verdict), (None, Class::Exact));
    // A list that stands still answers, and is of no use either.
    let found = probe.findings(UnixMs(BEGAN + 37_000));
    assert_eq!(
        (found.verdict, found.why.starts_with("a has listed nothing")),
        (Class::Impossible, true)
    );
}

#[test]
fn what_comes_from_outside_does_not_steer_a_terminal() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"\u{9b}2J\u{7f}x\"\nx.m3u8\n";
    let own_hosts = ["h".to_owned()];
    let asked = Asked { path: "/x", own_hosts: &own_hosts };
    let read = Multivariant::read(text.as_bytes(), &Limits::default(), &asked).unwrap();
    let mut probe = Probe::new("http://a/", "http://b/", None);
    probe.reached(Which::A, read.found.clone());
    probe.reached(Which::B, read.found);
    probe.failed(Which::B, UnixMs(0), "redirected to \u{1b}[2J");
    let parts = panel(&probe.findings(UnixMs(0)));
    let texts = parts.into_iter().flat_map(|part| match part {
        Part::Sides(_, a, b) => vec![a, b],
        Part::Fact(_, text) | Part::Verdict(_, text) | Part::Advice(text) => vec![text],
    });
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

#[test]
fn it_is_asked_often_only_while_a_segment_is_due() {
    let mut probe = reached();
    A.show(&mut probe, Which::A, 0);
    let came = UnixMs(BEGAN + 12_300);
    let pause = |ms: u64| probe.pause(Which::A, came.plus(Duration::from_millis(ms))).as_millis();
    assert_eq!([0, 1800, 2700, 3900, 20_000].map(pause), [2000, 1000, 200, 200, 1000]);
}
