//! The faults, one function each: what happens to the packagers while players watch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::player::ALL;
use crate::run::{Run, Stage};

/// Two runs at once would measure each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The short one, for every `make test`: `a` is killed, comes back, then `b` freezes.
#[test]
fn killed_then_the_other_frozen() {
    let _alone = alone();
    let stage = Stage::nginx_rtmp(3);
    let upstreams = stage.direct();
    let mut run = Run::begin("killed_then_the_other_frozen", stage, &upstreams, &ALL);
    run.control();
    run.fault("a: kill -9", |run| run.stage.packager("a").kill());
    run.stage.packager("a").start();
    run.stage.packager("a").wait_for_segments(4);
    run.fault("b: SIGSTOP", |run| run.stage.packager("b").freeze());
    run.finish();
}
