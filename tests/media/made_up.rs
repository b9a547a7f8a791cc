//! The programme that other tests make up is what it says, to us and to ffmpeg.

use bytes::Bytes;
use segue::model::media::{Codec, Container, Damage, Joint, Ticks, cut, inspect};

use crate::ffmpeg::{frames, probe};
use crate::programme::{PICTURE_TICKS, Packaging, Seen, read, sound_alone, torn, without_pictures};
use crate::ts_packets::jumps;

/// Each as packagers may write it.
fn all() -> [Packaging; 4] {
    let plain = Packaging { base: 900_000, ..Packaging::default() };
    [
        plain,
        Packaging { reorders: true, gop: 50, base: (1 << 33) - 250_000, ..plain },
        Packaging { sound_late: 10_980, frames_in_one: 5, counter: 11, ..plain },
        Packaging { encoder: 2, gop: 24, phase: 7, sound_late: -4000, frames_in_one: 8, ..plain },
    ]
}

/// Three segments of four GOPs.
fn segments(packaging: &Packaging) -> Vec<Bytes> {
    let border = |n: u64| packaging.phase + packaging.gop * 4 * n;
    let segment = |n: u64| packaging.segment(border(n)..border(n + 1), n, "G|a|1|").into();
    (1..4).map(segment).collect()
}

fn numbers(seen: &Seen) -> (Vec<u64>, Vec<u64>) {
    let pictures = seen.pictures.iter().map(|picture| picture.number).collect();
    (pictures, seen.sounds.iter().map(|sound| sound.number).collect())
}

#[test]
fn it_is_found_as_it_was_written() {
    for packaging in all() {
        for (n, segment) in segments(&packaging).iter().enumerate() {
            let from = packaging.phase + packaging.gop * 4 * (n as u64 + 1);
            let pictures = from..from + packaging.gop * 4;
            let found = read(segment).unwrap();
            let (shown, heard) = numbers(&found);
            assert_eq!(shown, pictures.clone().collect::<Vec<_>>());
            assert_eq!(heard, packaging.frames(&pictures).collect::<Vec<_>>());
            let keys = found.pictures.iter().filter(|picture| picture.is_key).count();
            let base = packaging.base;
            assert!(found.pictures.iter().all(|picture| picture.base == base), "{packaging:?}");
            assert!(found.sounds.iter().all(|sound| sound.base == base), "{packaging:?}");
            let content = inspect(Container::Ts, segment).unwrap();
            let video = content.video.unwrap();
            assert_eq!((video.codec, keys, video.keyframes.len()), (Codec::H264, 4, 4));
            assert!(video.keyframes.iter().all(|key| key.closed));
            assert_eq!(u64::from(video.pictures), packaging.gop * 4);
            assert_eq!(video.frame, Ticks(PICTURE_TICKS));
            let begins = (base + PICTURE_TICKS * from.cast_signed()) % (1 << 33);
            assert_eq!(video.keyframes[0].pts.0 % (1 << 33), begins);
            assert_eq!(content.audio[0].codec, Codec::Aac);
            assert_eq!(content.audio[0].frames as usize, heard.len());
            assert_eq!(content.audio[0].frame, Ticks(1920));
        }
    }
}

/// It decodes, with no word of complaint, also where segments follow each other.
#[test]
fn ffmpeg_decodes_it() {
    for packaging in all() {
        let all = segments(&packaging).concat();
        assert_eq!(jumps(&all), [0_u16; 0], "{packaging:?}");
        let packets = probe(&all);
        let count = |is_video: bool| packets.iter().filter(|p| p.is_video == is_video).count();
        let decoded = frames(&all, true);
        for stream in 0..=1 {
            let mut pts: Vec<_> =
                decoded.iter().filter(|frame| frame.stream == stream).map(|f| f.pts).collect();
            pts.sort_unstable();
            assert_eq!(pts.len(), count(stream == 0), "{packaging:?}");
            let apart = [3600, 1920][stream];
            assert!(pts.windows(2).all(|pair| pair[1] - pair[0] == apart), "{packaging:?}");
        }
        assert_eq!(count(true) as u64, packaging.gop * 12);
        let shown = decoded.iter().filter(|frame| frame.stream == 0).map(|frame| &frame.hash);
        let unlike: std::collections::BTreeSet<_> = shown.collect();
        assert_eq!(unlike.len(), 12, "each keyframe shows something else");
    }
}

/// One encoder gives the same coded pictures to all, another one gives others.
#[test]
fn keyframes_are_equal_wherever_they_are_packaged() {
    let hashes = |packaging: Packaging, from: u64| {
        let segment = packaging.segment(from..from + 100, from, &format!("{from}"));
        let video = inspect(Container::Ts, &segment).unwrap().video.unwrap();
        video.keyframes.iter().map(|key| key.hash).collect::<Vec<_>>()
    };
    let plain = Packaging::default();
    let here = hashes(plain, 100);
    let there = hashes(Packaging { base: 77_777, sound_late: 3000, ..plain }, 150);
    assert_eq!(here[2..], there[..2]);
    let other = hashes(Packaging { encoder: 2, ..plain }, 100);
    assert!(here.iter().all(|hash| !other.contains(hash)));
}

/// Where sound lags differently it is in another segment; two are cut as one.
#[test]
fn it_is_cut_at_each_keyframe() {
    for packaging in all() {
        let late = Packaging { sound_late: 8000, ..packaging };
        let other = Packaging { base: packaging.base + 123_456, ..packaging };
        let [from, gop] = [packaging.phase + packaging.gop * 4, packaging.gop];
        for gops in 1..4 {
            let end = from + gops * gop;
            let joint = inspect(Container::Ts, &late.segment(from..end, 0, "")).unwrap().end();
            let moved = |at: Option<Ticks>| at.map(|at| Ticks(at.0 + 123_456));
            let joint = Joint { video: moved(joint.video), audio: moved(joint.audio) };
            let [before, segment] = [[from - gop, from], [from, from + 4 * gop]]
                .map(|[from, to]| other.segment(from..to, from / gop / 4, ""));
            let whole = [before, segment].concat().into();
            let tail = cut(Container::Ts, &whole, &joint).unwrap();
            let seen = numbers(&read(&tail).unwrap());
            let sound = late.frames(&(from..end)).end..other.frames(&(from..from + 4 * gop)).end;
            assert_eq!(seen.0, (end..from + 4 * gop).collect::<Vec<_>>());
            assert_eq!(seen.1, sound.collect::<Vec<_>>());
        }
    }
}

#[test]
fn damage_is_what_it_is_called() {
    let segment = &segments(&all()[2])[0];
    let found = |bytes: &[u8]| inspect(Container::Ts, bytes);
    assert!(matches!(found(&torn(segment)), Err(Damage::Truncated(_))));
    assert_eq!(found(&without_pictures(segment)), Err(Damage::NoPicture));
    let sound = found(&sound_alone(segment)).unwrap();
    assert_eq!((sound.video, sound.audio.len()), (None, 1));
    assert_eq!(jumps(&sound_alone(segment)), [0_u16; 0]);
}
