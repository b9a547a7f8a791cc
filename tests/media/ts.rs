//! What is found in MPEG-TS is what ffprobe finds.

use segue::model::media::{Codec, Container, Content, Keyframe, Ticks, glimpse, inspect};

use crate::clips::{ALL, BIDIRECTIONAL, Clip, H265, INTERLACED, OPEN, PLAIN, SLICED, SOUND};
use crate::ffmpeg::{probe, remuxed};

pub fn content(segment: &[u8]) -> Content {
    inspect(Container::Ts, segment).unwrap()
}

pub fn keyframes(segment: &[u8]) -> Vec<Keyframe> {
    content(segment).video.map(|video| video.keyframes).unwrap_or_default()
}

#[test]
fn pictures_are_those_that_ffprobe_finds() {
    for clip in ALL.into_iter().filter(|clip| *clip != SOUND) {
        for segment in clip.segments() {
            let video = content(&segment).video.unwrap();
            let mut packets = probe(&segment);
            packets.retain(|packet| packet.is_video);
            let pts = || packets.iter().map(|packet| packet.pts);
            assert_eq!(video.pictures as usize, packets.len(), "{}", clip.name);
            assert_eq!(Some(video.pts.first.0), pts().min(), "{}", clip.name);
            assert_eq!(Some(video.pts.last.0), pts().max(), "{}", clip.name);
            assert_eq!(video.dts.first.0, packets[0].dts, "{}", clip.name);
            assert_eq!(video.dts.last.0, packets[packets.len() - 1].dts, "{}", clip.name);
            assert_eq!(video.frame, Ticks(3600), "{}", clip.name);
            let keys = packets.iter().filter(|packet| packet.is_key);
            let found = video.keyframes.iter().map(|key| (key.pts.0, key.dts.0));
            let expected: Vec<_> = keys.map(|packet| (packet.pts, packet.dts)).collect();
            assert_eq!(found.collect::<Vec<_>>(), expected, "{}", clip.name);
            assert!(expected.len() >= 4 && video.parameter_sets.is_some(), "{}", clip.name);
        }
    }
}

#[test]
fn sound_is_what_ffprobe_finds() {
    for clip in ALL {
        for segment in clip.segments() {
            let mut packets = probe(&segment);
            packets.retain(|packet| !packet.is_video);
            let audio = content(&segment).audio;
            assert_eq!(audio.len(), usize::from(clip.audio != "-an"), "{}", clip.name);
            let Some(audio) = audio.first() else { continue };
            assert_eq!(audio.frames as usize, packets.len(), "{}", clip.name);
            let ends = [(audio.pts.first, &packets[0]), (audio.pts.last, packets.last().unwrap())];
            for (found, packet) in ends {
                // Where a time is not written ffprobe adds up rounded lengths.
                assert!(found.0.abs_diff(packet.pts) <= 20, "{}: {found:?} {packet:?}", clip.name);
            }
        }
    }
}

#[test]
fn codecs_and_the_length_of_a_frame_are_told() {
    let cases: [(Clip, Option<Codec>, Codec, i64); 7] = [
        (PLAIN, Some(Codec::H264), Codec::Aac, 2089),
        (BIDIRECTIONAL, Some(Codec::H264), Codec::Mp3, 2160),
        (SLICED, Some(Codec::H264), Codec::Ac3, 3134),
        (INTERLACED, Some(Codec::H264), Codec::Mp3, 2351),
        (H265, Some(Codec::H265), Codec::Ac3, 2880),
        (OPEN, Some(Codec::H265), Codec::Aac, 1920),
        (SOUND, None, Codec::Aac, 1920),
    ];
    for (clip, video, audio, frame) in cases {
        let content = content(&clip.segments()[1]);
        assert_eq!(content.video.map(|video| video.codec), video, "{}", clip.name);
        assert_eq!(content.audio[0].codec, audio, "{}", clip.name);
        assert_eq!(content.audio[0].frame, Ticks(frame), "{}", clip.name);
        assert!(content.pcr.is_some_and(|pcr| pcr > 27_000_000), "{}", clip.name);
    }
}

#[test]
fn a_keyframe_is_closed_unless_pictures_after_it_are_shown_before_it() {
    for clip in ALL {
        let keys: Vec<_> = clip.segments().iter().flat_map(|segment| keyframes(segment)).collect();
        let open = keys.iter().filter(|key| !key.closed).count();
        // The first picture of all is an IDR in any case.
        assert_eq!(open, if clip == OPEN { keys.len() - 1 } else { 0 }, "{}", clip.name);
    }
}

#[test]
fn a_keyframe_has_the_same_hash_wherever_it_is_packed() {
    for (clip, through) in
        [(PLAIN, "flv"), (BIDIRECTIONAL, "flv"), (SLICED, "mp4"), (H265, "mp4"), (OPEN, "mkv")]
    {
        let segment = &clip.segments()[1];
        let here = content(segment).video.unwrap();
        for through in [None, Some(through)] {
            let there = remuxed(segment, through, &["-output_ts_offset", "1000"]);
            let there = content(&there).video.unwrap();
            let hashes = |keys: &[Keyframe]| keys.iter().map(|key| key.hash).collect::<Vec<_>>();
            assert_eq!(hashes(&here.keyframes), hashes(&there.keyframes), "{}", clip.name);
            assert_eq!(here.parameter_sets, there.parameter_sets, "{} {through:?}", clip.name);
            assert_ne!(here.pts, there.pts, "{}", clip.name);
            // No two pictures of the clip are the same.
            let mut all = hashes(&here.keyframes);
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), here.keyframes.len(), "{}", clip.name);
        }
    }
}

#[test]
fn times_go_on_where_their_bits_end() {
    // 2^33 ticks are 95443.7 seconds.
    let folder = tempfile::tempdir().unwrap();
    BIDIRECTIONAL.make(folder.path(), &["-output_ts_offset", "95440"]);
    let segment = std::fs::read(folder.path().join("0.ts")).unwrap();
    let plain = content(&BIDIRECTIONAL.segments()[0]);
    let wrapped = content(&segment);
    let length = |content: &Content| {
        let video = content.video.as_ref().unwrap();
        let audio = content.audio[0].pts;
        (video.pts.last.0 - video.pts.first.0, audio.last.0 - audio.first.0)
    };
    assert!(wrapped.video.as_ref().unwrap().pts.last.0 > 1 << 33);
    assert_eq!(length(&wrapped), length(&plain));
    assert_eq!(wrapped.video.unwrap().pictures, plain.video.unwrap().pictures);
}

/// However much of a segment is seen, no keyframe is told that it does not have. Whether it is closed only
/// what comes after it tells.
#[test]
fn the_first_part_tells_the_same_keyframes() {
    let known = |k: &Keyframe| (k.pts, k.hash);
    for clip in ALL.into_iter().filter(|clip| *clip != SOUND) {
        let segment = &clip.segments()[0];
        let whole: Vec<_> = keyframes(segment).iter().map(known).collect();
        let mut most = 0;
        for length in (0..segment.len()).step_by(997) {
            let seen: Vec<_> = glimpse(&segment[..length]).iter().map(known).collect();
            assert!(seen.iter().all(|k| whole.contains(k)), "{}, {length}: {seen:?}", clip.name);
            most = most.max(seen.len());
        }
        assert!(most > 0, "{}", clip.name);
    }
}
