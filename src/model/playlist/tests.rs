//! Media playlists as real packagers write them, and broken ones.

use std::time::Duration;

use super::*;

fn read(text: &str) -> Result<MediaPlaylist, PlaylistError> {
    parse(text.as_bytes(), &Limits::default())
}

const NGINX_RTMP: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:15\n\
    #EXT-X-TARGETDURATION:6\n#EXT-X-DISCONTINUITY\n#EXTINF:4.000,\ncam-15.ts\n\
    #EXTINF:6.000,\ncam-16.ts\n";

const WOWZA: &str = "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-ALLOW-CACHE:NO\r\n\
    #EXT-X-TARGETDURATION:10\r\n#EXT-X-MEDIA-SEQUENCE:2140\r\n\r\n#EXTINF:9.009,\r\n\
    media_w4135965_2140.ts\r\n#EXTINF:9.009, a title, with commas \r\nmedia_w4135965_2141.ts";

const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:9\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n\
    #EXT-X-MEDIA-SEQUENCE:266\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@0\"\n\
    #EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z\n\
    #EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2019-02-14T02:13:36.106Z\"\n\
    #EXT-X-DATERANGE:ID=\"b\",START-DATE=\"2019-02-14T02:13:36.106Z\"\n\
    #EXT-X-PART:DURATION=0.33,URI=\"part266.0.mp4\"\n#EXT-X-CUE-OUT:30\n\
    #EXTINF:4.00008,\nfileSequence266.mp4\n\
    #EXT-X-PART:DURATION=0.33,URI=\"part267.0.mp4\"\n\
    #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part267.1.mp4\"\n\
    #EXT-X-RENDITION-REPORT:URI=\"../1M/wait.php\",LAST-MSN=267\n";

#[test]
fn nginx_rtmp() {
    let got = read(NGINX_RTMP).unwrap();
    assert_eq!((got.version, got.target_duration, got.ended), (3, 6, false));
    let [a, b] = &got.segments[..] else { panic!("{got:?}") };
    assert_eq!((a.msn.0, a.uri.as_str(), a.discontinuity), (15, "cam-15.ts", true));
    assert_eq!((b.msn.0, b.uri.as_str(), b.discontinuity), (16, "cam-16.ts", false));
    assert_eq!(a.lines, ["#EXTINF:4.000,"]);
    assert_eq!(got.duration(), Duration::from_secs(10));
}

#[test]
fn wowza_with_a_byte_order_mark_and_no_last_line_end() {
    let got = read(WOWZA).unwrap();
    assert_eq!(got.target_duration, 10);
    let [a, b] = &got.segments[..] else { panic!("{got:?}") };
    assert_eq!((a.msn.0, a.duration), (2140, Duration::from_millis(9009)));
    assert_eq!(b.lines, ["#EXTINF:9.009, a title, with commas"]);
}

#[test]
fn low_latency_tags_go_and_all_else_stays() {
    let got = read(LOW_LATENCY).unwrap();
    let [only] = &got.segments[..] else { panic!("{got:?}") };
    assert_eq!(only.duration, Duration::from_micros(4_000_080));
    assert_eq!(only.program_date_time, Some(1_550_110_416_106));
    let map = only.map.as_deref().unwrap();
    assert_eq!((&*map.uri, map.range), ("init.mp4", Some(ByteRange { offset: 0, length: 720 })));
    assert_eq!(
        only.lines,
        [
            "#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z",
            "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2019-02-14T02:13:36.106Z\"",
            "#EXT-X-DATERANGE:ID=\"b\",START-DATE=\"2019-02-14T02:13:36.106Z\"",
            "#EXT-X-CUE-OUT:30",
            "#EXTINF:4.00008,",
        ]
    );
}

#[test]
fn byte_ranges_get_their_offset_written_out() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let text = format!(
        "{head}#EXTINF:4,\n#EXT-X-BYTERANGE:100@50\na.ts\n#EXTINF:4,\n#EXT-X-BYTERANGE:30\na.ts\n"
    );
    let ranges: Vec<_> = read(&text).unwrap().segments.iter().map(|s| s.range.unwrap()).collect();
    let wanted = [(50, 100), (150, 30)].map(|(offset, length)| ByteRange { offset, length });
    assert_eq!(ranges, wanted);
    for before in ["", "#EXTINF:4,\na.ts\n", "#EXTINF:4,\n#EXT-X-BYTERANGE:1@0\nb.ts\n"] {
        let text = format!("{head}{before}#EXTINF:4,\n#EXT-X-BYTERANGE:30\na.ts\n");
        assert!(matches!(read(&text), Err(PlaylistError::NoPredecessor { .. })), "{text}");
    }
}

