//! The segment store: bytes by content hash, in memory and in a directory. Written before a step
//! is appended, so that a restarted process still has what a dead packager announced.
//!
//! Memory is a tier above the directory: when it is full, bytes that are also on disk leave it,
//! least recently used first. Without a directory memory is all there is, and nothing here blocks
//! or waits. `directory` holds the files, `index` what is known of them and the limits,
//! `allowance` what one pool may take.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::model::lane::Held;
use crate::model::names::{ContentHash, UnixMs};
pub use allowance::Allowance;

use allowance::Taken;
use directory::{Directory, Read};
use index::Index;

mod allowance;
mod directory;
mod index;
#[cfg(test)]
mod tests;

/// Files found when the store is opened are kept this long: until the lanes that list them have
/// been looked at.
const FOUND_KEPT: Duration = Duration::from_secs(600);
/// Reads from disk that go on at once. Of one segment there is never more than one.
const READS_MAX: usize = 64;

/// Where segments are kept and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory; none: memory alone.
    pub dir: Option<PathBuf>,
    /// Bytes in memory, at most.
    pub memory: u64,
    /// Bytes on disk, at most. Of no effect without a directory.
    pub disk: u64,
}

/// Bytes by content hash. Clones are of one store.
#[derive(Clone)]
pub struct Segments {
    inner: Arc<Inner>,
    /// Whoever reads from disk holds the one that the hash leads to.
    turns: Arc<[Mutex<()>]>,
    /// Who pays for what is put here.
    allowance: Option<Arc<Allowance>>,
}

struct Inner {
    index: Index,
    directory: Option<Directory>,
    /// The last write failed. The log hears of it once, not once a segment.
    failing: AtomicBool,
}

/// No room: nothing that is listed is ever evicted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentsError {
    /// Memory or disk is at its limit.
    #[error("the segment store is full ({0})")]
    Full(&'static str),
    /// The pool that puts has its limit.
    #[error("the pool holds all that its limits.segment_bytes allows")]
    Allowance,
    /// The directory cannot be written or read.
    #[error("the segment directory: {0}")]
    Io(String),
}

impl From<std::io::Error> for SegmentsError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl Segments {
    /// Opens the store and takes in what is in the directory, which another process may be using
    /// as well. Touches the disk: for start-up. `now` is the time of day, since files carry it.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the directory cannot be made, read or written.
    pub fn open(settings: Settings, now: UnixMs) -> Result<Self, SegmentsError> {
        let index = Index::new(&settings);
        let directory = settings.dir.map(Directory::open).transpose()?;
        if let Some(directory) = &directory {
            for file in directory.scan(now)? {
                let keep_until = file.kept_until.max(now.plus(FOUND_KEPT));
                index.adopt(file, keep_until);
            }
        }
        let turns = (0..READS_MAX).map(|_| Mutex::default()).collect();
        let inner = Arc::new(Inner { index, directory, failing: AtomicBool::new(false) });
        Ok(Self { inner, turns, allowance: None })
    }

    /// The same store, where `allowance` pays for what is put.
    #[must_use]
    pub fn within(&self, allowance: Arc<Allowance>) -> Self {
        Self { allowance: Some(allowance), ..self.clone() }
    }

    /// Takes `bytes`, kept at least until `keep_until`. On disk when this returns, where there is
    /// a directory: safe against `kill -9`, not against a power cut. If the disk fails, memory
    /// holds them alone while it has room, so that viewers are served on.
    ///
    /// # Errors
    /// [`SegmentsError::Full`] at a limit, [`SegmentsError::Allowance`] at that of the pool; [`SegmentsError::Io`] if the disk fails and memory
    /// has no room.
    pub async fn put(&self, bytes: Bytes, keep_until: UnixMs) -> Result<Held, SegmentsError> {
        let held = Held { hash: ContentHash::of(&bytes), length: length(&bytes) };
        let taken = self.room(held)?;
        self.put_in(held, bytes, keep_until).await?;
        self.inner.index.charge(held.hash, taken);
        Ok(held)
    }

    /// What its pool pays for these bytes; none where somebody does already.
    fn room(&self, held: Held) -> Result<Option<Taken>, SegmentsError> {
        let Some(allowance) = self.allowance.as_ref() else { return Ok(None) };
        if self.inner.index.is_charged(held.hash) {
            return Ok(None);
        }
        let taken = allowance.take(held.length);
        taken.map(Some).ok_or(SegmentsError::Allowance)
    }

    async fn put_in(
        &self,
        held: Held,
        bytes: Bytes,
        keep_until: UnixMs,
    ) -> Result<(), SegmentsError> {
        if self.inner.directory.is_none() {
            return self.inner.index.put_in_memory(held, bytes, keep_until);
        }
        if self.inner.index.extend_written(held.hash, keep_until) {
            self.inner.index.admit(held.hash, &bytes);
            return Ok(());
        }
        let inner = self.inner.clone();
        blocking(move || inner.put_on_disk(held, bytes, keep_until)).await?
    }

    /// These bytes are held, as far as this process knows without looking at the disk.
    #[must_use]
    pub fn has(&self, hash: ContentHash) -> bool {
        self.inner.index.has(hash)
    }

    /// These bytes are held, or lie in the directory because another process put them there; if
    /// so they are kept until `keep_until` at least.
    pub async fn find(&self, held: Held, keep_until: UnixMs) -> bool {
        let found = self.find_in(held, keep_until).await;
        if let Some(allowance) = self.allowance.as_ref().filter(|_| found)
            && !self.inner.index.is_charged(held.hash)
        {
            self.inner.index.charge(held.hash, Some(allowance.take_anyway(held.length)));
        }
        found
    }

