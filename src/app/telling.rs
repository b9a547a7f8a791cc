//! Telling operators what happens (`notify`): looks at packagers and streams again and again, hears of
//! splices, and gives what is news to the webhooks. Runs on a thread of its own, so that neither viewers
//! nor receivers wait for each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::parts;
use crate::config::Config;
use crate::model::lane::{Splice, SpliceReason, Step};
use crate::model::names::{LaneId, PoolName, StreamKey, UnixMs};
use crate::model::notify::{
    Affected, Bundles, Changes, Kind, LaneShown, News, PackagerShown, Proxy, Shown, Spliced,
    StreamShown,
};
use crate::notify::{Counts, Hooks};
use crate::ops::Metrics;
use crate::packagers::Pools;
use crate::stream::{Clock, StreamStatus, Streams};

/// How often it is looked what has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Splices that wait to be bundled; of more the newest are not told.
const SPLICES_MAX: usize = 8192;
/// At the end of the process messages have so long to be taken.
const AT_THE_END: Duration = Duration::from_secs(2);

/// What tells operators.
pub struct Telling {
    hooks: Arc<Hooks>,
    clock: Clock,
    splices: mpsc::Sender<News>,
    heard: Mutex<Option<mpsc::Receiver<News>>>,
    without_standbys: ArcSwap<BTreeSet<PoolName>>,
    stop: watch::Sender<bool>,
    runtime: Mutex<Option<Runtime>>,
}

