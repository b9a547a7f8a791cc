//! What only the SQLite store promises: real processes on one file, `kill -9`, old formats,
//! damage, refused files.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use segue::model::names::{LaneId, PackagerId, UnixMs};
use segue::store::{Appended, LaneStore, SqliteStore, StoreError};
use tempfile::TempDir;

use crate::fixture::{FIRST, before, header, step};

/// Names the file to a child process, which is this binary again.
const CHILD_FILE: &str = "SEGUE_TEST_STORE_FILE";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("segue.db")).unwrap()
}

/// A second connection, to do what no Segue would.
fn tamper(folder: &TempDir, sql: &str) {
    let connection = Connection::open(folder.path().join("segue.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

async fn fill(store: &SqliteStore, lane: &str, steps: u64) -> LaneId {
    let lane = store.create(&header(lane)).await.unwrap().lane;
    for n in 0..steps {
        store.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    lane
}

fn assert_unreadable<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(StoreError::Unreadable(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?} where {why:?} was to be said"),
    }
}

/// Not a test of its own: the other process of those below. Appends until it is killed and says
/// each number that the store took.
#[tokio::test]
async fn child_that_appends() {
    let Ok(path) = env::var(CHILD_FILE) else { return };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    let lane = store.create(&header("a-1")).await.unwrap().lane;
    let writer = format!("p{}", std::process::id());
    let mut n = 0;
    loop {
        match store.append(&lane, before(n), &[step(n, &writer)]).await.unwrap() {
            Appended::Done => {
                println!("taken {n}");
                n += 1;
            }
            Appended::Lost(missed) => n += missed.len() as u64,
        }
    }
}

struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    taken: Vec<u64>,
}

impl Process {
    fn start(folder: &TempDir) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "file::child_that_appends", "--nocapture"])
            .env(CHILD_FILE, folder.path().join("segue.db"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, taken: Vec::new() }
    }
    fn read(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else { return false };
        // A line that the kill cut short says nothing.
        let number: Option<u64> = line.rsplit_once("taken ").and_then(|(_, n)| n.parse().ok());
        self.taken.extend(number);
        true
    }
    fn read_until_taken(&mut self, count: usize) {
        while self.taken.len() < count {
            assert!(self.read(), "the child ended by itself");
        }
    }
    /// `kill -9`, then the rest of what it said.
    fn kill(mut self) -> (String, Vec<u64>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.read() {}
        (format!("p{}", self.child.id()), self.taken)
    }
}

