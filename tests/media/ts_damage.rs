//! MPEG-TS that is none, or not whole: a fact, never a panic.

use bytes::Bytes;
use proptest::prelude::*;
use segue::model::media::{Container, Damage, Joint, Ticks, cut, inspect};

use crate::clips::{BIDIRECTIONAL, H265, PLAIN, SLICED, SOUND};
use crate::ts_packets::{AUDIO, VIDEO, packets};

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
    // Null packets alone tell of nothing.
    let mut null = [0xff; 188];
    null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    assert_eq!(damage(&null.repeat(10)), Damage::Empty);
}

#[test]
fn what_is_cut_off_is_told() {
    let segment = &PLAIN.segments()[0];
    for length in [1, 187, 189, segment.len() - 1] {
        assert_eq!(damage(&segment[..length]), Damage::Truncated(length));
    }
    // Between two packets of a frame of sound.
    let torn = packets(segment).enumerate().filter(|(_, packet)| packet.pid == AUDIO);
    let (at, _) = torn.skip(1).find(|(_, packet)| !packet.begins).unwrap();
    assert_eq!(damage(&segment[..at * 188]), Damage::Truncated(at * 188));
    // And where the middle of one is lost.
    let lost = [&segment[..at * 188], &segment[(at + 1) * 188..]].concat();
    assert!(matches!(damage(&lost), Damage::Malformed(_)));
}

#[test]
fn streams_without_anything_in_them_are_told() {
    let segment = &PLAIN.segments()[0];
    assert_eq!(damage(&only(segment, |pid| pid != VIDEO)), Damage::NoPicture);
    assert_eq!(damage(&only(segment, |pid| pid == 0)), Damage::Empty);
    assert_eq!(damage(&only(segment, |pid| pid == VIDEO)), Damage::Empty);
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
