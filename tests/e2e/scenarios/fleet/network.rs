//! The network fails between parts of a fleet that are all well: packets are lost, and nobody is told.

use std::time::Duration;

use super::{STALL_MS_MAX, is_segue};
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::net::Side;
use crate::scenarios::alone;
use crate::stage::Stage;

/// Long enough for a lane to flap, if it does.
const VIEW_WINDOW: Duration = Duration::from_secs(60);
/// What comes of a cut that is mended.
const MENDED: Duration = Duration::from_secs(12);

const A: Side = Side::Packager(0);
const B: Side = Side::Packager(1);

fn begin(name: &str) -> FleetRun {
    let stage = Stage::nginx_rtmp_kept(3);
    let fleet = Fleet::start_apart(&stage, 3);
    let mut run = FleetRun::begin(name, stage, fleet, &["hls.js", "mpv"], 10);
    run.nothing(Duration::from_secs(6));
    run
}

/// Each pair: a proxy, and what it is cut off from.
fn cut(run: &FleetRun, pairs: &[(usize, Side)]) {
    let pairs = pairs.iter().map(|(proxy, side)| (*proxy, run.fleet.host(*side)));
    pairs.for_each(|(proxy, host)| run.fleet.namespaces[proxy].cut_from(&host));
}

fn mend(run: &FleetRun, pairs: &[(usize, Side)]) {
    let pairs = pairs.iter().map(|(proxy, side)| (*proxy, run.fleet.host(*side)));
    pairs.for_each(|(proxy, host)| run.fleet.namespaces[proxy].join_to(&host));
}

/// It follows through those that hold what they appended, and is as good as they for its viewers.
#[test]
#[ignore = "make e2e"]
fn a_proxy_is_cut_off_from_all_packagers() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = begin("a_proxy_is_cut_off_from_all_packagers");
    let pairs = [(2, A), (2, B)];
    run.fault("proxy 3 reaches no packager", VIEW_WINDOW, |run| cut(run, &pairs));
    assert_eq!(run.splices(), 0, "those that reach the packager go on appending");
    run.fleet.wait_until_lists_are_one();
    run.fault("proxy 3 reaches them again", MENDED, |run| mend(run, &pairs));
    assert_eq!(run.splices(), 0);
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
}

/// One reaches only a, another only b, the third none: whoever's packager the lane is on, it stays.
#[test]
#[ignore = "make e2e"]
fn different_views_of_the_packagers_do_not_flap() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = begin("different_views_of_the_packagers_do_not_flap");
    let pairs = [(0, B), (1, A), (2, A), (2, B)];
    run.fault("1 reaches a, 2 reaches b, 3 none", VIEW_WINDOW, |run| cut(run, &pairs));
    let flapped = run.splices();
    run.fault("all reach all again", MENDED, |run| mend(run, &pairs));
    let after = run.splices() - flapped;
    run.fleet.wait_until_lists_are_one();
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
    assert!(flapped <= 1, "{flapped} splices in {VIEW_WINDOW:?}");
    assert_eq!(after, 0, "splices when all were joined again");
}

/// Their store and their packagers are there: nobody needs the other.
#[test]
#[ignore = "make e2e"]
fn two_proxies_are_cut_off_from_each_other() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = begin("two_proxies_are_cut_off_from_each_other");
    let other = run.fleet.namespaces[1].host.clone();
    let window = Duration::from_secs(30);
    run.fault("1 and 2 are cut off", window, |run| run.fleet.namespaces[0].cut_from(&other));
    run.fault("1 and 2 are joined", MENDED, |run| run.fleet.namespaces[0].join_to(&other));
    assert_eq!(run.splices(), 0);
    run.fleet.wait_until_lists_are_one();
    run.end("fleet").assert_unnoticed(STALL_MS_MAX);
}