#[test]
fn keys_hold_until_none_and_maps_to_the_end() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\nb\n#EXT-X-GAP\n#EXTINF:4,\nc\n\
        #EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:4,\nd\n#EXT-X-ENDLIST\n";
    let got = read(text).unwrap();
    assert!(got.ended);
    let flags: Vec<_> =
        got.segments.iter().map(|s| (!s.keys.is_empty(), s.gap, s.map.is_some())).collect();
    let (no, yes) = (false, true);
    assert_eq!(flags, [(no, no, no), (yes, no, no), (yes, yes, no), (no, no, yes)]);
    assert!(got.segments.iter().all(|s| !s.lines.iter().any(|l| l.contains("KEY"))));
}

/// Each stands after a good head, or replaces it where it begins with `#EXTM3U`.
#[test]
fn what_is_let_pass() {
    let cases = [
        ("#EXTINF:4\na.ts\n", 1),
        ("#EXTINF:4,000,\na.ts\n", 1),
        ("#EXTINF: 4.5 ,x\n  a.ts  \n", 1),
        ("# comment\n\n \n#EXTINF:4,\n\n# another\na b.ts\n#EXT-X-DATERANGE:ID=\"x\"\n", 1),
        ("#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MEDIA-SEQUENCE:7\n", 0),
        ("#EXT-X-VERSION:three\n#EXTINF:0,\na.ts\n", 1),
        ("#EXT-X-PROGRAM-DATE-TIME:soon\n#EXTINF:3600,\na.ts\n", 1),
        ("#EXTM3U tvg=1\n#EXT-X-TARGETDURATION: 3.2 \n#EXTINF:4,\na.ts", 1),
        ("#EXT-X-DEFINE:NAME=\"q\",VALUE=\"x=1\"\n#EXTINF:4,\na.ts?{$q}\n", 1),
        ("#EXTINF:4,\na.ts?{$q}\n", 1),
    ];
    for (text, segments) in cases {
        let got = read(&with_head(text));
        assert_eq!(got.map(|p| (p.target_duration, p.segments.len())), Ok((4, segments)), "{text}");
    }
}

fn with_head(text: &str) -> String {
    if text.starts_with("#EXTM3U") || !text.starts_with(['#', ' ']) {
        return text.to_owned();
    }
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{text}")
}

#[test]
fn what_is_refused() {
    use PlaylistError as E;
    let bad = |line, tag| E::BadTag { line, tag };
    let cases = [
        ("", E::NotPlaylist),
        ("<html>", E::NotPlaylist),
        ("#EXTM3U8\n", E::NotPlaylist),
        ("\n#EXTM3U\n", E::NotPlaylist),
        ("#EXTM3U\n#EXTINF:4,\na.ts\n", E::NoTargetDuration),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", E::Multivariant),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:x\n", bad(2, "EXT-X-TARGETDURATION")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:-1\n", bad(2, "EXT-X-TARGETDURATION")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:99999999999\n", bad(2, "EXT-X-TARGETDURATION")),
        ("#EXTINF:NaN,\na\n", bad(3, "EXTINF")),
        ("#EXTINF:-1,\na\n", bad(3, "EXTINF")),
        ("#EXTINF:inf,\na\n", bad(3, "EXTINF")),
        ("#EXTINF:3600.1,\na\n", bad(3, "EXTINF")),
        ("#EXTINF:,\na\n", bad(3, "EXTINF")),
        ("#EXTINF:1e400,\na\n", bad(3, "EXTINF")),
        (" a.ts\n", E::NoDuration { line: 3 }),
        ("#EXTINF:4,\n#EXTINF:4,\na\n", E::NoUri { line: 4 }),
        ("#EXTINF:4,\na\u{7}b\n", E::BadUri { line: 4 }),
        ("#EXTINF:4,\na\rb\n", E::BadUri { line: 4 }),
        ("#EXT-X-MAP:URI=\"\"\n", E::BadUri { line: 3 }),
        ("#EXT-X-MAP:BYTERANGE=\"1@0\"\n", bad(3, "EXT-X-MAP")),
        ("#EXT-X-MEDIA-SEQUENCE:4611686018427387905\n", bad(3, "EXT-X-MEDIA-SEQUENCE")),
        ("#EXT-X-MEDIA-SEQUENCE:18446744073709551616\n", bad(3, "EXT-X-MEDIA-SEQUENCE")),
        ("#EXT-X-MEDIA-SEQUENCE:-1\n", bad(3, "EXT-X-MEDIA-SEQUENCE")),
        ("#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:2\n", bad(4, "EXT-X-MEDIA-SEQUENCE")),
        ("#EXT-X-BYTERANGE:0@1\n", bad(3, "EXT-X-BYTERANGE")),
        ("#EXT-X-BYTERANGE:1@x\n", bad(3, "EXT-X-BYTERANGE")),
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", E::Delta),
        ("#EXTM3U\n#EXTM3U\n", bad(2, "EXTM3U")),
        ("#EXT-X-DEFINE:IMPORT=\"q\"\n", E::Variable { line: 3 }),
        ("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n#EXTINF:4,\n{$q}\n", E::Variable { line: 5 }),
    ];
    for (text, wanted) in cases {
        assert_eq!(read(&with_head(text)), Err(wanted), "{text}");
    }
    assert_eq!(parse(b"#EXTM3U\n\xff", &Limits::default()), Err(E::NotUtf8));
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes: 200, line_bytes: 60, segments: 2, ..Limits::default() };
    let read = |text: String| parse(text.as_bytes(), &limits);
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let segment = "#EXTINF:4,\na\n";
    assert!(read(format!("{head}{}", segment.repeat(2))).is_ok());
    let many = read(format!("{head}{}", segment.repeat(3)));
    assert_eq!(many, Err(PlaylistError::TooManySegments { limit: 2 }));
    let long = read(format!("{head}#{}\n", "x".repeat(60)));
    assert_eq!(long, Err(PlaylistError::LineTooLong { line: 3, limit: 60 }));
    let large = read(format!("{head}{}", "\n".repeat(200)));
    assert_eq!(large, Err(PlaylistError::TooLarge { limit: 200 }));
}

