//! The segment directory: `<2 hex digits>/<64 hex digits>`, one file per content hash, written to
//! a temporary name and renamed, so that a file is whole or not there.
//!
//! Two processes share it during an upgrade. What one of them keeps, the other must not remove,
//! so a file's modification time says until when it is kept; it only rises, and who removes a
//! file looks at it last, after taking the file aside.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::model::lane::Held;
use crate::model::names::{ContentHash, UnixMs};

/// Added to each time written, so that a little more of keeping needs no write.
const SLACK: Duration = Duration::from_secs(30);
/// A temporary file that has not been written to for this long was left by a killed process.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);
/// A longer file is none of ours, and not worth the memory to make sure.
const FILE_BYTES_MAX: u64 = 1 << 30;
const TEMPORARY: &str = "tmp";
const STRIPES: usize = 64;

/// A file of the directory.
#[derive(Clone, Copy, Debug)]
pub struct FileKept {
    /// Whose content it claims to be, and its length.
    pub held: Held,
    /// What its modification time says.
    pub kept_until: UnixMs,
}

/// What reading a file came to.
pub enum Read {
    /// The bytes of this hash and length.
    Whole(FileKept, Bytes),
    /// The bytes of this hash, but another length was asked for.
    OtherLength,
    /// No such file.
    Missing,
    /// Other bytes than its name says. It is removed.
    Wrong,
}

/// The directory. All calls block.
pub struct Directory {
    root: PathBuf,
    /// Held while a file of its part is written or removed by this process.
    stripes: Vec<Mutex<()>>,
}

impl Directory {
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(root.join(TEMPORARY))?;
        let directory = Self { root, stripes: (0..STRIPES).map(|_| Mutex::default()).collect() };
        // Told at start-up rather than at the first segment.
        let probe = directory.temporary();
        File::create(&probe)?;
        fs::remove_file(&probe)?;
        Ok(directory)
    }

    /// All files; leftovers of killed processes are removed. What is not ours is passed over.
    pub fn scan(&self, now: UnixMs) -> io::Result<Vec<FileKept>> {
        self.remove_leftovers(now)?;
        let mut files = Vec::new();
        for part in fs::read_dir(&self.root)? {
            let part = part?;
            let is_part = part.file_name().to_str().is_some_and(|n| n.len() == 2);
            if !is_part || !part.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(part.path())? {
                let file = file?;
                let name = file.file_name();
                let hash = name.to_str().and_then(ContentHash::from_hex);
                // Another process may remove what was just listed.
                let (Some(hash), Ok(meta)) = (hash, file.metadata()) else { continue };
                if meta.is_file() && self.path(hash) == file.path() {
                    files.push(kept(hash, &meta)?);
                }
            }
        }
        Ok(files)
    }

    fn remove_leftovers(&self, now: UnixMs) -> io::Result<()> {
        for file in fs::read_dir(self.root.join(TEMPORARY))? {
            let file = file?;
            let Ok(meta) = file.metadata() else { continue };
            if modified(&meta)?.plus(LEFTOVER_AGE) < now {
                let _gone = fs::remove_file(file.path());
            }
        }
        Ok(())
    }

    /// Writes a file, in place of one that may be there. Not synced: a power cut may cost it,
    /// which reading notices.
    pub fn write(
        &self,
        hash: ContentHash,
        bytes: &Bytes,
        keep_until: UnixMs,
    ) -> io::Result<FileKept> {
        let _alone = self.stripe(hash).map(Mutex::lock);
        let (path, temporary) = (self.path(hash), self.temporary());
        let written = write_to(&temporary, bytes, keep_until).and_then(|()| {
            if let Some(part) = path.parent() {
                fs::create_dir_all(part)?;
            }
            fs::rename(&temporary, &path)
        });
        if written.is_err() {
            let _gone = fs::remove_file(&temporary);
        }
        written?;
        let held = Held { hash, length: super::length(bytes) };
        Ok(FileKept { held, kept_until: keep_until.plus(SLACK) })
    }

    /// Raises the time until which a file is kept. None: it is not there (any more).
    pub fn keep(&self, hash: ContentHash, keep_until: UnixMs) -> Option<FileKept> {
        let _alone = self.stripe(hash).map(Mutex::lock);
        let path = self.path(hash);
        let file = File::open(&path).ok()?;
        if modified(&file.metadata().ok()?).ok()? < keep_until {
            file.set_modified(time(keep_until.plus(SLACK))).ok()?;
        }
        // By its path: another process may have taken it aside before it saw the new time.
        kept(hash, &fs::metadata(&path).ok()?).ok()
    }

    /// Removes a file, unless somebody keeps it: then what it is.
    pub fn remove_if_unkept(&self, hash: ContentHash, now: UnixMs) -> Option<FileKept> {
        let _alone = self.stripe(hash).map(Mutex::lock);
        let (path, aside) = (self.path(hash), self.temporary());
        let file = kept(hash, &fs::metadata(&path).ok()?).ok()?;
        if file.kept_until >= now {
            return Some(file);
        }
        fs::rename(&path, &aside).ok()?;
        let meta = fs::metadata(&aside).ok()?;
        let file = kept(hash, &meta).ok()?;
        if file.kept_until >= now {
            // Kept by another process since we looked. Same name, same bytes: it may have
            // written the file again meanwhile.
            fs::rename(&aside, &path).ok()?;
            return Some(file);
        }
        let _gone = fs::remove_file(&aside);
        None
    }

    /// Reads a file and checks it. A wrong one is removed.
    pub fn read(&self, held: Held) -> io::Result<Read> {
        let path = self.path(held.hash);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Read::Missing),
            Err(e) => return Err(e),
        };
        let meta = file.metadata()?;
        let mut bytes = Vec::new();
        if meta.len() <= FILE_BYTES_MAX {
            bytes.reserve_exact(usize::try_from(meta.len()).unwrap_or(0));
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        }
        if ContentHash::of(&bytes) != held.hash {
            let _alone = self.stripe(held.hash).map(Mutex::lock);
            let _gone = fs::remove_file(&path);
            return Ok(Read::Wrong);
        }
        if meta.len() != held.length {
            return Ok(Read::OtherLength);
        }
        Ok(Read::Whole(kept(held.hash, &meta)?, Bytes::from(bytes)))
    }

    fn path(&self, hash: ContentHash) -> PathBuf {
        let hex = hash.to_hex();
        self.root.join(hex.get(..2).unwrap_or_default()).join(hex)
    }

    /// A name that no other process takes.
    fn temporary(&self) -> PathBuf {
        let name = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        self.root.join(TEMPORARY).join(name)
    }

    fn stripe(&self, hash: ContentHash) -> Option<&Mutex<()>> {
        self.stripes.get(usize::from(hash.0[0]) % STRIPES)
    }
}

fn write_to(path: &Path, bytes: &Bytes, keep_until: UnixMs) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.set_modified(time(keep_until.plus(SLACK)))
}

fn kept(hash: ContentHash, meta: &fs::Metadata) -> io::Result<FileKept> {
    Ok(FileKept { held: Held { hash, length: meta.len() }, kept_until: modified(meta)? })
}

fn modified(meta: &fs::Metadata) -> io::Result<UnixMs> {
    let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(UnixMs(0).plus(since))
}

fn time(at: UnixMs) -> SystemTime {
    // Beyond what a file can carry: some centuries from now is as good.
    const LATEST: u64 = 1 << 43;
    UNIX_EPOCH + Duration::from_millis(at.0.min(LATEST))
}
