//! Many viewers, and what they cost the packagers: at most three playlist requests per segment
//! duration and one request per segment, per rendition and packager, however many there are.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::faults::{Kind, Request};
use crate::http;
use crate::packagers::SEGMENT_SECONDS;
use crate::process::now_ms;
use crate::proxy::{Proxy, Which};
use crate::scenarios::alone;
use crate::stage::Stage;

const VIEWERS: usize = 200;
/// Of each ten, one never reads what it asked for, and two read slowly.
const SILENT: usize = 0;
const SLOW: [usize; 2] = [1, 2];
const WATCHED: Duration = Duration::from_secs(40);

#[test]
#[ignore = "make e2e"]
fn two_hundred_viewers_cost_no_more_than_one() {
    let _alone = alone();
    if Which::chosen() == Which::Direct {
        return;
    }
    let stage = Stage::nginx_rtmp(3);
    let proxy = Proxy::start(Which::chosen(), stage.folder(), &stage.faulty());
    let ended = Arc::new(AtomicBool::new(false));
    let errors = Arc::new(AtomicU64::new(0));
    let answered = Arc::new(AtomicU64::new(0));
    let begun = now_ms();
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|n| {
            let (url, ended) = (proxy.url(), Arc::clone(&ended));
            let (errors, answered) = (Arc::clone(&errors), Arc::clone(&answered));
            thread::spawn(move || view(n, &url, &ended, &answered, &errors))
        })
        .collect();
    thread::sleep(WATCHED);
    let until = now_ms();
    ended.store(true, Ordering::SeqCst);
    viewers.into_iter().for_each(|v| v.join().unwrap());
    let logs: Vec<_> = stage.packagers.iter().map(|p| (p.id.clone(), p.faults.log())).collect();
    let (errors, answered) = (errors.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
    eprintln!("{VIEWERS} viewers: {answered} answers, {errors} errors");
    let mut broken = Vec::new();
    for (id, log) in logs {
        let log: Vec<Request> =
            log.into_iter().filter(|r| (begun..until).contains(&r.at_ms)).collect();
        eprintln!("packager {id}: {} requests", log.len());
        broken.extend(judge(&id, &log, until - begun));
    }
    assert!(answered > VIEWERS as u64 * 10, "the viewers hardly watched: {answered}");
    if proxy.which == Which::Segue {
        assert_eq!(errors, 0, "viewers met errors");
        assert!(broken.is_empty(), "{broken:#?}");
    } else {
        eprintln!("{broken:#?}");
    }
}

fn judge(id: &str, log: &[Request], lasted_ms: u64) -> Vec<String> {
    let mut broken = Vec::new();
    let mut by_path: BTreeMap<(&str, bool), u64> = BTreeMap::new();
    for request in log {
        let path = request.path.split('?').next().unwrap_or_default();
        *by_path.entry((path, request.kind == Kind::Playlist)).or_default() += 1;
    }
    let durations = lasted_ms.div_ceil(u64::from(SEGMENT_SECONDS) * 1000);
    for ((path, playlist), count) in by_path {
        // The opening of the stream asks once more.
        let allowed = if playlist { 3 * durations + 1 } else { 1 };
        if count > allowed {
            broken.push(format!("{id}: {count} requests for {path}, {allowed} allowed"));
        }
    }
    broken
}

/// Watches as player `n` would until the end.
fn view(n: usize, entry: &str, ended: &AtomicBool, answered: &AtomicU64, errors: &AtomicU64) {
    let timeout = Duration::from_secs(10);
    let count = |ok: bool| {
        (if ok { answered } else { errors }).fetch_add(1, Ordering::SeqCst);
    };
    let mut last = String::new();
    let mut media = entry.to_owned();
    while !ended.load(Ordering::SeqCst) {
        let answer = http::get(&media, timeout);
        count(answer.as_ref().is_ok_and(|a| a.status == 200));
        let text = answer.map(|a| a.text()).unwrap_or_default();
        let uris: Vec<&str> =
            text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
        if text.contains("#EXT-X-STREAM-INF")
            && let Some(first) = uris.first()
        {
            media = http::resolve(entry, first);
            continue;
        }
        if let Some(newest) = uris.last().filter(|u| **u != last) {
            last = (*newest).to_owned();
            let url = http::resolve(&media, newest);
            match n % 10 {
                SILENT => drop(ask_and_wait(&url, ended, |_| 0)),
                k if SLOW.contains(&k) => drop(ask_and_wait(&url, ended, |s| s)),
                _ => count(http::get(&url, timeout).is_ok_and(|a| a.status == 200)),
            }
        }
        thread::sleep(Duration::from_millis(900 + 7 * (n as u64 % 30)));
    }
}

/// Asks, and then reads `pace(1024)` bytes every tenth of a second, for ten seconds at most.
fn ask_and_wait(url: &str, ended: &AtomicBool, pace: fn(usize) -> usize) -> std::io::Result<()> {
    let (host, path) = http::split(url);
    let mut stream = http::connect(&host, Duration::from_secs(10))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut reader = BufReader::with_capacity(1024, stream);
    let mut buffer = [0; 1024];
    for _ in 0..100 {
        if ended.load(Ordering::SeqCst) {
            break;
        }
        if pace(buffer.len()) > 0 && reader.read(&mut buffer)? == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
