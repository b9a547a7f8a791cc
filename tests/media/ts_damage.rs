//! MPEG-TS that is none, or not whole: a fact, never a panic.

use bytes::Bytes;
use proptest::prelude::*;
use segue::model::media::{Container, Damage, Joint, Ticks, cut, inspect};

use crate::clips::{BIDIRECTIONAL, H265, PLAIN, SLICED, SOUND};
use crate::ffmpeg::{pictures_of, probe};
use crate::ts_packets::{AUDIO, VIDEO, jumps, packets};

fn damage(segment: &[u8]) -> Damage {
    inspect(Container::Ts, segment).unwrap_err()
}

/// The packets for which `wanted` holds.
fn only(segment: &[u8], wanted: impl Fn(u16) -> bool) -> Vec<u8> {
    let kept = packets(segment).filter(|packet| wanted(packet.pid));
    kept.flat_map(|packet| packet.bytes.to_vec()).collect()
}

#[test]
fn what_is_not_mpeg_ts_is_told() {
    let page = b"<!DOCTYPE html><html><title>502 Bad Gateway</title>".repeat(20);
    let not_media = Damage::NotMedia("MPEG-TS");
    assert_eq!(damage(&page), not_media);
    assert_eq!(damage(b"Gone"), Damage::Truncated(4));
    assert_eq!(damage(&b"Gone!".repeat(100)), not_media);
    assert_eq!(damage(&[0; 188 * 4]), not_media);
    assert_eq!(damage(&[]), Damage::Truncated(0));
    // Null packets alone tell of nothing; nor does a segment whose tables are elsewhere.
    let mut null = [0xff; 188];
    null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    assert_eq!(damage(&null.repeat(10)), Damage::Unreadable);
}

#[test]
fn what_is_cut_off_is_told() {
    let segment = &PLAIN.segments()[0];
    for length in [1, 187, 189, segment.len() - 1] {
        assert_eq!(damage(&segment[..length]), Damage::Truncated(length));
    }
    // Between two packets of sound, of which the middle is lost.
    let torn = packets(segment).enumerate().filter(|(_, packet)| packet.pid == AUDIO);
    let (at, _) = torn.skip(1).find(|(_, packet)| !packet.begins).unwrap();
    let lost = [&segment[..at * 188], &segment[(at + 1) * 188..]].concat();
    assert!(matches!(damage(&lost), Damage::Malformed(_)));
}

/// The packets of the pictures, each with where it begins.
fn of_pictures(segment: &[u8]) -> impl Iterator<Item = (usize, bool)> {
    let all = packets(segment).enumerate().filter(|(_, packet)| packet.pid == VIDEO);
    all.map(|(at, packet)| (at * 188, packet.begins))
}

#[test]
fn a_picture_with_a_hole_is_told() {
    let segment = &BIDIRECTIONAL.segments()[1];
    let lost = Damage::Malformed("packets of a picture are lost");
    let inside: Vec<_> = of_pictures(segment).skip(1).step_by(7).collect();
    for (at, begins) in inside.into_iter().filter(|(_, begins)| !begins).take(50) {
        let hole = [&segment[..at], &segment[at + 188..]].concat();
        assert_eq!(damage(&hole), lost, "{begins}");
        // A break that is told of is none of ours.
        let next = of_pictures(segment).find(|(next, _)| *next > at).unwrap().0;
        let mut told = segment.to_vec();
        if told[next + 3] & 0x20 != 0 && told[next + 4] > 0 {
            told[next + 5] |= 0x80;
            told.drain(at..at + 188);
            assert!(inspect(Container::Ts, &told).is_ok());
        }
    }
}

#[test]
fn a_picture_that_says_how_long_it_is_must_be_whole() {
    let segment = &PLAIN.segments()[1];
    let (mut bytes, last) = (segment.to_vec(), of_pictures(segment).filter(|(_, begins)| *begins));
    let at = last.last().unwrap().0;
    let header = packets(&segment[at..]).next().unwrap();
    let begin = at + 188 - header.payload.len();
    bytes[begin + 4..begin + 6].copy_from_slice(&u16::MAX.to_be_bytes());
    assert_eq!(damage(&bytes), Damage::Truncated(bytes.len()));
}

