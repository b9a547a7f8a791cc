//! Faults of the proxy itself: killed, upgraded in place, drained, while players watch, also when
//! the lane is spliced and the packager that made the older segments is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{alone, real_case};
use crate::http;
use crate::process::{Signal, now_ms, wait_until};
use crate::proxy::Which;
use crate::run::Run;

/// Only Segue can be restarted in these ways.
fn is_segue() -> bool {
    Which::chosen() == Which::Segue
}

fn kill_serving(run: &mut Run) {
    let id = run.serving("a");
    run.stage.packager(&id).kill();
}

#[test]
#[ignore = "make e2e"]
fn proxy_killed_and_started() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = real_case("proxy_killed_and_started", 3);
    let again = |run: &mut Run| run.while_proxy_is_away(|p| p.kill_and_restart());
    run.fault("proxy: kill -9 and start", again);
    run.fault("packager: kill -9", kill_serving);
    run.fault("packager gone, proxy again", again);
    run.finish();
}

/// The lane has just been spliced: the list holds segments that only the dead packager made.
#[test]
#[ignore = "make e2e"]
fn proxy_killed_while_spliced() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = real_case("proxy_killed_while_spliced", 3);
    run.fault("packager, then proxy: kill -9", |run| {
        let before = run.serving("a");
        kill_serving(run);
        wait_until("the lane is spliced", Duration::from_secs(20), || {
            run.serving(&before) != before
        });
        run.while_proxy_is_away(|p| p.kill_and_restart());
    });
    run.finish();
}

#[test]
#[ignore = "make e2e"]
fn proxy_upgraded_in_place() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = real_case("proxy_upgraded_in_place", 3);
    // No connection may be refused: nothing is forgiven.
    run.fault("proxy: SIGQUIT upgrade", |run| run.proxy.upgrade());
    run.proxy.former_ended(Duration::from_secs(60));
    run.fault("packager, then upgrade", |run| {
        let before = run.serving("a");
        kill_serving(run);
        wait_until("the lane is spliced", Duration::from_secs(20), || {
            run.serving(&before) != before
        });
        run.proxy.upgrade();
    });
    run.proxy.former_ended(Duration::from_secs(60));
    run.finish();
}

/// SIGTERM: readiness fails while serving goes on, no request is cut, the process ends by itself.
#[test]
#[ignore = "make e2e"]
fn proxy_drained() {
    let _alone = alone();
    if !is_segue() {
        return;
    }
    let mut run = real_case("proxy_drained", 3);
    run.fault("proxy: SIGTERM and start", |run| {
        run.while_proxy_is_away(|proxy| {
            let load = Load::on(&proxy.url());
            let ready = format!("{}/.segue/readyz", proxy.base());
            let short = Duration::from_secs(1);
            proxy.process().signal(Signal::Term);
            wait_until("readiness fails", Duration::from_secs(2), || {
                http::get(&ready, short).is_ok_and(|a| a.status == 503)
            });
            let answer =
                http::get(&proxy.url(), short).expect("serving goes on in the drain delay");
            assert_eq!(answer.status, 200);
            let status = proxy.process().wait_end(Duration::from_secs(20));
            assert!(status.success(), "{status}: {}", proxy.process().log_text());
            load.end_without_cuts();
            proxy.start_again();
        });
    });
    run.finish();
}

/// Requests without a pause; an answer that was begun must come whole.
struct Load {
    ended: Arc<AtomicBool>,
    cut: Arc<AtomicU64>,
    whole: Arc<AtomicU64>,
    at: u64,
}

impl Load {
    fn on(url: &str) -> Self {
        let load = Self {
            ended: Arc::default(),
            cut: Arc::default(),
            whole: Arc::default(),
            at: now_ms(),
        };
        for _ in 0..4 {
            let (ended, cut, whole) = (load.ended.clone(), load.cut.clone(), load.whole.clone());
            let url = url.to_owned();
            thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let counter = match http::get(&url, Duration::from_secs(8)) {
                        Ok(_) => Some(&whole),
                        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => None,
                        Err(_) => Some(&cut),
                    };
                    counter.map(|c| c.fetch_add(1, Ordering::SeqCst));
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        load
    }

    fn end_without_cuts(self) {
        self.ended.store(true, Ordering::SeqCst);
        let (cut, whole) = (self.cut.load(Ordering::SeqCst), self.whole.load(Ordering::SeqCst));
        let lasted = now_ms() - self.at;
        assert_eq!(cut, 0, "{cut} requests were cut, {whole} came whole, in {lasted} ms");
        assert!(whole > 0);
    }
}
