//! Renditions of every kind, held against each other.

use super::*;

/// A list of `count` segments of `ms` from number `first` on. Segment `first` begins `from_ms` into
/// the content; the first that begins at or after `splice_ms` carries EXT-X-DISCONTINUITY.
struct Rendition {
    first: u64,
    count: u64,
    ms: u64,
    from_ms: u64,
    splice_ms: u64,
    dates: bool,
}

impl Rendition {
    fn text(&self) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.first,
            u64::from(self.from_ms >= self.splice_ms + self.ms)
        );
        for n in 0..self.count {
            let at = self.from_ms + n * self.ms;
            if (self.splice_ms..self.splice_ms + self.ms).contains(&at) {
                text += "#EXT-X-DISCONTINUITY\n";
            }
            if self.dates {
                let (s, ms) = (at / 1000, at % 1000);
                let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{s:02}.{ms:03}Z");
            }
            let (s, ms) = (self.ms / 1000, self.ms % 1000);
            let _ = write!(text, "#EXTINF:{s}.{ms:03},\n{}.ts\n", self.first + n);
        }
        text
    }
}

fn video() -> Rendition {
    Rendition { first: 100, count: 6, ms: 4_000, from_ms: 0, splice_ms: 12_000, dates: true }
}

/// What a watch says that sees `texts` one after another, 100 ms apart.
fn together(texts: &[(&str, String)]) -> Vec<Rule> {
    let mut observer = Observer::default();
    let looks = texts.iter().zip((0..).step_by(100));
    looks.flat_map(|((name, text), ms)| look(&mut observer, &place(0, name), ms, text)).collect()
}

#[test]
fn audio_with_borders_and_numbers_of_its_own_is_in_order() {
    for dates in [true, false] {
        let video = Rendition { dates, ..video() };
        let audio = Rendition { first: 7_000, count: 24, ms: 1_000, dates, ..video };
        assert_eq!(together(&[("v0", video.text()), ("a0", audio.text())]), [], "{dates}");
        // Numbers that meet by chance say nothing.
        let audio = Rendition { first: 95, ..audio };
        assert_eq!(together(&[("v0", video.text()), ("a0", audio.text())]), [], "{dates}");
        // Just under the video's length, and numbers three off.
        let audio = Rendition { first: 97, count: 6, ms: 3_989, ..audio };
        assert_eq!(together(&[("v0", video.text()), ("a0", audio.text())]), [], "{dates}");
    }
}

#[test]
fn a_moment_has_one_discontinuity_number() {
    let audio = Rendition { first: 7_000, count: 24, ms: 1_000, ..video() };
    let near = Rendition { splice_ms: 14_000, ..audio };
    assert_eq!(together(&[("v0", video().text()), ("a0", near.text())]), [], "a segment off");
    let never = Rendition { splice_ms: 99_000, ..audio };
    let disagree = [Rule::RenditionsDisagree];
    assert_eq!(together(&[("v0", video().text()), ("a0", never.text())]), disagree);
    let early = Rendition { splice_ms: 1_000, ..audio };
    let v0 = || ("v0", video().text());
    assert_eq!(
        together(&[v0(), ("a0", early.text()), v0()]),
        disagree,
        "seen from the longer side"
    );
    // Content that a splice repeats has two numbers, and both are right.
    let text =
        near.text().replace("#EXT-X-DISCONTINUITY-SEQUENCE:0", "#EXT-X-DISCONTINUITY-SEQUENCE:1");
    assert_eq!(together(&[("v0", video().text()), ("a0", text)]), disagree, "one more gone");
}

#[test]
fn without_dates_numbers_are_compared_where_they_go_on_in_step() {
    let video = Rendition { dates: false, ..video() };
    let audio = Rendition { splice_ms: 99_000, ..video };
    let disagree = [Rule::RenditionsDisagree];
    assert_eq!(together(&[("v0", video.text()), ("a0", audio.text())]), disagree);
    assert_eq!(together(&[("v0", video.text()), ("v1", audio.text())]), disagree);
    let near = Rendition { splice_ms: 20_000, ..video };
    let other = Rendition { splice_ms: 99_000, ..video };
    assert_eq!(together(&[("v0", near.text()), ("a0", other.text())]), [], "one off");
    let shifted = Rendition { first: 102, ..audio };
    assert_eq!(together(&[("v0", video.text()), ("a0", shifted.text())]), [], "other numbers");
    assert_eq!(together(&[("v0", video.text()), ("s0", shifted.text())]), []);
}

