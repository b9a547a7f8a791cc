//! Two packagers of one encoder whose borders are apart, spliced at every border: ffmpeg decodes what
//! comes of it as it decodes one of them alone, every picture and every frame of sound once.

use std::path::Path;

use bytes::Bytes;
use segue::model::media::{Container, Joint, Ticks, cut, inspect};

use crate::clips::read;
use crate::ffmpeg::{Frame, ffmpeg, frames};
use crate::ts_packets::{VIDEO, jumps, packets};

const SECONDS: i64 = 12;
const SOUND: [&str; 4] = [
    "-c:a aac -ar 44100",
    "-c:a aac -ar 48000",
    "-c:a ac3 -ar 44100 -b:a 96k",
    "-c:a libmp3lame -ar 44100 -b:a 96k",
];

/// No pictures.
const ALONE: &str = " -map 0:a";

/// What a packager has made, and the init segment of fMP4.
struct Packaged {
    init: Option<Vec<u8>>,
    segments: Vec<Bytes>,
}

impl Packaged {
    fn container(&self) -> Container<'_> {
        self.init.as_deref().map_or(Container::Ts, |init| Container::Fmp4 { init })
    }

    fn decoded(&self, segments: &[Bytes]) -> Vec<Frame> {
        let init = self.init.iter().map(Vec::as_slice);
        let all: Vec<&[u8]> = init.chain(segments.iter().map(|bytes| &bytes[..])).collect();
        frames(&all.concat(), true)
    }
}

/// Twelve seconds as MPEG-TS, a keyframe each second, pictures out of order.
fn encoded(folder: &Path, sound: &str) {
    let mut ffmpeg = ffmpeg();
    ffmpeg.current_dir(folder).args("-f lavfi -i testsrc2=size=160x90:rate=25".split(' '));
    ffmpeg
        .args(format!("-f lavfi -i sine=frequency=440:sample_rate=48000 -t {SECONDS}").split(' '));
    ffmpeg.args("-c:v libx264 -preset ultrafast -bf 3 -g 25 -sc_threshold 0".split(' '));
    ffmpeg.args("-pix_fmt yuv420p".split(' ')).args(sound.split(' '));
    ffmpeg.args("-f mpegts -muxdelay 0 in.ts".split(' '));
    assert!(ffmpeg.status().unwrap().success(), "{sound}");
}

/// By ffmpeg's HLS muxer, in segments of so many seconds.
fn hls(folder: &Path, seconds: i64, more: &str) -> Vec<Bytes> {
    let to = folder.join(format!("{seconds}{more}"));
    std::fs::create_dir(&to).unwrap();
    let mut ffmpeg = ffmpeg();
    ffmpeg.current_dir(&to).args(["-copyts", "-i"]).arg(folder.join("in.ts"));
    ffmpeg.args(format!("-c copy -muxdelay 0 -f hls -hls_time {seconds} {more}").split(' '));
    ffmpeg.args("-hls_list_size 0 -hls_segment_filename %d list.m3u8".split(' '));
    assert!(ffmpeg.status().unwrap().success(), "{more}");
    let all = (0..).map(|n| to.join(n.to_string())).take_while(|path| path.exists());
    all.map(|path| read(&path)).collect()
}

fn in_ts(folder: &Path, seconds: i64, pes_bytes: u32) -> Packaged {
    let more = format!("-hls_segment_options pes_payload_size={pes_bytes}");
    Packaged { init: None, segments: hls(folder, seconds, &more) }
}

fn in_fmp4(folder: &Path, seconds: i64, sound: &str) -> Packaged {
    let mut more = "-hls_segment_type fmp4 -hls_segment_options movflags=+frag_discont".to_owned();
    if sound.contains("aac") {
        more += " -bsf:a aac_adtstoasc";
    }
    if sound.ends_with(ALONE) {
        more += ALONE;
    }
    let segments = hls(folder, seconds, &more);
    let init = read(&folder.join(format!("{seconds}{more}")).join("init.mp4"));
    Packaged { init: Some(init.to_vec()), segments }
}

/// A PES packet of MPEG-TS in its packets.
struct Unit {
    /// When it is written.
    at: i64,
    is_key: bool,
    bytes: Vec<u8>,
}

