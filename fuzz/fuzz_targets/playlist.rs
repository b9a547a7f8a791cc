//! Media playlists from packagers: no panic, bounded, and nothing in what is kept that could
//! break a viewer's playlist.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::playlist::{Limits, parse, shape};
use segue_fuzz::model::uri::{extension_of, resolve};

fuzz_target!(|body: &[u8]| {
    let _ = shape(body);
    let limits = Limits { bytes: 1 << 16, line_bytes: 1 << 12, segments: 1000 };
    let Ok(playlist) = parse(body, &limits) else {
        return;
    };
    assert!((1..=3600).contains(&playlist.target_duration));
    assert!(playlist.segments.len() <= limits.segments);
    let mut kept = 0;
    let mut before = None;
    for segment in &playlist.segments {
        assert!(before.is_none_or(|msn: u64| msn + 1 == segment.msn.0));
        before = Some(segment.msn.0);
        assert!(segment.duration <= Duration::from_secs(3600));
        assert!(!segment.uri.chars().any(char::is_control));
        for line in &segment.lines {
            assert!(line.starts_with('#') && !line.contains(['\n', '\r', '\0']));
            kept += line.len();
        }
        kept += segment.uri.len() + segment.map.as_ref().map_or(0, |map| map.uri.len());
        if let Ok(path) = resolve("/live/cam/playlist.m3u8?DVR", &segment.uri, &[]) {
            assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()));
            assert!(!extension_of(&path, segment.map.is_some()).is_empty());
        }
    }
    assert!(kept <= 2 * limits.bytes);
});
