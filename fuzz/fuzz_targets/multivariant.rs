//! Multivariant playlists from packagers: no panic, and the text for viewers reads again as the
//! same renditions and resources under our own names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::multivariant::{
    Asked, Multivariant, NO_RENDITION, Place, RENDITIONS_MAX, match_renditions,
};
use segue_fuzz::model::playlist::Limits;

fuzz_target!(|body: &[u8]| {
    let limits = Limits { bytes: 1 << 16, line_bytes: 1 << 12, segments: 0 };
    let own_hosts = ["x".to_owned()];
    let asked = Asked { path: "/a/b.m3u8?q=%41&r", own_hosts: &own_hosts };
    let Ok(multivariant) = Multivariant::read(body, &limits, &asked) else {
        return;
    };
    let renditions = multivariant.renditions();
    assert!((1..=RENDITIONS_MAX + 16).contains(&renditions.len()));
    let place = Place::new("/a/b.m3u8", None);
    let names: Vec<_> = (0..multivariant.resources.len()).map(|n| Some(n.to_string())).collect();
    let text = multivariant.pieces(&place, &names).join("token");
    let again = Multivariant::read(text.as_bytes(), &Limits::default(), &asked).expect("our own");
    assert_eq!(again.renditions(), renditions);
    for found in &again.found {
        assert_eq!(found.uri, format!("b~token/{}/index.m3u8", found.rendition.id));
    }
    for (index, (again, before)) in again.resources.iter().zip(&multivariant.resources).enumerate()
    {
        assert_eq!(again.kind, before.kind);
        assert_eq!(again.uri, format!("b~token/{NO_RENDITION}/{index}"));
    }
    assert_eq!(again.resources.len(), multivariant.resources.len());
    // Without them no line of theirs is left.
    let text = multivariant.pieces(&place, &[]).join("token");
    let without = Multivariant::read(text.as_bytes(), &Limits::default(), &asked).expect("our own");
    assert_eq!(without.renditions(), renditions);
    assert!(without.resources.is_empty());
    for (found, wanted) in match_renditions(&renditions, &again.found).iter().zip(&renditions) {
        let found = found.expect("one of its kind");
        assert!(found.exact);
        let found = again.found.get(found.index).expect("an index");
        assert_eq!(found.rendition.traits.kind, wanted.traits.kind);
    }
});
