//! Tails of MPEG-TS segments: ffmpeg decodes them without a word, and what stands before the cut and
//! the cut are the segment.

use bytes::Bytes;
use segue::model::media::{Codec, Container, Damage, Joint, Ticks, cut};

use crate::clips::{
    ALL, BIDIRECTIONAL, Clip, H265, OPEN, OTHER, OTHER_SOUND, PLAIN, SILENT, SLICED, SOUND,
};
use crate::ffmpeg::{Frame, frames};
use crate::ts::{content, keyframes};
use crate::ts_packets::{
    AUDIO, METADATA, Pes, SECTIONS, VIDEO, jumps, packets, regrouped, with_data,
};

/// From the keyframe at `pts` on.
fn tail(segment: &Bytes, pts: Ticks) -> Bytes {
    let tail = cut(Container::Ts, segment, &Joint::at(pts)).unwrap();
    assert!(
        cut(Container::Ts, segment, &Joint::at(pts)).unwrap() == tail,
        "the same wherever it is made"
    );
    assert_eq!(jumps(&tail), [0_u16; 0], "continuity");
    let clock = packets(&tail).position(|packet| packet.has_pcr);
    let picture = packets(&tail).position(|packet| packet.pid == VIDEO);
    assert!(clock.is_some_and(|clock| picture.is_none_or(|picture| clock <= picture)));
    let media = |pid| [VIDEO, AUDIO].contains(&pid);
    let before: Vec<_> =
        packets(&tail).map(|packet| packet.pid).take_while(|pid| !media(*pid)).collect();
    assert!(before.contains(&0) && before.contains(&4096), "tables first");
    tail
}

/// Where packets are cut that can be: keyframes, or any time of sound alone.
fn joints(segment: &Bytes) -> Vec<Ticks> {
    let content = content(segment);
    if let Some(video) = content.video {
        return video.keyframes.iter().filter(|key| key.closed).map(|key| key.pts).collect();
    }
    let from = content.audio[0].pts.first.0;
    (0..5).map(|n| Ticks(from + n * 17_000)).collect()
}

/// The packets of each stream are those from the one nearest to `pts` on, with the times they had.
fn same_packets(clip: Clip, segment: &Bytes, whole: &[Frame], tail: &Bytes, pts: Ticks) {
    let content = content(segment);
    let keys = |segment| keyframes(segment).into_iter().filter(|key| key.pts >= pts);
    assert!(keyframes(tail).into_iter().eq(keys(segment)), "{} at {pts:?}", clip.name);
    let half = content.audio.first().map_or(0, |audio| audio.frame.0 / 2);
    let sound = usize::from(content.video.is_some());
    let tail = frames(tail, false);
    for stream in 0..=1 {
        let of = |all: &[Frame]| -> Vec<Frame> {
            all.iter().filter(|frame| frame.stream == stream).cloned().collect()
        };
        let (all, kept) = (of(whole), of(&tail));
        let begins = |frame: &Frame| {
            if stream == sound { frame.pts > pts.0 - half - 2 } else { frame.pts == pts.0 }
        };
        let begin = all.iter().position(begins);
        let expected = begin.map(|begin| &all[begin..]).unwrap_or_default();
        assert_eq!(kept.len(), expected.len(), "{} at {pts:?}, stream {stream}", clip.name);
        for (nth, (kept, expected)) in kept.iter().zip(expected).enumerate() {
            // Before the first of H.265 ffmpeg leaves a zero that it gives to the packet before else.
            let is_first = nth == 0 && stream != sound;
            assert!(
                is_first || kept.hash == expected.hash,
                "{} at {pts:?} {kept:?} {expected:?}",
                clip.name
            );
            let apart = kept.pts.abs_diff(expected.pts);
            // Where a time was not written ffmpeg adds up rounded lengths.
            assert!(apart <= if stream == sound { 20 } else { 0 }, "{kept:?} {expected:?}");
        }
    }
}

#[test]
fn before_and_tail_hold_every_frame_once() {
    for clip in ALL {
        for segment in clip.segments() {
            let joints = joints(&segment);
            assert!(joints.len() >= if clip == OPEN { 0 } else { 4 }, "{}", clip.name);
            let whole = frames(&segment, false);
            for pts in joints.into_iter().skip(1) {
                same_packets(clip, &segment, &whole, &tail(&segment, pts), pts);
            }
        }
    }
}

