//! Reading playlists: nothing panics, nothing that is kept changes on the way.

use std::time::Duration;

use proptest::prelude::*;
use segue::model::multivariant::{Asked, Multivariant, Place};
use segue::model::playlist::{Limits, MediaPlaylist, PlaylistError, Segment, Shape, parse, shape};
use segue::model::uri::{UriError, resolve};

/// Small, so that random input meets every limit.
const LIMITS: Limits = Limits { bytes: 4096, line_bytes: 256, segments: 40, kept: usize::MAX };

/// Bytes that look like a playlist now and then: lines of known tags with any values.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop::sample::select(vec![
        "#EXTM3U",
        "#EXTINF:",
        "#EXTINF:4,",
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-MEDIA-SEQUENCE:",
        "#EXT-X-BYTERANGE:1@1",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-MAP:URI=\"i\"",
        "#EXT-X-MAP:",
        "#EXT-X-KEY:METHOD=",
        "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"",
        "#EXT-X-DEFINE:",
        "#EXT-X-PROGRAM-DATE-TIME:",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "#EXT-X-STREAM-INF:",
        "#EXT-X-MEDIA:TYPE=AUDIO,URI=",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=",
        "#EXT-X-SESSION-DATA:URI=",
        "#EXT-X-DEFINE:QUERYPARAM=\"a\"",
        "http://other.example/",
        "#EXT-X-SKIP",
        "a.ts",
        "{$a}",
        "",
    ]);
    let value =
        prop_oneof![Just(String::new()), "[0-9.,@=\"-]{0,12}", "[ -~]{0,30}", any::<String>(),];
    let line = (tag, value).prop_map(|(tag, value)| format!("{tag}{value}").into_bytes());
    let lines = prop::collection::vec(line, 0..60).prop_map(|lines| {
        let mut body = b"#EXTM3U\n".to_vec();
        body.extend(lines.join(&b'\n'));
        body
    });
    prop_oneof![4 => lines, 1 => prop::collection::vec(any::<u8>(), 0..600)]
}

/// Tags that belong to a segment and go on as they are.
fn kept_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "#EXT-X-DATERANGE:ID=\"[a-z]{1,4}\",START-DATE=\"2026-01-01T00:00:00Z\"",
        "#EXT-X-CUE-OUT:[0-9]{1,3}",
        "#EXT-X-VENDOR-[A-Z]{1,8}(:[!-~]{1,20})?",
        Just("#EXT-X-BITRATE:1200".to_owned()),
        Just("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z".to_owned()),
    ]
}

#[derive(Clone, Debug)]
struct Written {
    lines: Vec<String>,
    extinf: String,
    duration: Duration,
    uri: String,
    discontinuity: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let lines = prop::collection::vec(kept_line(), 0..4);
    let title = "[a-zA-Z0-9 ,]{0,8}[a-z]";
    let uri = "[a-zA-Z0-9_/.?=-]{1,20}";
    (lines, 0_u64..3_600_000, title, uri, any::<bool>()).prop_map(
        |(lines, ms, title, uri, discontinuity)| Written {
            lines,
            extinf: format!("#EXTINF:{}.{:03},{title}", ms / 1000, ms % 1000),
            duration: Duration::from_millis(ms),
            uri,
            discontinuity,
        },
    )
}

fn print(msn: u64, segments: &[Written], line_end: &str) -> String {
    let mut lines = vec!["#EXTM3U".to_owned(), "#EXT-X-TARGETDURATION:3600".to_owned()];
    lines.push(format!("#EXT-X-MEDIA-SEQUENCE:{msn}"));
    for segment in segments {
        if segment.discontinuity {
            lines.push("#EXT-X-DISCONTINUITY".to_owned());
        }
        lines.extend(segment.lines.iter().cloned());
        lines.push(segment.extinf.clone());
        lines.push("#EXT-X-PART:DURATION=1,URI=\"p\"".to_owned());
        lines.push(segment.uri.clone());
    }
    lines.join(line_end)
}

fn check(playlist: &MediaPlaylist) {
    assert!((1..=3600).contains(&playlist.target_duration));
    assert!(playlist.segments.len() <= LIMITS.segments);
    let numbers: Vec<u64> = playlist.segments.iter().map(|s| s.msn.0).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    for segment in &playlist.segments {
        check_segment(segment);
    }
}

