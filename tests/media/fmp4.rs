//! fMP4 of real packagers: what is said of it beside what ffprobe says, and its cuts.

mod damage;
mod made;
mod written;

use bytes::Bytes;

use segue::model::media::{
    Codec, Container, Content, Damage, Joint, Keyframe, Ticks, cut, inspect,
};

use made::{H264, Made, Packet, copy, encoder, file, fragments, hls, run, shaka};

const H265: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=error:keyint=25:min-keyint=25:open-gop=0:bframes=3:scenecut=0",
    "-c:a",
    "ac3",
];
const IN_ORDER: &[&str] =
    &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "libmp3lame"];
/// The second keyframe on leads pictures that are shown before it.
const OPEN: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=error:keyint=27:min-keyint=1:open-gop=1:bframes=3:scenecut=0",
    "-c:a",
    "aac",
];
/// Where ffmpeg began is in an edit list in milliseconds; ours is exact where it began at 0.
const MILLISECOND: i64 = Ticks::SECOND / 1000;

fn look(made: &Made, segment: &[u8]) -> Content {
    inspect(Container::Fmp4 { init: &made.init }, segment).unwrap()
}

fn tail(made: &Made, segment: &[u8], pts: Ticks) -> Result<Bytes, Damage> {
    let segment = Bytes::copy_from_slice(segment);
    let cut_once = cut(Container::Fmp4 { init: &made.init }, &segment, &Joint::at(pts));
    assert_eq!(cut_once, cut(Container::Fmp4 { init: &made.init }, &segment, &Joint::at(pts)));
    cut_once
}

fn of(packets: &[Packet], video: bool) -> Vec<Packet> {
    packets.iter().filter(|packet| packet.video == video).cloned().collect()
}

/// Times are those that ffprobe reads, within so many ticks.
fn agrees(name: &str, content: &Content, packets: &[Packet], within: i64) {
    let near = |ours: Ticks, theirs: Ticks| {
        assert!((ours.0 - theirs.0).abs() <= within, "{name}: {ours:?} {theirs:?}");
    };
    let (pictures, sound) = (of(packets, true), of(packets, false));
    assert_eq!(content.video.is_some(), !pictures.is_empty(), "{name}");
    if let Some(video) = &content.video {
        assert_eq!(video.pictures as usize, pictures.len(), "{name}");
        near(video.pts.first, pictures.iter().map(Packet::pts).min().unwrap());
        near(video.pts.last, pictures.iter().map(Packet::pts).max().unwrap());
        near(video.dts.first, pictures[0].dts());
        near(video.dts.last, pictures[pictures.len() - 1].dts());
        assert!(video.parameter_sets.is_some(), "{name}");
        let keys: Vec<&Packet> = pictures.iter().filter(|packet| packet.key).collect();
        assert_eq!(video.keyframes.len(), keys.len(), "{name}");
        for (ours, theirs) in video.keyframes.iter().zip(keys) {
            near(ours.pts, theirs.pts());
            near(ours.dts, theirs.dts());
            let after = pictures.iter().skip_while(|packet| *packet != theirs);
            assert_eq!(ours.closed, after.clone().all(|p| p.pts >= theirs.pts), "{name}");
        }
    }
    assert_eq!(content.audio.len(), usize::from(!sound.is_empty()), "{name}");
    for audio in &content.audio {
        assert_eq!(audio.frames as usize, sound.len(), "{name}");
        near(audio.pts.first, sound[0].pts());
        near(audio.pts.last, sound[sound.len() - 1].pts());
    }
}

/// Every cut of it decodes, and what comes before it and what it holds are every frame once.
fn cuts(name: &str, made: &Made, segment: &[u8], content: &Content, within: i64) {
    let whole = made.packets(segment);
    let keyframes = content.video.iter().flat_map(|video| &video.keyframes);
    for Keyframe { pts, closed, .. } in keyframes {
        let made_cut = tail(made, segment, *pts);
        if !closed {
            assert_eq!(made_cut, Err(Damage::NoKeyframe(*pts)), "{name}");
            continue;
        }
        let made_cut = made_cut.unwrap();
        assert!(made_cut.len() <= segment.len() + 64, "{name}");
        assert_eq!(made.decoded(&made_cut), "", "{name} at {pts:?}");
        let left = made.packets(&made_cut);
        // Pictures in the order of the stream: from the keyframe on, bytes and times unchanged.
        let (pictures, kept) = (of(&whole, true), of(&left, true));
        let gone = pictures.len() - kept.len();
        assert_eq!(pictures[gone..], kept, "{name} at {pts:?}");
        assert!(kept[0].key && pictures[..gone].iter().all(|p| p.pts < kept[0].pts), "{name}");
        sound_begins_nearest(name, &whole, &left, kept[0].pts(), within);
        // What it says of itself, and that a cut of a cut is that cut.
        let again = look(made, &made_cut);
        assert_eq!(again.video.as_ref().unwrap().keyframes[0].pts, *pts, "{name}");
        assert_eq!(tail(made, &made_cut, *pts).unwrap(), made_cut, "{name} at {pts:?}");
    }
}

