//! What another proxy announced and this one has not heard of: held, then 503, and never 404.

use std::sync::atomic::Ordering;

use segue::front::{PoolSettings, Settings};
use segue::model::names::PoolName;

use crate::client::{Client, get, wait_for};
use crate::stand::{FIRST, STREAM, Serving, claims, keyring, pattern, token};

const LENGTHS: [usize; 3] = [1000, 1001, 1002];

#[test]
fn what_follows_is_held_until_it_is_heard_of() {
    let serving = Serving::start(Settings::default(), &LENGTHS);
    for (what, path) in [
        ("a segment", serving.lanes.segment_path(&token(), 2)),
        ("an init segment", init_path(&serving)),
    ] {
        serving.lanes.hide(1, 3);
        let answer = get(serving.address, &path, "");
        assert_eq!((answer.status, answer.body), (200, pattern(1002).to_vec()), "{what}");
        assert_eq!(serving.lanes.newer_calls.load(Ordering::SeqCst), 3, "{what}");
    }
}

/// Half a target duration of 8 s is 4 s.
#[test]
fn after_half_a_target_duration_it_is_503() {
    let serving = Serving::start(Settings::default(), &LENGTHS);
    serving.lanes.hide(1, usize::MAX);
    let began = std::time::Instant::now();
    let answer = get(serving.address, &serving.lanes.segment_path(&token(), 2), "");
    assert!(began.elapsed().as_millis() >= 4000, "{:?}", began.elapsed());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.text(), "not announced here\n");
}

#[test]
fn only_what_has_left_is_404() {
    let serving = Serving::start(Settings::default(), &LENGTHS);
    let token = token();
    let of = |msn: u64, hash: &str| format!("/live/cam/playlist~{token}/v0/{msn}-{hash}.ts");
    for (what, path, status, asked) in [
        ("left", of(FIRST - 1, "0011aabb"), 404, 0),
        ("a gap", of(FIRST + 1, "00000000"), 404, 0),
        ("another segment under the number", of(FIRST + 1, "0011aabb"), 503, 1),
        ("far ahead, as of a lane opened anew", of(FIRST + 1_000_000, "0011aabb"), 503, 1),
    ] {
        serving.lanes.hide(0, usize::MAX);
        let answer = get(serving.address, &path, "");
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(serving.lanes.newer_calls.load(Ordering::SeqCst), asked, "{what}: not held");
    }
}

/// Names that nobody announced do not take what newcomers need.
#[test]
fn of_those_that_wait_half_at_the_most_wait_for_a_name() {
    let settings = Settings { waiting_max: 4, ..Settings::default() };
    let serving = Serving::start(settings, &LENGTHS);
    serving.lanes.hide(1, usize::MAX);
    let path = serving.lanes.segment_path(&token(), 2);
    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(serving.address)).collect();
    for client in &mut held {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    let looks = || serving.lanes.newer_calls.load(Ordering::SeqCst);
    wait_for("two that wait", || serving.stages.in_flight() == 2 && looks() > 2);
    assert_eq!(get(serving.address, &path, "").status, 503);
    // Had it been held the two would be over by now.
    wait_for("the two alone", || serving.stages.in_flight() == 2);
    assert_eq!(get(serving.address, STREAM, "").status, 200, "newcomers are let in");
    serving.lanes.hide(0, usize::MAX);
    for client in &mut held {
        assert_eq!(client.answer(false).status, 200);
    }
}

/// The lane was let go meanwhile: its token says that it was there.
#[test]
fn a_lane_that_goes_while_a_name_is_waited_for_is_no_404() {
    let serving = Serving::start(Settings::default(), &LENGTHS);
    for path in [serving.lanes.segment_path(&token(), 2), init_path(&serving)] {
        serving.lanes.gone.store(false, Ordering::SeqCst);
        serving.lanes.hide(1, usize::MAX);
        let mut waits = asks(&serving, "a", &path);
        let looks = || serving.lanes.newer_calls.load(Ordering::SeqCst);
        wait_for("a look", || looks() > 1);
        serving.lanes.gone.store(true, Ordering::SeqCst);
        assert_eq!(waits.answer(false).status, 503, "{path}");
    }
}

/// Settings of pool `live` and of another one, which may have so many requests wait.
fn tenants(whole: usize, live: usize, other: usize) -> Settings {
    let pool = |name, waiting_max| {
        let waiting_max = Some(waiting_max);
        (PoolName::new(name), PoolSettings { waiting_max, ..PoolSettings::default() })
    };
    let pools = [pool("live", live), pool("other", other)].into();
    Settings { pools, waiting_max: whole, ..Settings::default() }
}

#[test]
fn a_tenant_s_names_keep_out_neither_its_newcomers_nor_another_tenant() {
    let serving = Serving::start(tenants(8, 4, 8), &LENGTHS);
    serving.lanes.hide(1, usize::MAX);
    let path = serving.lanes.segment_path(&token(), 2);
    let mut all: Vec<Client> = (0..6).map(|_| asks(&serving, "a", &path)).collect();
    let looks = || serving.lanes.newer_calls.load(Ordering::SeqCst);
    wait_for("two that are held", || serving.stages.in_flight() == 2 && looks() > 8);
    assert_eq!(get(serving.address, STREAM, "").status, 200, "newcomers are let in");
    let of_other = {
        let mut claims = claims();
        claims.stream.pool = PoolName::new("other");
        keyring().sign(&claims)
    };
    let path = serving.lanes.segment_path(&of_other, 2);
    all.push(asks(&serving, "other.example", &path));
    let before = looks();
    wait_for("a third that is held", || serving.stages.in_flight() == 3 && looks() > before + 6);
    serving.lanes.hide(0, usize::MAX);
    let mut told: Vec<u16> = all.iter_mut().map(|client| client.answer(false).status).collect();
    assert_eq!(told.pop(), Some(200), "of the other tenant");
    told.sort_unstable();
    assert_eq!(told, [200, 200, 503, 503, 503, 503]);
}

/// A look takes as long as the store does.
#[test]
fn who_only_looks_takes_no_place_of_those_that_wait() {
    let serving = Serving::start(tenants(1024, 2, 2), &LENGTHS);
    serving.lanes.hide(1, usize::MAX);
    serving.lanes.holds_looks.store(true, Ordering::SeqCst);
    let path = serving.lanes.segment_path(&token(), 2);
    let mut all: Vec<Client> = (0..4).map(|_| asks(&serving, "a", &path)).collect();
    let looks = || serving.lanes.newer_calls.load(Ordering::SeqCst);
    wait_for("four looks", || looks() == 4);
    assert_eq!(get(serving.address, STREAM, "").status, 200, "newcomers are let in");
    serving.lanes.hide(0, usize::MAX);
    serving.lanes.holds_looks.store(false, Ordering::SeqCst);
    for client in &mut all {
        assert_eq!(client.answer(false).status, 200);
    }
}

fn asks(serving: &Serving, host: &str, path: &str) -> Client {
    let mut client = Client::connect(serving.address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    client
}

fn init_path(serving: &Serving) -> String {
    let segment = serving.lanes.segment_path(&token(), 2);
    let (folder, name) = segment.rsplit_once('/').unwrap();
    let short = name.split(['-', '.']).nth(1).unwrap();
    format!("{folder}/init-{short}.mp4")
}
