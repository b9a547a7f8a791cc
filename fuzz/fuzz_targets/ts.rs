//! MPEG-TS segments from packagers: no panic, bounded, and the tail of a segment is read as what it
//! was cut for.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::media::{Container, Content, Damage, Joint, Ticks, cut, inspect};

fuzz_target!(|segment: &[u8]| {
    let Ok(content) = inspect(Container::Ts, segment) else {
        return;
    };
    assert!(content.video.is_some() || !content.audio.is_empty());
    for audio in &content.audio {
        assert!(audio.frames > 0 && audio.frames as usize <= segment.len());
    }
    let segment = Bytes::copy_from_slice(segment);
    sound_from_its_middle(&segment, &content);
    let Some(video) = content.video else {
        let pts = content.audio[0].pts;
        for pts in [pts.first, Ticks((pts.first.0 + pts.last.0) / 2), pts.last] {
            let _ = cut(Container::Ts, &segment, &Joint::at(pts));
        }
        return;
    };
    assert!(video.keyframes.len() <= video.pictures as usize);
    assert!(video.pictures as usize <= segment.len());
    assert!(video.pts.first <= video.pts.last);
    // Each of many would take long, and tell no more.
    for key in video.keyframes.iter().take(4) {
        match cut(Container::Ts, &segment, &Joint::at(key.pts)) {
            Ok(tail) => {
                assert_eq!(cut(Container::Ts, &segment, &Joint::at(key.pts)).as_ref(), Ok(&tail));
                let again = inspect(Container::Ts, &tail).expect("what is read can be read again");
                let again = again.video.expect("a picture");
                // Unwrapped from another first time.
                let same = |pts: Ticks| (pts.0 - key.pts.0) % (1 << 33) == 0;
                assert!(again.keyframes.iter().any(|other| same(other.pts)));
            }
            Err(damage) => assert_eq!(damage, Damage::NoKeyframe(key.pts)),
        }
    }
});

/// Sound alone is gone: the pictures stay as they are.
fn sound_from_its_middle(segment: &Bytes, content: &Content) {
    let Some(audio) = content.audio.first() else { return };
    let middle = Ticks(audio.pts.first.0 / 2 + audio.pts.last.0 / 2);
    let joint = Joint { video: None, audio: Some(middle) };
    let Ok(tail) = cut(Container::Ts, segment, &joint) else {
        assert!(content.video.is_none());
        return;
    };
    let again = inspect(Container::Ts, &tail).expect("what is read can be read again");
    let hashes = |content: &Content| {
        let video = content.video.as_ref();
        video.map(|video| (video.pictures, video.keyframes.iter().map(|key| key.hash).collect::<Vec<_>>()))
    };
    assert_eq!(hashes(&again), hashes(content));
}
