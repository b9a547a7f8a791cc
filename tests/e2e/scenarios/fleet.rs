//! Three proxies in a fleet: each of its parts fails while players watch through the balancer.

use std::thread;
use std::time::Duration;

use super::{alone, other};
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::process::wait_until;
use crate::proxy::Which;
use crate::stage::Stage;

mod network;
mod store;
mod upgrade;
mod window;

/// The stall that nobody calls one.
const STALL_MS_MAX: u64 = 1000;
/// A fault, its healing, and what comes of both.
const WINDOW: Duration = Duration::from_secs(14);
/// How long what was killed stays away.
const AWAY: Duration = Duration::from_secs(4);

/// Only Segue makes a fleet.
fn is_segue() -> bool {
    Which::chosen() == Which::Segue
}

/// Both packagers list enough, and all proxies see them move: whatever comes next is one fault.
fn wait_until_both_are_well(run: &mut FleetRun) {
    wait_until("both packagers are well", Duration::from_secs(60), || run.both_are_well());
}

/// The short one, for every `make test`: under load a proxy is killed and comes back, then the packager that
/// serves, then the store, which comes back empty.
#[test]
fn a_proxy_a_packager_and_the_store_are_killed() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let stage = Stage::nginx_rtmp_kept(3);
    let fleet = Fleet::start(&stage, 3);
    let name = "a_proxy_a_packager_and_the_store_are_killed";
    let mut run = FleetRun::begin(name, stage, fleet, &["hls.js", "mpv"], 20);
    run.nothing(Duration::from_secs(6));
    run.fault("proxy 2: kill -9, back in 4 s", WINDOW, |run| {
        run.without_proxy(1, |run| {
            run.fleet.proxies[1].kill();
            thread::sleep(AWAY);
            run.fleet.proxies[1].start_again();
        });
    });
    let first = run.serving();
    run.fault("packager: kill -9", WINDOW, |run| run.stage.packager(&first).kill());
    assert_eq!(run.serving(), other(&first), "the lane goes on at the other packager");
    run.fault("store: kill -9, back empty in 4 s", WINDOW, |run| {
        run.fleet.redis.kill();
        thread::sleep(AWAY);
        run.fleet.redis.start_empty();
    });
    wait_until("the lane is in the store again", Duration::from_secs(10), || {
        run.fleet.redis.keys() > 0
    });
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
}
