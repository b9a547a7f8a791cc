//! The one task of a watched stream. It owns all that is known of it: what each packager shows,
//! and the lanes. Requests to packagers run beside it and report back; it never waits for them.
//!
//! A turn: take what came, refresh what is due, let each lane go on (`carry`), open what was
//! asked for (`opening`), sleep until something is due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};

use super::carry::Carried;
use super::fetching::{Fetch, FetchError};
use super::inside::Got;
use super::recall::{Learnt, Recalled, Spot};
use super::source::{Session, Source};
use super::usage::Counted;
use super::{Deps, Lane, PoolSettings, Refusal, Slot};
use crate::model::lane::{Held, Observed, SessionResource, Skew};
use crate::model::media::Keyframe;
use crate::model::names::{ContentHash, LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use crate::origin::{OriginError, PlaylistAnswer};
use crate::packagers::CarriedLane;
use crate::store::StoredLane;

/// Events taken in one turn: whoever asks much must not keep the lanes from going on.
const EVENTS: usize = 256;
/// A stream that no packager has is forgotten after so long.
const UNKNOWN_FOR: Duration = Duration::from_secs(6);

/// Where a request waits for its lane.
pub type Answer = oneshot::Sender<Result<Arc<Lane>, Refusal>>;

/// A new viewer who waits for a lane.
pub struct Joining {
    /// Since when.
    pub since: UnixMs,
    /// The zone whose packagers come first.
    pub zone: Arc<str>,
    /// Where the lane is waited for.
    pub answer: Answer,
}

/// What comes to the worker.
pub enum Event {
    /// A new viewer, who is sent to the packagers of this zone first.
    Join(Arc<str>, Answer),
    /// A viewer with a valid token of this lane.
    Lane(LaneId, Answer),
    /// The entry playlist of a packager.
    Entry(PackagerId, Result<PlaylistAnswer, OriginError>),
    /// What its multivariant playlist names beside renditions, as far as it was to be had.
    Session(PackagerId, Vec<Option<SessionResource>>),
    /// The media playlist of a packager's rendition.
    Refreshed(PackagerId, usize, Result<PlaylistAnswer, OriginError>),
    /// Bytes that a lane waits for.
    Fetched(Fetch, Result<Got, FetchError>),
    /// What the first part of a standby's segment shows.
    Glimpsed(Fetch, Vec<Keyframe>),
    /// Bytes fetched again, to know whether a run goes on.
    /// (of which rendition, for which doubt).
    Proved(PackagerId, usize, u32, Option<ContentHash>),
    /// A segment that is listed and not held.
    Recall(Spot, oneshot::Sender<Recalled>),
    /// What came of that, and what it taught of who has the same file.
    Recalled(Spot, Recalled, Learnt),
    /// Another process may have appended to this lane.
    /// (since when it is asked for).
    Newer(LaneId, UnixMs, oneshot::Sender<()>),
    /// Another process changed this lane, and its tail is this now, where that was told.
    Changed(LaneId, Option<OutputMsn>),
    /// The bytes of another proxy's step are held, or nobody gave them.
    Brought(Held, Option<(LaneId, OutputMsn)>),
    /// Another proxy asks for a lane's log.
    Log(LaneId, oneshot::Sender<Option<StoredLane>>),
    /// Somebody asked for something: look again.
    Look,
}

/// The worker of one stream.
pub struct Worker {
    pub(super) key: StreamKey,
    pub(super) deps: Arc<Deps>,
    pub(super) slot: Arc<Slot>,
    pub(super) settings: Arc<PoolSettings>,
    pub(super) inbox: mpsc::Receiver<Event>,
    pub(super) outbox: mpsc::Sender<Event>,
    pub(super) sources: BTreeMap<PackagerId, Source>,
    pub(super) lanes: BTreeMap<LaneId, Carried>,
    pub(super) joining: Vec<Joining>,
    pub(super) reopening: BTreeMap<LaneId, UnixMs>,
    /// Counts the lane that is about to open.
    pub(super) expected: Option<CarriedLane>,
    /// Who is, and was, watched because all others stand still, the last one last.
    pub(super) scouted: Vec<PackagerId>,
    /// Who did not work when it was watched last, and when.
    pub(super) unfit: BTreeMap<PackagerId, UnixMs>,
    /// When the lanes of other processes were last looked for.
    pub(super) recollected_at: Option<UnixMs>,
    /// Stored lanes that new viewers cannot join, and until when that is believed.
    pub(super) past: BTreeMap<LaneId, UnixMs>,
    /// What is being fetched, with the runs that each rendition was in when it began.
    pub(super) fetching: HashMap<Fetch, Vec<(usize, u32)>>,
    /// Packagers that have proven to have the file that a rendition of a lane is, and until when
    /// that is believed.
    pub(super) same_files: HashMap<(LaneId, usize, PackagerId), UnixMs>,
    pub(super) recalls: HashMap<Spot, Vec<oneshot::Sender<Recalled>>>,
    /// What is on its way from other proxies, or from packagers because of them.
    pub(super) bringing: HashSet<ContentHash>,
    /// By how much the clocks of other proxies are off.
    pub(super) skew: Skew,
    pub(super) asked_at: UnixMs,
    /// Since when the store has failed.
    pub(super) store_failing: Option<UnixMs>,
    /// A store that failed is left alone until then.
    pub(super) store_retry_at: UnixMs,
    /// How often in a row it has answered, and not taken what it missed.
    pub(super) refused: u32,
    /// The store did not say what others append; until then it is not relied on.
    pub(super) deaf_until: UnixMs,
    pub(super) rng: StdRng,
}

/// However a worker ends, that is known: whoever asks for its stream next starts another.
struct Ends(Arc<Slot>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Worker {
    pub(super) fn new(
        key: StreamKey,
        deps: Arc<Deps>,
        slot: Arc<Slot>,
        inbox: mpsc::Receiver<Event>,
        outbox: mpsc::Sender<Event>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(deps.seed());
        Self {
            settings: deps.pool_settings(&key.pool),
            asked_at: deps.clock.now(),
            store_failing: None,
            store_retry_at: UnixMs(0),
            refused: 0,
            deaf_until: UnixMs(0),
            key,
            deps,
            slot,
            inbox,
            outbox,
            sources: BTreeMap::new(),
            lanes: BTreeMap::new(),
            joining: Vec::new(),
            reopening: BTreeMap::new(),
            expected: None,
            scouted: Vec::new(),
            unfit: BTreeMap::new(),
            recollected_at: None,
            past: BTreeMap::new(),
            fetching: HashMap::new(),
            same_files: HashMap::new(),
            recalls: HashMap::new(),
            bringing: HashSet::new(),
            skew: Skew::default(),
            rng,
        }
    }

    /// Runs until nobody has asked for the stream for long enough.
    pub(super) async fn run(mut self, watching: Counted) {
        let _ends = Ends(self.slot.clone());
        // Who is watched depends on what is asked for.
        if let Ok(Some(event)) = tokio::time::timeout(UNKNOWN_FOR, self.inbox.recv()).await {
            self.take(event).await;
        }
        loop {
            let wake = self.turn().await;
            if self.idle() {
                break;
            }
            let at = self.deps.clock.instant(wake);
            tokio::select! {
                biased;
                event = self.inbox.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => break,
                },
                () = tokio::time::sleep_until(at) => {}
            }
            for _ in 0..EVENTS {
                let Ok(event) = self.inbox.try_recv() else { break };
                self.take(event).await;
            }
        }
        // Before its end is told, or whoever sees that would still be over the limit.
        drop(watching);
    }

    fn idle(&self) -> bool {
        let now = self.deps.clock.now();
        let asked = self.lanes.values().map(|l| l.shared.last_asked()).max();
        let last = asked.unwrap_or_default().max(self.asked_at);
        // Without a lane it is a name that somebody tried: it must not hold a place for long.
        let after = if self.lanes.is_empty() { UNKNOWN_FOR } else { self.settings.idle_after };
        let waiting = !self.joining.is_empty() || !self.reopening.is_empty();
        !waiting && now.since(last) > after.min(self.settings.idle_after)
    }

    /// Everything that is due now. Returns when to look again.
    async fn turn(&mut self) -> UnixMs {
        self.settings = self.deps.pool_settings(&self.key.pool);
        self.watch_packagers();
        let mut wake = self.ask_packagers();
        wake = wake.min(self.carry_lanes().await);
        wake = wake.min(self.open_lanes().await);
        self.place_lanes();
        self.prove();
        self.tell_states();
        self.publish_status();
        // What the lanes just asked to be shown is refreshed without waiting for the next event.
        wake.min(self.ask_packagers())
    }

    async fn take(&mut self, event: Event) {
        let now = self.deps.clock.now();
        match event {
            Event::Join(zone, answer) => {
                self.asked_at = now;
                self.joining.push(Joining { since: now, zone, answer });
            }
            Event::Lane(id, answer) => {
                self.asked_at = now;
                self.find_lane(id, answer).await;
            }
            Event::Entry(id, result) => self.take_entry(now, &id, result),
            Event::Session(id, resources) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    source.session = Session::Held(resources);
                }
            }
            Event::Refreshed(id, at, result) => self.take_refresh(now, &id, at, result),
            Event::Fetched(fetch, result) => self.take_bytes(&fetch, result),
            Event::Glimpsed(fetch, keyframes) => self.take_glimpse(&fetch, keyframes),
            Event::Proved(id, at, doubt, hash) => {
                if let Some(shown) = self.sources.get_mut(&id).and_then(|s| s.shown.get_mut(&at)) {
                    shown.proving = false;
                    let seen = shown.track.proved(now, doubt, hash);
                    if seen == Observed::NewRun {
                        tracing::info!(stream = %self.key, packager = %id, "the packager restarted: another run");
                    }
                }
            }
            Event::Recall(spot, answer) => {
                self.asked_at = now;
                self.take_recall(spot, answer);
            }
            Event::Recalled(spot, recalled, learnt) => {
                self.take_recalled(&spot, &recalled, learnt);
            }
            Event::Newer(id, asked, answer) => self.take_newer(id, asked, answer).await,
            Event::Changed(id, tail) => self.take_change(&id, tail).await,
            Event::Brought(held, given) => self.take_brought(held, given),
            Event::Log(id, answer) => {
                // What has just opened has to be decided by who opened it.
                let begun = self.lanes.get(&id).filter(|lane| lane.log.tail().is_some());
                let _ = answer.send(begun.map(Carried::stored));
            }
            Event::Look => {}
        }
    }

    /// Tells operators of each packager whose state for this stream changed.
    fn tell_states(&mut self) {
        use crate::model::lane::SpliceReason as R;
        let now = self.deps.clock.now();
        for source in self.sources.values_mut() {
            if !source.answered() {
                continue;
            }
            let bad = match () {
                () if source.gone() => Some(R::Ended),
                () if source.failed() => Some(R::Failed),
                () if !source.moves(now) && !source.whole() => Some(R::Stalled),
                () => None,
            };
            if bad != source.told {
                source.told = bad;
                let state = bad.map_or("moves", R::as_str);
                tracing::info!(stream = %self.key, packager = %source.id, state, "the stream on this packager");
                self.deps.observer.stream_state(&self.key, &source.id, bad);
            }
        }
    }
}