/// As nginx-rtmp writes it, whose sound comes so much later than the pictures that are shown with it;
/// a negative delay lets it come earlier.
fn interleaved(folder: &Path, seconds: i64, pes_bytes: u32, delay: i64) -> Packaged {
    let to = folder.join(format!("{pes_bytes}.ts"));
    let mut ffmpeg = ffmpeg();
    ffmpeg.args(["-copyts", "-i"]).arg(folder.join("in.ts"));
    ffmpeg.args(format!("-c copy -muxdelay 0 -pes_payload_size {pes_bytes}").split(' ')).arg(&to);
    assert!(ffmpeg.status().unwrap().success());
    let all = read(&to);
    let tables: Vec<u8> = {
        let found = [0, 4096].map(|pid| packets(&all).find(|packet| packet.pid == pid).unwrap());
        found.iter().flat_map(|packet| packet.bytes.to_vec()).collect()
    };
    let mut units: Vec<(u16, Unit)> = Vec::new();
    for packet in packets(&all).filter(|packet| packet.pid == VIDEO || packet.pid == VIDEO + 1) {
        if packet.begins {
            let time = time(packet.payload) + if packet.pid == VIDEO { 0 } else { delay };
            let is_key = packet.pid == VIDEO && packet.bytes[5] & 0x40 != 0;
            units.push((packet.pid, Unit { at: time, is_key, bytes: Vec::new() }));
        }
        let (_, open) = units.iter_mut().rfind(|(pid, _)| *pid == packet.pid).unwrap();
        open.bytes.extend(packet.bytes);
    }
    units.sort_by_key(|(_, unit)| unit.at);
    let (mut segments, mut keys) = (vec![tables.clone()], 0);
    for (_, unit) in &units {
        if unit.is_key && keys > 0 && keys % seconds == 0 {
            segments.push(tables.clone());
        }
        keys += i64::from(unit.is_key);
        segments.last_mut().unwrap().extend(&unit.bytes);
    }
    Packaged { init: None, segments: segments.into_iter().map(Bytes::from).collect() }
}

