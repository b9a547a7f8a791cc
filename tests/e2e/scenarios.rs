//! The faults, one function each: what happens to the packagers while players watch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::expect::Splice;
use crate::faults::{Fault, Kind};
use crate::packagers::Muxer;
use crate::player::ALL;
use crate::run::Run;
use crate::stage::Stage;

mod draining;
mod edges;
mod exact;
mod features;
mod fleet;
mod host_names;
mod proxy;
mod soak;

/// Two runs at once would measure each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two nginx-rtmp packagers of one encoder, all players, the control window behind them. Both have the
/// same pictures: no splice may lose or repeat one.
fn real_case(name: &str, later: u64) -> Run {
    let stage = Stage::nginx_rtmp(later);
    let upstreams = stage.direct();
    let mut run = Run::begin(name, stage, &upstreams, &ALL);
    run.expect(Some(Splice::Exact));
    run.control();
    run
}

fn other(id: &str) -> &'static str {
    if id == "a" { "b" } else { "a" }
}

/// The short one, for every `make test`: `a` is killed, comes back, then `b` freezes.
#[test]
fn killed_then_the_other_frozen() {
    let _alone = alone();
    let mut run = real_case("killed_then_the_other_frozen", 3);
    run.fault("a: kill -9", |run| run.stage.packager("a").kill());
    run.start_packager("a");
    // Its old playlist lies there still, until the new run writes one.
    run.stage.packager("a").wait_for_new_run();
    run.stage.packager("a").wait_for_segments(4);
    run.fault("b: SIGSTOP", |run| run.stage.packager("b").freeze());
    run.finish();
}

/// `b` began a minute after `a`: numbers differ by 15. One is killed and comes back, the other is
/// killed.
#[test]
#[ignore = "make e2e"]
fn killed_brought_back_and_the_other_killed() {
    let _alone = alone();
    let mut run = real_case("killed_brought_back_and_the_other_killed", 15);
    let first = run.serving("a");
    run.fault("kill -9", |run| run.stage.packager(&first).kill());
    run.fault("it comes back", |run| run.start_packager(&first));
    run.fault("the other: kill -9", |run| run.stage.packager(other(&first)).kill());
    run.finish();
}

#[test]
#[ignore = "make e2e"]
fn frozen_and_thawed() {
    let _alone = alone();
    let mut run = real_case("frozen_and_thawed", 3);
    let id = run.serving("a");
    run.fault("SIGSTOP", |run| run.stage.packager(&id).freeze());
    run.fault("SIGCONT", |run| run.stage.packager(&id).thaw());
    run.fault("SIGSTOP for 3 s", |run| {
        let id = run.serving(other(&id));
        run.stage.packager(&id).freeze();
        thread::sleep(Duration::from_secs(3));
        run.stage.packager(&id).thaw();
    });
    run.finish();
}

/// Numbers from 0 again: the same names, other bytes.
#[test]
#[ignore = "make e2e"]
fn restarted_at_once() {
    let _alone = alone();
    let mut run = real_case("restarted_at_once", 3);
    run.fault("kill -9 and start", |run| {
        let id = run.serving("a");
        run.stage.packager(&id).kill();
        run.start_packager(&id);
    });
    run.finish();
}

/// Between two refreshes another process takes the packager's place, with the same names, the next
/// numbers and other bytes: the list seems to go on.
#[test]
#[ignore = "make e2e"]
fn restarted_within_one_refresh() {
    let _alone = alone();
    let stage = Stage::muxers([Muxer::plain(4, 0), Muxer::plain(4, 100)]);
    // One number ahead of `a`, as a list that went on by one would be.
    let successor = stage.hidden("a2", 1760, Muxer::plain(4, 1));
    successor.wait_for_segments(3);
    let upstreams = stage.faulty();
    let mut run = Run::begin("restarted_within_one_refresh", stage, &upstreams, &ALL);
    run.control();
    run.fault("another process, same list", |run| {
        run.stage.packager("a").faults.switch_to(successor.address());
    });
    run.finish();
}

