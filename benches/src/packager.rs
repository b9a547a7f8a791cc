//! A packager of files: a live media playlist and its segments, one more every other second.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use parking_lot::{Condvar, Mutex};
use rand::RngCore as _;

/// The length of each segment.
pub const SEGMENT: Duration = Duration::from_secs(2);
/// Where its playlist is.
pub const ENTRY: &str = "/live/cam.m3u8";
/// As many as make Segue's playlist about 1 KB long.
pub const LISTED: u64 = 10;
/// Segments stay as files for so long after they were listed.
const KEPT: u64 = 30;
/// One million bytes, nearly: whole transport packets.
const PACKETS: usize = 5319;
const PACKET: usize = 188;

/// Writes segments until the process ends.
pub struct Packager {
    newest: Arc<(Mutex<(u64, Instant)>, Condvar)>,
}

impl Packager {
    /// Starts with a whole window.
    pub fn start(root: &Path) -> Result<Self> {
        let dir = root.join("live");
        fs::create_dir_all(&dir)?;
        for n in 0..LISTED {
            write_segment(&dir, n)?;
        }
        write_playlist(&dir, LISTED - 1)?;
        let newest = Arc::new((Mutex::new((LISTED - 1, Instant::now())), Condvar::new()));
        let told = newest.clone();
        thread::spawn(move || {
            let began = Instant::now();
            for n in LISTED.. {
                // As a live encoder does: never quite on time, never drifting.
                let jitter = Duration::from_millis(u64::from(rand::random::<u8>()));
                let count = u32::try_from(n - LISTED + 1).unwrap_or(u32::MAX);
                let due = began + SEGMENT * count + jitter;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if write_segment(&dir, n).and_then(|()| write_playlist(&dir, n)).is_err() {
                    return; // the folder is gone: the bench has ended
                }
                *told.0.lock() = (n, Instant::now());
                told.1.notify_all();
                if let Some(old) = n.checked_sub(KEPT) {
                    let _gone = fs::remove_file(dir.join(format!("{old}.ts")));
                }
            }
        });
        Ok(Self { newest })
    }

    /// Waits for the next segment: its number and when the playlist that lists it was there.
    pub fn next(&self) -> (u64, Instant) {
        let mut newest = self.newest.0.lock();
        let before = newest.0;
        while newest.0 == before {
            self.newest.1.wait(&mut newest);
        }
        *newest
    }
}

/// Transport packets without meaning: nothing here looks into them.
fn write_segment(dir: &Path, n: u64) -> Result<()> {
    let mut bytes = vec![0; PACKETS * PACKET];
    rand::rng().fill_bytes(&mut bytes);
    for packet in bytes.chunks_exact_mut(PACKET) {
        // Sync byte, then the null packet's id (ISO 13818-1, 2.4.3.2): no stream to be read.
        packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    }
    put(dir, format!("{n}.ts"), &bytes)
}

fn write_playlist(dir: &Path, last: u64) -> Result<()> {
    let first = last + 1 - LISTED;
    let seconds = SEGMENT.as_secs();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for n in first..=last {
        // A tag that goes through as it is, and makes the list as long as is wanted.
        let _ = writeln!(text, "#EXT-X-BENCH:NUMBER={n:010},PADDING=0123456789");
        let _ = writeln!(text, "#EXTINF:{seconds}.000000,\n{n}.ts");
    }
    put(dir, "cam.m3u8".to_owned(), text.as_bytes())
}

/// Whole or not there.
fn put(dir: &Path, name: String, bytes: &[u8]) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let temporary: PathBuf = dir.join(format!("tmp-{now}"));
    fs::write(&temporary, bytes)?;
    fs::rename(temporary, dir.join(name))?;
    Ok(())
}
