//! Reports of real and of broken servers.

use super::*;

const SIX: &str = "<ConnectionsCurrent>6</ConnectionsCurrent><ConnectionsTotal>293</ConnectionsTotal>\
    <ConnectionsTotalAccepted>287</ConnectionsTotalAccepted><ConnectionsTotalRejected>6</ConnectionsTotalRejected>\
    <MessagesInBytesRate>403858.0</MessagesInBytesRate><MessagesOutBytesRate>175126.0</MessagesOutBytesRate>";

fn sessions(hls: u64, dash: &str, total: u64) -> String {
    format!(
        "<SessionsFlash>1</SessionsFlash><SessionsCupertino>{hls}</SessionsCupertino>\
         <SessionsSanJose>0</SessionsSanJose><SessionsSmooth>0</SessionsSmooth>\
         <SessionsRTSP>0</SessionsRTSP>{dash}<SessionsTotal>{total}</SessionsTotal>"
    )
}

fn nested(root: &str, streams: &str) -> String {
    let other = SIX.replace(">6<", ">99<");
    format!(
        "<?xml version=\"1.0\"?>\n<{root}>{SIX}<VHost><Name>_defaultVHost_</Name>\
         <TimeRunning>505435.573</TimeRunning><ConnectionsLimit>0</ConnectionsLimit>{other}\
         <Application><Name>live</Name><Status>loaded</Status>{other}<ApplicationInstance>\
         <Name>_definst_</Name>{other}{streams}</ApplicationInstance></Application></VHost></{root}>"
    )
}

fn stream(name: &str, inside: &str) -> String {
    format!("<Stream><Name>{name}</Name>{inside}</Stream>")
}

#[test]
fn both_roots() {
    for root in ["WowzaMediaServer", "WowzaStreamingEngine"] {
        let dash = "<SessionsMPEGDash>2</SessionsMPEGDash>";
        let streams =
            stream("cam.stream", &sessions(3, dash, 6)) + &stream("b", &sessions(4, "", 5));
        let counts = Counts::read(nested(root, &streams).as_bytes()).unwrap();
        assert_eq!((counts.connections, counts.connections_total), (Some(6), 293));
        assert_eq!((counts.accepted, counts.rejected), (287, 6));
        assert!((counts.bytes_in_rate - 403_858.0).abs() < 0.1, "{}", counts.bytes_in_rate);
        assert!((counts.bytes_out_rate - 175_126.0).abs() < 0.1);
        let of = |s: &StreamSessions| (s.path(), s.vhost.clone(), s.hls, s.dash, s.rtmp, s.total);
        let vhost = || "_defaultVHost_".to_owned();
        assert_eq!(
            counts.streams.iter().map(of).collect::<Vec<_>>(),
            [
                ("live/cam.stream".to_owned(), vhost(), 3, Some(2), 1, 6),
                ("live/b".to_owned(), vhost(), 4, None, 1, 5)
            ]
        );
        let loads = [WowzaLoad::Connections, WowzaLoad::Sessions, WowzaLoad::HlsSessions];
        assert_eq!(loads.map(|which| counts.load(which, false)), [Some(6), Some(11), Some(7)]);
    }
}

#[test]
fn flat_lists() {
    let text = "<?xml version=\"1.0\"?><WowzaStreamingEngine>\
        <Stream vhostName=\"_defaultVHost_\" applicationName=\"live\" appInstanceName=\"hd\" \
        streamName=\"a%2Fb+c&amp;d\" sessionsFlash=\"0\" sessionsCupertino=\"12\" sessionsSanJose=\"0\" \
        sessionsSmooth=\"0\" sessionsRTSP=\"1\" sessionsTotal=\"13\"/></WowzaStreamingEngine>";
    let counts = Counts::read(text.as_bytes()).unwrap();
    let [stream] = &counts.streams[..] else { panic!("{counts:?}") };
    assert_eq!(stream.path(), "live/hd/a/b c&d");
    assert_eq!((stream.hls, stream.rtsp, stream.dash, stream.total), (12, 1, None, 13));
    assert_eq!(counts.connections, None);
    assert_eq!(counts.load(WowzaLoad::Connections, false), Some(13), "what it has of it");
}

#[test]
fn names_are_url_encoded() {
    for (name, want) in [
        ("cam.stream", "cam.stream"),
        ("caf%C3%A9", "café"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("rtsp%3A%2F%2Fcam%3A554%2F1", "rtsp://cam:554/1"),
        ("a+b", "a b"),
        ("%FF", "\u{fffd}"),
    ] {
        let counts =
            Counts::read(nested("WowzaMediaServer", &stream(name, "")).as_bytes()).unwrap();
        assert_eq!(counts.streams[0].name, want, "{name}");
    }
}

#[test]
fn nothing_counted_is_not_known() {
    let zero = nested("WowzaMediaServer", &stream("cam", &sessions(0, "", 0)))
        .replace(">6<", ">0<")
        .replace(">293<", ">0<")
        .replace(">287<", ">0<");
    let counts = Counts::read(zero.as_bytes()).unwrap();
    assert!(!counts.counts());
    assert_eq!(counts.load(WowzaLoad::Connections, false), None);
    assert_eq!(counts.load(WowzaLoad::Connections, true), Some(0), "it counted before");
    let later = zero.replace("<ConnectionsTotal>0<", "<ConnectionsTotal>1<");
    let counts = Counts::read(later.as_bytes()).unwrap();
    assert_eq!(counts.load(WowzaLoad::Connections, false), Some(0), "nobody now");
}

#[test]
fn what_is_no_report() {
    let whole = nested("WowzaMediaServer", &stream("cam", ""));
    let deep = |levels| format!("<WowzaMediaServer>{}", "<a>".repeat(levels));
    for (name, text, error) in [
        ("nothing", String::new(), LoadError::Other("connection counts")),
        ("text", "401 Unauthorized".to_owned(), LoadError::Other("connection counts")),
        ("html", "<html><body/></html>".to_owned(), LoadError::Other("connection counts")),
        ("two", format!("{whole}<WowzaMediaServer/>"), LoadError::Other("connection counts")),
        ("deep", deep(100), LoadError::Deep),
        ("open", deep(3), LoadError::Cut),
        ("crossed", "<WowzaMediaServer><a></b></WowzaMediaServer>".to_owned(), LoadError::Cut),
    ] {
        assert_eq!(Counts::read(text.as_bytes()), Err(error), "{name}");
    }
    for end in 0..whole.len() {
        assert!(Counts::read(&whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn streams_have_a_limit() {
    let many = (0..1500).map(|n| stream(&format!("s{n}"), &sessions(1, "", 2)));
    let many = many.collect::<Vec<_>>().concat();
    let counts = Counts::read(nested("WowzaMediaServer", &many).as_bytes()).unwrap();
    assert_eq!((counts.streams.len(), counts.streams_left_out), (STREAMS_MAX, 500));
    assert_eq!((counts.sessions(), counts.load(WowzaLoad::HlsSessions, false)), (3000, Some(1500)));
    let long = "x".repeat(10_000);
    let counts = Counts::read(nested("WowzaMediaServer", &stream(&long, "")).as_bytes()).unwrap();
    assert_eq!(counts.streams[0].name.len(), TEXT_MAX);
}