/// From one keyframe of the clips to the next.
const GOP_MS: u32 = 2000;

/// The packager's HTTP server lives and its playlist stands still.
#[test]
#[ignore = "make e2e"]
fn feed_lost() {
    let _alone = alone();
    let mut run = real_case("feed_lost", 3);
    // nginx-rtmp writes what it has of a last segment: no keyframe is where that ends.
    run.expect(Some(Splice::UpTo { lost_ms: GOP_MS }));
    let id = run.serving("a");
    run.fault("feed lost", |run| run.stage.packager(&id).cut_feed());
    run.fault("feed back", |run| {
        run.long_segments_may_come();
        run.stage.packager(&id).restore_feed();
    });
    run.finish();
}

/// Each fault on the packager that serves; it is healed, and the next fault meets the other.
fn in_turn(name: &str, kind: Kind, faults: &[Fault]) {
    let stage = Stage::nginx_rtmp(3);
    let upstreams = stage.faulty();
    let mut run = Run::begin(name, stage, &upstreams, &ALL);
    run.control();
    let mut last = "b".to_owned();
    for fault in faults {
        let id = run.serving(other(&last));
        run.fault(&format!("{kind:?} {fault:?}"), |run| {
            run.stage.packager(&id).faults.set(kind, *fault);
        });
        run.stage.packager(&id).faults.set(kind, Fault::None);
        // The next fault finds a packager that has been well for two target durations.
        thread::sleep(Duration::from_secs(12));
        last = id;
    }
    run.finish();
}

#[test]
#[ignore = "make e2e"]
fn bad_playlists() {
    let _alone = alone();
    let faults = [
        Fault::Status(404),
        Fault::Status(500),
        Fault::Garbage,
        Fault::Empty,
        Fault::NoAnswer,
        Fault::Short,
        Fault::Cut,
        Fault::Stall,
    ];
    in_turn("bad_playlists", Kind::Playlist, &faults);
}

#[test]
#[ignore = "make e2e"]
fn bad_segments() {
    let _alone = alone();
    let faults = [Fault::Status(404), Fault::Stall, Fault::Short, Fault::Garbage, Fault::NoAnswer];
    in_turn("bad_segments", Kind::Segment, &faults);
}

/// One fault over two ffmpeg packagers: the one that serves is killed.
fn killed_over(name: &str, stage: Stage) {
    let upstreams = stage.direct();
    let mut run = Run::begin(name, stage, &upstreams, &ALL);
    run.control();
    run.fault("kill -9", |run| {
        let id = run.serving("a");
        run.stage.packager(&id).kill();
    });
    run.finish();
}

/// Two encoders: other timestamps, other keyframes' bytes.
#[test]
#[ignore = "make e2e"]
fn different_timestamps() {
    let _alone = alone();
    let later = Muxer { pts_offset: 5000, ..Muxer::plain(4, 100) };
    killed_over("different_timestamps", Stage::muxers([Muxer::plain(4, 0), later]));
}

#[test]
#[ignore = "make e2e"]
fn different_target_durations() {
    let _alone = alone();
    let stage = Stage::muxers([Muxer::plain(4, 0), Muxer::plain(6, 100)]);
    killed_over("different_target_durations", stage);
}

/// Nobody is left for ten seconds; then all come back, with numbers from 0.
#[test]
#[ignore = "make e2e"]
fn all_down_then_back() {
    let _alone = alone();
    let mut run = real_case("all_down_then_back", 3);
    // Nobody has what was on air meanwhile.
    run.expect(None);
    // Down for 10 s; then nginx-rtmp needs a keyframe and two segments to list anything.
    run.long_segments_may_come();
    run.fault_allowing("all down for 10 s", 30_000, |run| {
        run.while_all_are_down(|stage| {
            ["a", "b"].iter().for_each(|id| stage.packager(id).kill());
            thread::sleep(Duration::from_secs(10));
            ["a", "b"].iter().for_each(|id| stage.packager(id).start());
            stage.packagers.iter().for_each(|p| p.wait_for_new_run());
        });
    });
    run.finish();
}
