//! The loops that check packagers: one for each, so that a slow one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::JoinHandle;

use super::health::Checked;
use super::{CheckSpec, Pools, State};
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
        let mut running: HashMap<PackagerId, Loop> = HashMap::new();
        let mut ticks = self.pools.subscribe();
        loop {
            ticks.mark_unchanged();
            self.follow(&mut running);
            if ticks.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends the loops of packagers that are gone or are checked otherwise now, begins others.
    fn follow(&self, running: &mut HashMap<PackagerId, Loop>) {
        let wanted = self.pools.checks();
        running.retain(|id, running| {
            let stays = wanted.iter().any(|(state, spec)| {
                state.id == *id && *spec == running.spec && Arc::ptr_eq(state, &running.state)
            });
            if !stays && !wanted.iter().any(|(state, _)| state.id == *id) {
                running.task.abort();
                running.state.forget();
            }
            stays
        });
        for (state, spec) in wanted {
            running.entry(state.id.clone()).or_insert_with(|| {
                let checked =
                    Checked::new(Arc::clone(&state), spec.clone(), Arc::clone(&self.client));
                let interval = spec.interval;
                Loop { state, spec, task: tokio::spawn(rounds(checked, interval)) }
            });
        }
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
struct Loop {
    state: Arc<State>,
    spec: CheckSpec,
    task: JoinHandle<()>,
}

impl Drop for Loop {
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
