//! Multivariant playlists from packagers: no panic, and the text for viewers reads again as the
//! same renditions under our own names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::multivariant::{Multivariant, Place, match_renditions};
use segue_fuzz::model::playlist::Limits;

fuzz_target!(|body: &[u8]| {
    let limits = Limits { bytes: 1 << 16, line_bytes: 1 << 12, segments: 0 };
    let Ok(multivariant) = Multivariant::read(body, &limits) else {
        return;
    };
    let renditions = multivariant.renditions();
    assert!(!renditions.is_empty());
    let text = multivariant.pieces(&Place::new("/a/b.m3u8", None)).join("token");
    let again = Multivariant::read(text.as_bytes(), &Limits::default()).expect("our own text");
    assert_eq!(again.renditions(), renditions);
    for found in &again.found {
        assert_eq!(found.uri, format!("b~token/{}/index.m3u8", found.rendition.id));
    }
    for (index, wanted) in match_renditions(&renditions, &again.found).iter().zip(&renditions) {
        let found = index.and_then(|index| again.found.get(index)).expect("one of its kind");
        assert_eq!(found.rendition.traits.kind, wanted.traits.kind);
    }
});