/// Those shown from `pts` on.
fn pictures(all: &[Frame], pts: Ticks) -> Vec<String> {
    let shown = all.iter().filter(|frame| frame.stream == 0 && frame.pts >= pts.0);
    shown.map(|frame| frame.hash.clone()).collect()
}

#[test]
fn a_tail_decodes_as_the_segment_does_from_there_on() {
    for clip in [PLAIN, BIDIRECTIONAL, SLICED, H265, SILENT] {
        let segment = &clip.segments()[1];
        let whole = frames(segment, true);
        for pts in joints(segment).into_iter().skip(1) {
            let tail = frames(&tail(segment, pts), true);
            assert_eq!(pictures(&tail, pts), pictures(&whole, pts), "{} at {pts:?}", clip.name);
            assert_eq!(pictures(&tail, pts), pictures(&tail, Ticks(0)), "nothing before it");
        }
    }
}

/// Two packagers of one stream whose borders are apart: one's first segment, and what the other has
/// from there on.
#[test]
fn a_splice_shows_every_picture_once() {
    for clip in [PLAIN, BIDIRECTIONAL, SLICED, H265] {
        let (this, other) = clip.packaged_twice();
        let first = content(&this[0]).video.unwrap();
        let joint = content(&this[1]).video.unwrap().keyframes[0];
        let key = keyframes(&other[1]).into_iter().find(|key| key.hash == joint.hash).unwrap();
        let spliced = [&this[0], &tail(&other[1], key.pts), &other[2]].map(|part| part.to_vec());
        let shown = frames(&spliced.concat(), true);
        let shown = shown.iter().filter(|frame| frame.stream == 0).map(|frame| frame.pts);
        let last = content(&other[2]).video.unwrap().pts.last;
        let expected = (first.pts.first.0..=last.0).step_by(3600);
        assert!(shown.eq(expected), "{}", clip.name);
        assert_eq!(first.pts.last.0 + 3600, key.pts.0, "{}", clip.name);
    }
}

#[test]
fn the_tail_from_the_beginning_is_the_segment() {
    for clip in [PLAIN, BIDIRECTIONAL, H265, SOUND] {
        let segment = &clip.segments()[1];
        let content = content(segment);
        let video = content.video.map(|video| video.keyframes[0].pts);
        let sound = content.audio[0].pts.first;
        for audio in [sound, Ticks(sound.0 - 50_000)].map(Some) {
            for video in [video, None] {
                let tail = cut(Container::Ts, segment, &Joint { video, audio }).unwrap();
                assert_eq!(tail.as_ptr(), segment.as_ptr(), "{}", clip.name);
            }
        }
    }
}

/// Another segment's first time may lie on the other side of where the bits end.
#[test]
fn a_joint_is_found_across_the_end_of_the_clock() {
    let segment = &BIDIRECTIONAL.segments()[1];
    let pts = joints(segment)[2];
    let audio = Ticks(pts.0 - 12_000);
    let expected = cut(Container::Ts, segment, &Joint { video: Some(pts), audio: Some(audio) });
    for turns in [-2_i64, 1, 3] {
        let [video, audio] = [pts, audio].map(|time| Some(Ticks(time.0 + (turns << 33))));
        assert!(cut(Container::Ts, segment, &Joint { video, audio }) == expected, "{turns}");
    }
}

#[test]
fn a_tail_can_be_cut_again() {
    let segment = &BIDIRECTIONAL.segments()[1];
    let joints = joints(segment);
    let once = tail(segment, joints[2]);
    let twice = tail(&tail(segment, joints[1]), joints[2]);
    assert_eq!(content(&once), content(&twice));
    assert_eq!(keyframes(&once), keyframes(segment)[2..]);
}

fn refused(segment: &Bytes, pts: Ticks) -> Damage {
    let tail = cut(Container::Ts, segment, &Joint::at(pts));
    tail.map(|tail| tail.len()).unwrap_err()
}

#[test]
fn what_needs_what_comes_before_is_not_cut() {
    let segment = &OPEN.segments()[1];
    let key = keyframes(segment)[1];
    for pts in [key.pts, Ticks(key.pts.0 + 1), Ticks(0)] {
        assert_eq!(refused(segment, pts), Damage::NoKeyframe(pts));
    }
    let segment = &PLAIN.segments()[1];
    let between = Ticks(keyframes(segment)[1].pts.0 + 3600);
    assert_eq!(refused(segment, between), Damage::NoKeyframe(between));
    let late = Ticks(content(&SOUND.segments()[1]).audio[0].pts.last.0 + 5000);
    assert_eq!(refused(&SOUND.segments()[1], late), Damage::NoKeyframe(late));
}

