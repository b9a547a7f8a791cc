//! The window in which a step can be lost: its holder and its packager die right after the append, before a
//! second proxy has a copy. How long that is, and that nothing is lost behind it.

use std::thread;
use std::time::Duration;

use super::{is_segue, wait_until_both_are_well};
use crate::fleet::Fleet;
use crate::fleet::run::FleetRun;
use crate::http;
use crate::laws::List;
use crate::process::{now_ms, wait_until};
use crate::scenarios::alone;
use crate::stage::Stage;

/// So many steps are looked at.
const STEPS: usize = 12;
/// How often each proxy is looked at.
const LOOK: Duration = Duration::from_millis(15);
/// Rounds of killing.
const ROUNDS: usize = 3;

/// When each proxy first listed one number, Unix milliseconds.
struct Listed {
    msn: u64,
    at: Vec<u64>,
}

/// The newest number of a list, and its segment's URL.
fn newest(url: &str) -> Option<(u64, String)> {
    let answer = http::get(url, Duration::from_secs(2)).ok().filter(|a| a.status == 200)?;
    let list = List::read(&answer.text());
    let last = list.segments.last()?;
    Some((list.first + list.segments.len() as u64 - 1, http::resolve(url, &last.uri)))
}

/// Waits for the next number, and for it at all of `urls`.
fn next_at_all(urls: &[String]) -> Listed {
    let before = urls.iter().filter_map(|url| newest(url)).map(|(msn, _)| msn).max();
    let msn = before.expect("a list") + 1;
    let mut at: Vec<Option<u64>> = vec![None; urls.len()];
    wait_until("the next segment at all proxies", Duration::from_secs(20), || {
        let since = now_ms();
        while at.iter().any(Option::is_none) && now_ms() - since < 2000 {
            for (at, url) in at.iter_mut().zip(urls).filter(|(at, _)| at.is_none()) {
                *at = newest(url).filter(|(last, _)| *last >= msn).map(|_| now_ms());
            }
            thread::sleep(LOOK);
        }
        at.iter().all(Option::is_some)
    });
    Listed { msn, at: at.into_iter().flatten().collect() }
}

/// A step is listed where it is held: when the second proxy lists it, it can be lost no more. Then the first
/// and the packager are killed, and what was listed is there.
#[test]
#[ignore = "make e2e"]
fn the_holder_and_the_packager_die_after_an_append() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let stage = Stage::nginx_rtmp_for_long(3);
    let fleet = Fleet::start(&stage, 3);
    let name = "the_holder_and_the_packager_die_after_an_append";
    let mut run = FleetRun::begin(name, stage, fleet, &["mpv"], 10);
    let urls = run.fleet.media.clone();
    let proxies = &urls[1..];
    let mut second_ms = Vec::new();
    for _ in 0..STEPS {
        let mut listed = next_at_all(proxies);
        listed.at.sort_unstable();
        second_ms.push(listed.at[1] - listed.at[0]);
    }
    second_ms.sort_unstable();
    eprintln!("second proxy lists after the first, ms: {second_ms:?}");
    for text in run.fleet.proxies.iter().map(|p| p.metrics()) {
        let copied = text.lines().filter(|l| l.starts_with("segue_copied"));
        copied.for_each(|line| eprintln!("    {line}"));
    }
    for round in 0..ROUNDS {
        wait_until_both_are_well(&mut run);
        // The one that listed first appended it; the other two have it as soon as one of them lists it.
        let listed = next_at_all(proxies);
        let first = (0..proxies.len()).min_by_key(|n| listed.at[*n]).unwrap();
        let serving = run.serving();
        let what = format!("{}: proxy {} and packager {serving}", round + 1, first + 1);
        let mut lost = Vec::new();
        run.fault(&what, Duration::from_secs(25), |run| {
            run.without_proxy(first, |run| {
                run.fleet.proxies[first].kill();
                run.stage.packager(&serving).kill();
                lost = not_to_be_had(proxies, first, listed.msn);
                run.start_packager(&serving);
                thread::sleep(Duration::from_secs(4));
                run.fleet.proxies[first].start_again();
            });
        });
        assert_eq!(lost, Vec::<String>::new(), "{what}: lost of MSN {}", listed.msn);
    }
    run.end("fleet").assert_lawful();
}

/// What the other proxies list up to `msn` and do not give.
fn not_to_be_had(proxies: &[String], dead: usize, msn: u64) -> Vec<String> {
    let mut lost = Vec::new();
    for url in proxies.iter().enumerate().filter(|(n, _)| *n != dead).map(|(_, url)| url) {
        let text = http::get(url, Duration::from_secs(8)).unwrap().text();
        let list = List::read(&text);
        let end = list.first + list.segments.len() as u64;
        if end <= msn {
            lost.push(format!("{url} does not list {msn}: it ends before {end}"));
        }
        for segment in list.segments {
            let segment = http::resolve(url, &segment.uri);
            let answer = http::get(&segment, Duration::from_secs(8));
            match answer {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => lost.push(format!("{segment}: {}", answer.status)),
                Err(e) => lost.push(format!("{segment}: {e}")),
            }
        }
    }
    lost
}