/// When what a PES packet holds is decoded.
fn time(payload: &[u8]) -> i64 {
    let at = if payload[7] & 0x40 != 0 { 14 } else { 9 };
    let byte = |n: usize| i64::from(payload[at + n]);
    (byte(0) >> 1 & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
}

/// What `other` has after the joint where `one`'s segment ended. True: its first is cut.
fn rest(other: &Packaged, end: Joint) -> (Vec<Bytes>, bool) {
    let found = other.segments.iter().enumerate().find_map(|(at, segment)| {
        let content = inspect(other.container(), segment).unwrap();
        let Some(video) = &content.video else {
            // Of sound alone: the first that has more than half a frame of it.
            let half = content.audio[0].frame.0 / 2;
            return (content.end().audio?.0 > end.audio?.0 + half).then_some((at, None));
        };
        let near = |pts: Ticks| pts.0.abs_diff(end.video.unwrap().0) <= 2;
        Some((at, Some(video.keyframes.iter().find(|key| key.closed && near(key.pts))?.pts)))
    });
    let (at, video) = found.unwrap();
    let joint = Joint { video, ..end };
    let mut from = other.segments[at].clone();
    if inspect(other.container(), &from).unwrap().lacks_sound(&joint) {
        from = [&other.segments[at - 1][..], &from].concat().into();
    }
    let first = cut(other.container(), &from, &joint).unwrap();
    let is_cut = first.as_ptr() != from.as_ptr();
    (std::iter::once(first).chain(other.segments[at + 1..].iter().cloned()).collect(), is_cut)
}

/// Of one stream: what is shown when.
fn stream(all: &[Frame], stream: usize) -> Vec<&Frame> {
    let mut of: Vec<_> = all.iter().filter(|frame| frame.stream == stream).collect();
    of.sort_by_key(|frame| frame.pts);
    of
}

/// Where sound ends and the next picture begins, at each border of `one`.
fn spliced(name: &str, one: &Packaged, other: &Packaged) -> Vec<i64> {
    let whole = one.decoded(&one.segments);
    let sound = usize::from(inspect(one.container(), &one.segments[0]).unwrap().video.is_some());
    if sound == 1 {
        let pictures = stream(&whole, 0);
        assert_eq!(pictures.len(), 25 * SECONDS as usize, "{name}");
        assert!(pictures.windows(2).all(|pair| pair[1].pts - pair[0].pts == 3600), "{name}");
    }
    let mut leads = Vec::new();
    for border in 1..one.segments.len() {
        let end = inspect(one.container(), &one.segments[border - 1]).unwrap().end();
        leads.extend(end.video.map(|video| end.audio.unwrap().0 - video.0));
        let (rest, _) = rest(other, end);
        if other.init.is_none() {
            // What stays goes on from what is made anew, in the next segment too.
            let mut jumps = jumps(&rest.concat());
            jumps.retain(|pid| [VIDEO, VIDEO + 1].contains(pid));
            assert_eq!(jumps, [0_u16; 0], "{name}, border {border}");
        }
        let all = other.decoded(&[&one.segments[..border], &rest].concat());
        for of in 0..=sound {
            let (found, expected) = (stream(&all, of), stream(&whole, of));
            assert_eq!(found.len(), expected.len(), "{name}, border {border}, stream {of}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.hash, expected.hash, "{name}, border {border}: {found:?}");
                // Where a time was not written ffmpeg adds up rounded lengths.
                let apart = found.pts.abs_diff(expected.pts);
                let most = if of == sound { 100 } else { 0 };
                assert!(apart <= most, "{name}, border {border}: {found:?} {expected:?}");
            }
        }
    }
    leads
}

#[test]
fn ffmpeg_in_mpeg_ts() {
    for sound in SOUND {
        let folder = tempfile::tempdir().unwrap();
        encoded(folder.path(), sound);
        let one = in_ts(folder.path(), 4, 2930);
        let other = in_ts(folder.path(), 3, 1);
        spliced(sound, &one, &other);
        spliced(sound, &other, &one);
    }
}

#[test]
fn ffmpeg_in_fmp4() {
    for sound in SOUND {
        let folder = tempfile::tempdir().unwrap();
        encoded(folder.path(), sound);
        let one = in_fmp4(folder.path(), 4, sound);
        let other = in_fmp4(folder.path(), 3, sound);
        spliced(sound, &one, &other);
        spliced(sound, &other, &one);
    }
}

#[test]
fn sound_alone() {
    for sound in [SOUND[0], SOUND[3]] {
        let folder = tempfile::tempdir().unwrap();
        encoded(folder.path(), sound);
        let [one, other] = [4, 3].map(|seconds| {
            let ts = hls(folder.path(), seconds, ALONE.trim());
            let fmp4 = in_fmp4(folder.path(), seconds, &format!("{sound}{ALONE}"));
            [Packaged { init: None, segments: ts }, fmp4]
        });
        for (one, other) in one.iter().zip(&other) {
            assert!(one.segments.len() >= 3 && other.segments.len() >= 4);
            spliced(sound, one, other);
            spliced(sound, other, one);
        }
    }
}

#[test]
fn sound_that_comes_before_or_after_its_pictures() {
    for sound in SOUND {
        let folder = tempfile::tempdir().unwrap();
        encoded(folder.path(), sound);
        for delay in [10_980, -20_000] {
            let one = interleaved(folder.path(), 4, 1, delay);
            let other = interleaved(folder.path(), 3, 1500, delay);
            for (one, other) in [(&one, &other), (&other, &one)] {
                for lead in spliced(sound, one, other) {
                    // Pictures are written two frames before they are shown.
                    assert_eq!(lead > 0, delay < 0, "{sound}: {lead}");
                    assert!(lead.abs() > 4000, "{sound}: {lead}");
                }
            }
        }
    }
}

/// What one packager has at the end of a segment another has at the beginning of the next.
#[test]
fn sound_that_comes_at_other_moments() {
    for sound in [SOUND[0], SOUND[2]] {
        let folder = tempfile::tempdir().unwrap();
        encoded(folder.path(), sound);
        let one = interleaved(folder.path(), 4, 1, 10_980);
        let other = interleaved(folder.path(), 2, 1, 4_000);
        spliced(sound, &one, &other);
        spliced(sound, &other, &one);
    }
}

#[test]
fn segments_with_the_same_borders_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    encoded(folder.path(), SOUND[0]);
    let path = folder.path();
    for (one, other) in [
        (in_ts(path, 4, 1), in_ts(path, 2, 1)),
        (interleaved(path, 4, 1, 10_980), interleaved(path, 2, 1, 10_980)),
        (in_fmp4(path, 4, SOUND[0]), in_fmp4(path, 2, SOUND[0])),
    ] {
        spliced("the same borders", &one, &other);
        for segment in &one.segments[..2] {
            let end = inspect(one.container(), segment).unwrap().end();
            assert!(!rest(&other, end).1);
        }
    }
}
