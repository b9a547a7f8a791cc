//! Multivariant playlists as real packagers write them, and broken ones.

use super::*;

fn read(text: &str) -> Result<Multivariant, MultivariantError> {
    Multivariant::read(text.as_bytes(), &Limits::default())
}

fn place() -> Place {
    Place::new("/live/cam/playlist.m3u8", None)
}

fn ids(m: &Multivariant) -> Vec<(&str, &str)> {
    m.found.iter().map(|f| (f.rendition.id.as_str(), f.uri.as_str())).collect()
}

const WOWZA: &str = "#EXTM3U\r\n#EXT-X-VERSION:3\r\n\
    #EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=250000\r\nchunklist_w4135965.m3u8\r\n";

const DEMUXED: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n# made by hand\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"a/lo.m3u8\",CHANNELS=\"2\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"English\",LANGUAGE=\"en\",URI=\"a/hi.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"Deutsch\",LANGUAGE=\"\",URI=\"s/de.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"x\",INSTREAM-ID=\"CC1\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,FRAME-RATE=29.970,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"lo\",SUBTITLES=\"s\"\n\
    720.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3200000,RESOLUTION=1280x720,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"hi\",SUBTITLES=\"s\"\n\
    720.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,NAME=\"low\"\n360.m3u8?x=1\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,URI=\"iframe.m3u8\"\n\
    #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"key\"\n\
    #EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"d.json\"\n\
    #EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\"\n\
    #EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI=\"thumbs.m3u8\"\n#EXT-X-VENDOR:A=1\n";

#[test]
fn one_variant() {
    let got = read(WOWZA).unwrap();
    assert_eq!(ids(&got), [("v0", "chunklist_w4135965.m3u8")]);
    assert_eq!(
        got.pieces(&place()).join("T"),
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=250000\n\
         playlist~T/v0/index.m3u8\n"
    );
}

