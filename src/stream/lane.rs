//! A lane as this proxy lists it: what viewers' requests read, without waiting for anything. The
//! stream's worker is the only writer.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Clock, Refusal};
use crate::model::lane::{Entry, Header, Held, Log, Share, key_name, print_with, short_on_demand};
use crate::model::names::{ContentHash, OutputMsn, PackagerId, RenditionId, UnixMs};

/// The last good playlist is shown for so many target durations after its newest segment.
const LAST_GOOD: u32 = 6;
/// A first playlist is waited for at most so long: players wait 6 s for an answer without a stall.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// So many segments another proxy may be ahead.
const AHEAD: u64 = 4;

/// A media playlist, printed once for all who ask.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The text.
    pub body: Bytes,
    /// The same, gzipped.
    pub gzip: Bytes,
    /// A strong validator, with its quotes.
    pub etag: String,
    /// The same for the gzipped form.
    pub etag_gzip: String,
}

impl Printed {
    pub(super) fn new(text: String) -> Self {
        let hash = ContentHash::of(text.as_bytes()).to_hex();
        let tag = &hash[..16];
        let mut gz = GzEncoder::new(Vec::with_capacity(text.len() / 2), Compression::fast());
        // Writing to a Vec cannot fail; an empty form would only mean "not compressed".
        let gzip = gz.write_all(text.as_bytes()).and_then(|()| gz.finish()).unwrap_or_default();
        Self {
            etag: format!("\"{tag}\""),
            etag_gzip: format!("\"{tag}-gz\""),
            body: text.into(),
            gzip: gzip.into(),
        }
    }
}

/// What a segment's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// These bytes, which are held unless they lie in the depth of a long window.
    Bytes(Held),
    /// Bytes that were never seen here: the depth that the lane opened with.
    OnDemand,
}

/// Where a number lies beside those that a proxy knows of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It was here, if ever, and has left.
    Left,
    /// It is known here.
    Listed,
    /// It follows so soon after the newest that another proxy may have announced it.
    Next,
    /// It does not follow soon.
    Beyond,
}

/// What can be asked for by name.
#[derive(Debug, Default)]
struct Index {
    renditions: Vec<Numbered>,
    /// The step after the last that is known here.
    next: Option<OutputMsn>,
    /// Init segments by the first 8 hex digits of their hash.
    inits: HashMap<String, Held>,
    /// Keys, and what the multivariant playlist names, by file name.
    shared: HashMap<String, Held>,
}

/// The segments of one rendition.
#[derive(Debug, Default)]
struct Numbered {
    /// The number of the first.
    first: u64,
    slots: VecDeque<Slot>,
}

/// A number's segment, in few bytes: a long window has many.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Nothing,
    Held(Held),
    OnDemand([u8; 8]),
    /// On demand, and asked for before.
    Recalled([u8; 8], Held),
}

impl Numbered {
    fn get(&self, msn: OutputMsn) -> Option<Slot> {
        let at = usize::try_from(msn.0.checked_sub(self.first)?).ok()?;
        self.slots.get(at).copied()
    }

    fn take(&mut self, packager: &PackagerId, share: &Share) {
        if self.slots.is_empty() {
            self.first = share.msn.0;
        }
        for entry in &share.entries {
            self.slots.push_back(match entry.held {
                Some(held) => Slot::Held(held),
                None if entry.on_demand => {
                    let short = short_on_demand(packager, entry);
                    short.as_bytes().try_into().map_or(Slot::Nothing, Slot::OnDemand)
                }
                None => Slot::Nothing,
            });
        }
    }

