//! The loops that check packagers: one for each, so that a slow one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::JoinHandle;

use super::health::Checked;
use super::report::Reporter;
use super::{CheckSpec, Pools, ReportSpec, State};
use crate::model::names::PackagerId;
use crate::origin::Client;

/// Checks the packagers of `pools` for as long as the server runs, and follows reloads.
pub struct HealthChecks {
    pools: Arc<Pools>,
    client: Arc<Client>,
}

impl HealthChecks {
    /// To be added to the server as a background service.
    #[must_use]
    pub const fn new(pools: Arc<Pools>, client: Arc<Client>) -> Self {
        Self { pools, client }
    }

    /// Runs until dropped.
    pub async fn run(&self) {
        let mut running: HashMap<PackagerId, Loop<CheckSpec>> = HashMap::new();
        let mut reporting: HashMap<PackagerId, Loop<ReportSpec>> = HashMap::new();
        let mut ticks = self.pools.subscribe();
        loop {
            ticks.mark_unchanged();
            follow(&mut running, self.pools.checks(), State::forget, |state, spec| {
                let checked = Checked::new(state, spec.clone(), Arc::clone(&self.client));
                tokio::spawn(rounds(checked, spec.interval))
            });
            follow(&mut reporting, self.pools.reports(), State::forget_reports, |state, spec| {
                let reporter = Reporter::new(state, spec.clone(), Arc::clone(&self.client));
                tokio::spawn(reporter.run())
            });
            if ticks.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Ends the loops of packagers that are gone or are asked otherwise now, begins others. Of those that
/// are not asked any more what was learnt is forgotten.
fn follow<S: PartialEq>(
    running: &mut HashMap<PackagerId, Loop<S>>,
    wanted: Vec<(Arc<State>, S)>,
    forget: impl Fn(&State),
    begin: impl Fn(Arc<State>, &S) -> JoinHandle<()>,
) {
    running.retain(|id, running| {
        let stays = wanted.iter().any(|(state, spec)| {
            state.id == *id && *spec == running.spec && Arc::ptr_eq(state, &running.state)
        });
        if !stays && !wanted.iter().any(|(state, _)| state.id == *id) {
            running.task.abort();
            forget(&running.state);
        }
        stays
    });
    for (state, spec) in wanted {
        running.entry(state.id.clone()).or_insert_with(|| {
            let task = begin(Arc::clone(&state), &spec);
            Loop { state, spec, task }
        });
    }
}

#[async_trait]
impl BackgroundService for HealthChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }
}

/// One running loop. Ends when dropped.
struct Loop<S> {
    state: Arc<State>,
    spec: S,
    task: JoinHandle<()>,
}

impl<S> Drop for Loop<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn rounds(checked: Checked, interval: Duration) {
    loop {
        checked.round().await;
        // Apart by a tenth either way, so that a fleet does not knock at the same moment.
        tokio::time::sleep(interval.mul_f64(rand::random_range(0.9..1.1))).await;
    }
}
