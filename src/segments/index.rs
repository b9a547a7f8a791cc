//! What is known of the bytes held: in memory or on disk, until when, and the limits.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use parking_lot::Mutex;

use super::allowance::Taken;
use super::directory::FileKept;
use super::{SegmentsError, Settings, length};
use crate::model::lane::Held;
use crate::model::names::{ContentHash, UnixMs};

/// How often the directory is listed for files of other processes.
const SCAN_INTERVAL: Duration = Duration::from_secs(600);

/// A BLAKE3 hash is spread well enough: its first eight bytes serve the table.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }
    fn write_usize(&mut self, _length_prefix: usize) {}
    fn finish(&self) -> u64 {
        self.0
    }
}

struct Slot {
    length: u64,
    keep_until: UnixMs,
    /// The file's modification time as last seen; none: memory alone holds the bytes.
    file_until: Option<UnixMs>,
    /// This process has written the file or read it and found it right.
    verified: bool,
    bytes: Option<Bytes>,
    /// Who pays for them.
    charge: Option<Taken>,
    /// [`Index::clock`] when the bytes were last asked for.
    used: AtomicU64,
}

impl Slot {
    /// Another process cannot take the file from us while we keep it, so memory may let go.
    fn may_leave_memory(&self) -> bool {
        self.verified && self.file_until.is_some_and(|until| until >= self.keep_until)
    }
}

/// All slots.
pub struct Index {
    slots: DashMap<ContentHash, Slot, BuildHasherDefault<FirstBytes>>,
    memory: AtomicU64,
    memory_max: u64,
    disk: AtomicU64,
    disk_max: u64,
    /// Rises with each admission to memory: orders uses.
    clock: AtomicU64,
    making_room: Mutex<()>,
    sweeping: AtomicBool,
    scan_due: Mutex<Option<UnixMs>>,
}

/// Bytes of the disk's limit taken for a file that is being written.
pub struct Room(u64);

impl Index {
    pub fn new(settings: &Settings) -> Self {
        Self {
            slots: DashMap::default(),
            memory: AtomicU64::new(0),
            memory_max: settings.memory,
            disk: AtomicU64::new(0),
            disk_max: settings.disk,
            clock: AtomicU64::new(0),
            making_room: Mutex::new(()),
            sweeping: AtomicBool::new(false),
            scan_due: Mutex::new(None),
        }
    }

    pub fn has(&self, hash: ContentHash) -> bool {
        self.slots.contains_key(&hash)
    }

    pub fn bytes(&self, hash: ContentHash) -> Option<Bytes> {
        let slot = self.slots.get(&hash)?;
        slot.used.store(self.clock.load(Relaxed), Relaxed);
        slot.bytes.clone()
    }

    pub fn keep(&self, hashes: &[ContentHash], keep_until: UnixMs) {
        for hash in hashes {
            if let Some(mut slot) = self.slots.get_mut(hash) {
                slot.keep_until = slot.keep_until.max(keep_until);
            }
        }
    }

    /// Somebody pays for these bytes.
    pub fn is_charged(&self, hash: ContentHash) -> bool {
        self.slots.get(&hash).is_some_and(|slot| slot.charge.is_some())
    }

    /// Notes who pays for these bytes, unless somebody does already.
    pub fn charge(&self, hash: ContentHash, taken: Option<Taken>) {
        if let (Some(mut slot), Some(taken)) = (self.slots.get_mut(&hash), taken) {
            slot.charge.get_or_insert(taken);
        }
    }

    pub fn usage(&self) -> (u64, u64) {
        (self.memory.load(Relaxed), self.disk.load(Relaxed))
    }

    pub fn admits_stream(&self, on_disk: bool) -> bool {
        let (memory, disk) = self.usage();
        let (used, max) = if on_disk { (disk, self.disk_max) } else { (memory, self.memory_max) };
        used < max - max / 10
    }

