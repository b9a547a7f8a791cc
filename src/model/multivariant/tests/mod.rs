//! Multivariant playlists: what is read, and what viewers get.

mod elsewhere;
mod matching;
mod packagers;
mod session;

use super::*;
use crate::model::rendition::Kind;

const PATH: &str = "/live/cam/playlist.m3u8?DVR&token=a%2Fb";

fn read(text: &str) -> Result<Multivariant, MultivariantError> {
    let own_hosts = ["packager.example".to_owned()];
    let asked = Asked { path: PATH, own_hosts: &own_hosts };
    Multivariant::read(text.as_bytes(), &Limits::default(), &asked)
}

/// What viewers get of `text`, where no resource could be fetched.
fn printed(text: &str) -> String {
    read(text).unwrap().pieces(&place(), &[]).join("T")
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
        got.pieces(&place(), &[]).join("T"),
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
            ("i0", "iframe.m3u8"),
        ]
    );
    let mut wanted = DEMUXED.to_owned();
    for (from, to) in [
        ("720.m3u8", "playlist~T/v0/index.m3u8"),
        ("360.m3u8?x=1", "playlist~T/v1/index.m3u8"),
        ("a/lo.m3u8", "playlist~T/a0/index.m3u8"),
        ("a/hi.m3u8", "playlist~T/a1/index.m3u8"),
        ("s/de.m3u8", "playlist~T/s0/index.m3u8"),
        ("iframe.m3u8", "playlist~T/i0/index.m3u8"),
    ] {
        wanted = wanted.replace(from, to);
    }
    let dropped = ["SESSION", "STEERING", "IMAGE"];
    let wanted: Vec<_> =
        wanted.lines().filter(|l| !dropped.iter().any(|d| l.contains(d))).collect();
    assert_eq!(got.pieces(&place(), &[]).join("T").lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn traits_are_what_the_tags_say() {
    let got = read(DEMUXED).unwrap();
    let traits: Vec<_> = got.renditions().into_iter().map(|r| r.traits).collect();
    let [hd, low, lo, _, german, pictures] = &traits[..] else { panic!("{traits:?}") };
    assert_eq!(
        (hd.kind, hd.bandwidth, hd.resolution),
        (Kind::Variant, Some(3_000_000), Some((1280, 720)))
    );
    assert_eq!(hd.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
    assert_eq!(hd.frame_rate_milli, Some(29_970));
    assert_eq!(low.name.as_deref(), Some("low"));
    assert_eq!((lo.kind, lo.group.as_deref()), (Kind::Audio, Some("lo")));
    assert_eq!((lo.name.as_deref(), lo.language.as_deref()), (Some("English"), Some("en")));
    assert_eq!((lo.channels.as_deref(), lo.default), (Some("2"), true));
    assert_eq!((pictures.kind, pictures.bandwidth), (Kind::IFrames, Some(100_000)));
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
        got.pieces(&place(), &[]).join("T"),
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
    let text = got.pieces(&place(), &[]).join("T");
    assert_eq!(text.matches("playlist~T/v0/index.m3u8").count(), 2, "{text}");
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
fn too_much_of_what_can_be_missed_is_left_out() {
    let mut text = "#EXTM3U\n".to_owned();
    for n in 0..RENDITIONS_MAX {
        let _ = writeln!(text, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i{n}.m3u8\"");
        let _ = writeln!(text, "#EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"{n}.json\"");
        let _ = writeln!(text, "#EXT-X-STREAM-INF:BANDWIDTH=1\n{n}.m3u8");
    }
    // What is known already takes no room.
    text.push_str("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i0.m3u8\"\n");
    let got = read(&text).unwrap();
    assert_eq!(got.found.len(), RENDITIONS_MAX + 16);
    assert_eq!(got.resources.len(), 16);
    let names: Vec<_> = (0..16).map(|n| Some(n.to_string())).collect();
    let text = got.pieces(&place(), &names).join("T");
    assert_eq!(text.matches("#EXT-X-I-FRAME").count(), 17);
    assert_eq!(text.matches("#EXT-X-SESSION-DATA").count(), 16);
}

#[test]
fn tags_that_name_nothing_are_left_out() {
    let head = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
    let kept = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nplaylist~T/v0/index.m3u8\n";
    let long = "x".repeat(9000);
    for tag in [
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"\"",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"#x\"",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"#x\"",
        // Two URIs: one would stay.
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"a\",URI=\"b\"",
        &format!("#EXT-X-STREAM-INF:BANDWIDTH=2\n{long}"),
    ] {
        assert_eq!(printed(&format!("{head}{tag}\n")), kept, "{tag}");
    }
}

#[test]
fn renditions_stand_in_one_order() {
    let got = read(
        "#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"n\",URI=\"s.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"v\",NAME=\"n\",URI=\"angle.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n",
    )
    .unwrap();
    assert_eq!(
        ids(&got),
        [
            ("v0", "v.m3u8"),
            ("v1", "angle.m3u8"),
            ("a0", "a.m3u8"),
            ("s0", "s.m3u8"),
            ("i0", "i.m3u8"),
        ]
    );
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
        for (other, elsewhere, _) in cases {
            let same = (entry, base) == (other, elsewhere);
            assert_eq!(Place::new(other, elsewhere).is_of(&text), same, "{entry} {other}");
        }
        assert!(!Place::new(entry, Some("https://az2.example")).is_of(&text));
    }
    assert_eq!(
        wrap(&place(), 0, Some("a\"b")).join("T"),
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nplaylist~T/v0/index.m3u8\n"
    );
}
