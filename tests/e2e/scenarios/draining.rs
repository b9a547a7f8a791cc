//! Packagers taken out for maintenance, as an operator does it: with the command, and by its word.

use super::{alone, other, real_case};
use crate::proxy::Which;

/// One is taken out, stopped once no lane is on it, started and brought back; then the other.
#[test]
#[ignore = "make e2e"]
fn drained_and_undrained() {
    let _alone = alone();
    if Which::chosen() != Which::Segue {
        return;
    }
    let mut run = real_case("drained_and_undrained", 3);
    let first = run.serving("a");
    let second = other(&first);
    run.fault("drain", |run| run.proxy.drain(&first));
    assert_eq!(run.serving(&first), second);
    run.fault("drained: kill -9", |run| run.stage.packager(&first).kill());
    run.fault("started and undrain", |run| {
        run.start_packager(&first);
        run.stage.packager(&first).wait_for_new_run();
        run.proxy.undrain(&first);
    });
    assert_eq!(run.serving(&first), second, "lanes stay where they are");
    run.fault("the other: drain, then kill -9", |run| {
        run.proxy.drain(second);
        run.stage.packager(second).kill();
    });
    assert_eq!(run.serving(second), first);
    run.finish();
}