#[test]
fn the_text_stays_but_for_its_uris() {
    let got = read(DEMUXED).unwrap();
    assert_eq!(
        ids(&got),
        [
            ("v0", "720.m3u8"),
            ("v1", "360.m3u8?x=1"),
            ("a0", "a/lo.m3u8"),
            ("a1", "a/hi.m3u8"),
            ("s0", "s/de.m3u8"),
        ]
    );
    let mut wanted = DEMUXED.to_owned();
    for (from, to) in [
        ("720.m3u8", "playlist~T/v0/index.m3u8"),
        ("360.m3u8?x=1", "playlist~T/v1/index.m3u8"),
        ("a/lo.m3u8", "playlist~T/a0/index.m3u8"),
        ("a/hi.m3u8", "playlist~T/a1/index.m3u8"),
        ("s/de.m3u8", "playlist~T/s0/index.m3u8"),
    ] {
        wanted = wanted.replace(from, to);
    }
    let dropped = ["I-FRAME", "SESSION", "STEERING", "IMAGE"];
    let wanted: Vec<_> =
        wanted.lines().filter(|l| !dropped.iter().any(|d| l.contains(d))).collect();
    assert_eq!(got.pieces(&place()).join("T").lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn traits_are_what_the_tags_say() {
    let got = read(DEMUXED).unwrap();
    let traits: Vec<_> = got.renditions().into_iter().map(|r| r.traits).collect();
    let [hd, low, lo, _, german] = &traits[..] else { panic!("{traits:?}") };
    assert_eq!(
        (hd.kind, hd.bandwidth, hd.resolution),
        (Kind::Variant, Some(3_000_000), Some((1280, 720)))
    );
    assert_eq!(hd.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
    assert_eq!(hd.frame_rate_milli, Some(29_970));
    assert_eq!(low.name.as_deref(), Some("low"));
    assert_eq!((lo.kind, lo.group.as_deref()), (Kind::Audio, Some("lo")));
    assert_eq!((lo.name.as_deref(), lo.language.as_deref()), (Some("English"), Some("en")));
    // An empty LANGUAGE costs that value only.
    assert_eq!((german.name.as_deref(), &german.language), (Some("Deutsch"), &None));
}

#[test]
fn broken_tags_shift_nothing() {
    let got = read(
        "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"avc1\nno-bandwidth.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=2,\nb.m3u8\nstray.m3u8\n\
         #EXT-X-MEDIA:TYPE=AUDIO,URI=a.m3u8,DEFAULT=YES\n#EXT-X-MEDIA:TYPE=HOLOGRAM,URI=\"h\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3",
    )
    .unwrap();
    assert_eq!(ids(&got), [("v0", "no-bandwidth.m3u8"), ("v1", "b.m3u8"), ("a0", "a.m3u8")]);
    assert_eq!(got.found[1].rendition.traits.bandwidth, Some(2));
    assert_eq!(
        got.pieces(&place()).join("T"),
        "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"avc1\nplaylist~T/v0/index.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2,\nplaylist~T/v1/index.m3u8\n\
         #EXT-X-MEDIA:TYPE=AUDIO,URI=playlist~T/a0/index.m3u8,DEFAULT=YES\n"
    );
}

#[test]
fn one_media_playlist_is_one_rendition() {
    let got = read(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"audio.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=5,AUDIO=\"g\"\nv.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"g\"\naudio.m3u8\n",
    )
    .unwrap();
    assert_eq!(ids(&got), [("v0", "audio.m3u8"), ("v1", "v.m3u8")]);
    let text = got.pieces(&place()).join("T");
    assert_eq!(text.matches("playlist~T/v0/index.m3u8").count(), 2, "{text}");
}

#[test]
fn variables_are_resolved() {
    let head = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"http://x\"\n";
    let tail = "#EXT-X-STREAM-INF:BANDWIDTH=1\n{$host}/a.m3u8\n";
    let got = read(&format!("{head}{tail}")).unwrap();
    assert_eq!(ids(&got), [("v0", "http://x/a.m3u8")]);
    assert!(!got.pieces(&place()).concat().contains("DEFINE"));
    let query = format!("#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"host\"\n{tail}");
    assert_eq!(read(&query), Err(PlaylistError::Variable { line: 2 }.into()));
}

#[test]
fn what_is_refused() {
    assert_eq!(read("#EXTM3U\n"), Err(MultivariantError::NoVariant));
    assert_eq!(read("<html>"), Err(PlaylistError::NotPlaylist.into()));
    let mut many = "#EXTM3U\n".to_owned();
    for n in 0..=RENDITIONS_MAX {
        let _ = write!(many, "#EXT-X-STREAM-INF:BANDWIDTH=1\n{n}.m3u8\n");
    }
    assert_eq!(read(&many), Err(MultivariantError::TooManyRenditions));
}

#[test]
fn where_urls_begin() {
    let cases = [
        ("/live/cam/playlist.m3u8", None, "playlist~T/v0/index.m3u8"),
        ("/cam.m3u8", None, "cam~T/v0/index.m3u8"),
        ("/vod/mp4:cam.m3u8", None, "./mp4:cam~T/v0/index.m3u8"),
        (
            "/live/cam.m3u8",
            Some("https://az1.example/"),
            "https://az1.example/live/cam~T/v0/index.m3u8",
        ),
    ];
    for (entry, base, wanted) in cases {
        let text = wrap(&Place::new(entry, base), 1_500_000, Some("avc1.64001f,mp4a.40.2"));
        let wanted = format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1500000,CODECS=\"avc1.64001f,mp4a.40.2\"\n{wanted}\n"
        );
        assert_eq!(text.join("T"), wanted);
    }
    assert_eq!(
        wrap(&place(), 0, Some("a\"b")).join("T"),
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nplaylist~T/v0/index.m3u8\n"
    );
}

fn found(traits: Traits) -> Found {
    let uri = "x".to_owned();
    Found { rendition: Rendition { id: RenditionId::new("x"), traits }, uri }
}

fn matched(wanted: &[Traits], have: &[Traits]) -> Vec<Option<usize>> {
    let wanted: Vec<_> = wanted.iter().cloned().map(|t| found(t).rendition).collect();
    let have: Vec<_> = have.iter().cloned().map(found).collect();
    match_renditions(&wanted, &have)
}

fn variant(bandwidth: u64, resolution: Option<(u64, u64)>, codecs: Option<&str>) -> Traits {
    Traits {
        bandwidth: Some(bandwidth),
        resolution,
        codecs: codecs.map(str::to_owned),
        ..Traits::default()
    }
}

fn audio(group: &str, name: &str, language: Option<&str>) -> Traits {
    Traits {
        kind: Kind::Audio,
        group: Some(group.into()),
        name: Some(name.into()),
        language: language.map(str::to_owned),
        ..Traits::default()
    }
}

#[test]
fn variants_match_by_what_they_are() {
    let hd = Some((1280, 720));
    let sd = Some((640, 360));
    let avc = Some("avc1.64001f, mp4a.40.2");
    let hevc = Some("hvc1.1.6.L93,mp4a.40.2");
    let avc_too = Some("mp4a.40.2,avc3.4d401f");
    #[allow(clippy::type_complexity)] // a table
    let cases: [(&[Traits], &[Traits], &[Option<usize>]); 7] = [
        // Another order.
        (
            &[variant(3_000, hd, None), variant(800, sd, None)],
            &[variant(900, sd, None), variant(2_500, hd, None)],
            &[Some(1), Some(0)],
        ),
        // Resolution before bandwidth.
        (
            &[variant(3_000, hd, None)],
            &[variant(3_000, sd, None), variant(9_000, hd, None)],
            &[Some(1)],
        ),
        // Fewer: the nearest stands in.
        (
            &[variant(3_000, hd, None), variant(800, sd, None)],
            &[variant(2_900, hd, None)],
            &[Some(0), Some(0)],
        ),
        // Nobody tells a resolution.
        (
            &[variant(3_000, hd, None)],
            &[variant(800, None, None), variant(2_000, None, None)],
            &[Some(1)],
        ),
        // A codec that the player cannot go on with comes last.
        (
            &[variant(3_000, hd, avc)],
            &[variant(3_000, hd, hevc), variant(1_000, sd, avc_too)],
            &[Some(1)],
        ),
        (&[variant(3_000, hd, avc)], &[variant(3_000, hd, hevc)], &[Some(0)]),
        // Another kind never stands in.
        (&[variant(3_000, hd, avc)], &[audio("a", "b", None)], &[None]),
    ];
    for (wanted, have, result) in cases {
        assert_eq!(matched(wanted, have), result, "{wanted:?} in {have:?}");
    }
}

#[test]
fn audio_matches_by_language_then_name_then_group() {
    let wanted = [audio("g", "English", Some("en")), audio("g", "Deutsch", Some("de"))];
    let have = [audio("x", "German", Some("de")), audio("y", "English", Some("eng"))];
    assert_eq!(matched(&wanted, &have), [Some(1), Some(0)]);
    // Two qualities of one language under other groups: in the order listed, none twice.
    let wanted = [audio("lo", "English", Some("en")), audio("hi", "English", Some("en"))];
    let have = [audio("g1", "English", Some("en")), audio("g2", "English", Some("en"))];
    assert_eq!(matched(&wanted, &have), [Some(0), Some(1)]);
    let have = [audio("hi", "English", Some("en")), audio("lo", "English", Some("en"))];
    assert_eq!(matched(&wanted, &have), [Some(1), Some(0)]);
}