/// A file of before that was known: nobody is, and can be.
#[tokio::test]
async fn a_file_that_knows_nothing_of_drained_packagers_is_added_to() {
    let folder = folder();
    let lane = fill(&open(&folder), "a-1", 2).await;
    tamper(&folder, "DROP TABLE drained");
    let store = open(&folder);
    assert!(store.drained(&BTreeMap::new()).await.unwrap().is_empty());
    store.drain(&PackagerId::new("a"), Some(UnixMs(7))).await.unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(
        store.drained(&BTreeMap::new()).await.unwrap(),
        [(PackagerId::new("a"), UnixMs(7))].into()
    );
    assert_eq!(store.load(&lane).await.unwrap().unwrap().steps.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_survives_a_kill_at_any_moment() {
    let folder = folder();
    let mut all_taken = 0;
    for round in 0..5 {
        let mut process = Process::start(&folder);
        process.read_until_taken(10 + 7 * round);
        let (writer, taken) = process.kill();
        let store = open(&folder);
        let log = store.load(&LaneId::new("a-1")).await.unwrap().unwrap().steps;
        for n in &taken {
            let index = usize::try_from(*n).unwrap();
            assert_eq!(log[index], step(*n, &writer), "a taken step was lost");
        }
        // The last one may have been taken before the process could say so.
        all_taken += taken.len();
        assert!(log.len() == all_taken || log.len() == all_taken + 1);
        all_taken = log.len();
        // And the log goes on.
        let n = log.len() as u64;
        let done = store.append(&LaneId::new("a-1"), before(n), &[step(n, "a")]).await.unwrap();
        assert_eq!(done, Appended::Done);
        all_taken += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_log() {
    let folder = folder();
    let mut processes = [Process::start(&folder), Process::start(&folder)];
    for process in &mut processes {
        process.read_until_taken(50);
    }
    let ended = processes.map(Process::kill);
    let log = open(&folder).load(&LaneId::new("a-1")).await.unwrap().unwrap().steps;
    let [one, two] = &ended;
    assert!(log.len() >= one.1.len() + two.1.len());
    for (writer, taken) in &ended {
        for n in taken {
            assert_eq!(log[usize::try_from(*n).unwrap()], step(*n, writer));
        }
    }
}

#[tokio::test]
async fn dropping_the_store_ends_its_thread() {
    let folder = folder();
    let store = open(&folder);
    fill(&store, "a-1", 1).await;
    let mut changes = store.changes();
    drop(store);
    // The thread holds a sender: when it has ended, the channel closes.
    while !matches!(changes.recv().await, Err(tokio::sync::broadcast::error::RecvError::Closed)) {}
    assert_eq!(open(&folder).load(&LaneId::new("a-1")).await.unwrap().unwrap().steps.len(), 1);
}

#[tokio::test]
async fn the_oldest_format_is_read() {
    let folder = folder();
    drop(open(&folder));
    // As format 1 was first written. Never edit: a file of this kind exists somewhere.
    let header_1 = r##"{"format":1,"lane":"a-1","stream":{"pool":"live","path":"/live/cam/playlist.m3u8"},"renditions":[{"id":"v0","traits":{"kind":"variant","bandwidth":1300000}}],"multivariant":["#EXTM3U\n","/v0/index.m3u8\n"],"target_duration":6,"version":3,"container":"plain","independent_segments":false,"window":{"secs":24,"nanos":0},"first_msn":1700000000,"first_discontinuity":0,"opened_at":1700000000000}"##;
    let step_1 = r##"{"format":1,"msn":1700000000,"packager":"a","discontinuity":true,"discontinuity_number":1,"splice":{"from":"b","reason":"stalled","method":"arrival","gap_ms":-40},"entries":[{"source":{"msn":15,"path":"/live/cam-15.ts"},"duration":{"secs":6,"nanos":0},"lines":["#EXTINF:6.000,"],"extension":"ts","held":{"hash":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","length":0}}],"listed_at":1700000000000,"content_end":1700000000000}"##;
    let connection = Connection::open(folder.path().join("segue.db")).unwrap();
    connection
        .execute(
            "INSERT INTO lanes VALUES (1, 'a-1', 'live', '/live/cam/playlist.m3u8', '', ?1,
             1700000000000, 1700000000, 1700000000, 1700000000000, 1)",
            [header_1],
        )
        .unwrap();
    connection.execute("INSERT INTO steps VALUES (1, 1700000000, ?1)", [step_1]).unwrap();
    let store = open(&folder);
    let lane = store.load(&LaneId::new("a-1")).await.unwrap().unwrap();
    assert_eq!(lane.header.target_duration, 6);
    assert_eq!(lane.steps[0].entries(0)[0].source.path, "/live/cam-15.ts");
    let lanes = store.lanes_of(&lane.header.stream).await.unwrap();
    assert_eq!(lanes, [LaneId::new("a-1")]);
    let done = store.append(&lane.header.lane, before(1), &[step(1, "a")]).await.unwrap();
    assert_eq!(done, Appended::Done);
}

#[tokio::test]
async fn damage_stays_within_its_lane() {
    let damages = [
        ("UPDATE steps SET step = 'garbage' WHERE lane = 1 AND msn = 1700000001", "expected value"),
        ("UPDATE steps SET step = x'ff' WHERE lane = 1 AND msn = 1700000001", ""),
        ("DELETE FROM steps WHERE lane = 1 AND msn = 1700000001", "hole"),
        ("DELETE FROM steps WHERE lane = 1 AND msn = 1700000002", "tail"),
        (
            "UPDATE steps SET step = replace(step, '\"format\":2', '\"format\":99') WHERE lane = 1",
            "newer",
        ),
        ("UPDATE steps SET step = '{\"format\":3,\"all\":\"new\"}' WHERE lane = 1", "newer"),
        ("UPDATE lanes SET header = '{}' WHERE number = 1", "missing field"),
        ("UPDATE lanes SET tail = -7 WHERE number = 1", "negative"),
    ];
    for (sql, why) in damages {
        let folder = folder();
        let store = open(&folder);
        let (hurt, whole) = (fill(&store, "hurt", 3).await, fill(&store, "whole", 3).await);
        tamper(&folder, sql);
        assert_unreadable(store.load(&hurt).await, why);
        assert_eq!(store.load(&whole).await.unwrap().unwrap().steps.len(), 3, "{sql}");
        let done = store.append(&whole, before(3), &[step(3, "a")]).await.unwrap();
        assert_eq!(done, Appended::Done, "{sql}");
    }
}

#[tokio::test]
async fn a_number_beyond_the_file_is_an_error() {
    let folder = folder();
    let store = open(&folder);
    let mut beyond = header("a-1");
    beyond.first_msn.0 = u64::MAX;
    assert_unreadable(store.create(&beyond).await, "beyond");
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = folder();
    drop(open(&folder));
    tamper(&folder, "PRAGMA user_version = 2");
    let path = folder.path().join("segue.db");
    assert_unreadable(SqliteStore::open(&path).map(drop), "written by a newer Segue");
}

#[test]
fn files_of_others_are_refused() {
    let folder = folder();
    tamper(&folder, "CREATE TABLE theirs (x)");
    let path = folder.path().join("segue.db");
    assert_unreadable(SqliteStore::open(&path).map(drop), "another program's");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database at all, but long enough to look".repeat(100)).unwrap();
    assert_unreadable(SqliteStore::open(&text).map(drop), "not a database");
    let nowhere = folder.path().join("missing").join("segue.db");
    let refused = SqliteStore::open(&nowhere).map(drop);
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_are_readable_by_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let store = open(&folder);
    store.secret("token", [7; 32]).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opened_by_two_at_once_is_made_once() {
    let folder = Arc::new(folder());
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let folder = folder.clone();
            std::thread::spawn(move || open(&folder))
        })
        .collect();
    let stores: Vec<_> = opened.into_iter().map(|t| t.join().unwrap()).collect();
    let lane = fill(&stores[0], "a-1", 2).await;
    for store in &stores {
        assert_eq!(store.load(&lane).await.unwrap().unwrap().steps[1].msn.0, FIRST + 1);
    }
}