fn sound_begins_nearest(name: &str, whole: &[Packet], left: &[Packet], place: Ticks, within: i64) {
    let (sound, kept) = (of(whole, false), of(left, false));
    let gone = sound.len() - kept.len();
    assert_eq!(sound[gone..], kept, "{name} at {place:?}");
    let distance = |packet: &Packet| (packet.pts().0 - place.0).abs();
    let nearest = sound.iter().map(distance).min();
    let first = kept.first().map(distance);
    assert!(
        first <= nearest.map(|nearest| nearest + 2 * within + 1),
        "{name}: {first:?} {nearest:?}"
    );
}

fn holds(name: &str, made: &Made, within: i64) {
    assert!(!made.segments.is_empty());
    for segment in &made.segments {
        let content = look(made, segment);
        agrees(name, &content, &made.packets(segment), within);
        cuts(name, made, segment, &content, within);
    }
}

#[test]
fn ffmpeg_one_fragment() {
    let made = hls("25", H264, &[]);
    holds("H.264", &made, 0);
    let content = look(&made, &made.segments[0]);
    let video = content.video.unwrap();
    assert_eq!((video.codec, video.frame, video.keyframes.len()), (Codec::H264, Ticks(3600), 4));
    assert_eq!((content.audio[0].codec, content.audio[0].frame), (Codec::Aac, Ticks(1920)));
    // The muxer's edit list is in milliseconds. Its times are exact all the same.
    let made = hls("30000/1001", H264, &[]);
    holds("NTSC", &made, MILLISECOND);
    let video = look(&made, &made.segments[0]).video.unwrap();
    assert_eq!(
        (video.pts.first, video.dts.first, video.frame),
        (Ticks(6006), Ticks(0), Ticks(3003))
    );
}

#[test]
fn ffmpeg_other_codecs() {
    for (name, codecs, of_video, of_audio) in [
        ("H.265 and AC-3", H265, Codec::H265, Codec::Ac3),
        ("H.265, open", OPEN, Codec::H265, Codec::Aac),
        ("MP3", IN_ORDER, Codec::H264, Codec::Mp3),
    ] {
        for tag in ["hvc1", "hev1"] {
            if of_video == Codec::H264 && tag == "hev1" {
                continue;
            }
            let tag: &[&str] = if of_video == Codec::H265 { &["-tag:v", tag] } else { &[] };
            let made = hls("25", &[codecs, tag].concat(), &[]);
            holds(name, &made, MILLISECOND);
            let content = look(&made, &made.segments[0]);
            let video = content.video.unwrap();
            assert_eq!(video.codec, of_video, "{name}");
            assert_eq!(video.keyframes.iter().any(|k| !k.closed), codecs == OPEN, "{name}");
            assert_eq!(content.audio[0].codec, of_audio, "{name}");
        }
    }
}

#[test]
fn ffmpeg_several_fragments() {
    for (options, codecs) in [
        ("movflags=+frag_keyframe", H264),
        ("frag_duration=300000", H264),
        // With pictures out of order ffmpeg writes wrong times.
        ("movflags=+frag_every_frame", IN_ORDER),
    ] {
        let made = hls("25", codecs, &["-hls_segment_options", options]);
        assert!(made.segments.iter().all(|segment| fragments(segment).len() > 1), "{options}");
        holds(options, &made, 0);
    }
}

#[test]
fn ffmpeg_times_on_one_clock() {
    let later: &[&str] = &["-output_ts_offset", "1000.5"];
    let in_edit_list = hls("25", &[H264, later].concat(), &[]);
    holds("in an edit list", &in_edit_list, MILLISECOND);
    let discont = &["-hls_segment_options", "movflags=+frag_discont"];
    let in_tfdt = hls("25", &[H264, later].concat(), discont);
    holds("in tfdt", &in_tfdt, 0);
    // However it is written, it is the same moment and the same picture.
    let first = |made: &Made| look(made, &made.segments[0]).video.unwrap().keyframes[0];
    assert_eq!(first(&in_edit_list), first(&in_tfdt));
    assert_eq!(first(&in_tfdt).pts.0, 1000 * Ticks::SECOND + Ticks::SECOND / 2);
}

