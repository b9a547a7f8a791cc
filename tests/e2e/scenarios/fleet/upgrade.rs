//! A rolling upgrade: each proxy is replaced in place, one after another, while players play and the window
//! holds segments of a packager that is gone.

use std::time::Duration;

use super::{STALL_MS_MAX, WINDOW, is_segue};
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::scenarios::{alone, other};
use crate::stage::Stage;

#[test]
#[ignore = "make e2e"]
fn all_proxies_are_upgraded_in_place() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let stage = Stage::nginx_rtmp_kept(3);
    let fleet = Fleet::start(&stage, 3);
    let name = "all_proxies_are_upgraded_in_place";
    let mut run = FleetRun::begin(name, stage, fleet, &["hls.js", "mpv", "gstreamer"], 20);
    run.nothing(Duration::from_secs(6));
    let first = run.serving();
    run.fault("packager: kill -9", WINDOW, |run| run.stage.packager(&first).kill());
    assert_eq!(run.serving(), other(&first), "the lane goes on at the other packager");
    // No connection may be refused and no answer cut: nothing is forgiven.
    for n in 0..run.fleet.proxies.len() {
        run.fault(&format!("proxy {}: SIGQUIT and --upgrade", n + 1), WINDOW, |run| {
            run.fleet.proxies[n].upgrade();
        });
        run.fleet.proxies[n].former_ended(Duration::from_secs(60));
    }
    run.fleet.wait_until_lists_are_one();
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
}