/// The segment without the SPS of its pictures from the so manieth on.
fn without_sets(segment: &[u8], from: usize) -> Bytes {
    regrouped(segment, VIDEO, |all| {
        let strip = |(nth, pes): (usize, &Pes)| {
            let mut pes = pes.clone();
            // The SPS stops being one.
            for at in 0..pes.data.len().saturating_sub(4) {
                if nth >= from && pes.data[at..].starts_with(&[0, 0, 1, 0x67]) {
                    pes.data[at + 3] = 0x6c;
                }
            }
            (nth, pes)
        };
        all.iter().enumerate().map(strip).collect()
    })
}

/// Without parameter sets a keyframe shows nothing.
#[test]
fn a_keyframe_without_parameter_sets_is_not_cut_at() {
    let bare = without_sets(&PLAIN.segments()[1], 0);
    let closed: Vec<_> = keyframes(&bare).iter().map(|key| key.closed).collect();
    assert_eq!(closed, [false; 4]);
    let pts = keyframes(&bare)[1].pts;
    assert_eq!(refused(&bare, pts), Damage::NoKeyframe(pts));
}

#[test]
fn a_tail_is_given_the_parameter_sets_that_came_before_it() {
    for clip in [PLAIN, SLICED] {
        let segment = &clip.segments()[1];
        let bare = without_sets(segment, 1);
        for key in keyframes(&bare).into_iter().skip(1) {
            assert!(key.closed, "{}", clip.name);
            let tail = tail(&bare, key.pts);
            let expected = pictures(&frames(segment, true), key.pts);
            assert_eq!(pictures(&frames(&tail, true), key.pts), expected, "{}", clip.name);
            assert_eq!(content(&tail).video.unwrap().keyframes[0], key, "{}", clip.name);
            // Before the tables nothing is known of any packet.
            let noise = [&[0x47, 0x41, 0, 0x1f][..], &[0xaa; 184]].concat();
            let after_noise = Bytes::from([&noise[..], &bare].concat());
            assert!(self::tail(&after_noise, key.pts) == tail, "{}", clip.name);
        }
    }
}

/// Two pictures in one PES packet, of which the second has no time of its own.
#[test]
fn pictures_that_share_a_pes_packet_are_told_apart() {
    let segment = &PLAIN.segments()[1];
    // From the second on, so that the keyframes are second ones.
    let shared = regrouped(segment, VIDEO, |all| {
        let first = (0, all[0].clone());
        let pairs = all[1..].chunks(2).enumerate().map(|(nth, pair)| {
            let data = pair.iter().flat_map(|pes| pes.data.clone()).collect();
            (1 + 2 * nth, Pes { times: pair[0].times.clone(), data })
        });
        std::iter::once(first).chain(pairs).collect()
    });
    same_pictures(segment, &shared);
    // Those that are second in theirs.
    let inside = keyframes(&shared)[2].pts;
    let tail = tail(&shared, inside);
    assert_eq!(keyframes(&tail), keyframes(segment)[2..]);
    assert_eq!(pictures(&frames(&tail, true), inside), pictures(&frames(segment, true), inside));
}

/// A picture that goes on in PES packets without times.
#[test]
fn a_picture_in_several_pes_packets_is_one() {
    let segment = &BIDIRECTIONAL.segments()[1];
    let torn = regrouped(segment, VIDEO, |all| {
        let parts = |(nth, pes): (usize, &Pes)| {
            let (first, second) = pes.data.split_at(pes.data.len() / 3);
            let first = Pes { times: pes.times.clone(), data: first.to_vec() };
            [(nth, first), (nth, Pes { times: Vec::new(), data: second.to_vec() })]
        };
        all.iter().enumerate().flat_map(parts).collect()
    });
    same_pictures(segment, &torn);
    let pts = keyframes(&torn)[1].pts;
    assert_eq!(keyframes(&tail(&torn, pts)), keyframes(segment)[1..]);
}

/// Delimiters are demanded, and left out all the same; zeros may stand before a start code.
#[test]
fn a_picture_needs_no_delimiter() {
    for clip in [BIDIRECTIONAL, SLICED] {
        let segment = &clip.segments()[1];
        let bare = regrouped(segment, VIDEO, |all| {
            let strip = |(nth, pes): (usize, &Pes)| {
                let delimiter = [0, 0, 0, 1, 9];
                assert!(pes.data.starts_with(&delimiter));
                let mut pes = pes.clone();
                pes.data.splice(..=delimiter.len(), [0; 3]);
                (nth, pes)
            };
            all.iter().enumerate().map(strip).collect()
        });
        same_pictures(segment, &bare);
        let pts = keyframes(segment)[2].pts;
        let tail = tail(&bare, pts);
        assert_eq!(pictures(&frames(&tail, true), pts), pictures(&frames(segment, true), pts));
    }
}