fn check_segment(segment: &Segment) {
    assert!(segment.duration <= Duration::from_secs(3600));
    assert!(!segment.uri.is_empty() && !segment.uri.chars().any(char::is_control));
    let extinf = segment.lines.iter().filter(|line| line.starts_with("#EXTINF")).count();
    assert_eq!(extinf, 1, "{:?}", segment.lines);
    for line in &segment.lines {
        assert!(line.starts_with('#') && !line.contains(['\n', '\r']), "{line:?}");
        assert!(!line.starts_with("#EXT-X-MAP") && !line.starts_with("#EXT-X-PART"), "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_read_or_fail_in_order(body in bodies()) {
        if let Ok(playlist) = parse(&body, &LIMITS) {
            check(&playlist);
        }
        let shape = shape(&body);
        let asked = Asked { path: "/a/b.m3u8?a=b", own_hosts: &[] };
        if let Ok(multivariant) = Multivariant::read(&body, &LIMITS, &asked) {
            prop_assert!(shape.is_ok());
            let text = multivariant.pieces(&Place::new("/a/b.m3u8", None), &[]).join("token");
            // What viewers get reads as the same renditions, under our names.
            let again = Multivariant::read(text.as_bytes(), &Limits::default(), &asked).unwrap();
            prop_assert_eq!(again.renditions(), multivariant.renditions());
            for found in &again.found {
                let wanted = format!("b~token/{}/index.m3u8", found.rendition.id);
                prop_assert_eq!(&found.uri, &wanted);
            }
        }
    }

    #[test]
    fn what_a_packager_writes_of_its_segments_is_kept(
        msn in 0_u64..1 << 62,
        segments in prop::collection::vec(written(), 0..20),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
    ) {
        let text = print(msn, &segments, line_end);
        prop_assert_eq!(shape(text.as_bytes()), Ok(Shape::Media));
        let got = parse(text.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(got.segments.len(), segments.len());
        for ((index, got), wanted) in (0..).zip(&got.segments).zip(&segments) {
            prop_assert_eq!(got.msn.0, msn + index);
            prop_assert_eq!(&got.uri, &wanted.uri);
            prop_assert_eq!(got.duration, wanted.duration);
            prop_assert_eq!(got.discontinuity, wanted.discontinuity);
            let mut lines = wanted.lines.clone();
            lines.push(wanted.extinf.clone());
            prop_assert_eq!(&got.lines, &lines);
        }
    }

    #[test]
    fn a_body_cut_anywhere_gives_a_beginning_of_the_list_or_an_error(
        segments in prop::collection::vec(written(), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let text = print(7, &segments, "\n");
        let whole = parse(text.as_bytes(), &Limits::default()).unwrap();
        let cut = &text.as_bytes()[..at.index(text.len())];
        match parse(cut, &Limits::default()) {
            Ok(got) => {
                prop_assert!(got.segments.len() <= whole.segments.len());
                // The last line may be cut itself; all before it must stand.
                let sure = got.segments.len().saturating_sub(1);
                prop_assert_eq!(
                    got.segments[..sure].iter().map(|s| &s.uri).collect::<Vec<_>>(),
                    whole.segments[..sure].iter().map(|s| &s.uri).collect::<Vec<_>>()
                );
            }
            Err(error) => prop_assert_ne!(error, PlaylistError::NotUtf8),
        }
    }

    #[test]
    fn a_uri_leads_to_a_plain_path_or_nowhere(base in "/[ -~]{0,40}", uri in any::<String>()) {
        match resolve(&base, &uri, &["own".to_owned()]) {
            Ok(path) => {
                prop_assert!(path.starts_with('/'));
                prop_assert!(path.bytes().all(|b| b.is_ascii_graphic()), "{}", path);
                let path = path.split('?').next().unwrap();
                prop_assert!(path.split('/').all(|part| part != "." && part != ".."), "{}", path);
                // What is resolved stays as it is, but for a root of two slashes.
                if !path.starts_with("//") {
                    let again = resolve(&base, path, &[]);
                    prop_assert_eq!(again.as_deref(), Ok(path));
                }
            }
            Err(UriError::Elsewhere { authority }) => prop_assert_ne!(authority, "own"),
            Err(_) => {}
        }
    }
}