/// As a segmenter leaves it that cuts at packets: the torn frame is in neither of two.
#[test]
fn sound_may_go_on_in_the_next_segment() {
    for clip in [PLAIN, BIDIRECTIONAL, SLICED, SOUND] {
        let segment = &clip.segments()[1];
        let whole = inspect(Container::Ts, segment).unwrap();
        let sound = if clip == SOUND { VIDEO } else { AUDIO };
        let begins = packets(segment).enumerate().filter(|(_, p)| p.pid == sound && p.begins);
        let begin = begins.last().unwrap().0;
        let inside = packets(segment).enumerate().skip(begin + 1);
        for (at, _) in inside.filter(|(_, packet)| packet.pid == sound) {
            let kept = packets(segment).enumerate();
            let kept = kept.filter(|(nth, packet)| packet.pid != sound || *nth < at);
            let torn: Vec<u8> = kept.flat_map(|(_, packet)| packet.bytes.to_vec()).collect();
            let found = inspect(Container::Ts, &torn).unwrap();
            let (whole, found) = (&whole.audio[0], &found.audio[0]);
            assert!(found.frames < whole.frames, "{}", clip.name);
            let count = packets(segment).skip(begin).take(at - begin);
            let count = count.filter(|packet| packet.pid == sound).count();
            let expected = whole_frames(segment, sound, count);
            assert_eq!(found.frames as usize, expected, "{}", clip.name);
            // It ends where the torn one begins.
            let end = whole.pts.last.0 - found.pts.last.0 - found.frame.0;
            let lost = i64::from(whole.frames - found.frames - 1);
            assert!((end - lost * whole.frame.0).abs() <= 20, "{}: {end} {lost}", clip.name);
            // What comes after it goes on with what it lacks.
            let joint = Joint { video: None, audio: Some(Ticks(whole.pts.last.0 - 20_000)) };
            let tail = cut(Container::Ts, &torn.into(), &joint).unwrap();
            let of_tail = inspect(Container::Ts, &tail).unwrap().audio[0].pts;
            // Its first frame's time is written as it was, rounded down.
            assert!((of_tail.last.0 - found.pts.last.0).abs() <= 1, "{}", clip.name);
            let left = packets(segment).enumerate().filter(|(nth, _)| *nth >= at);
            let left = left.filter(|(_, packet)| packet.pid == sound);
            let rest: Vec<u8> = left.flat_map(|(_, packet)| packet.bytes.to_vec()).collect();
            let joined = [&tail[..], &rest].concat();
            assert_eq!(jumps(&joined), [0_u16; 0], "{}", clip.name);
            let joined = inspect(Container::Ts, &joined).unwrap().audio[0].pts;
            assert!((joined.last.0 - whole.pts.last.0).abs() <= 1, "{}", clip.name);
        }
    }
}

/// How many frames of sound are whole if its last PES packet ends after so many packets, by the sizes
/// that ffprobe finds.
fn whole_frames(segment: &[u8], pid: u16, packets_left: usize) -> usize {
    let all: Vec<_> = packets(segment).filter(|packet| packet.pid == pid).collect();
    let begin = all.iter().rposition(|packet| packet.begins).unwrap();
    let header = 9 + usize::from(all[begin].payload[8]);
    let bytes = |count| all[begin..].iter().take(count).map(|p| p.payload.len()).sum::<usize>();
    let (length, left) = (bytes(usize::MAX) - header, bytes(packets_left) - header);
    let mut probed = probe(segment);
    probed.retain(|packet| !packet.is_video);
    let mut before = length;
    let of_last = probed.iter().rev().map_while(|packet| {
        before = before.checked_sub(packet.size)?;
        Some(before + packet.size > left)
    });
    probed.len() - of_last.filter(|torn| *torn).count()
}

#[test]
fn streams_without_anything_in_them_are_told() {
    let segment = &PLAIN.segments()[0];
    assert_eq!(damage(&only(segment, |pid| pid != VIDEO)), Damage::NoPicture);
    assert_eq!(damage(&only(segment, |pid| pid == 0)), Damage::Unreadable);
    assert_eq!(damage(&only(segment, |pid| pid == VIDEO)), Damage::Unreadable);
    let silent = inspect(Container::Ts, &only(segment, |pid| pid != AUDIO)).unwrap();
    assert!(silent.video.is_some() && silent.audio.is_empty());
    let empty = only(&SOUND.segments()[0], |pid| pid == 0 || pid == 4096);
    assert_eq!(damage(&empty), Damage::Empty);
}

#[test]
fn what_is_encrypted_is_told() {
    let mut segment = PLAIN.segments()[0].to_vec();
    let at = packets(&segment).position(|packet| packet.pid == AUDIO).unwrap();
    segment[at * 188 + 3] |= 0x80;
    assert_eq!(damage(&segment), Damage::Encrypted);
    // A segment that is encrypted as a whole is noise.
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut whole = vec![0; 188 * 100];
    noise.fill(&mut whole);
    assert_eq!(damage(&whole), Damage::NotMedia("MPEG-TS"));
}

/// One thing that happens to a segment.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    /// In the first bytes of a packet, where the headers are.
    Header(prop::sample::Index, usize, u8),
    End(prop::sample::Index),
    Lose(prop::sample::Index, usize),
    Twice(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, with)| Harm::Flip(at, with)),
        6 => (at(), 1_usize..30, any::<u8>()).prop_map(|(at, byte, with)| Harm::Header(at, byte, with)),
        1 => at().prop_map(Harm::End),
        2 => (at(), 1_usize..20).prop_map(|(at, count)| Harm::Lose(at, count)),
        1 => at().prop_map(Harm::Twice),
        1 => (at(), at()).prop_map(|(one, other)| Harm::Swap(one, other)),
    ]
}

