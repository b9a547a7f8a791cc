//! Viewers that read slowly, or not at all.

use std::time::Duration;

use segue::front::Settings;

use crate::client::{Client, get, wait_for};
use crate::stand::{Serving, pattern, token};

/// More than any pair of socket buffers holds.
const BIG: usize = 24 << 20;

#[test]
fn viewers_that_do_not_read_hold_nobody_and_are_let_go() {
    let settings = Settings {
        send_rate_min: 100 << 20,
        write_timeout: Duration::from_secs(2),
        slice_bytes: 256 << 10,
        ..Settings::default()
    };
    let serving = Serving::start(settings, &[BIG, 1000]);
    let big = serving.lanes.segment_path(&token(), 0);
    let mut idle: Vec<Client> = (0..8).map(|_| Client::connect_small(serving.address)).collect();
    for client in &mut idle {
        client.send(format!("GET {big} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    for client in &mut idle {
        assert_eq!(client.head().status, 200);
    }
    let small = serving.lanes.segment_path(&token(), 1);
    assert_eq!(get(serving.address, &small, "").body, pattern(1000));
    wait_for("the idle viewers to be let go", || serving.stages.in_flight() == 0);
    for client in &mut idle {
        assert!(client.rest() < BIG, "was sent all of it");
    }
    wait_for("all answers told", || serving.told.0.lock().unwrap().len() == 9);
    let cut = serving.told.0.lock().unwrap().iter().filter(|told| told.cut).count();
    assert_eq!(cut, 8);
}

#[test]
fn a_viewer_that_reads_slowly_but_steadily_gets_all() {
    let settings = Settings { slice_bytes: 256 << 10, ..Settings::default() };
    let serving = Serving::start(settings, &[BIG]);
    let mut client = Client::connect_small(serving.address);
    let path = serving.lanes.segment_path(&token(), 0);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(client.head().status, 200);
    assert!(client.take(BIG) == pattern(BIG), "other bytes");
}

#[test]
fn a_viewer_that_leaves_is_counted_and_harms_nobody() {
    let serving = Serving::start(Settings::default(), &[BIG]);
    let path = serving.lanes.segment_path(&token(), 0);
    let mut client = Client::connect_small(serving.address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    client.head();
    drop(client);
    wait_for("the answer to end", || serving.stages.in_flight() == 0);
    wait_for("the cut to be told", || serving.told.0.lock().unwrap().iter().any(|told| told.cut));
}
