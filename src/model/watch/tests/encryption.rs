//! Keys, init segments, and what they make of bytes.

use super::*;

const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n";

fn fetched(length: usize, byte: u8) -> Fetched {
    Fetched { hash: ContentHash::of(&vec![byte; length]), length: length as u64 }
}

/// The list with `line` in force from its head on.
fn under(line: &str) -> String {
    good(100, &[]).replacen("#EXTINF", &format!("{line}#EXTINF"), 1)
}

/// What `text` needs, by kind and URI.
fn needed(text: &str) -> Vec<(ResourceKind, String)> {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    look(&mut observer, &v0, 0, text);
    let needed = observer.resources(&v0, Duration::ZERO);
    needed.into_iter().map(|r| (r.kind, r.uri)).collect()
}

#[test]
fn keys_and_init_segments_are_needed_where_they_can_be_fetched() {
    let table: &[(&str, &[(ResourceKind, &str)])] = &[
        (KEY, &[(ResourceKind::Aes128Key, "k1")]),
        ("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"http://h/k\"\n", &[(ResourceKind::Key, "http://h/k")]),
        ("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\"\n", &[]),
        ("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,AAAA\"\n", &[]),
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n",
            &[],
        ),
        ("#EXT-X-KEY:METHOD=NONE\n", &[]),
        ("#EXT-X-MAP:URI=\"i.mp4\"\n", &[(ResourceKind::Init, "i.mp4")]),
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n\
             #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"x\"\n",
            &[(ResourceKind::Key, "k")],
        ),
    ];
    for (line, wanted) in table {
        let wanted: Vec<_> = wanted.iter().map(|(k, u)| (*k, (*u).to_owned())).collect();
        assert_eq!(needed(&under(line)), wanted, "{line}");
    }
    let gaps = under(KEY).replace("#EXT-X-CUE", "#EXT-X-GAP\n#EXT-X-CUE");
    assert_eq!(needed(&gaps), [], "nothing is fetched for a gap");
}

#[test]
fn a_key_is_fetched_when_it_is_new_and_again_now_and_then() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    look(&mut observer, &v0, 0, &under(KEY));
    let due = |observer: &mut Observer, s: u64| {
        let due = observer.resources(&v0, Duration::from_secs(s));
        due.into_iter().map(|r| r.uri).collect::<Vec<_>>()
    };
    assert_eq!(due(&mut observer, 1), ["k1"]);
    assert_eq!(due(&mut observer, 20), [""; 0]);
    assert_eq!(due(&mut observer, 31), ["k1"]);
    let rotated = under(KEY).replace("#EXT-X-CUE:104", "#EXT-X-KEY:METHOD=AES-128,URI=\"k2\"");
    let mut other = Observer::default();
    look(&mut other, &v0, 0, &rotated);
    assert_eq!(due(&mut other, 1), ["k1", "k2"]);
}

#[test]
fn keys_and_init_segments_are_whole_there_and_the_same() {
    let init = "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"700@10\"\n";
    let table: Vec<(&str, Answer<Fetched>, &[Rule])> = vec![
        (KEY, Answer::Whole(fetched(16, 1)), &[]),
        (KEY, Answer::Whole(fetched(16, 2)), &[Rule::OtherBytes]),
        (KEY, Answer::Whole(fetched(17, 1)), &[Rule::KeyLength, Rule::OtherBytes]),
        (KEY, Answer::Status(404), &[Rule::NotOk]),
        (KEY, Answer::Cut(3, 16), &[Rule::CutShort]),
        (init, Answer::Whole(fetched(16, 1)), &[]),
        (init, Answer::Whole(fetched(700, 1)), &[Rule::OtherBytes]),
    ];
    for (line, answer, rules) in table {
        let mut observer = Observer::default();
        let v0 = place(0, "v0");
        look(&mut observer, &v0, 0, &under(line));
        let wanted = observer.resources(&v0, Duration::ZERO).remove(0);
        assert_eq!(wanted.range, line.contains("BYTERANGE").then_some((700, 10)));
        let mut tell = |answer| {
            let breaches = observer.resource(&v0, Duration::ZERO, &wanted, answer);
            breaches.into_iter().map(|b| b.rule).collect::<Vec<_>>()
        };
        assert_eq!(tell(Answer::Whole(fetched(16, 1))), []);
        assert_eq!(tell(answer), rules, "{line}");
    }
}

#[test]
fn a_key_that_no_segment_needs_any_more_may_go() {
    let mut observer = Observer::default();
    let v0 = place(0, "v0");
    look(&mut observer, &v0, 0, &under(KEY));
    let wanted = observer.resources(&v0, Duration::ZERO).remove(0);
    look(&mut observer, &v0, 24_000, &good(106, &[]));
    assert_eq!(observer.resource(&v0, Duration::ZERO, &wanted, Answer::Status(404)), []);
}

#[test]
fn encrypted_segments_are_whole_blocks() {
    let table: &[(&str, usize, &[Rule])] = &[
        (KEY, 160, &[]),
        (KEY, 161, &[Rule::CipherLength]),
        (KEY, 0, &[Rule::CipherLength]),
        ("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k1\"\n", 161, &[]),
        ("", 161, &[]),
    ];
    for (line, length, rules) in table {
        let mut observer = Observer::default();
        let v0 = place(0, "v0");
        look(&mut observer, &v0, 0, &under(line));
        let wanted = observer.due(&v0, 103, Duration::ZERO).unwrap();
        let answer = Answer::Whole(fetched(*length, 1));
        let breaches = observer.segment(&v0, Duration::ZERO, &wanted, answer);
        assert_eq!(breaches.iter().map(|b| b.rule).collect::<Vec<_>>(), *rules, "{line}{length}");
    }
}

#[test]
fn an_init_segment_has_no_number_to_take_an_iv_from() {
    let map = "#EXT-X-MAP:URI=\"i.mp4\"\n";
    let with_iv = KEY.replace("\"k1\"", "\"k1\",IV=0x1");
    let table: &[(String, &[Rule])] = &[
        (format!("{KEY}{map}"), &[Rule::MapWithoutIv]),
        (format!("{with_iv}{map}"), &[]),
        (format!("{map}{KEY}"), &[]),
        (format!("{}{map}", KEY.replace("AES-128", "SAMPLE-AES")), &[]),
        (format!("{KEY}#EXT-X-KEY:METHOD=NONE\n{map}"), &[]),
    ];
    for (lines, wanted) in table {
        assert_eq!(rules(&[under(lines), under(lines)]), *wanted, "told once: {lines}");
    }
}

#[test]
fn several_keys_keep_their_order_where_one_rotates() {
    let skd = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"x\"\n";
    let rotated = |n: u64| {
        let (one, two) = (format!("{KEY}{skd}"), format!("{}{skd}", KEY.replace("k1", "k2")));
        let head = if n < 105 { &one } else { &two };
        let text = good(n, &[]).replacen("#EXTINF", &format!("{head}#EXTINF"), 1);
        if n < 105 {
            text.replace("#EXT-X-CUE:105\n", &format!("{two}#EXT-X-CUE:105\n"))
        } else {
            text
        }
    };
    assert_eq!(rules(&(100..108).map(rotated).collect::<Vec<_>>()), []);
}
