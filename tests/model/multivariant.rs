//! Multivariant playlists: what viewers get reads back, by m3u8-rs, as what the packager wrote,
//! but for the URIs that lead to the packager.

use m3u8_rs::MasterPlaylist;
use proptest::prelude::*;
use segue::model::multivariant::{Asked, Multivariant, Place, match_renditions};
use segue::model::playlist::Limits;

const PATH: &str = "/live/cam.m3u8?t=1";

/// A URI, and whether it leads to the packager.
fn uri() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        "[a-z][a-z0-9_/.]{0,8}[a-z]\\.m3u8(\\?x=[0-9]{1,3})?".prop_map(|uri| (uri, true)),
        "/[a-z]{1,4}/[a-z]{1,4}\\.m3u8".prop_map(|uri| (uri, true)),
        "https?://own\\.example/[a-z]{1,4}\\.m3u8".prop_map(|uri| (uri, true)),
        "https?://other\\.example/[a-z]{1,4}\\.m3u8".prop_map(|uri| (uri, false)),
    ]
}

/// The lines of one tag, and its URI.
fn tag() -> impl Strategy<Value = (String, Option<(String, bool)>)> {
    let text = "[a-zA-Z0-9 ,=.-]{1,10}";
    let variant =
        (any::<u32>(), 1_u16..5000, text, uri()).prop_map(|(rate, width, codecs, uri)| {
            let (line, led) = &uri;
            let at = if *led { format!("{{{line}}}") } else { line.clone() };
            let inf = format!("BANDWIDTH={rate},RESOLUTION={width}x{width},CODECS=\"{codecs}\"");
            (format!("#EXT-X-STREAM-INF:{inf},AUDIO=\"g\"\n{at}"), Some(uri))
        });
    let kind = prop::sample::select(vec!["AUDIO", "VIDEO", "SUBTITLES"]);
    let media = (kind, text, "(en|de|spa|pt-BR)", prop::option::of(uri())).prop_map(
        |(kind, name, language, uri)| {
            let at = match &uri {
                Some((uri, true)) => format!(",URI=\"{{{uri}}}\""),
                Some((uri, false)) => format!(",URI=\"{uri}\""),
                None => String::new(),
            };
            let list =
                format!("TYPE={kind},GROUP-ID=\"g\",NAME=\"{name}\",LANGUAGE=\"{language}\"");
            (format!("#EXT-X-MEDIA:{list}{at},AUTOSELECT=YES"), uri)
        },
    );
    let pictures = (any::<u32>(), uri()).prop_map(|(rate, uri)| {
        let at = if uri.1 { format!("{{{}}}", uri.0) } else { uri.0.clone() };
        (format!("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={rate},URI=\"{at}\""), Some(uri))
    });
    let other = prop_oneof![
        Just("#EXT-X-INDEPENDENT-SEGMENTS".to_owned()),
        Just("#EXT-X-START:TIME-OFFSET=-4.5".to_owned()),
        "#EXT-X-VENDOR-[A-Z]{1,4}:[!-<>-z|~]{1,20}",
        "#EXT-X-SESSION-DATA:DATA-ID=\"[a-z]{1,4}\",VALUE=\"[a-z]{1,4}\"",
    ];
    prop_oneof![4 => variant, 3 => media, 1 => pictures, 2 => other.prop_map(|tag| (tag, None))]
}

/// What m3u8-rs reads, without what it cannot keep in order.
fn judged(text: &str) -> MasterPlaylist {
    let mut list = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    list.unknown_tags.clear();
    list
}

proptest! {
    #[test]
    fn a_judge_reads_what_the_packager_wrote(
        tags in prop::collection::vec(tag(), 0..30),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
    ) {
        let mut lines = vec!["#EXTM3U".to_owned(), "#EXT-X-STREAM-INF:BANDWIDTH=7".to_owned()];
        // In braces: what leads to the packager.
        lines.push("{first.m3u8}".to_owned());
        lines.extend(tags.iter().map(|(text, _)| text.clone()));
        let marked = lines.join("\n");
        let own_hosts = ["own.example".to_owned()];
        let asked = Asked { path: PATH, own_hosts: &own_hosts };
        let text = marked.replace(['{', '}'], "").replace('\n', line_end);
        let got = Multivariant::read(text.as_bytes(), &Limits::default(), &asked).unwrap();

        // All that lead to the packager are renditions, each once, and no others.
        let mut uris: Vec<_> = tags.iter().filter_map(|(_, uri)| uri.clone()).collect();
        uris.push(("first.m3u8".to_owned(), true));
        uris.retain(|(_, led)| *led);
        uris.sort_unstable();
        uris.dedup();
        prop_assert_eq!(got.found.len(), uris.len());
        let ranks: Vec<_> = got.found.iter().map(|f| f.rendition.traits.kind.rank()).collect();
        prop_assert!(ranks.is_sorted());

        // Line by line: only their URIs are others.
        let mut wanted = marked;
        for found in &got.found {
            let ours = format!("cam~T/{}/index.m3u8", found.rendition.id);
            wanted = wanted.replace(&format!("{{{}}}", found.uri), &ours);
        }
        let printed = got.pieces(&Place::new("/live/cam.m3u8", None), &[]).join("T");
        prop_assert_eq!(printed.trim_end(), &wanted);
        prop_assert_eq!(judged(&printed), judged(&format!("{wanted}\n")));

        // Each stands for itself, and nobody would notice.
        let matched = match_renditions(&got.renditions(), &got.found);
        for (found, rendition) in matched.iter().zip(got.renditions()) {
            let found = found.unwrap();
            prop_assert!(found.exact);
            prop_assert_eq!(got.found[found.index].rendition.traits.kind, rendition.traits.kind);
        }
    }
}
