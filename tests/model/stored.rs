//! Steps that earlier versions stored print as they did.

use segue::model::lane::{Header, Log, Step, print};

const HEADER: &str = r##"{"format":1,"lane":"a-1","stream":{"pool":"live","path":"/live/cam.m3u8"},"renditions":[{"id":"v0","traits":{"kind":"variant","bandwidth":1300000}},{"id":"a0","traits":{"kind":"audio"}}],"multivariant":["#EXTM3U\n","/v0/index.m3u8\n"],"target_duration":6,"version":7,"container":"fragmented_mp4","independent_segments":true,"window":{"secs":24,"nanos":0},"first_msn":1700000000,"first_discontinuity":0,"opened_at":1700000000000}"##;
const FIRST: &str = r##"{"format":1,"msn":1700000000,"packager":"b","discontinuity":false,"discontinuity_number":0,"entries":[{"source":{"msn":15,"path":"/live/cam-15.m4s"},"duration":{"secs":6,"nanos":0},"lines":["#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z","#EXTINF:6.000,"],"extension":"m4s","held":{"hash":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":0},"map":{"held":{"hash":"bf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":7},"extension":"mp4"}},{"source":{"msn":0,"path":""},"duration":{"secs":6,"nanos":0},"lines":[],"extension":""}],"listed_at":1700000000000,"content_end":1700000000000}"##;
const SECOND: &str = r##"{"format":1,"msn":1700000001,"packager":"a","discontinuity":true,"discontinuity_number":1,"splice":{"from":"b","reason":"stalled","method":"arrival","gap_ms":-40},"entries":[{"source":{"msn":3,"path":"/live/cam-3.m4s","range":{"offset":5,"length":9}},"duration":{"secs":5,"nanos":500000000},"lines":["#EXTINF:5.5,title"],"extension":"m4s","held":{"hash":"cf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":0},"map":{"held":{"hash":"bf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":7},"extension":"mp4"}},{"source":{"msn":3,"path":"/live/a-3.m4s"},"duration":{"secs":5,"nanos":500000000},"lines":["#EXTINF:5.5,"],"extension":"m4s","held":{"hash":"df1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":0}}],"listed_at":1700000006000,"content_end":1700000006000}"##;
const END: &str = r#"{"format":1,"msn":1700000002,"packager":"a","discontinuity":false,"discontinuity_number":1,"entries":[],"listed_at":1700000012000,"content_end":1700000006000,"end":true}"#;

#[test]
fn the_first_format_prints_as_it_did() {
    let header: Header = serde_json::from_str(HEADER).unwrap();
    let mut log = Log::new(header.into());
    for text in [FIRST, SECOND, END] {
        log.push(serde_json::from_str::<Step>(text).unwrap()).unwrap();
    }
    let first = log.first().unwrap();
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n";
    let expected = format!(
        "{head}#EXT-X-MEDIA-SEQUENCE:1700000000\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init-bf1349b9.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n#EXTINF:6.000,\n\
         1700000000-af1349b9.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-bf1349b9.mp4\"\n\
         #EXTINF:5.5,title\n1700000001-cf1349b9.m4s\n#EXT-X-ENDLIST\n"
    );
    assert_eq!(print(&log, 0, first).unwrap(), expected);
    // Of the other rendition nothing was held before the splice.
    assert_eq!(print(&log, 1, first), None);
    let expected = format!(
        "{head}#EXT-X-MEDIA-SEQUENCE:1700000001\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-DISCONTINUITY\n#EXTINF:5.5,\n\
         1700000001-df1349b9.m4s\n#EXT-X-ENDLIST\n"
    );
    assert_eq!(print(&log, 1, first.next()).unwrap(), expected);
    // Written again, it is what it was.
    for step in log.steps() {
        let again: Step = serde_json::from_str(&serde_json::to_string(step).unwrap()).unwrap();
        assert_eq!(again, *step);
    }
}