    /// What comes from `next` on is not what was known.
    fn cut_back(&mut self, next: OutputMsn) {
        let kept = next.0.saturating_sub(self.first);
        self.slots.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    fn trim(&mut self, first: OutputMsn) {
        while self.first < first.0 && self.slots.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// A lane as this proxy lists it.
pub struct Lane {
    header: Arc<Header>,
    clock: Clock,
    /// Per rendition: when it was last asked for, Unix milliseconds.
    asked: Vec<AtomicU64>,
    /// New viewers that were given it.
    joined: AtomicU64,
    printed: Vec<ArcSwapOption<Printed>>,
    index: RwLock<Index>,
    fresh_until: AtomicU64,
    generation: watch::Sender<u64>,
}

impl Lane {
    pub(super) fn new(header: Arc<Header>, clock: Clock) -> Self {
        let n = header.renditions.len();
        let until = header.opened_at.plus(header.target() * LAST_GOOD);
        Self {
            clock,
            asked: (0..n).map(|_| AtomicU64::new(0)).collect(),
            joined: AtomicU64::new(0),
            printed: (0..n).map(|_| ArcSwapOption::empty()).collect(),
            index: RwLock::default(),
            fresh_until: AtomicU64::new(until.0.max(clock.now().plus(PATIENCE).0)),
            generation: watch::channel(0).0,
            header,
        }
    }

    /// What was frozen when it opened.
    #[must_use]
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// The multivariant playlist for viewers with this token.
    #[must_use]
    pub fn multivariant(&self, token: &str) -> String {
        self.ask(0);
        self.header.multivariant.join(token)
    }

    /// The newest media playlist, where one is printed. Keeps the rendition wanted.
    #[must_use]
    pub fn printed(&self, rendition: &RenditionId) -> Option<Arc<Printed>> {
        self.fresh(rendition).ok().flatten()
    }

    fn fresh(&self, rendition: &RenditionId) -> Result<Option<Arc<Printed>>, Refusal> {
        let r = self.rendition(rendition)?;
        let now = self.ask(r);
        if now.0 > self.fresh_until.load(Ordering::Relaxed) {
            return Err(Refusal::Stale);
        }
        Ok(self.printed.get(r).and_then(ArcSwapOption::load_full))
    }

    /// The same, waiting for the first one where none is printed, for 5 s at most.
    ///
    /// # Errors
    /// [`Refusal::NoRendition`]; [`Refusal::Stale`] where nothing came for six target durations;
    /// [`Refusal::NotReady`] where none came in time.
    pub async fn playlist(&self, rendition: &RenditionId) -> Result<Arc<Printed>, Refusal> {
        let mut changed = self.generation.subscribe();
        let wait = async {
            loop {
                if let Some(p) = self.fresh(rendition)? {
                    return Ok(p);
                }
                changed.changed().await.map_err(|_| Refusal::NotReady)?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or(Err(Refusal::NotReady))
    }

    /// What a listed segment's name stands for: its number and the first 8 hex digits of its hash.
    ///
    /// # Errors
    /// [`Refusal::NotListed`] for what was never announced here or has left long ago.
    pub fn segment(
        &self,
        rendition: &RenditionId,
        msn: OutputMsn,
        short: &str,
    ) -> Result<Named, Refusal> {
        let r = self.rendition(rendition)?;
        match self.index.read().renditions.get(r).and_then(|of| of.get(msn)) {
            Some(Slot::Held(held)) if held.hash.is_short(short) => Ok(Named::Bytes(held)),
            Some(Slot::OnDemand(named)) if named == short.as_bytes() => Ok(Named::OnDemand),
            Some(Slot::Recalled(named, held)) if named == short.as_bytes() => {
                Ok(Named::Bytes(held))
            }
            _ => Err(Refusal::NotListed),
        }
    }

    /// Where a number of a rendition lies beside those that are known here.
    #[must_use]
    pub fn lies(&self, rendition: &RenditionId, msn: OutputMsn) -> Whereabouts {
        let index = self.index.read();
        let known = self.rendition(rendition).ok().and_then(|r| index.renditions.get(r));
        // Nothing is known yet of a lane that has just opened: another may list all of a window.
        let Some(of) = known.filter(|of| !of.slots.is_empty()) else {
            let before = msn < self.header.first_msn;
            return if before { Whereabouts::Left } else { Whereabouts::Next };
        };
        let (first, end) = (of.first, of.first + of.slots.len() as u64);
        match msn.0 {
            n if n < first => Whereabouts::Left,
            n if n < end => Whereabouts::Listed,
            n if n < end.saturating_add(AHEAD) => Whereabouts::Next,
            _ => Whereabouts::Beyond,
        }
    }

    /// The bytes of an init segment, by the first 8 hex digits of their hash.
    ///
    /// # Errors
    /// As [`Lane::segment`].
    pub fn init(&self, rendition: &RenditionId, short: &str) -> Result<Held, Refusal> {
        self.rendition(rendition)?;
        self.index.read().inits.get(short).copied().ok_or(Refusal::NotListed)
    }

    /// A key, or what the multivariant playlist names and is of no rendition, by file name.
    ///
    /// # Errors
    /// [`Refusal::NotListed`].
    pub fn shared(&self, name: &str) -> Result<Held, Refusal> {
        self.index.read().shared.get(name).copied().ok_or(Refusal::NotListed)
    }

    /// When any of it was last asked for.
    pub(super) fn last_asked(&self) -> UnixMs {
        UnixMs(self.asked.iter().map(|a| a.load(Ordering::Relaxed)).max().unwrap_or(0))
    }

    /// Per rendition, whether it was asked for since `since`.
    pub(super) fn asked_since(&self, since: UnixMs) -> Vec<bool> {
        self.asked.iter().map(|a| a.load(Ordering::Relaxed) >= since.0.max(1)).collect()
    }

    pub(super) fn ask(&self, rendition: usize) -> UnixMs {
        let now = self.clock.now();
        if let Some(a) = self.asked.get(rendition) {
            a.store(now.0, Ordering::Relaxed);
        }
        now
    }

    fn rendition(&self, id: &RenditionId) -> Result<usize, Refusal> {
        self.header.renditions.iter().position(|r| r.id == *id).ok_or(Refusal::NoRendition)
    }

    /// Prints what the log holds for each rendition from its `first` (none: nothing to list yet) to the
    /// `edge`, and lets those who wait know. What comes after the edge can be asked for by who has seen it
    /// at another proxy.
    pub(super) fn publish(&self, log: &Log, first: &[Option<OutputMsn>], edge: OutputMsn) {
        self.index(log);
        for (slot, (r, first)) in self.printed.iter().zip(first.iter().enumerate()) {
            let known = |msn| self.on_demand(r, msn);
            match first.and_then(|f| print_with(log, r, f..=edge, &known)) {
                Some(text) if slot.load().as_ref().is_some_and(|p| p.body == text) => {}
                Some(text) => slot.store(Some(Arc::new(Printed::new(text)))),
                // Nobody had asked for it for long, so nothing is held: the next to ask waits.
                None => slot.store(None),
            }
        }
        let until = match log.get(edge) {
            Some(tail) if tail.end => u64::MAX,
            Some(tail) => tail.listed_at.plus(self.header.target() * LAST_GOOD).0,
            None => return,
        };
        self.fresh_until.fetch_max(until, Ordering::Relaxed);
        self.generation.send_modify(|g| *g += 1);
    }

    /// Steps after the tail of `log` were never listed here, and are others now.
    pub(super) fn cut_back(&self, log: &Log) {
        let mut index = self.index.write();
        let Some(tail) = log.tail() else {
            *index = Index::default();
            return;
        };
        index.next = index.next.map(|next| next.min(tail.msn.next()));
        for (of, share) in index.renditions.iter_mut().zip(&tail.shares) {
            of.cut_back(share.next_msn());
        }
    }

    /// Bytes that were listed on demand are known now.
    pub(super) fn recalled(&self, rendition: usize, msn: OutputMsn, held: Held) {
        let mut index = self.index.write();
        let Some(of) = index.renditions.get_mut(rendition) else { return };
        let at = msn.0.checked_sub(of.first).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| of.slots.get_mut(at))
            && let Slot::OnDemand(short) | Slot::Recalled(short, _) = *slot
        {
            *slot = Slot::Recalled(short, held);
        }
    }

    /// What an entry that is listed on demand is called.
    fn on_demand(&self, rendition: usize, msn: OutputMsn) -> Option<[u8; 8]> {
        match self.index.read().renditions.get(rendition)?.get(msn)? {
            Slot::OnDemand(short) | Slot::Recalled(short, _) => Some(short),
            Slot::Nothing | Slot::Held(_) => None,
        }
    }

    /// What bytes that are listed on demand were found to be.
    pub(super) fn known(&self, rendition: usize, msn: OutputMsn) -> Option<Held> {
        match self.index.read().renditions.get(rendition)?.get(msn)? {
            Slot::Held(held) | Slot::Recalled(_, held) => Some(held),
            Slot::Nothing | Slot::OnDemand(_) => None,
        }
    }

    /// A new viewer was given it.
    pub(super) fn join(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    /// How many new viewers were given it.
    pub(super) fn joined(&self) -> u64 {
        self.joined.load(Ordering::Relaxed)
    }

    /// The place of a rendition in the header.
    pub(super) fn place(&self, id: &RenditionId) -> Option<usize> {
        self.rendition(id).ok()
    }

    /// What the log holds can be asked for by name, whether it is listed here yet or not.
    pub(super) fn index(&self, log: &Log) {
        let Some(first) = log.first() else { return };
        let mut index = self.index.write();
        index.renditions.resize_with(self.header.renditions.len(), Numbered::default);
        let from = index.next.unwrap_or(first);
        for step in log.from(from).filter(|s| !s.end) {
            for (of, share) in index.renditions.iter_mut().zip(&step.shares) {
                of.take(&step.packager, share);
            }
            index.next = Some(step.msn.next());
        }
        // What has left the log cannot be had any more.
        if let Some(oldest) = log.get(first) {
            for (of, share) in index.renditions.iter_mut().zip(&oldest.shares) {
                of.trim(share.msn);
            }
        }
        let Index { inits, shared, .. } = &mut *index;
        inits.clear();
        shared.clear();
        shared.extend(self.header.resources.iter().map(|r| (r.name.clone(), r.held)));
        let mut last: Vec<Option<&Entry>> = vec![None; self.header.renditions.len()];
        for (r, entry) in log
            .steps()
            .flat_map(|s| s.shares.iter().enumerate())
            .flat_map(|(r, share)| share.entries.iter().map(move |entry| (r, entry)))
        {
            // Mostly the same as the one before.
            let same = |l: &Entry| l.map == entry.map && l.keys == entry.keys;
            if last.get_mut(r).and_then(|last| last.replace(entry)).is_some_and(same) {
                continue;
            }
            inits.extend(entry.map.iter().map(|m| (m.held.hash.short(), m.held)));
            let keys = entry.all_keys().filter_map(crate::model::lane::Key::held);
            shared.extend(keys.map(|(name, held)| (key_name(name), held)));
        }
    }
}