    async fn find_in(&self, held: Held, keep_until: UnixMs) -> bool {
        self.inner.index.keep(&[held.hash], keep_until);
        if self.has(held.hash) || self.inner.directory.is_none() {
            return self.has(held.hash);
        }
        let inner = self.inner.clone();
        blocking(move || inner.find_on_disk(held, keep_until)).await.unwrap_or(false)
    }

    /// The bytes, if they are in memory. No I/O: the front's fast way.
    #[must_use]
    pub fn in_memory(&self, hash: ContentHash) -> Option<Bytes> {
        self.inner.index.bytes(hash)
    }

    /// The bytes, from memory or disk, verified against length and hash.
    pub async fn get(&self, held: Held) -> Option<Bytes> {
        let right = |bytes: &Bytes| length(bytes) == held.length;
        if let Some(bytes) = self.in_memory(held.hash) {
            return Some(bytes).filter(right);
        }
        self.inner.directory.as_ref()?;
        let turn = self.turns.get(usize::from(held.hash.0[0]) % READS_MAX)?;
        let _turn = turn.lock().await;
        if let Some(bytes) = self.in_memory(held.hash) {
            return Some(bytes).filter(right);
        }
        let inner = self.inner.clone();
        blocking(move || inner.read(held)).await.ok().flatten()
    }

    /// Keeps these until `keep_until` at least. Unknown ones are passed over.
    pub fn keep(&self, hashes: &[ContentHash], keep_until: UnixMs) {
        self.inner.index.keep(hashes, keep_until);
    }

    /// Drops what nobody keeps any longer. To be called every few seconds: it also renews, on
    /// disk, what is kept longer. Files are dealt with in the background.
    pub fn sweep(&self, now: UnixMs) {
        if self.inner.directory.is_none() {
            let _gone = self.inner.index.remove_expired(now);
        } else if self.inner.index.begin_sweep() {
            let inner = self.inner.clone();
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(move || inner.sweep_disk(now))),
                Err(_) => inner.sweep_disk(now),
            }
        }
    }

    /// There is room for another stream: less than nine tenths of each limit is in use. Memory
    /// above a directory gives way by itself.
    #[must_use]
    pub fn admits_stream(&self) -> bool {
        self.full().is_none()
    }

    /// The key of the limit that leaves no room for another stream.
    #[must_use]
    pub fn full(&self) -> Option<&'static str> {
        if !self.inner.index.admits_stream(self.inner.directory.is_some()) {
            return Some("segments");
        }
        let full = self.allowance.as_ref().is_some_and(|own| !own.admits_stream());
        full.then_some("pools.limits.segment_bytes")
    }

    /// Bytes in memory, bytes on disk.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        self.inner.index.usage()
    }
}

impl Inner {
    fn put_on_disk(
        &self,
        held: Held,
        bytes: Bytes,
        keep_until: UnixMs,
    ) -> Result<(), SegmentsError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let room = self.index.reserve_disk(held)?;
        match directory.write(held.hash, &bytes, keep_until) {
            Ok(file) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("segment directory: can be written again");
                }
                self.index.settle_written(file, keep_until, room);
                self.index.admit(held.hash, &bytes);
                Ok(())
            }
            Err(error) => {
                self.index.release_disk(room);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "segment directory: cannot be written");
                }
                self.index.make_room(held.length);
                let kept = self.index.put_in_memory(held, bytes, keep_until);
                kept.map_err(|_| error.into())
            }
        }
    }

    fn fails(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn find_on_disk(&self, held: Held, keep_until: UnixMs) -> bool {
        let found = self.directory.as_ref().and_then(|d| d.keep(held.hash, keep_until));
        if let Some(file) = found.filter(|f| f.held.length == held.length) {
            self.index.adopt(file, keep_until);
            return true;
        }
        false
    }

    fn read(&self, held: Held) -> Option<Bytes> {
        match self.directory.as_ref()?.read(held) {
            Ok(Read::Whole(file, bytes)) => {
                self.index.adopt(file, UnixMs(0));
                self.index.admit(held.hash, &bytes);
                Some(bytes)
            }
            Ok(Read::OtherLength) => None,
            Ok(Read::Missing) => {
                self.index.lost(held.hash);
                None
            }
            Ok(Read::Wrong) => {
                tracing::warn!(hash = ?held.hash, "segment directory: a file held other bytes");
                self.index.lost(held.hash);
                None
            }
            Err(error) => {
                tracing::warn!(hash = ?held.hash, %error, "segment directory: cannot read");
                None
            }
        }
    }

    /// Renews and removes files; looks, now and then, for those that another process left.
    fn sweep_disk(&self, now: UnixMs) {
        let Some(directory) = &self.directory else { return };
        for (hash, keep_until) in self.index.to_renew(now) {
            if let Some(file) = directory.keep(hash, keep_until) {
                self.index.adopt(file, keep_until);
                continue;
            }
            self.index.lost(hash);
            let Some(bytes) = self.index.bytes(hash) else { continue };
            let held = Held { hash, length: length(&bytes) };
            if self.put_on_disk(held, bytes, keep_until).is_err() || self.fails() {
                break;
            }
        }
        for hash in self.index.remove_expired(now) {
            if let Some(file) = directory.remove_if_unkept(hash, now) {
                let kept_until = file.kept_until;
                self.index.adopt(file, kept_until);
            }
        }
        if self.index.scan_is_due(now) {
            match directory.scan(now) {
                Ok(files) => files.into_iter().for_each(|f| {
                    let kept_until = f.kept_until;
                    self.index.adopt(f, kept_until);
                }),
                Err(error) => tracing::warn!(%error, "segment directory: cannot be listed"),
            }
        }
        self.index.end_sweep();
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SegmentsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| SegmentsError::Io(e.to_string()))
}