impl Telling {
    /// With the hooks of `config`. Nothing is told before [`Telling::watch`].
    ///
    /// # Errors
    /// No thread to be had.
    pub fn new(
        config: &Config,
        metrics: &Arc<Metrics>,
        clock: Clock,
    ) -> std::io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(8)
            .thread_name("webhooks")
            .enable_all()
            .build()?;
        let counts = Arc::new(Counted(Arc::clone(metrics)));
        let hooks = Arc::new(Hooks::new(proxy(config), counts, runtime.handle().clone()));
        let (splices, heard) = mpsc::channel(SPLICES_MAX);
        let telling = Self {
            hooks,
            clock,
            splices,
            heard: Mutex::new(Some(heard)),
            without_standbys: ArcSwap::default(),
            stop: watch::Sender::new(false),
            runtime: Mutex::new(Some(runtime)),
        };
        telling.reload(config);
        Ok(Arc::new(telling))
    }

    /// Takes the hooks of a changed configuration.
    pub fn reload(&self, config: &Config) {
        let without = config.pools.iter().filter(|pool| pool.standbys == 0);
        self.without_standbys.store(Arc::new(without.map(|pool| pool.name.clone()).collect()));
        self.hooks.reload(&parts::webhooks(config));
    }

    /// Begins to look.
    pub fn watch(self: &Arc<Self>, pools: Arc<Pools>, streams: Arc<Streams>) {
        let Some(heard) = self.heard.lock().take() else { return };
        let looking = Arc::clone(self).look(pools, streams, heard);
        if let Some(runtime) = &*self.runtime.lock() {
            runtime.spawn(looking);
        }
    }

    /// A lane was spliced. Waits for nobody.
    pub fn spliced(&self, stream: &StreamKey, lane: &LaneId, step: &Step, splice: &Splice) {
        // What an operator asked for is no news to him.
        if splice.reason == SpliceReason::Drained || self.hooks.is_empty() {
            return;
        }
        let spliced = Spliced {
            msn: step.msn,
            to: step.packager.clone(),
            at: step.place().as_str(),
            splice: splice.clone(),
        };
        let affected = Affected {
            stream: stream.to_string(),
            lane: Some(lane.clone()),
            spliced: Some(spliced),
        };
        let pool = stream.pool.clone();
        let news = News::of_one(Kind::Splice, self.clock.now(), pool, affected);
        let news = News { packager: Some(splice.from.clone()), ..news };
        if self.splices.try_send(news.since(splice.reason.as_str())).is_err() {
            tracing::debug!(lane = %lane, "a splice is not told: too many at once");
        }
    }

    async fn look(
        self: Arc<Self>,
        pools: Arc<Pools>,
        streams: Arc<Streams>,
        mut heard: mpsc::Receiver<News>,
    ) {
        let mut stop = self.stop.subscribe();
        let mut health = pools.subscribe();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut bundles = Bundles::default();
        let mut changes = Changes::new(self.clock.now());
        loop {
            let mut news = Vec::new();
            let stopping = tokio::select! {
                _ = tick.tick() => false,
                _ = health.changed() => false,
                spliced = heard.recv() => {
                    news.extend(spliced);
                    false
                }
                _ = stop.wait_for(|stop| *stop) => true,
            };
            let now = self.clock.now();
            if self.hooks.is_empty() {
                // One that comes with a reload is told what is new from then on.
                changes = Changes::new(now);
            } else if news.is_empty() {
                news = changes.look(now, &self.shown(&pools, &streams));
            }
            for news in news.into_iter().filter_map(|news| bundles.add(now, news)) {
                self.hooks.tell(&news);
            }
            let due = if stopping { bundles.rest() } else { bundles.due(now) };
            for news in &due {
                self.hooks.tell(news);
            }
            if stopping {
                return;
            }
        }
    }

    fn shown(&self, pools: &Pools, streams: &Streams) -> Shown {
        let of_pool = |pool: Arc<crate::packagers::Pool>| {
            let list = pool.packagers();
            let one = |p: &Arc<crate::packagers::Packager>| PackagerShown {
                id: p.id.clone(),
                pool: pool.name.clone(),
                health: p.health(),
                cause: p.cause(),
                drained: p.drained().is_some(),
            };
            list.iter().map(one).collect::<Vec<_>>()
        };
        let mut packagers: Vec<PackagerShown> = pools.all().into_iter().flat_map(of_pool).collect();
        packagers.sort_by(|a, b| a.id.cmp(&b.id));
        Shown {
            packagers,
            streams: streams.status().iter().map(|status| stream(status)).collect(),
            without_standbys: (**self.without_standbys.load()).clone(),
        }
    }

    /// The end of the process: what waits is given a moment.
    pub fn finish(&self) {
        let Some(runtime) = self.runtime.lock().take() else { return };
        runtime.block_on(async {
            self.stop.send_replace(true);
            // The last bundles are told before anybody is waited for.
            while self.stop.receiver_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.hooks.finish(AT_THE_END).await;
        });
        runtime.shutdown_background();
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        // Where it is dropped on another runtime it must not wait.
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

fn stream(status: &StreamStatus) -> StreamShown {
    let lanes = status.lanes.iter().filter(|lane| lane.edge.is_some());
    let lane = |lane: &crate::stream::LaneStatus| {
        Some(LaneShown {
            lane: lane.lane.clone(),
            packager: lane.packager.clone()?,
            opened_at: lane.opened_at,
            ended: lane.ended,
        })
    };
    StreamShown {
        pool: PoolName::new(status.pool.as_str()),
        stream: status.stream.clone(),
        packagers: status.packagers.iter().map(|p| (p.packager.clone(), p.state)).collect(),
        lanes: lanes.filter_map(lane).collect(),
    }
}

/// Who tells: the zone, and the machine as it calls itself.
pub(super) fn proxy(config: &Config) -> Proxy {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    Proxy { zone: config.zone.clone(), host: host.trim().to_owned() }
}

/// The time, for a message that is sent without a running proxy.
pub(super) fn now() -> UnixMs {
    Clock::system().now()
}

/// Counts what becomes of messages.
struct Counted(Arc<Metrics>);

impl Counts for Counted {
    fn sent(&self, hook: &str) {
        self.0.webhooks.sent(hook);
    }
    fn failed(&self, hook: &str) {
        self.0.webhooks.failed(hook);
    }
    fn dropped(&self, hook: &str, messages: usize) {
        self.0.webhooks.dropped(hook, messages);
    }
    fn queued(&self, hook: &str, messages: usize) {
        self.0.webhooks.queued(hook, messages);
    }
    fn gone(&self, hook: &str) {
        self.0.webhooks.gone(hook);
    }
}