/// Frames of sound that begin in one PES packet and end in the next.
#[test]
fn frames_of_sound_may_lie_across_pes_packets() {
    for (clip, frame) in [(PLAIN, 100), (BIDIRECTIONAL, 11), (SLICED, 5)] {
        let segment = &clip.segments()[1];
        let torn = regrouped(segment, AUDIO, |all| {
            let mut all = all.to_vec();
            // The head of each, short of a frame, goes to the one before.
            for nth in 1..all.len() {
                let rest = all[nth].data.split_off(frame);
                let head = std::mem::replace(&mut all[nth].data, rest);
                all[nth - 1].data.extend(head);
                // Its time would be that of the frame after.
                all[nth].times.clear();
            }
            all.into_iter().enumerate().collect()
        });
        let (whole, found) = (content(segment), content(&torn));
        assert_eq!(whole.audio[0].frames, found.audio[0].frames, "{}", clip.name);
        let last = whole.audio[0].pts.last.0.abs_diff(found.audio[0].pts.last.0);
        assert!(last <= 20, "{}: {last}", clip.name);
        let pts = keyframes(&torn)[2].pts;
        let tail = tail(&torn, pts);
        let first = content(&tail).audio[0].pts.first.0;
        assert!(first.abs_diff(pts.0) <= 1 + whole.audio[0].frame.0.unsigned_abs() / 2);
    }
}

/// Metadata belongs to its times, and what has none to where it stands.
#[test]
fn data_goes_with_the_pictures_it_stands_by() {
    let plain = &PLAIN.segments()[1];
    let key = keyframes(plain)[2];
    // A tenth of a second apart, the fifth and those after it at the keyframe or later.
    let time = |nth: usize| key.pts.0 + (i64::try_from(nth).unwrap() - 5) * 9000;
    for timed in [true, false] {
        let segment = with_data(plain, 60, |nth| timed.then(|| time(nth)));
        assert_eq!(content(&segment), content(plain));
        let count = |segment: &[u8], pid| {
            packets(segment).filter(|packet| packet.pid == pid && packet.begins).count()
        };
        let tail = tail(&segment, key.pts);
        let all = count(&segment, METADATA);
        let from = packets(&segment).filter(|packet| packet.pid == VIDEO && packet.begins).nth(50);
        let at = from.unwrap().bytes.as_ptr() as usize - segment.as_ptr() as usize;
        let after = count(&segment[at..], SECTIONS);
        assert!(all > after && after > 4);
        assert_eq!(count(&tail, SECTIONS), after);
        assert_eq!(count(&tail, METADATA), if timed { all - 4 } else { after });
        assert_eq!(content(&tail), content(&self::tail(plain, key.pts)));
    }
}

/// What is not read is carried.
#[test]
fn sound_of_other_codecs_is_cut_at_packets() {
    let segment = &OTHER_SOUND.segments()[1];
    let audio = &content(segment).audio[0];
    assert_eq!(audio.codec, Codec::Other);
    let key = keyframes(segment)[2];
    let tail = tail(segment, key.pts);
    frames(&tail, true);
    let kept = &content(&tail).audio[0];
    assert!(kept.pts.first.0 >= key.pts.0 - audio.frame.0 / 2);
    assert_eq!(kept.pts.last, audio.pts.last);
    assert!(kept.frames < audio.frames);
}

#[test]
fn pictures_of_other_codecs_are_not_cut() {
    let segment = &OTHER.segments()[1];
    let content = content(segment);
    let video = content.video.unwrap();
    assert_eq!((video.codec, content.audio[0].codec), (Codec::Other, Codec::Other));
    assert!(video.pictures >= 96 && video.keyframes.is_empty());
    assert_eq!(refused(segment, video.pts.first), Damage::NoKeyframe(video.pts.first));
}

fn same_pictures(segment: &[u8], other: &[u8]) {
    let (whole, found) = (content(segment).video.unwrap(), content(other).video.unwrap());
    assert_eq!(whole.pictures, found.pictures);
    assert_eq!(whole.keyframes, found.keyframes);
    assert_eq!(whole.parameter_sets, found.parameter_sets);
}
