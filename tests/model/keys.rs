//! Keys through a lane: what viewers are told decrypts what they get, whatever is listed.

use std::collections::HashMap;

use segue::model::names::ContentHash;
use segue::model::rendition::Kind;

use crate::show::{Show, list};

fn one(numbers: std::ops::Range<u64>, tags: impl Fn(u64) -> String) -> Vec<String> {
    let mut show = Show::of(&[Kind::Variant], |_| {}).with("a", &[Some("a")]);
    show.shows(0, 0, 0, &list(numbers, tags));
    show.carry(0);
    show.body(0)
        .into_iter()
        .filter(|l| {
            l.starts_with("#EXT-X-KEY") || l.starts_with("#EXT-X-MAP") || !l.starts_with('#')
        })
        .map(|l| if l.starts_with('#') { l } else { ".".into() })
        .collect()
}

fn name(line: &str) -> &str {
    line.split("../x0/key-").nth(1).unwrap().split('"').next().unwrap()
}

#[test]
fn an_iv_that_stands_for_a_number_is_written_out() {
    let lines = one(10..13, |n| {
        let key = if n == 10 { "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n" } else { "" };
        format!("{key}#EXTINF:4,")
    });
    let iv = |n: u64| format!(",IV=0x{n:032X}");
    let keys: Vec<&String> = lines.iter().filter(|l| l.starts_with('#')).collect();
    assert_eq!(keys.len(), 3, "each has another: {lines:?}");
    for (key, n) in keys.iter().zip(10..) {
        assert!(
            key.ends_with(&iv(n)) && key.starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\""),
            "{key}"
        );
    }
    assert!(keys.iter().all(|k| name(k) == name(keys[0])), "one key, one name: {lines:?}");
    // One that is written stays, and is not repeated.
    let lines = one(10..13, |n| {
        let key = if n == 10 { "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n" } else { "" };
        format!("{key}#EXTINF:4,")
    });
    assert_eq!(lines.iter().filter(|l| l.starts_with('#')).count(), 1, "{lines:?}");
    assert!(lines[0].ends_with("\",IV=0x1"), "{lines:?}");
}

#[test]
fn what_is_clear_is_said_to_be() {
    let lines = one(10..13, |n| match n {
        11 => "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n#EXTINF:4,".into(),
        _ => "#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,".into(),
    });
    assert_eq!(
        (&*lines[0], &*lines[2], &*lines[3], &*lines[4]),
        (".", ".", "#EXT-X-KEY:METHOD=NONE", ".")
    );
    assert!(lines[1].starts_with("#EXT-X-KEY:METHOD=AES-128"), "{lines:?}");
}

#[test]
fn keys_of_several_formats_stand_together() {
    let apple =
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"";
    let lines = one(10..13, |n| match n {
        10 => format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k1\",IV=0x1\n{apple}\n#EXTINF:4,"),
        12 => "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k2\",IV=0x1\n#EXTINF:4,".into(),
        _ => "#EXTINF:4,".into(),
    });
    assert_eq!(lines[1], apple, "elsewhere, and left alone");
    assert!(lines[0].contains("../x0/key-"), "{lines:?}");
    assert_eq!((&*lines[2], &*lines[3], &*lines[5]), (".", ".", "."), "{lines:?}");
    assert_ne!(name(&lines[0]), name(&lines[4]), "one of them rotates, the other goes on");
    assert_eq!(lines.len(), 6, "{lines:?}");
}

/// RFC 8216, 4.3.2.4 and 4.3.2.5: keys apply to a MAP by where they stand.
#[test]
fn an_init_segment_has_its_own_key_at_the_head_and_after_a_splice() {
    let tags = |first: u64| {
        move |n: u64| {
            let head = "#EXT-X-KEY:METHOD=AES-128,URI=\"k0\",IV=0x7\n#EXT-X-MAP:URI=\"init.mp4\"\n\
                #EXT-X-KEY:METHOD=AES-128,URI=\"k1\",IV=0x8\n";
            format!("{}#EXTINF:4,", if n == first { head } else { "" })
        }
    };
    let mut show = Show::of(&[Kind::Variant], |h| {
        h.container = segue::model::lane::Container::FragmentedMp4;
    });
    show = show.with("a", &[Some("a")]);
    show.shows(0, 0, 0, &list(10..13, tags(10)));
    show.carry(0);
    // The same names, other bytes: it restarted.
    show.packagers[0].1[0].as_mut().unwrap().life = 2;
    for n in [3, 4, 5, 6] {
        show.shows(0, 0, 8000 + n * 4000, &list(0..n, tags(0)));
        show.carry(8000 + n * 4000);
    }
    let body = show.body(0);
    let heads: Vec<usize> =
        (0..body.len()).filter(|&n| body[n].starts_with("#EXT-X-MAP")).collect();
    assert_eq!(heads.len(), 2, "{body:?}");
    for at in heads {
        assert!(
            body[at - 1].starts_with("#EXT-X-KEY") && body[at - 1].ends_with("IV=0x7"),
            "{body:?}"
        );
        assert!(
            body[at + 1].starts_with("#EXT-X-KEY") && body[at + 1].ends_with("IV=0x8"),
            "{body:?}"
        );
        assert_ne!(name(&body[at - 1]), name(&body[at + 1]));
    }
    let at = body.iter().position(|l| l == "#EXT-X-DISCONTINUITY").unwrap();
    assert!(body[at + 1].ends_with("IV=0x7") && body[at + 2].starts_with("#EXT-X-MAP"), "{body:?}");
    named_once(&show);
}

/// Two runs give their keys the same names, rotation gives many.
#[test]
fn a_name_means_one_key() {
    let tags = |n: u64| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k{}\"\n#EXTINF:4,", n % 3);
    let mut show =
        Show::of(&[Kind::Variant, Kind::Audio], |_| {}).with("a", &[Some("v"), Some("a")]);
    for life in 1..4_u32 {
        for n in 6..12 {
            let now = u64::from(life) * 100_000 + n * 4000;
            for r in [0, 1] {
                let shown = show.packagers[0].1[r].as_mut().unwrap();
                shown.life = life;
                // Another run counts from elsewhere, under the same names of keys.
                let from = u64::from(life - 1) * 100;
                let text = list(from + n - 6..from + n, tags);
                shown.shows(now, &text);
            }
            show.carry(now);
            show.carry(now + 5000);
        }
    }
    let splices = show.log.steps().filter(|s| s.splice.is_some()).count();
    assert_eq!(splices, 2, "{}", show.text(0));
    assert_eq!(named_once(&show), 18, "three keys, two renditions, three runs");
}

/// No name stands for two keys, and no key has two names. Returns how many there are.
fn named_once(show: &Show) -> usize {
    let mut names: HashMap<String, ContentHash> = HashMap::new();
    let mut keys: HashMap<ContentHash, String> = HashMap::new();
    let entries = show.log.steps().flat_map(|s| &s.shares).flat_map(|s| &s.entries);
    for key in entries.flat_map(segue::model::lane::Entry::all_keys) {
        let Some((name, held)) = key.held() else { continue };
        assert_eq!(*names.entry(name.to_owned()).or_insert(held.hash), held.hash, "{name}");
        assert_eq!(*keys.entry(held.hash).or_insert_with(|| name.to_owned()), name);
    }
    names.len()
}