#[test]
fn a_small_body_cannot_unfold() {
    let limits = Limits { bytes: 2000, line_bytes: 1000, segments: 100, ..Limits::default() };
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let x = "x".repeat(200);
    let key = |n: usize| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{x}\",KEYFORMAT=\"{n}\"\n");
    let keys = format!("{head}{}", (0..9).map(key).collect::<Vec<_>>().concat());
    let limits_of_keys = Limits { bytes: keys.len(), ..limits };
    let many = parse(keys.as_bytes(), &limits_of_keys);
    assert_eq!(many, Err(PlaylistError::TooLarge { limit: keys.len() }));
    let define = format!("{head}#EXT-X-DEFINE:NAME=\"x\",VALUE=\"{x}\"\n");
    let line = format!("{define}#EXTINF:4,{}\n", "{$x}".repeat(20));
    assert_eq!(
        parse(line.as_bytes(), &limits),
        Err(PlaylistError::LineTooLong { line: 4, limit: 1000 })
    );
    let lines = format!("{define}{}", "#EXTINF:4,{$x}\na\n".repeat(20));
    assert_eq!(parse(lines.as_bytes(), &limits), Err(PlaylistError::TooLarge { limit: 2000 }));
}

#[test]
fn control_characters_never_reach_a_viewer() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,a\u{0}\rb\tc\u{85}\na.ts\n";
    assert_eq!(read(text).unwrap().segments[0].lines, ["#EXTINF:4,ab\tc"]);
    let hidden = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT\u{0}M3U\n#EXTINF:4,\na.ts\n";
    assert_eq!(read(hidden), Err(PlaylistError::BadTag { line: 3, tag: "EXTM3U" }));
}

#[test]
fn the_shape_is_told_by_the_first_telling_tag() {
    let cases: [(&[u8], Result<Shape, PlaylistError>); 7] = [
        (NGINX_RTMP.as_bytes(), Ok(Shape::Media)),
        (WOWZA.as_bytes(), Ok(Shape::Media)),
        (b"#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\na.m3u8", Ok(Shape::Multivariant)),
        (b"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO\n", Ok(Shape::Multivariant)),
        (b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1\n", Ok(Shape::Media)),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", Err(PlaylistError::NotPlaylist)),
        (b"not found", Err(PlaylistError::NotPlaylist)),
    ];
    for (body, wanted) in cases {
        assert_eq!(shape(body), wanted, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn of_a_long_list_only_the_end_is_kept_and_nothing_that_goes_on_is_lost() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01Z\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
        #EXT-X-MAP:URI=\"i\"\n";
    let more = |n: usize| format!("#EXTINF:4.5,\n#EXT-X-BYTERANGE:{}\na\n", 10 + n);
    let more = (0..9).map(more).collect::<Vec<_>>().concat();
    let text = format!("{head}#EXTINF:4.5,\n#EXT-X-BYTERANGE:10@0\na\n{more}");
    let all = read(&text).unwrap();
    let limits = Limits { kept: 3, ..Limits::default() };
    let end = parse(text.as_bytes(), &limits).unwrap();
    assert_eq!((end.skipped, end.segments.len(), all.segments.len()), (7, 3, 10));
    assert_eq!(end.segments[0].program_date_time, Some(1000 + 7 * 4500));
    let without_date = |s: &Segment| Segment { program_date_time: None, ..s.clone() };
    let (end, all): (Vec<_>, Vec<_>) = (
        end.segments.iter().map(without_date).collect(),
        all.segments[7..].iter().map(without_date).collect(),
    );
    assert_eq!(end, all);
}
