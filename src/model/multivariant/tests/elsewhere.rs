//! URIs that lead to another host, or nowhere over HTTP: not ours to change.

use super::*;

const CDN: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"https://cdn.example/en.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=HOLOGRAM,GROUP-ID=\"h\",NAME=\"h\",URI=\"https://cdn.example/h.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3,AUDIO=\"a\"\nv.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"a\"\nhttps://cdn.example/v.m3u8?x#y\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n//cdn.example/w.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"https://cdn.example/i.m3u8\"\n\
    #EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"https://cdn.example/d.json\"\n\
    #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
    #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAA\",KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"\n\
    #EXT-X-CONTENT-STEERING:SERVER-URI=\"https://steer.example/s\",PATHWAY-ID=\"a\"\n\
    #EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI=\"https://cdn.example/thumbs.m3u8\"\n";

#[test]
fn what_leads_elsewhere_stays_as_written() {
    let got = read(CDN).unwrap();
    assert_eq!(ids(&got), [("v0", "v.m3u8")]);
    assert!(got.resources.is_empty());
    let wanted = CDN.replace("\nv.m3u8", "\nplaylist~T/v0/index.m3u8");
    assert_eq!(got.pieces(&place(), &[]).join("T"), wanted);
}

#[test]
fn the_packager_by_name_is_the_packager() {
    let own = CDN.replace("cdn.example", "packager.example");
    let own = own.replace("//packager.example/w", "//packager.example/sub/../w");
    let got = read(&own).unwrap();
    let ids: Vec<_> = got.found.iter().map(|f| f.rendition.id.as_str()).collect();
    assert_eq!(ids, ["v0", "v1", "v2", "a0", "i0"]);
    assert_eq!(got.resources.len(), 1);
    let text = got.pieces(&place(), &[]).join("T");
    // The kind of rendition and the tag that are not known go, as relative ones do.
    for gone in ["packager.example", "HOLOGRAM", "SESSION-DATA", "IMAGE"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    for kept in ["skd://key", "data:text/plain;base64,AAAA", "https://steer.example/s"] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

#[test]
fn tags_that_are_not_known_stay_unless_they_would_strand() {
    let head = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
    let cases = [
        ("#EXT-X-START:TIME-OFFSET=-12,PRECISE=YES", true),
        ("#EXT-X-INDEPENDENT-SEGMENTS", true),
        ("#EXT-X-VENDOR", true),
        ("#EXT-X-VENDOR:A=1,B=\"x\"", true),
        ("# a comment, URI=\"x\"", true),
        ("#EXT-X-VENDOR:URI=\"x.json\"", false),
        ("#EXT-X-VENDOR:URI=\"\"", false),
        ("#EXT-X-VENDOR:X-URI=\"http://packager.example/x\"", false),
        ("#EXT-X-VENDOR:X-URI=\"https://cdn.example/x\"", true),
        ("#EXT-X-VENDOR:X-URI=\"https://cdn.example/x\",URI=\"y\"", false),
    ];
    for (tag, kept) in cases {
        let text = printed(&format!("{head}{tag}\n"));
        assert_eq!(text.lines().any(|line| line == tag), kept, "{tag}");
    }
}

#[test]
fn without_a_variant_on_the_packager_there_is_no_stream() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://cdn.example/v.m3u8\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.m3u8\"\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n";
    assert_eq!(read(text), Err(MultivariantError::NoVariant));
}
