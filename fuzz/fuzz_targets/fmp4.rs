//! fMP4 from packagers: no panic, and what is believed can be cut where it says so, into less than it
//! was, which is believed too. Input: the length of the init segment in two bytes, it, a segment.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::media::{cut, inspect, Container, Joint, Ticks};

/// A fragment that is cut loses boxes; a byte or two of its head may become more.
const MORE: usize = 256;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let (init, segment) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes(*length))));
    let container = Container::Fmp4 { init };
    let Ok(content) = inspect(container, segment) else { return };
    let bytes = Bytes::copy_from_slice(segment);
    let middle = content.audio.first().map_or(0, |audio| audio.pts.first.0 / 2 + audio.pts.last.0 / 2);
    let joint = Joint { video: None, audio: Some(Ticks(middle)) };
    let tail = cut(container, &bytes, &joint);
    if let Ok(tail) = &tail {
        assert!(tail.len() <= 2 * segment.len() + MORE);
    }
    let Some(video) = &content.video else { return };
    let again = inspect(container, &tail.expect("pictures are left")).expect("a cut of what is believed");
    assert_eq!(again.video.as_ref(), Some(video));
    assert!(video.pts.first <= video.pts.last && video.pictures > 0);
    for keyframe in video.keyframes.iter().filter(|keyframe| keyframe.closed).take(8) {
        let tail = cut(container, &bytes, &Joint::at(keyframe.pts)).expect("it is said to be closed");
        assert!(tail.len() <= 2 * segment.len() + MORE, "{} {}", tail.len(), segment.len());
        let again = inspect(container, &tail).expect("a cut of what is believed").video;
        let first = again.expect("from a keyframe on").keyframes[0];
        assert_eq!((first.pts, first.closed), (keyframe.pts, true));
    }
});