#[test]
fn dates_stand_in_all_or_none_of_video_and_audio() {
    let without = || Rendition { dates: false, ..video() }.text();
    let table: &[(&str, &[Rule])] =
        &[("v1", &[Rule::DatesDiffer]), ("a0", &[Rule::DatesDiffer]), ("s0", &[]), ("i0", &[])];
    for (other, rules) in table {
        let texts = [("v0", video().text()), (*other, without()), (*other, without())];
        assert_eq!(together(&texts), *rules, "told once: {other}");
        let texts = [(*other, without()), ("v0", video().text())];
        assert_eq!(together(&texts), *rules, "whichever was seen first");
    }
    // Dates began within the list: the other may have been looked at before.
    let begun = without().replace(
        "#EXTINF:4.000,\n105",
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:20Z\n#EXTINF:4.000,\n105",
    );
    assert_eq!(together(&[("v0", begun), ("v1", without())]), []);
}

#[test]
fn iframes_have_an_entry_each_and_no_pace() {
    let frames = |first: u64, dates: bool| {
        let rendition = Rendition { first, count: 12, ms: 2_000, dates, ..video() };
        let mut text = rendition.text().replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n");
        for n in (first..first + 12).rev() {
            let range = format!("#EXT-X-BYTERANGE:500@{}\n{}.ts", n % 2 * 9_000, n / 2);
            text = text.replace(&format!("{n}.ts"), &range);
        }
        text
    };
    for dates in [true, false] {
        let video = Rendition { dates, ..video() }.text();
        assert_eq!(together(&[("v0", video), ("i0", frames(50, dates))]), []);
    }
    // One that lasts until a far later frame, and a pace of its own.
    let mut observer = Observer::default();
    let i0 = place(0, "i0");
    let text = frames(50, true).replace("EXTINF:2.000", "EXTINF:9.000");
    let text = text.replace("#EXT-X-PROGRAM", "#EXT-X-P");
    assert_eq!(look(&mut observer, &i0, 0, &text), []);
    assert_eq!(look(&mut observer, &i0, 20_000, &text), []);
    let wanted = observer.due(&i0, 51, Duration::ZERO).unwrap();
    assert_eq!((wanted.uri.as_str(), wanted.range), ("25.ts", Some((500, 9_000))));
}

#[test]
fn a_vods_subtitles_may_have_their_own_target_duration() {
    let vod = |text: String| text + "#EXT-X-ENDLIST\n";
    let other = || video().text().replace("DURATION:4", "DURATION:60");
    let differs = [Rule::TargetDurationDiffers];
    assert_eq!(together(&[("v0", vod(video().text())), ("s0", vod(other()))]), []);
    assert_eq!(together(&[("v0", video().text()), ("s0", other())]), differs);
    assert_eq!(together(&[("v0", vod(video().text())), ("a0", vod(other()))]), differs);
}

#[test]
fn multivariant_playlists_give_names() {
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en, main\",URI=\"en.m3u8\"\n\
                #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"muxed\"\n\
                #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"en\",URI=\"s.m3u8\"\n\
                #EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"w\",NAME=\"other angle\",URI=\"w.m3u8\"\n\
                #EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=480x270\nlow.m3u8\n\
                #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,RESOLUTION=480x270,URI=\"i.m3u8\"\n\
                #EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3\nlow.m3u8\n";
    let found = multivariant::variants(text, &mut Variables::default());
    let names: Vec<_> = found.iter().map(|v| (v.name.as_str(), v.title.as_str())).collect();
    assert_eq!(
        names,
        [
            ("a0", "en, main"),
            ("s0", "en"),
            ("v0", "other angle"),
            ("v1", "480x270 1"),
            ("i0", "480x270 9"),
            ("v2", "2")
        ]
    );
    assert!(multivariant::variants(&good(1, &[]), &mut Variables::default()).is_empty());
}

#[test]
fn variables_are_resolved_as_players_do() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"http://h\"\n\
                #EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\
                {$host}/low.m3u8?t={$t}&u={$unknown}\n";
    let mut variables = Variables::of_query("a=b&t=7");
    let found = multivariant::variants(text, &mut variables);
    assert_eq!(found[0].uri, "http://h/low.m3u8?t=7&u={$unknown}");
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:IMPORT=\"host\"\n\
                 #EXT-X-DEFINE:NAME=\"k\",VALUE=\"keys\"\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"{$host}/{$k}/1\"\n#EXTINF:4,\n{$host}/1.ts\n";
    let shown = read_with(media, &variables).unwrap();
    assert_eq!(shown.segments[0].uri, "http://h/1.ts");
    assert_eq!(*shown.segments[0].keys, ["#EXT-X-KEY:METHOD=AES-128,URI=\"http://h/keys/1\""]);
}