    /// Holds bytes in memory that are (or could be) nowhere else.
    pub fn put_in_memory(
        &self,
        held: Held,
        bytes: Bytes,
        keep_until: UnixMs,
    ) -> Result<(), SegmentsError> {
        match self.slots.entry(held.hash) {
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                slot.keep_until = slot.keep_until.max(keep_until);
                if slot.bytes.is_none() {
                    self.reserve_memory(held.length)?;
                    slot.bytes = Some(bytes);
                }
            }
            Entry::Vacant(entry) => {
                self.reserve_memory(held.length)?;
                let used = AtomicU64::new(self.clock.fetch_add(1, Relaxed));
                entry.insert(Slot {
                    length: held.length,
                    keep_until,
                    file_until: None,
                    verified: false,
                    bytes: Some(bytes),
                    charge: None,
                    used,
                });
            }
        }
        Ok(())
    }

    /// The file is known to be right and to be kept for long enough: nothing is to be written.
    pub fn extend_written(&self, hash: ContentHash, keep_until: UnixMs) -> bool {
        let Some(mut slot) = self.slots.get_mut(&hash) else { return false };
        if !slot.verified || slot.file_until.is_none_or(|until| until < keep_until) {
            return false;
        }
        slot.keep_until = slot.keep_until.max(keep_until);
        true
    }

    /// Takes room for a file, unless one is there already and will be replaced.
    pub fn reserve_disk(&self, held: Held) -> Result<Room, SegmentsError> {
        if self.slots.get(&held.hash).is_some_and(|slot| slot.file_until.is_some()) {
            return Ok(Room(0));
        }
        reserve(&self.disk, self.disk_max, held.length).ok_or(SegmentsError::Full("disk"))?;
        Ok(Room(held.length))
    }

    #[allow(clippy::needless_pass_by_value)] // given back once
    pub fn release_disk(&self, room: Room) {
        self.disk.fetch_sub(room.0, Relaxed);
    }

    /// Notes a file that this process wrote in the room it had taken.
    pub fn settle_written(&self, file: FileKept, keep_until: UnixMs, room: Room) {
        self.adopt(file, keep_until);
        if let Some(mut slot) = self.slots.get_mut(&file.held.hash) {
            slot.verified = true;
        }
        // Counted by `adopt`, if nobody else had.
        self.release_disk(room);
    }

    /// Notes a file that lies in the directory.
    pub fn adopt(&self, file: FileKept, keep_until: UnixMs) {
        let length = file.held.length;
        match self.slots.entry(file.held.hash) {
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                slot.keep_until = slot.keep_until.max(keep_until);
                if slot.file_until.is_none() {
                    self.disk.fetch_add(length, Relaxed);
                    slot.length = length;
                }
                slot.file_until = slot.file_until.max(Some(file.kept_until));
            }
            Entry::Vacant(entry) => {
                self.disk.fetch_add(length, Relaxed);
                entry.insert(Slot {
                    length,
                    keep_until,
                    file_until: Some(file.kept_until),
                    verified: false,
                    bytes: None,
                    charge: None,
                    used: AtomicU64::new(self.clock.load(Relaxed)),
                });
            }
        }
    }

    /// The file is gone or was wrong.
    pub fn lost(&self, hash: ContentHash) {
        if let Entry::Occupied(mut entry) = self.slots.entry(hash) {
            let slot = entry.get_mut();
            if slot.file_until.take().is_some() {
                self.disk.fetch_sub(slot.length, Relaxed);
            }
            slot.verified = false;
            if slot.bytes.is_none() {
                entry.remove();
            }
        }
    }

    /// Holds a copy in memory of what is on disk and was found right, if there is room.
    pub fn admit(&self, hash: ContentHash, bytes: &Bytes) {
        let wanted = self.slots.get(&hash).is_some_and(|slot| slot.bytes.is_none());
        if !wanted || length(bytes) > self.memory_max {
            self.verify(hash);
            return;
        }
        self.make_room(length(bytes));
        if let Some(mut slot) = self.slots.get_mut(&hash) {
            slot.verified = slot.file_until.is_some();
            if slot.bytes.is_none() && self.reserve_memory(length(bytes)).is_ok() {
                slot.bytes = Some(bytes.clone());
                slot.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
            }
        }
    }

    fn verify(&self, hash: ContentHash) {
        if let Some(mut slot) = self.slots.get_mut(&hash) {
            slot.verified = slot.file_until.is_some();
        }
    }

    /// Lets bytes that are also on disk leave memory, least recently used first, until `wanted`
    /// more have room, and a little beyond, so that not every admission must look again.
    pub fn make_room(&self, wanted: u64) {
        let _alone = self.making_room.lock();
        let fits = |spare: u64| {
            let used = self.memory.load(Relaxed);
            used.saturating_add(wanted).saturating_add(spare) <= self.memory_max
        };
        if fits(0) {
            return;
        }
        let mut leaving: Vec<(u64, ContentHash)> = self
            .slots
            .iter()
            .filter(|slot| slot.bytes.is_some() && slot.may_leave_memory())
            .map(|slot| (slot.used.load(Relaxed), *slot.key()))
            .collect();
        leaving.sort_unstable();
        for (_, hash) in leaving {
            if fits(self.memory_max / 16) {
                return;
            }
            if let Some(mut slot) = self.slots.get_mut(&hash)
                && slot.may_leave_memory()
                && let Some(bytes) = slot.bytes.take()
            {
                self.memory.fetch_sub(length(&bytes), Relaxed);
            }
        }
    }

    /// What is kept and whose file is missing or says too early a time, and until when.
    pub fn to_renew(&self, now: UnixMs) -> Vec<(ContentHash, UnixMs)> {
        let due = |slot: &Slot| {
            slot.keep_until >= now && slot.file_until.is_none_or(|until| until < slot.keep_until)
        };
        let slots = self.slots.iter().filter(|slot| due(slot));
        slots.map(|slot| (*slot.key(), slot.keep_until)).collect()
    }

    /// Forgets what is kept no longer, here or by the file's own time. The files are the caller's.
    pub fn remove_expired(&self, now: UnixMs) -> Vec<ContentHash> {
        let mut gone = Vec::new();
        self.slots.retain(|hash, slot| {
            let stays = slot.keep_until.max(slot.file_until.unwrap_or_default()) >= now;
            if !stays {
                if let Some(bytes) = &slot.bytes {
                    self.memory.fetch_sub(length(bytes), Relaxed);
                }
                if slot.file_until.is_some() {
                    self.disk.fetch_sub(slot.length, Relaxed);
                    gone.push(*hash);
                }
            }
            stays
        });
        gone
    }

    /// One sweep at a time: false while another goes on.
    pub fn begin_sweep(&self) -> bool {
        !self.sweeping.swap(true, Relaxed)
    }

    pub fn end_sweep(&self) {
        self.sweeping.store(false, Relaxed);
    }

    /// The directory should be listed again. The first time is set by the first sweep.
    pub fn scan_is_due(&self, now: UnixMs) -> bool {
        let mut due = self.scan_due.lock();
        let is_due = due.is_some_and(|at| at <= now);
        if is_due || due.is_none() {
            *due = Some(now.plus(SCAN_INTERVAL));
        }
        is_due
    }

    fn reserve_memory(&self, wanted: u64) -> Result<(), SegmentsError> {
        reserve(&self.memory, self.memory_max, wanted).ok_or(SegmentsError::Full("memory"))
    }
}

/// Adds to a counter, never beyond its limit.
fn reserve(counter: &AtomicU64, max: u64, wanted: u64) -> Option<()> {
    let add = |used: u64| used.checked_add(wanted).filter(|sum| *sum <= max);
    counter.fetch_update(Relaxed, Relaxed, add).ok().map(|_| ())
}
