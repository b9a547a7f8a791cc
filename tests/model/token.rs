//! Tokens and routes: nothing panics, nothing forged passes.

use proptest::prelude::*;
use segue::model::names::{LaneId, PoolName, StreamKey};
use segue::model::route::{Route, identity_query};
use segue::model::token::{Claims, Keyring, TokenError, lane_named};

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~+/";

fn ring(byte: u8) -> Keyring {
    Keyring::new([[byte; 32]]).unwrap()
}

fn claims() -> impl Strategy<Value = Claims> {
    let id = "[a-zA-Z0-9_-]{1,64}";
    let query = "[!-~]{0,100}";
    let path = "/[a-z/]{1,20}.m3u8";
    let expires = prop::option::of(prop_oneof![any::<u64>(), Just(0), 0_u64..2_000_000_000]);
    (id, "[a-z]{1,8}", path, query, prop::option::of(id), expires).prop_map(
        |(lane, pool, path, query, viewer, expires_unix_s)| Claims {
            stream: StreamKey { pool: PoolName::new(pool), path: path.into(), query: query.into() },
            lane: LaneId::new(lane),
            viewer,
            expires_unix_s,
        },
    )
}

proptest! {
    #[test]
    fn what_is_signed_verifies_until_it_expires(claims in claims(), now in any::<u64>()) {
        let text = ring(1).sign(&claims);
        let got = ring(1).verify(&text, &claims.stream.pool, &claims.stream.path, now);
        if claims.expires_unix_s.is_some_and(|expires| now >= expires) {
            prop_assert_eq!(got, Err(TokenError::Expired));
        } else {
            prop_assert_eq!(got, Ok(claims.clone()));
        }
        // It fits in a path as it is.
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        let path = format!("/live/cam~{text}/v0/index.m3u8");
        let Ok(Route::Playlist(place)) = Route::parse(&path) else {
            panic!("no route: {path}");
        };
        prop_assert_eq!(place.token, text);
    }

    #[test]
    fn any_change_of_one_character_is_refused(
        claims in claims(),
        at in any::<prop::sample::Index>(),
        how in 0..3,
        with in prop::sample::select(ALPHABET.chars().collect::<Vec<_>>()),
    ) {
        let text = ring(1).sign(&claims);
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        match how {
            0 => chars[at] = with,
            1 => chars.insert(at, with),
            _ => {
                chars.remove(at);
            }
        }
        let changed: String = chars.into_iter().collect();
        prop_assume!(changed != text);
        let got = ring(1).verify(&changed, &claims.stream.pool, &claims.stream.path, 0);
        // A token that is changed is never told that it was good once.
        prop_assert!(
            matches!(
                got,
                Err(TokenError::Malformed | TokenError::Forged | TokenError::UnknownKey)
            ),
            "{} became {}: {:?}", text, changed, got
        );
    }

    #[test]
    fn a_token_is_for_one_stream_pool_and_key(claims in claims(), other in "/[a-z]{1,9}.m3u8") {
        let text = ring(1).sign(&claims);
        let stream = &claims.stream;
        prop_assume!(other != *stream.path);
        prop_assert_eq!(ring(1).verify(&text, &stream.pool, &other, 0), Err(TokenError::Forged));
        let pool = PoolName::new(format!("{}x", stream.pool));
        prop_assert_eq!(ring(1).verify(&text, &pool, &stream.path, 0), Err(TokenError::Forged));
        let got = ring(2).verify(&text, &stream.pool, &stream.path, 0);
        prop_assert_eq!(got, Err(TokenError::UnknownKey));
    }

    #[test]
    fn any_text_is_refused_or_routed_without_panic(
        text in prop_oneof![any::<String>(), "1\\.[0-9a-f]{4}\\.[a-z.-]{0,20}\\.[A-Za-z0-9_-]{22}"],
        path in prop_oneof![any::<String>(), "/[!-~]{0,40}", "/c~1[.a-z]{0,9}/v0/[0-9a-z.-]{0,20}"],
    ) {
        let pool = PoolName::new("p");
        prop_assert!(ring(1).verify(&text, &pool, "/a.m3u8", 0).is_err());
        if let Ok(route) = Route::parse(&path) {
            prop_assert!(path.split('/').skip(1).all(|p| p != ".." && p != "."), "{}", path);
            if let Route::Entry { path } = route {
                prop_assert!(path.ends_with(".m3u8"));
            }
        }
    }

    #[test]
    fn the_identity_does_not_depend_on_the_order(
        mut pairs in prop::collection::vec("(DVR|b|c)(=[a-z]{0,5})?", 0..8),
    ) {
        let names = ["DVR".to_owned(), "b".to_owned()];
        let first = identity_query(Some(&pairs.join("&")), &names);
        pairs.reverse();
        prop_assert_eq!(&identity_query(Some(&pairs.join("&")), &names), &first);
        // Its own identity is itself.
        prop_assert_eq!(&identity_query(Some(&first), &names), &first);
    }
}

#[test]
fn who_has_no_key_can_read_the_lane() {
    for (text, lane) in [
        ("1.00ff.a-9f3c1e4b.mac", Some("a-9f3c1e4b")),
        ("1.00ff.a-9f3c1e4b.vme.e5.mac", Some("a-9f3c1e4b")),
        ("1.00ff.a-9f3c1e4b", None),
        ("2.00ff.a-9f3c1e4b.mac", None),
        ("1.00FF.a-9f3c1e4b.mac", None),
        ("1.00ff..mac", None),
        ("", None),
    ] {
        let found = lane_named(text);
        assert_eq!(found.as_ref().map(LaneId::as_str), lane, "{text}");
    }
}
