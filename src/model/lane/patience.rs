//! For how long a lane waits, counted from when its tail was listed (ARCHITECTURE.md, law 6: the next segment
//! comes within 1.5 target durations).

use std::time::Duration;

use super::elsewhere::is_blind;
use super::{Action, Decision, Situation, Step, Want};

/// How late the lane is: since its tail was listed.
pub(super) fn waited(s: &Situation, tail: &Step) -> Duration {
    s.now.since(tail.listed_at.max(s.carried_since))
}

pub(super) fn prefetch_after(s: &Situation) -> Duration {
    s.log.header().target()
}

/// When the next segment is due: a target duration after the last, or as long after it as that one was,
/// since rounding leaves up to half a second more (RFC 8216, 4.3.3.1).
fn due(s: &Situation) -> Duration {
    let target = s.log.header().target();
    let last = s.log.tail().map_or(target, Step::duration);
    target.max(last.min(target * 9 / 8))
}

/// A quarter after that; a little more where another proxy sees more of the packager, which has its turn first.
pub(super) fn leave_after(s: &Situation) -> Duration {
    let target = s.log.header().target();
    due(s) + if is_blind(s) { target * 2 / 5 } else { target / 4 }
}

/// Where nothing is lost or repeated by it a lane leaves sooner: players that keep close to the edge run
/// dry. What refreshes and packagers are late by now and then must be less: it would be a splice for
/// nothing.
pub(super) fn leave_exactly_after(s: &Situation) -> Duration {
    const LATE: Duration = Duration::from_millis(400);
    if is_blind(s) {
        return leave_after(s);
    }
    (due(s) + LATE.max(s.log.header().target() / 8)).min(leave_after(s))
}

/// What is complete is waited for a little longer: a gap stays.
pub(super) fn gaps_after(s: &Situation) -> Duration {
    leave_after(s) + s.log.header().target() * 3 / 20
}

pub(super) fn wait(s: &Situation, why: &'static str, wants: Vec<Want>) -> Decision {
    let due = s.log.tail().map(|t| {
        [prefetch_after(s), leave_exactly_after(s), leave_after(s), gaps_after(s)]
            .map(|d| t.listed_at.max(s.carried_since).plus(d))
    });
    let next_look = s.now.plus(s.log.header().target() / 2);
    let wake = due.into_iter().flatten().filter(|&d| d > s.now).fold(next_look, std::cmp::Ord::min);
    Decision { action: Action::Wait, wants, wake, why }
}