#[test]
fn ffmpeg_sound_apart() {
    let made = hls("25", &[H264, &["-vn"]].concat(), &[]);
    for segment in &made.segments {
        let content = look(&made, segment);
        assert!(content.video.is_none());
        let whole = made.packets(segment);
        agrees("sound", &content, &whole, MILLISECOND);
        let span = content.audio[0].pts;
        for place in [span.first, Ticks(i64::midpoint(span.first.0, span.last.0) + 777), span.last]
        {
            let left = tail(&made, segment, place).unwrap();
            assert_eq!(made.decoded(&left), "");
            sound_begins_nearest("sound", &whole, &made.packets(&left), place, MILLISECOND);
        }
        let after = Ticks(span.last.0 + Ticks::SECOND);
        assert_eq!(tail(&made, segment, after), Err(Damage::NoKeyframe(after)));
    }
}

#[test]
fn ffmpeg_files_as_old_muxers_write_them() {
    // Offsets from the start of the file, from the track before, from the fragment.
    for flags in ["", "+omit_tfhd_offset", "+default_base_moof"] {
        let segments = file(&format!("+frag_keyframe+empty_moov{flags}"));
        assert!(segments.len() > 2);
        for made in &segments {
            holds(flags, made, 0);
        }
    }
}

#[test]
fn shaka_packager() {
    let [pictures, sound] = shaka(&[]);
    holds("Shaka's pictures", &pictures, 0);
    for segment in &sound.segments {
        let content = look(&sound, segment);
        agrees("Shaka's sound", &content, &sound.packets(segment), 0);
        let place = Ticks(content.audio[0].pts.first.0 + Ticks::SECOND);
        assert_eq!(sound.decoded(&tail(&sound, segment, place).unwrap()), "");
    }
}

#[test]
fn shaka_packager_encrypted() {
    const KEYS: &[&str] = &[
        "--enable_raw_key_encryption",
        "--keys",
        "label=:key_id=00112233445566778899aabbccddeeff:key=00112233445566778899aabbccddeeff",
    ];
    for scheme in ["cenc", "cbcs"] {
        for (lead, clear) in [("0", 0), ("1", 1)] {
            let more = [KEYS, &["--protection_scheme", scheme, "--clear_lead", lead]].concat();
            for made in shaka(&more) {
                let container = Container::Fmp4 { init: &made.init };
                for (at, segment) in made.segments.iter().enumerate() {
                    let content = inspect(container, segment);
                    if at < clear {
                        assert!(content.is_ok(), "{scheme} {lead} {content:?}");
                    } else {
                        assert_eq!(content, Err(Damage::Encrypted), "{scheme} {lead}");
                        let cut =
                            cut(container, &Bytes::copy_from_slice(segment), &Joint::at(Ticks(0)));
                        assert_eq!(cut, Err(Damage::Encrypted));
                    }
                }
            }
        }
    }
}

/// One encoder, two containers: the same pictures, at the same distances.
#[test]
fn a_picture_is_the_same_in_both_containers() {
    let slices: &[&str] = &["-slices", "3"];
    for (name, codecs, seconds) in [
        ("H.264", &[H264, slices].concat()[..], "4"),
        // ffmpeg's HLS muxer gives the first picture of a segment the composition offset of the very
        // first, which is another where groups are open.
        ("H.265", OPEN, "60"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut encode = encoder(folder.path(), "30000/1001", 6);
        encode.args(codecs).args(["-f", "mpegts", "in.ts"]);
        run(encode);
        let source = std::fs::read(folder.path().join("in.ts")).unwrap();
        let in_ts = inspect(Container::Ts, &source).unwrap();
        for (options, within) in [("movflags=+frag_discont", 1), ("use_editlist=1", MILLISECOND)] {
            let mut copied = Vec::new();
            let made = copy(
                &folder.path().join("in.ts"),
                &["-hls_segment_options", options, "-hls_time", seconds],
            );
            for segment in &made.segments {
                let content = look(&made, segment);
                let (fmp4, ts) = (content.video.unwrap(), in_ts.video.as_ref().unwrap());
                assert_eq!((fmp4.codec, fmp4.frame), (ts.codec, ts.frame), "{name}");
                assert!(fmp4.parameter_sets.is_some(), "{name}");
                assert_eq!(fmp4.parameter_sets, ts.parameter_sets, "{name}");
                copied.extend(fmp4.keyframes);
                let sound = (content.audio[0].codec, content.audio[0].frame);
                assert_eq!(sound, (in_ts.audio[0].codec, in_ts.audio[0].frame), "{name}");
            }
            assert_eq!(made.segments.len(), if seconds == "4" { 2 } else { 1 });
            let keyframes = &in_ts.video.as_ref().unwrap().keyframes;
            assert_eq!(copied.len(), keyframes.len(), "{name}");
            for (fmp4, ts) in copied.iter().zip(keyframes) {
                assert_eq!((fmp4.hash, fmp4.closed), (ts.hash, ts.closed), "{name}");
                let apart = (fmp4.pts.0 - copied[0].pts.0) - (ts.pts.0 - keyframes[0].pts.0);
                assert!(apart.abs() <= within, "{name} {options}: {fmp4:?} {ts:?}");
            }
        }
    }
}
