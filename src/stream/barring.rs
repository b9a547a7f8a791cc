//! Which packagers a lane must not use now: those that fail their checks, those that have yet to pass
//! them, and those that operators have taken out or that have left their group.

use std::sync::Arc;

use super::carry::Carried;
use super::worker::Worker;
use crate::model::lane::SpliceReason;
use crate::model::names::PackagerId;
use crate::packagers::{Health, Packager};

impl Worker {
    /// Why the lane must not use each of these packagers; none where it may.
    pub(super) fn barred(
        &self,
        lane: &Carried,
        order: &[Arc<Packager>],
    ) -> Vec<Option<SpliceReason>> {
        let reasons: Vec<_> = order.iter().map(|p| barred(p)).collect();
        let now = self.deps.clock.now();
        // A lane stays on a packager that is taken out until its turn comes.
        let stays = |p: &Packager| {
            let own = lane.log.tail().is_some_and(|t| t.packager == p.id);
            // A lane that opened where nobody was proven yet does not leave for whoever is so first.
            let new = || p.health() == Health::New && p.drained().is_none();
            let waits = || p.drained().is_some_and(|d| !d.turn(&lane.log.header().lane, now));
            own && (new() || waits())
        };
        let eased = eased(&reasons);
        order.iter().zip(eased).map(|(p, by)| by.filter(|_| !stays(p))).collect()
    }

    /// Taken out, whoever else is left.
    pub(super) fn taken_out(&self, id: &PackagerId) -> bool {
        self.deps.pools.get(&self.key.pool).is_some_and(|pool| pool.is_drained(id))
    }

    /// New viewers are kept off it: taken out or not proven yet, while others may be used.
    pub(super) fn drained(&self, id: &PackagerId) -> bool {
        let packagers = self.packagers();
        let reasons: Vec<_> = packagers.iter().map(|p| barred(p)).collect();
        let at = packagers.iter().position(|p| p.id == *id);
        at.and_then(|at| eased(&reasons).get(at).copied().flatten()) == Some(SpliceReason::Drained)
    }

    /// Taken out and away, as it is meant to be: nobody knocks there while another does.
    pub(super) fn away(packager: &Packager) -> bool {
        packager.drained().is_some() && packager.health() == Health::Down
    }

    fn packagers(&self) -> Vec<Arc<Packager>> {
        let pool = self.deps.pools.get(&self.key.pool);
        pool.map(|pool| pool.packagers().to_vec()).unwrap_or_default()
    }
}

fn barred(packager: &Packager) -> Option<SpliceReason> {
    match packager.health() {
        Health::Down => Some(SpliceReason::Unhealthy),
        // The last resort, as one that is taken out is.
        Health::New => Some(SpliceReason::Drained),
        _ => packager.drained().map(|_| SpliceReason::Drained),
    }
}

/// With nobody else left those that are taken out are used like any. Checks that fail everywhere are
/// more likely wrong than every packager is.
fn eased(reasons: &[Option<SpliceReason>]) -> Vec<Option<SpliceReason>> {
    let all = reasons.iter().all(Option::is_some);
    let drained = reasons.contains(&Some(SpliceReason::Drained));
    let first = if drained { SpliceReason::Drained } else { SpliceReason::Unhealthy };
    reasons.iter().map(|by| by.filter(|by| !all || *by != first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_always_left() {
        let (none, out) = (None, Some(SpliceReason::Drained));
        let down = Some(SpliceReason::Unhealthy);
        for (name, reasons, want) in [
            ("nobody", vec![], vec![]),
            ("one out", vec![out, none], vec![out, none]),
            ("one down, one out", vec![out, down], vec![none, down]),
            ("all out", vec![out, out], vec![none, none]),
            ("all down", vec![down, down], vec![none, none]),
            ("each", vec![out, down, none], vec![out, down, none]),
        ] {
            assert_eq!(eased(&reasons), want, "{name}");
        }
    }
}
