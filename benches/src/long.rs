//! What a window of hours costs: a lane on a list of 18,000 segments beside one on a list of six,
//! each in a process of its own, both carried through the same seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::client::{Answer, Client};
use crate::load::{self, median};
use crate::options::Options;
use crate::pieces;
use crate::servers::{Server, Target};

/// Segments of a second in five hours.
pub const LONG: u64 = 18_000;
/// And in the list beside it.
pub const SHORT: u64 = 6;

const LONG_ENTRY: &str = "/long/cam.m3u8";
const SHORT_ENTRY: &str = "/short/cam.m3u8";
const SEGMENT: Duration = Duration::from_secs(1);
/// So many of the newest are there as files: more than are held.
const FILES: u64 = 1200;
/// What a lane opens with is fetched for a while: its cost is not that of a second.
const SETTLES: Duration = Duration::from_secs(8);
const GZIP: &str = "Accept-Encoding: gzip";

/// What was measured.
pub struct Long {
    /// A name, processor microseconds with the long list and with the short one.
    pub costs: Vec<(&'static str, f64, f64)>,
    /// MiB of the process with the long list and of that with the short one.
    pub resident: (f64, f64),
    /// A refresh that looks at the newest, to one that looks at all.
    pub skim_to_all: f64,
    /// A name, and what a request for the long list cost to the same bytes by bare Pingora.
    pub to_bare: Vec<(&'static str, f64)>,
}

pub fn measure(folder: &Path, origin: u16, options: &Options) -> Result<Long> {
    let files = folder.join("files");
    let lists = [(LONG_ENTRY, LONG), (SHORT_ENTRY, SHORT)];
    for (entry, count) in lists {
        start(&files, entry, count)?;
    }
    let start = |name: &str, (entry, count): (&'static str, u64)| {
        let folder = folder.join(name);
        // A segment that leaves while it opens is none too few.
        Server::segue(&folder, origin, entry, count.saturating_sub(10).max(SHORT))
    };
    let long = start("with-long", lists[0])?;
    let short = start("with-short", lists[1])?;
    let mut costs = pieces::measure();
    let skim_to_all = match costs.as_slice() {
        [(_, skim, _), (_, all, _), ..] => skim / all,
        _ => f64::NAN,
    };
    thread::sleep(SETTLES);
    costs.push(seconds(&long, &short, options.long)?);
    let mib = |server: &Server| server.tree.resident() as f64 / f64::from(1 << 20);
    let resident = (mib(&long), mib(&short));
    let mut to_bare = Vec::new();
    for (name, own, header) in [
        ("a request", "long list to bare Pingora", None),
        ("a request, gzipped", "gzipped, to bare Pingora", Some(GZIP)),
    ] {
        let dir = folder.join(name.replace([' ', ','], "-"));
        let bare = bare(&dir, &long, header)?;
        let servers = [&long, &short, &bare];
        let mut rounds: Vec<[f64; 3]> = Vec::new();
        for _ in 0..options.rounds {
            let mut cpu = [f64::NAN; 3];
            for (cpu, server) in cpu.iter_mut().zip(servers) {
                *cpu = load::run(server, Target::Playlist, options.run, header)?.0;
            }
            rounds.push(cpu);
        }
        let middle = |of: &dyn Fn(&[f64; 3]) -> f64| median(rounds.iter().map(of).collect());
        costs.push((name, middle(&|r| r[0]), middle(&|r| r[1])));
        to_bare.push((own, middle(&|r| r[0] / r[2])));
    }
    Ok(Long { costs, resident, skim_to_all, to_bare })
}

/// What a second of the stream costs each process: its refreshes, a step, a list for viewers. The
/// same seconds count for both.
fn seconds(long: &Server, short: &Server, length: Duration) -> Result<(&'static str, f64, f64)> {
    let paths = (long.path(Target::Playlist)?, short.path(Target::Playlist)?);
    let before = (long.tree.cpu(), short.tree.cpu());
    let began = Instant::now();
    thread::sleep(length);
    let seconds = began.elapsed().as_secs_f64();
    let used = (long.tree.cpu() - before.0, short.tree.cpu() - before.1);
    // Both are still carried.
    Client::connect(long.port)?.get(&paths.0)?;
    Client::connect(short.port)?.get(&paths.1)?;
    let us = |used: Duration| used.as_secs_f64() * 1e6 / seconds;
    Ok(("a second of the stream", us(used.0), us(used.1)))
}

/// Bare Pingora, over what `segue` answers now.
fn bare(dir: &Path, segue: &Server, header: Option<&str>) -> Result<Server> {
    let files = dir.join("files");
    fs::create_dir_all(&files)?;
    let headers = header.map(|line| format!("{line}\r\n")).unwrap_or_default();
    let get =
        |path: &str| -> Result<Answer> { Client::connect(segue.port)?.get_with(path, &headers) };
    get(&segue.path(Target::Playlist)?)?.save(&files, "playlist.m3u8")?;
    get(&segue.path(Target::Segment)?)?.save(&files, "segment.ts")?;
    Server::bare(dir)
}

/// A packager whose list has `count` segments; one more every second until the process ends.
fn start(files: &Path, entry: &str, count: u64) -> Result<()> {
    let dir = files.join(entry.trim_start_matches('/'));
    let dir = dir.parent().context("a folder")?.to_owned();
    fs::create_dir_all(&dir)?;
    for n in count.saturating_sub(FILES)..count {
        fs::write(dir.join(format!("{n}.ts")), segment(n))?;
    }
    put(&dir, &pieces::list(0, count))?;
    thread::spawn(move || {
        let began = Instant::now();
        for (nth, n) in (1..).zip(count..) {
            thread::sleep((began + SEGMENT * nth).saturating_duration_since(Instant::now()));
            let listed = fs::write(dir.join(format!("{n}.ts")), segment(n));
            let first = n + 1 - count;
            if listed.is_err() || put(&dir, &pieces::list(first, count)).is_err() {
                return; // the folder is gone: the bench has ended
            }
        }
    });
    Ok(())
}

/// A few transport packets without meaning, not two alike.
fn segment(n: u64) -> Vec<u8> {
    let mut packet = [0xff; 188];
    packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    packet[4..12].copy_from_slice(&n.to_be_bytes());
    packet.repeat(10)
}

/// Whole or not there.
fn put(dir: &Path, text: &str) -> Result<()> {
    let temporary: PathBuf = dir.join("next");
    fs::write(&temporary, text)?;
    fs::rename(temporary, dir.join("cam.m3u8"))?;
    Ok(())
}
