//! A reload holds for everybody, whatever was under way meanwhile.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use segue::front::auth::Auth;
use segue::front::{PoolSettings, Settings};
use segue::model::names::PoolName;
use segue::model::paths::{AllowedPaths, PathPattern};

use crate::client::{get, wait_for};
use crate::stand::{STREAM, Serving, keyring, token};

fn of_live(live: PoolSettings) -> Settings {
    Settings { pools: HashMap::from([(PoolName::new("live"), live)]), ..Settings::default() }
}

/// The request that began under the old settings ends under them, and is no way around the new ones.
#[test]
fn a_token_seen_during_a_reload_is_not_known_after_it() {
    let serving = Serving::start(of_live(PoolSettings::default()), &[]);
    let path = format!("/live/cam/playlist~{}/v0/index.m3u8", token());
    serving.lanes.holds_lane.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| get(serving.address, &path, "").status);
        wait_for("its lane to be asked for", || {
            serving.lanes.lane_calls.load(Ordering::SeqCst) > 0
        });
        let paths = AllowedPaths::new(vec![PathPattern::parse("/other/**").unwrap()]);
        let narrower = PoolSettings { paths, ..PoolSettings::default() };
        serving.front.reload(of_live(narrower), keyring());
        serving.lanes.release.notify_one();
        assert_eq!(held.join().unwrap(), 200);
    });
    assert_eq!(get(serving.address, &path, "").status, 404);
}

/// Pools are taken before the front's settings: in between a new one has nothing that says who is let in.
#[test]
fn nobody_is_let_in_to_a_pool_that_the_front_does_not_know_yet() {
    let auth = Auth { per_viewer: true, ..Auth::default() };
    let serving = Serving::start(of_live(PoolSettings { auth, ..PoolSettings::default() }), &[]);
    let ask = |host: &str| {
        let mut client = crate::client::Client::connect(serving.address);
        client.send(format!("GET {STREAM} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        client.answer(false)
    };
    assert_eq!(ask("live.example").status, 503, "no packager says so");
    let new = ask("other.example");
    assert_eq!((new.status, new.text().as_str()), (503, "not ready\n"));
    assert!(new.header("retry-after").is_some());
}
