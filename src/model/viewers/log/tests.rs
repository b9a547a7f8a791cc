//! Lines of each kind of log, and stretches of time in every order.

use std::time::Duration;

use super::*;

const PATH: &str = "/live/cam/playlist~1.0a0b.a-9f3c1e4b.bWFj/v0/index.m3u8";

fn standard(seconds: u64, address: &str, query: &str) -> String {
    let time = format!("12:{:02}:{:02}", seconds / 60, seconds % 60);
    format!(
        "2026-03-01\t{time}\t{address}\tGET\td1.cloudfront.net\t{PATH}\t200\tMozilla/5.0%20(X)\t{query}\tHit\tmedia.example.com"
    )
}

const HEADER: &str = "#Fields: date time c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent) \
                      cs-uri-query x-edge-result-type x-host-header";

fn under_header() -> Reader {
    let mut reader = Reader::new(None);
    assert_eq!(reader.line("#Version: 1.0"), Ok(None));
    assert_eq!(reader.line(HEADER), Ok(None));
    reader
}

#[test]
fn the_same_viewer_in_every_kind_of_log() {
    let one = under_header().line(&standard(5, "192.0.2.1", "-")).unwrap().unwrap();
    assert_eq!(one.at, UnixMs(1_772_366_405_000));
    assert_eq!((one.host.as_str(), one.lane.as_str()), ("media.example.com", "a-9f3c1e4b"));
    assert_eq!(one.stream, "/live/cam/playlist.m3u8");
    let json = format!(
        "{{\"timestamp(ms)\":\"1772366405000\",\"c-ip\":\"192.0.2.1\",\"cs(User-Agent)\":\"Mozilla/5.0%20(X)\",\
         \"cs-uri-stem\":\"{PATH}\",\"sc-status\":\"200\",\"x-host-header\":\"media.example.com\",\"cs-method\":\"GET\"}}"
    );
    assert_eq!(Reader::new(None).line(&json).unwrap().unwrap(), one);
    let real_time = format!(
        "1772366405.000\t192.0.2.1\t0.001\t200\t600\tGET\thttps\td1.cloudfront.net\t{PATH}\t90\tFRA1\tid\tmedia.example.com\t0.001\tHTTP/2.0\tIPv4\tMozilla/5.0%20(X)\t-\t-\t-\tHit\t-\tTLSv1.3\tX\tHit"
    );
    assert_eq!(Reader::new(None).line(&real_time).unwrap().unwrap(), one);
    let named = format!("192.0.2.1\t{}\t1772366405\tMozilla/5.0%20(X)", PATH.replace('~', "%7E"));
    let fields = Some("c-ip,cs-uri-stem,timestamp,cs-user-agent");
    let named = Reader::new(fields).line(&named).unwrap().unwrap();
    assert_eq!(named, Request { host: String::new(), ..one });
}

#[test]
fn a_session_id_says_more_than_an_address() {
    let who =
        |address, query| under_header().line(&standard(0, address, query)).unwrap().unwrap().who;
    let sid = "CMCD=sid%3D%22s1%22";
    assert_eq!(who("192.0.2.1", sid), who("192.0.2.2", "DVR&CMCD=bl%3D1%2Csid%3D%22s1%22"));
    assert_eq!(who("192.0.2.1", sid), who("192.0.2.1", "CMCD=sid%253D%2522s1%2522"));
    assert_ne!(who("192.0.2.1", sid), who("192.0.2.1", "-"));
    assert_ne!(who("192.0.2.1", "-"), who("192.0.2.2", "-"));
}

#[test]
fn what_is_no_answered_playlist_says_nothing() {
    let line = standard(0, "192.0.2.1", "-");
    for other in [
        line.replace("\t200\t", "\t503\t"),
        line.replace("\tGET\t", "\tOPTIONS\t"),
        line.replace("index.m3u8", "123-01234567.ts"),
        line.replace(PATH, "/live/cam/playlist.m3u8"),
        line.replace(PATH, "/favicon.ico"),
        "#Version: 1.0".to_owned(),
        String::new(),
    ] {
        assert_eq!(under_header().line(&other), Ok(None), "{other}");
    }
    let errors = [
        ("{\"c-ip\":".to_owned(), LineError::Json),
        (line.replace("2026-03-01", "-"), LineError::NoTime),
        ("a\tb".to_owned(), LineError::NoFields),
        ("x".repeat(70_000), LineError::TooLong),
    ];
    for (text, error) in errors {
        assert_eq!(under_header().line(&text), Err(error));
    }
}

fn count(lines: &[(u64, &str)]) -> Minutes {
    let mut minutes = Minutes::new(Duration::from_secs(60));
    for (seconds, address) in lines {
        minutes.take(under_header().line(&standard(*seconds, address, "-")).unwrap().unwrap());
    }
    minutes
}

#[test]
fn distinct_viewers_of_each_minute_in_any_order() {
    let lines = [(0, "a"), (20, "a"), (40, "b"), (59, "c"), (60, "a"), (70, "b"), (130, "a")];
    let mut reversed = lines;
    reversed.reverse();
    for lines in [lines, reversed] {
        let minutes = count(&lines);
        let counts = minutes.counts();
        assert_eq!(counts.len(), 1);
        assert_eq!(
            (counts[0].viewers, counts[0].peak.viewers),
            (2, 3),
            "the second minute is the newest whole one"
        );
        let report = minutes.report().unwrap();
        assert_eq!((report.window_seconds, report.at), (60, UnixMs(1_772_366_460_000)));
        assert_eq!((report.streams[0].viewers, report.streams[0].lane.as_str()), (2, "a-9f3c1e4b"));
        assert_eq!(minutes.lost(), (0, 0));
    }
    assert_eq!(count(&[(0, "a")]).counts()[0].viewers, 1, "the only one there is");
    assert_eq!(count(&[]).report(), None);
}

#[test]
fn what_comes_hours_late_is_told() {
    let mut minutes = Minutes::new(Duration::from_secs(1));
    let request = |at| Request {
        at: UnixMs(at * 1000),
        host: String::new(),
        stream: "/s.m3u8".into(),
        lane: "a-1".into(),
        who: at,
    };
    for second in 1000..1300 {
        minutes.take(request(second));
    }
    minutes.take(request(1001));
    assert_eq!(minutes.lost(), (1, 0));
    assert_eq!(minutes.counts()[0].peak.viewers, 1);
}
