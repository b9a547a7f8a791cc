//! The store fails: it is away, one proxy is cut off from it, it comes back empty. Viewers are served on, new
//! ones too, and afterwards all proxies print one log.

use std::thread;
use std::time::Duration;

use super::{STALL_MS_MAX, WINDOW, is_segue, wait_until_both_are_well};
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::net::Side;
use crate::scenarios::{alone, other};
use crate::stage::Stage;

/// How long the store is away: many segments, and longer than any patience.
const AWAY: Duration = Duration::from_secs(30);
/// That, and what comes of its return.
const STORE_WINDOW: Duration = Duration::from_secs(42);

/// The packager that serves is killed: the lane is spliced once, and all proxies print the same of it.
fn packager_killed(run: &mut FleetRun) {
    wait_until_both_are_well(run);
    let first = run.serving();
    run.fault("packager: kill -9", WINDOW, |run| run.stage.packager(&first).kill());
    assert_eq!(run.serving(), other(&first), "the lane goes on at the other packager");
    run.fleet.wait_until_lists_are_one();
    run.fault("packager: back again", WINDOW, |run| run.start_packager(&first));
}

#[test]
#[ignore = "make e2e"]
fn the_store_is_away_cut_off_and_wiped() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let stage = Stage::nginx_rtmp_for_long(3);
    let fleet = Fleet::start_apart(&stage, 3);
    let name = "the_store_is_away_cut_off_and_wiped";
    let mut run = FleetRun::begin(name, stage, fleet, &["hls.js", "mpv"], 10);
    run.nothing(Duration::from_secs(6));
    run.fault("store: down for 30 s", STORE_WINDOW, |run| {
        run.fleet.redis.kill();
        thread::sleep(AWAY);
        run.fleet.redis.start_again();
    });
    run.fleet.wait_until_lists_are_one();
    packager_killed(&mut run);
    run.fault("store: frozen for 30 s", STORE_WINDOW, |run| {
        run.fleet.redis.freeze();
        thread::sleep(AWAY);
        run.fleet.redis.thaw();
    });
    run.fleet.wait_until_lists_are_one();
    packager_killed(&mut run);
    let store = run.fleet.host(Side::Store);
    run.fault("store: lost to proxy 2 for 30 s", STORE_WINDOW, |run| {
        run.fleet.namespaces[1].cut_from(&store);
        thread::sleep(AWAY);
        run.fleet.namespaces[1].join_to(&store);
    });
    run.fleet.wait_until_lists_are_one();
    packager_killed(&mut run);
    run.fault("store: wiped", STORE_WINDOW, |run| run.fleet.redis.start_empty());
    run.fleet.wait_until_lists_are_one();
    packager_killed(&mut run);
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
}
