//! Paths and queries from viewers: no panic, no token that was not signed, no path that leaves
//! its place. Input: a path, and after a `?` a query.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::multivariant::NO_RENDITION;
use segue_fuzz::model::names::{LaneId, PoolName, StreamKey};
use segue_fuzz::model::route::{identity_query, Route};
use segue_fuzz::model::token::{is_id, Claims, Keyring};

static RING: LazyLock<Keyring> = LazyLock::new(|| Keyring::new([[7; 32]]).expect("one key"));

fuzz_target!(|input: &str| {
    let (path, query) = input.split_once('?').map_or((input, None), |(p, q)| (p, Some(q)));
    let identity = identity_query(query, &["DVR".to_owned(), "b".to_owned()]);
    let pool = PoolName::new("live");
    // The fuzzer cannot make a MAC: whatever verifies was let through wrongly. (The key is known
    // to no input of the corpus.)
    assert!(RING.verify(path, &pool, "/cam.m3u8", 0).is_err());
    if is_id(path) {
        let stream = StreamKey {
            pool: pool.clone(),
            path: "/cam.m3u8".into(),
            query: identity.as_str().into(),
        };
        let claims = Claims { stream, lane: LaneId::new(path), viewer: None, expires_unix_s: None };
        let text = RING.sign(&claims);
        assert_eq!(RING.verify(&text, &pool, "/cam.m3u8", 0), Ok(claims));
    }
    let Ok(route) = Route::parse(path) else {
        return;
    };
    assert!(
        path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")) || path.ends_with('/')
    );
    let place = match route {
        Route::Entry { path } => {
            assert!(path.ends_with(".m3u8"));
            return;
        }
        Route::Own { .. } => return,
        Route::Shared { place, name } => {
            // A file, and not a way to a rendition's.
            assert!(!name.is_empty() && !name.contains(['/', '%', '~']) && !name.starts_with('.'));
            assert_eq!(place.rendition, NO_RENDITION);
            place
        }
        Route::Playlist(place) | Route::Segment { place, .. } | Route::Init { place, .. } => {
            assert_ne!(place.rendition, NO_RENDITION);
            place
        }
    };
    let stream = place.stream.to_string();
    assert!(path.starts_with(stream.trim_end_matches(".m3u8")));
    assert!(RING.verify(place.token, &pool, &stream, 0).is_err());
});
