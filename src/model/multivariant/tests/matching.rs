//! Which rendition stands for which, and whether viewers would see or hear that it is another.

use super::*;
use crate::model::names::RenditionId;
use crate::model::rendition::Traits;

fn found(traits: Traits) -> Found {
    let uri = "x".to_owned();
    Found { rendition: Rendition { id: RenditionId::new("x"), traits }, uri }
}

fn matches(wanted: &[Traits], have: &[Traits]) -> Vec<Option<Match>> {
    let wanted: Vec<_> = wanted.iter().cloned().map(|t| found(t).rendition).collect();
    let have: Vec<_> = have.iter().cloned().map(found).collect();
    match_renditions(&wanted, &have)
}

fn matched(wanted: &[Traits], have: &[Traits]) -> Vec<Option<usize>> {
    matches(wanted, have).into_iter().map(|found| found.map(|m| m.index)).collect()
}

/// Whether `have` stands for `wanted`, and if so, exactly.
fn stands(wanted: &Traits, have: &Traits) -> Option<bool> {
    matches(std::slice::from_ref(wanted), std::slice::from_ref(have))[0].map(|m| m.exact)
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

fn subtitles(name: &str, language: Option<&str>) -> Traits {
    Traits { kind: Kind::Subtitles, ..audio("s", name, language) }
}

#[test]
fn what_a_viewer_would_notice_is_not_exact() {
    let hd = variant(3_000, Some((1280, 720)), Some("avc1.64001f,mp4a.40.2"));
    let other = |change: fn(&mut Traits)| {
        let mut other = hd.clone();
        change(&mut other);
        other
    };
    let cases = [
        (other(|_| {}), true),
        (other(|t| t.bandwidth = Some(3_900)), true),
        (other(|t| t.bandwidth = Some(2_300)), true),
        (other(|t| t.bandwidth = Some(4_100)), false),
        (other(|t| t.bandwidth = None), true),
        (other(|t| t.resolution = Some((1280, 718))), false),
        (other(|t| t.resolution = None), true),
        (other(|t| t.codecs = Some("mp4a.40.5,avc3.4d401f".into())), true),
        (other(|t| t.codecs = Some("hvc1.1.6.L93,mp4a.40.2".into())), false),
        (other(|t| t.codecs = Some("avc1.64001f,ac-3".into())), false),
        (other(|t| t.codecs = None), true),
        (other(|t| t.video_range = Some("SDR".into())), true),
        (other(|t| t.video_range = Some("PQ".into())), false),
        (other(|t| t.name = Some("720p".into())), true),
    ];
    for (have, exact) in cases {
        assert_eq!(stands(&hd, &have), Some(exact), "{have:?}");
        assert_eq!(stands(&have, &hd), Some(exact), "{have:?}");
        let [hd, have] = [&hd, &have].map(|t| Traits { kind: Kind::IFrames, ..t.clone() });
        assert_eq!(stands(&hd, &have), Some(exact), "{have:?}");
    }
    let (slow, fast) = (
        other(|t| t.frame_rate_milli = Some(29_970)),
        other(|t| t.frame_rate_milli = Some(60_000)),
    );
    assert_eq!(stands(&slow, &fast), Some(false));
}

#[test]
fn sound_in_another_language_stands_in_only_for_want_of_a_nearer_one() {
    let (spanish, english) = (audio("g", "Español", Some("es")), audio("g", "English", Some("en")));
    assert_eq!(stands(&spanish, &english), Some(false));
    // The name, the group and the channels of the other language do not outweigh it.
    let far = audio("x", "Audio 2", Some("spa-MX"));
    let near = Traits { name: spanish.name.clone(), ..english.clone() };
    let wanted = [spanish.clone()];
    assert_eq!(
        matches(&wanted, &[near.clone(), far.clone()]),
        [Some(Match { index: 1, exact: true })]
    );
    // Nor does one that does not say.
    let silent = audio("x", "Audio 1", None);
    assert_eq!(matched(&wanted, &[near, silent]), [Some(1)]);
    let portugal = audio("g", "p", Some("pt-PT"));
    let brazil = audio("g", "p", Some("pt-BR"));
    assert_eq!(stands(&portugal, &brazil), Some(false));
    // Where languages are not told, names tell.
    assert_eq!(stands(&audio("g", "English", None), &audio("x", "english", None)), Some(true));
    assert_eq!(stands(&audio("g", "English", None), &audio("g", "Deutsch", None)), Some(false));
}

#[test]
fn sound_matches_by_what_is_heard() {
    let stereo = Traits { channels: Some("2".into()), ..audio("g", "English", Some("en")) };
    let surround = Traits { channels: Some("6".into()), ..stereo.clone() };
    let atmos = Traits { channels: Some("16/JOC".into()), ..stereo.clone() };
    let described = Traits {
        characteristics: Some("public.accessibility.describes-video, x".into()),
        ..stereo.clone()
    };
    let have = [atmos.clone(), described.clone(), surround.clone(), stereo.clone()];
    let wanted = [stereo.clone(), surround.clone(), described.clone(), atmos];
    assert_eq!(matched(&wanted, &have), [Some(3), Some(2), Some(1), Some(0)]);
    assert_eq!(stands(&stereo, &surround), Some(false));
    assert_eq!(stands(&stereo, &described), Some(false));
    let silent = Traits { channels: None, ..stereo.clone() };
    assert_eq!(stands(&stereo, &silent), Some(true));
    let reordered = Traits {
        characteristics: Some("x,public.accessibility.describes-video".into()),
        ..stereo.clone()
    };
    assert_eq!(stands(&described, &reordered), Some(true));
}

#[test]
fn subtitles_in_another_language_never_stand_in() {
    let english = subtitles("English", Some("en"));
    assert_eq!(stands(&english, &subtitles("Subs", Some("eng"))), Some(true));
    assert_eq!(stands(&english, &subtitles("English", Some("de"))), None);
    // Where one side does not tell its language, the name must say it.
    assert_eq!(stands(&english, &subtitles("english", None)), Some(true));
    assert_eq!(stands(&english, &subtitles("Deutsch", Some("und"))), None);
    assert_eq!(stands(&subtitles("a", None), &subtitles("b", None)), None);
    let forced = Traits { forced: true, ..english.clone() };
    assert_eq!(stands(&english, &forced), Some(false));
    assert_eq!(matched(&[english.clone(), forced.clone()], &[forced, english]), [Some(1), Some(0)]);
}

#[test]
fn pictures_and_angles_match_their_own_kind() {
    let pictures = |bandwidth, resolution| Traits {
        kind: Kind::IFrames,
        ..variant(bandwidth, resolution, None)
    };
    let (hd, sd) = (Some((1280, 720)), Some((640, 360)));
    let have = [variant(300, hd, None), pictures(90, sd), pictures(280, hd)];
    assert_eq!(
        matches(&[pictures(300, hd), pictures(100, sd), pictures(50, Some((320, 180)))], &have),
        [
            Some(Match { index: 2, exact: true }),
            Some(Match { index: 1, exact: true }),
            Some(Match { index: 1, exact: false })
        ]
    );
    let angle = |name| Traits { kind: Kind::Video, ..audio("v", name, None) };
    let have = [angle("Dugout"), angle("Main")];
    assert_eq!(matched(&[angle("Main"), angle("Dugout")], &have), [Some(1), Some(0)]);
    assert_eq!(stands(&angle("Main"), &angle("Dugout")), Some(false));
}