fn harmed(segment: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut bytes = segment.to_vec();
    for harm in harms {
        let count = bytes.len() / 188;
        if count == 0 {
            break;
        }
        match harm {
            Harm::Flip(at, with) => {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            Harm::Header(at, byte, with) => bytes[at.index(count) * 188 + byte] ^= with,
            Harm::End(at) => bytes.truncate(at.index(bytes.len())),
            Harm::Lose(at, lost) => {
                let at = at.index(count);
                bytes.drain(at * 188..(at + lost).min(count) * 188);
            }
            Harm::Twice(at) => {
                let at = at.index(count) * 188;
                let packet = bytes[at..at + 188].to_vec();
                bytes.splice(at..at, packet);
            }
            Harm::Swap(one, other) => {
                for byte in 0..188 {
                    bytes.swap(one.index(count) * 188 + byte, other.index(count) * 188 + byte);
                }
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// It is read or refused; and a tail of it, if there is one, is read as what it was cut for.
    #[test]
    fn no_harm_does_more_than_be_told(
        which in 0_usize..5,
        harms in prop::collection::vec(harm(), 1..12),
    ) {
        let clip = [PLAIN, BIDIRECTIONAL, SLICED, H265, SOUND][which];
        let bytes = Bytes::from(harmed(&clip.segments()[1], &harms));
        let Ok(content) = inspect(Container::Ts, &bytes) else { return Ok(()) };
        let packets = bytes.len() / 188;
        let Some(video) = content.video else { return Ok(()) };
        prop_assert!(video.keyframes.len() <= video.pictures as usize);
        prop_assert!(video.pictures as usize <= packets);
        for key in video.keyframes {
            match cut(Container::Ts, &bytes, &Joint::at(key.pts)) {
                Ok(tail) => {
                    prop_assert!(tail.len() <= bytes.len() + 188 * 1000);
                    let again = inspect(Container::Ts, &tail).unwrap().video.unwrap();
                    // Unwrapped from another first time.
                    let same = |pts: Ticks| (pts.0 - key.pts.0) % (1 << 33) == 0;
                    prop_assert!(again.keyframes.iter().any(|other| same(other.pts)));
                }
                Err(damage) => prop_assert_eq!(damage, Damage::NoKeyframe(key.pts)),
            }
        }
    }

}

proptest! {
    // Each runs ffmpeg twice.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is not refused can be shown, and so can its tails.
    #[test]
    fn what_is_listed_can_be_decoded(
        which in 0_usize..4,
        harms in prop::collection::vec(harm(), 1..4),
        key in any::<prop::sample::Index>(),
    ) {
        let clip = [PLAIN, BIDIRECTIONAL, SLICED, H265][which];
        let bytes = Bytes::from(harmed(&clip.segments()[1], &harms));
        let Ok(content) = inspect(Container::Ts, &bytes) else { return Ok(()) };
        let Some(video) = content.video else { return Ok(()) };
        prop_assert!(pictures_of(&bytes, ".ts") > 0);
        let closed: Vec<_> = video.keyframes.iter().filter(|key| key.closed).collect();
        if closed.is_empty() {
            return Ok(());
        }
        let joint = Joint::at(key.get(&closed).pts);
        if let Ok(tail) = cut(Container::Ts, &bytes, &joint) {
            prop_assert!(pictures_of(&tail, ".ts") > 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A packet may be sent twice.
    #[test]
    fn what_comes_twice_counts_once(at in prop::collection::vec(any::<prop::sample::Index>(), 1..20)) {
        let segment = &BIDIRECTIONAL.segments()[1];
        let mut twice: Vec<usize> = at.iter().map(|at| at.index(segment.len() / 188)).collect();
        twice.sort_unstable();
        twice.dedup();
        let mut bytes = Vec::new();
        for (nth, packet) in segment.chunks(188).enumerate() {
            bytes.extend(packet);
            if twice.contains(&nth) {
                bytes.extend(packet);
            }
        }
        let content = inspect(Container::Ts, segment).unwrap();
        prop_assert_eq!(&inspect(Container::Ts, &bytes).unwrap(), &content);
        let key = content.video.unwrap().keyframes[2];
        let (plain, doubled) = (cut(Container::Ts, segment, &Joint::at(key.pts)), cut(Container::Ts, &bytes.into(), &Joint::at(key.pts)));
        let plain = inspect(Container::Ts, &plain.unwrap()).unwrap();
        prop_assert_eq!(inspect(Container::Ts, &doubled.unwrap()).unwrap(), plain);
    }
}
