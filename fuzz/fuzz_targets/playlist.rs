//! Media playlists from packagers: no panic, bounded, nothing in what is kept that could break a
//! viewer's playlist, and of a long list the same whether it is read as a whole or only its end.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::names::UnixMs;
use segue_fuzz::model::playlist::{parse, shape, Key, Limits, MediaPlaylist};
use segue_fuzz::model::uri::{extension_of, resolve};

fuzz_target!(|body: &[u8]| {
    let _ = shape(body);
    let limits = Limits { bytes: 1 << 16, line_bytes: 1 << 12, segments: 1000, kept: usize::MAX };
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
        keys(&segment.keys);
        if let Some(map) = &segment.map {
            keys(&map.keys);
        }
        kept += segment.uri.len() + segment.map.as_ref().map_or(0, |map| map.uri.len());
        if let Ok(path) = resolve("/live/cam/playlist.m3u8?DVR", &segment.uri, &[]) {
            assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()));
            assert!(!extension_of(&path, segment.map.is_some()).is_empty());
        }
    }
    assert!(kept <= 2 * limits.bytes);
    for kept in [0, 1, 2, 7] {
        let newest = parse(body, &Limits { kept, ..limits }).expect("all of it was read");
        end_of(&playlist, &newest, kept);
    }
});

/// One for each KEYFORMAT, and nothing in them that ends a line.
fn keys(keys: &[Key]) {
    for (at, key) in keys.iter().enumerate() {
        assert!(keys.iter().skip(at + 1).all(|other| other.format != key.format));
        assert!(!key.uri.is_empty());
        for text in [&key.before, &key.uri, &key.after] {
            assert!(!text.contains(['\n', '\r', '\0']));
        }
        assert_eq!(key.before.ends_with('"'), key.after.starts_with('"'));
    }
}

/// The end of a list is that of the whole: numbers, keys, init segments, byte ranges; and the date
/// at which it begins is worked out where it is not written.
fn end_of(whole: &MediaPlaylist, newest: &MediaPlaylist, kept: usize) {
    let skipped = whole.segments.len().saturating_sub(kept);
    assert_eq!(newest.skipped, skipped as u64);
    let mut expected = whole.segments[skipped..].to_vec();
    if let Some(first) = expected.first_mut().filter(|_| skipped > 0) {
        // As a track counts dates: on from the last that was written.
        let mut date: Option<UnixMs> = None;
        for segment in &whole.segments[..skipped] {
            let goes_on = date.filter(|_| !segment.discontinuity);
            let begins = segment.program_date_time.map(UnixMs).or(goes_on);
            date = begins.map(|at| at.plus(segment.duration));
        }
        let goes_on = date.filter(|_| !first.discontinuity);
        let date = first.program_date_time.or(goes_on.map(|at| at.0));
        let found = newest.segments[0].program_date_time;
        assert_eq!(found.is_some(), date.is_some());
        // A track drops less than a millisecond with each segment.
        let apart = found.unwrap_or(0).abs_diff(date.unwrap_or(0));
        assert!(apart <= skipped as u64 + 1, "{found:?} {date:?}");
        first.program_date_time = found;
    }
    assert_eq!(newest.segments, expected);
    assert_eq!(newest.ended, whole.ended);
    assert_eq!((newest.version, newest.extent), (whole.version, whole.extent));
}
