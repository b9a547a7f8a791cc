//! Session data, keys and steering that the packager holds, and variables.

use super::*;

const HEAD: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";

fn resource(kind: Resource, uri: &str) -> SessionResource {
    SessionResource { kind, uri: uri.to_owned() }
}

#[test]
fn what_the_packager_holds_gets_names_of_ours() {
    let text = format!(
        "{HEAD}#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"v\",LANGUAGE=\"en\"\n\
         #EXT-X-SESSION-DATA:DATA-ID=\"b\",URI=\"d.json\",FORMAT=JSON\n\
         #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"/keys/1?x\",IV=0x1\n\
         #EXT-X-SESSION-KEY:METHOD=AES-128,KEYFORMAT=\"identity\",URI=\"/keys/1?x\"\n\
         #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"d.json\"\n\
         #EXT-X-CONTENT-STEERING:SERVER-URI=\"http://packager.example/s\",PATHWAY-ID=\"p\"\n"
    );
    let got = read(&text).unwrap();
    let wanted = [
        resource(Resource::Data, "d.json"),
        resource(Resource::Key, "/keys/1?x"),
        resource(Resource::Key, "d.json"),
        resource(Resource::Steering, "http://packager.example/s"),
    ];
    assert_eq!(got.resources, wanted);
    let names = ["data-1.json", "key-1", "key-2", "steering.json"].map(|n| Some(n.to_owned()));
    let wanted = text
        .replace("\nv.m3u8", "\nplaylist~T/v0/index.m3u8")
        .replace("URI=\"d.json\",F", "URI=\"playlist~T/x0/data-1.json\",F")
        .replace("/keys/1?x", "playlist~T/x0/key-1")
        .replace("URI=\"d.json\"", "URI=\"playlist~T/x0/key-2\"")
        .replace("http://packager.example/s", "playlist~T/x0/steering.json");
    assert_eq!(got.pieces(&place(), &names).join("T"), wanted);
}

#[test]
fn what_could_not_be_fetched_is_left_out() {
    let text = format!(
        "{HEAD}#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"a\"\n\
         #EXT-X-SESSION-DATA:DATA-ID=\"b\",URI=\"b\"\n\
         #EXT-X-SESSION-DATA:DATA-ID=\"b\",URI=\"a\",LANGUAGE=\"en\"\n# end\n"
    );
    let got = read(&text).unwrap();
    let print = |names: &[Option<&str>]| {
        let names: Vec<_> = names.iter().map(|name| name.map(str::to_owned)).collect();
        got.pieces(&place(), &names).join("T")
    };
    let head = HEAD.replace("\nv.m3u8", "\nplaylist~T/v0/index.m3u8");
    let b = "#EXT-X-SESSION-DATA:DATA-ID=\"b\",URI=\"playlist~T/x0/bb\"\n";
    assert_eq!(print(&[None, Some("bb")]), format!("{head}{b}# end\n"));
    for names in [&[][..], &[None, None], &[Some(""), Some("a\"b")], &[Some("../a"), Some(".")]] {
        assert_eq!(print(names), format!("{head}# end\n"), "{names:?}");
    }
}

#[test]
fn variables_are_resolved() {
    let tail = "#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{$host}/a.m3u8?{$token}\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2\nhttps://cdn.example/{$token}\n";
    let define = "#EXT-X-DEFINE:NAME=\"host\",VALUE=\"packager.example\"\n\
        #EXT-X-DEFINE:QUERYPARAM=\"token\"\n";
    let got = read(&format!("#EXTM3U\n{define}{tail}")).unwrap();
    assert_eq!(ids(&got), [("v0", "http://packager.example/a.m3u8?a/b")]);
    let text = got.pieces(&place(), &[]).join("T");
    assert!(!text.contains("DEFINE") && !text.contains("{$"), "{text}");
    assert!(text.ends_with("\nhttps://cdn.example/a/b\n"), "{text}");
    // Nothing to import from, and no such parameter.
    for of in ["IMPORT=\"host\"", "QUERYPARAM=\"host\"", "QUERYPARAM=\"DVR\""] {
        let text = format!("#EXTM3U\n#EXT-X-DEFINE:{of}\n{tail}");
        assert_eq!(read(&text), Err(PlaylistError::Variable { line: 2 }.into()), "{of}");
    }
}

#[test]
fn media_playlists_import_what_it_defined() {
    use crate::model::playlist::{Context, parse, parse_with};
    let define = "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"seg\"\n";
    let got = read(&HEAD.replace("#EXTM3U\n", &format!("#EXTM3U\n{define}"))).unwrap();
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:IMPORT=\"p\"\n\
        #EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXTINF:4,\n{$p}/1.ts?{$t}\n";
    let context = Context { imports: got.variables(), query: Some("t=1") };
    let list = parse_with(media.as_bytes(), &Limits::default(), &context).unwrap();
    assert_eq!(list.segments[0].uri, "seg/1.ts?1");
    let alone = parse(media.as_bytes(), &Limits::default());
    assert_eq!(alone, Err(PlaylistError::Variable { line: 3 }));
}
