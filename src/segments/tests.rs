//! The segment store against what it promises: nothing kept is lost, nothing wrong is served, no
//! limit is passed.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

mod pools;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn body(n: u8) -> Bytes {
    Bytes::from(vec![n; 1000])
}

fn later(seconds: u64) -> UnixMs {
    NOW.plus(Duration::from_secs(seconds))
}

fn memory(limit: u64) -> Segments {
    Segments::open(Settings { dir: None, memory: limit, disk: 0 }, NOW).unwrap()
}

fn on_disk(dir: &TempDir, memory: u64, disk: u64) -> Segments {
    let settings = Settings { dir: Some(dir.path().to_owned()), memory, disk };
    Segments::open(settings, NOW).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn path_of(dir: &TempDir, held: Held) -> std::path::PathBuf {
    let hex = held.hash.to_hex();
    dir.path().join(&hex[..2]).join(hex)
}

fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| if p.is_dir() { files(&p) } else { 1 }).sum()
}

/// A sweep, ended when this returns.
fn sweep(segments: &Segments, now: UnixMs) {
    match segments.inner.directory {
        None => segments.sweep(now),
        Some(_) => segments.inner.sweep_disk(now),
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_are_held_once() {
    let segments = memory(2500);
    let one = segments.put(body(1), later(10)).await.unwrap();
    let again = segments.put(body(1), later(20)).await.unwrap();
    assert_eq!((one, segments.usage()), (again, (1000, 0)));
    // And until the later of both times.
    sweep(&segments, later(15));
    assert_eq!(segments.get(one).await, Some(body(1)));
    sweep(&segments, later(21));
    assert_eq!((segments.get(one).await, segments.usage()), (None, (0, 0)));
}

#[tokio::test]
async fn what_is_kept_is_not_evicted_for_more() {
    let segments = memory(2500);
    let first = segments.put(body(1), later(10)).await.unwrap();
    segments.put(body(2), later(10)).await.unwrap();
    let full = segments.put(body(3), later(10)).await;
    assert_eq!(full, Err(SegmentsError::Full("memory")));
    assert_eq!(segments.get(first).await, Some(body(1)));
    segments.keep(&[first.hash], later(100));
    sweep(&segments, later(11));
    assert_eq!(segments.usage(), (1000, 0));
    assert_eq!(segments.in_memory(first.hash), Some(body(1)));
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let dir = folder();
    let segments = on_disk(&dir, 10_000, 1500);
    let first = segments.put(body(1), later(10)).await.unwrap();
    let full = segments.put(body(2), later(10)).await;
    assert_eq!(full, Err(SegmentsError::Full("disk")));
    assert_eq!(segments.put(body(1), later(900)).await, Ok(first));
    assert_eq!(segments.usage(), (1000, 1000));
    assert_eq!(files(dir.path()), 1);
}

#[tokio::test]
async fn streams_are_admitted_below_nine_tenths() {
    for (limit, admitted) in [(1000, false), (1111, false), (1112, true), (1200, true)] {
        let segments = memory(limit);
        segments.put(body(1), later(10)).await.unwrap();
        assert_eq!(segments.admits_stream(), admitted, "{limit}");
        let dir = folder();
        // A full memory above a disk with room is no reason to refuse.
        let segments = on_disk(&dir, 1000, limit);
        segments.put(body(1), later(10)).await.unwrap();
        assert_eq!(segments.admits_stream(), admitted, "{limit}");
    }
}

#[tokio::test]
async fn the_least_recently_used_leaves_memory_and_is_read_again() {
    let dir = folder();
    let segments = on_disk(&dir, 2300, 100_000);
    let a = segments.put(body(1), later(60)).await.unwrap();
    let b = segments.put(body(2), later(60)).await.unwrap();
    assert!(segments.in_memory(a.hash).is_some());
    let c = segments.put(body(3), later(60)).await.unwrap();
    let in_memory = [a, b, c].map(|held| segments.in_memory(held.hash).is_some());
    assert_eq!(in_memory, [true, false, true]);
    assert_eq!(segments.usage(), (2000, 3000));
    assert!(segments.has(b.hash));
    assert_eq!(segments.get(b).await, Some(body(2)));
    assert!(segments.in_memory(b.hash).is_some());
}

#[tokio::test]
async fn bytes_that_memory_alone_holds_stay_in_memory() {
    let dir = folder();
    let segments = on_disk(&dir, 2300, 100_000);
    let a = segments.put(body(1), later(60)).await.unwrap();
    fs::remove_dir_all(dir.path().join("tmp")).unwrap();
    // The disk fails: held in memory alone, also when others want its room.
    let b = segments.put(body(2), later(60)).await.unwrap();
    let c = segments.put(body(3), later(60)).await.unwrap();
    assert_eq!(segments.in_memory(a.hash), None);
    let none = segments.put(body(4), later(60)).await;
    assert!(matches!(none, Err(SegmentsError::Io(_))), "{none:?}");
    assert_eq!((segments.get(b).await, segments.get(c).await), (Some(body(2)), Some(body(3))));
    // It works again: what memory held alone is written, and may leave memory.
    fs::create_dir(dir.path().join("tmp")).unwrap();
    sweep(&segments, later(1));
    assert_eq!((segments.usage(), files(dir.path())), ((2000, 3000), 3));
    segments.put(body(5), later(60)).await.unwrap();
    assert_eq!(segments.get(b).await, Some(body(2)));
}

#[tokio::test]
async fn a_reopened_store_has_it_all() {
    let dir = folder();
    let segments = on_disk(&dir, 10_000, 100_000);
    let held = segments.put(body(1), later(5)).await.unwrap();
    drop(segments);
    let segments = on_disk(&dir, 10_000, 100_000);
    assert_eq!((segments.has(held.hash), segments.usage()), (true, (0, 1000)));
    // Kept for ten minutes, until the lanes that list it have been looked at.
    sweep(&segments, later(590));
    assert_eq!(segments.get(held).await, Some(body(1)));
    sweep(&segments, later(700));
    assert_eq!((segments.get(held).await, files(dir.path())), (None, 0));
}

#[tokio::test]
async fn wrong_files_are_never_served() {
    let damages: [fn(&Path); 3] = [
        |path| fs::write(path, vec![9; 1000]).unwrap(),
        |path| fs::write(path, vec![1; 999]).unwrap(),
        |path| fs::write(path, b"").unwrap(),
    ];
    for damage in damages {
        let dir = folder();
        let held = on_disk(&dir, 10_000, 100_000).put(body(1), later(60)).await.unwrap();
        damage(&path_of(&dir, held));
        let segments = on_disk(&dir, 10_000, 100_000);
        assert_eq!(segments.get(held).await, None);
        assert!(!segments.has(held.hash));
        assert_eq!((segments.usage().1, files(dir.path())), (0, 0));
        // And the right bytes take its place.
        segments.put(body(1), later(60)).await.unwrap();
        let segments = on_disk(&dir, 10_000, 100_000);
        assert_eq!(segments.get(held).await, Some(body(1)));
    }
}

#[tokio::test]
async fn putting_replaces_a_damaged_file() {
    let dir = folder();
    let held = on_disk(&dir, 10_000, 100_000).put(body(1), later(60)).await.unwrap();
    fs::write(path_of(&dir, held), vec![9; 1000]).unwrap();
    let segments = on_disk(&dir, 0, 100_000);
    segments.put(body(1), later(60)).await.unwrap();
    assert_eq!(segments.get(held).await, Some(body(1)));
    assert_eq!(segments.usage(), (0, 1000));
}

#[tokio::test]
async fn another_length_than_the_logs_is_not_served() {
    let dir = folder();
    let segments = on_disk(&dir, 10_000, 100_000);
    let held = segments.put(body(1), later(60)).await.unwrap();
    let other = Held { length: 999, ..held };
    assert_eq!(segments.get(other).await, None);
    let segments = on_disk(&dir, 10_000, 100_000);
    assert_eq!(segments.get(other).await, None);
    assert_eq!(segments.get(held).await, Some(body(1)));
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_removed() {
    let dir = folder();
    drop(on_disk(&dir, 0, 0));
    let (old, fresh) = (dir.path().join("tmp/1-0"), dir.path().join("tmp/1-1"));
    for (path, written) in [(&old, NOW.minus(2 * MINUTE)), (&fresh, NOW)] {
        let file = fs::File::create(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + written.since(UnixMs(0))).unwrap();
    }
    fs::write(dir.path().join("notes.txt"), "not ours").unwrap();
    drop(on_disk(&dir, 0, 0));
    assert_eq!((old.exists(), fresh.exists()), (false, true));
    assert!(dir.path().join("notes.txt").exists());
}

#[tokio::test]
async fn what_another_process_wrote_is_found() {
    let dir = folder();
    let (old, new) = (on_disk(&dir, 10_000, 100_000), on_disk(&dir, 10_000, 100_000));
    let held = old.put(body(1), later(10)).await.unwrap();
    assert!(!new.has(held.hash));
    assert!(!new.find(Held { length: 7, ..held }, later(10)).await);
    assert!(new.find(held, later(600)).await);
    assert_eq!(new.get(held).await, Some(body(1)));
    // Without having looked, too.
    let held = old.put(body(2), later(10)).await.unwrap();
    assert_eq!(new.get(held).await, Some(body(2)));
    // And it takes care of what the old process leaves behind.
    let left = old.put(body(3), later(10)).await.unwrap();
    drop(old);
    sweep(&new, later(1));
    sweep(&new, later(602));
    sweep(&new, later(603));
    assert!(!path_of(&dir, left).exists());
}

#[tokio::test]
async fn what_another_process_keeps_is_not_removed() {
    let dir = folder();
    let old = on_disk(&dir, 10_000, 100_000);
    let held = old.put(body(1), later(10)).await.unwrap();
    let new = on_disk(&dir, 0, 100_000);
    new.keep(&[held.hash], later(3600));
    sweep(&new, later(5));
    sweep(&old, later(1000));
    assert_eq!(new.get(held).await, Some(body(1)));
    // The old one knows now; when the new one lets go as well, the file goes.
    assert!(old.has(held.hash));
    sweep(&old, later(3700));
    assert!(!path_of(&dir, held).exists());
    assert_eq!(new.get(held).await, None);
    assert!(!new.has(held.hash));
}

#[tokio::test]
async fn a_file_that_vanished_is_written_again_from_memory() {
    let dir = folder();
    let segments = on_disk(&dir, 10_000, 100_000);
    let held = segments.put(body(1), later(10)).await.unwrap();
    fs::remove_file(path_of(&dir, held)).unwrap();
    segments.keep(&[held.hash], later(300));
    sweep(&segments, later(5));
    assert_eq!(files(dir.path()), 1);
    assert_eq!(on_disk(&dir, 0, 0).get(held).await, Some(body(1)));
    assert_eq!(segments.usage(), (1000, 1000));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_at_the_start() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let settings = Settings { dir: Some(file), memory: 1, disk: 1 };
    assert!(matches!(Segments::open(settings, NOW), Err(SegmentsError::Io(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_agree_on_what_is_held() {
    let dir = folder();
    let segments = Arc::new(on_disk(&dir, 5000, 100_000));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u8 {
        let segments = segments.clone();
        tasks.spawn(async move {
            for n in 0..40_u8 {
                let held = segments.put(body((n + task) % 20), later(60)).await.unwrap();
                assert_eq!(segments.get(held).await, Some(body((n + task) % 20)));
                if n % 8 == 0 {
                    segments.sweep(later(1));
                }
                assert!(segments.usage().0 <= 5000);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(segments.usage().1, 20_000);
    assert_eq!(files(dir.path()), 20);
}

#[derive(Clone, Debug)]
enum Act {
    Put { which: u8, keep: u64 },
    Keep { which: u8, keep: u64 },
    Get { which: u8 },
    Pass { seconds: u64 },
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..8_u8, 0..120_u64).prop_map(|(which, keep)| Act::Put { which, keep }),
        2 => (0..8_u8, 0..400_u64).prop_map(|(which, keep)| Act::Keep { which, keep }),
        4 => (0..8_u8).prop_map(|which| Act::Get { which }),
        2 => (0..90_u64).prop_map(|seconds| Act::Pass { seconds }),
        1 => Just(Act::Reopen),
    ];
    prop::collection::vec(act, 1..60)
}

/// Runs `acts` and holds the store to a map of what is kept until when.
async fn hold_to_the_promise(settings: Settings, acts: Vec<Act>) {
    let limits = (settings.memory, settings.disk.max(settings.memory));
    let mut segments = Segments::open(settings.clone(), NOW).unwrap();
    let (mut now, mut kept) = (NOW, HashMap::<u8, UnixMs>::new());
    for act in acts {
        match act {
            Act::Put { which, keep } => {
                let until = now.plus(Duration::from_secs(keep));
                if segments.put(body(which), until).await.is_ok() {
                    let known = kept.entry(which).or_insert(until);
                    *known = until.max(*known);
                }
            }
            Act::Keep { which, keep } => {
                let until = now.plus(Duration::from_secs(keep));
                segments.keep(&[ContentHash::of(&body(which))], until);
                kept.entry(which).and_modify(|known| *known = until.max(*known));
            }
            Act::Get { which } => {
                let held = Held { hash: ContentHash::of(&body(which)), length: 1000 };
                let got = segments.get(held).await;
                assert!(got.is_none_or(|bytes| bytes == body(which)));
            }
            Act::Pass { seconds } => {
                now = now.plus(Duration::from_secs(seconds));
                sweep(&segments, now);
                kept.retain(|_, until| *until >= now);
            }
            Act::Reopen if settings.dir.is_some() => {
                drop(segments);
                segments = Segments::open(settings.clone(), now).unwrap();
                let found = now.plus(FOUND_KEPT);
                for until in kept.values_mut() {
                    *until = found.max(*until);
                }
            }
            Act::Reopen => {}
        }
        for which in kept.keys() {
            let held = Held { hash: ContentHash::of(&body(*which)), length: 1000 };
            assert!(segments.has(held.hash), "{which} is not known at {now:?}");
            assert_eq!(segments.get(held).await, Some(body(*which)), "{which} at {now:?}");
        }
        let (memory, disk) = segments.usage();
        assert!(memory <= limits.0 && disk <= limits.1, "{memory} {disk} of {limits:?}");
        if settings.dir.is_none() {
            assert_eq!(memory, 1000 * kept.len() as u64);
        }
    }
    // Long after, nothing is left.
    sweep(&segments, now.plus(120 * MINUTE));
    assert_eq!(segments.usage(), (0, 0));
    if let Some(dir) = &settings.dir {
        assert_eq!(files(dir), 0);
    }
}

fn run(settings: Settings, acts: Vec<Act>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(hold_to_the_promise(settings, acts));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn memory_keeps_what_it_promised(acts in acts(), limit in 0..9000_u64) {
        run(Settings { dir: None, memory: limit, disk: 0 }, acts);
    }

    #[test]
    fn a_directory_keeps_what_it_promised(
        acts in acts(), memory in 0..9000_u64, disk in 0..9000_u64,
    ) {
        let dir = folder();
        run(Settings { dir: Some(dir.path().to_owned()), memory, disk }, acts);
    }
}
