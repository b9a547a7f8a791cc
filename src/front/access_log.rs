//! The access log: one JSON line per request, written by a thread of its own. A request never
//! waits for it: where the writer lags, lines are dropped and counted.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::Serialize;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to; opened anew on [`AccessLog::reopen`], for log rotation.
    File(PathBuf),
}

/// Lines that wait for the writer at most.
const WAITING_LINES_MAX: usize = 8192;
/// Requests that a quiet minute's log is late by at most.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// One request as the log tells it. Tokens are never written, only the lane's id.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When it was answered, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The method.
    pub method: &'a str,
    /// The host asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// The pool that the host leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    /// The path, with the lane's id in place of the token.
    pub path: &'a str,
    /// Entry, playlist, segment, init, health, other.
    pub kind: &'a str,
    /// The status; 0 if the viewer left before.
    pub status: u16,
    /// Bytes of the body sent.
    pub bytes: u64,
    /// Milliseconds from the request's header to the answer's last byte.
    pub ms: f64,
    /// The viewer left before the end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The viewer's address: the peer's, or what a trusted peer says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `X-Amzn-Trace-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// `X-Amz-Cf-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cf_id: Option<&'a str>,
    /// `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
}

/// The sending end.
#[derive(Clone)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

impl AccessLog {
    /// Opens the target and starts the writer. Errors: the file cannot be opened.
    pub fn open(target: Target) -> io::Result<Self> {
        let out = writer(&target)?;
        let (lines, waiting) = sync_channel(WAITING_LINES_MAX);
        let log = Self { lines, dropped: Arc::default(), reopen: Arc::default() };
        let reopen = Arc::clone(&log.reopen);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(&waiting, out, &target, &reopen))?;
        Ok(log)
    }

    /// Writes a line, or drops it if the writer lags.
    pub fn write(&self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.lines.try_send(text)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew before the next line: it was rotated.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }
}

fn writer(target: &Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        Target::Stdout => Box::new(BufWriter::new(io::stdout())),
        Target::File(path) => {
            Box::new(BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?))
        }
    })
}

/// Writes until all senders are gone. A full disk loses lines, never requests.
fn write_lines(
    waiting: &Receiver<Vec<u8>>,
    mut out: Box<dyn Write + Send>,
    target: &Target,
    reopen: &AtomicBool,
) {
    use std::sync::mpsc::RecvTimeoutError;
    loop {
        match waiting.recv_timeout(FLUSH_AFTER) {
            Ok(line) => {
                if reopen.swap(false, Ordering::AcqRel) {
                    let _ = out.flush();
                    match writer(target) {
                        Ok(fresh) => out = fresh,
                        Err(error) => tracing::error!(%error, "the access log cannot be reopened"),
                    }
                }
                let _ = out.write_all(&line);
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = out.flush();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = out.flush();
}

/// `path` without its query, which may hold what authenticates a viewer, and with `lane` in place of
/// the token, which stands between the last `~` and the next `/`.
#[must_use]
pub fn without_token(path: &str, lane: Option<&str>) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let Some(at) = path.rfind('~') else {
        return path.to_owned();
    };
    let (before, rest) = path.split_at(at);
    let after = rest.find('/').map_or("", |end| rest.get(end..).unwrap_or_default());
    format!("{before}~{}{after}", lane.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line<'_> {
        Line {
            time_ms: 1,
            method: "GET",
            host: None,
            pool: None,
            path,
            kind: "entry",
            status: 200,
            bytes: 5,
            ms: 0.1,
            cut: false,
            client: None,
            trace_id: None,
            cf_id: None,
            request_id: None,
        }
    }

    #[test]
    fn tokens_do_not_reach_the_log() {
        assert_eq!(
            without_token("/live/cam/playlist~secret/v0/index.m3u8", Some("a-1")),
            "/live/cam/playlist~a-1/v0/index.m3u8"
        );
        assert_eq!(without_token("/live/x~secret", None), "/live/x~?");
        assert_eq!(without_token("/live/x.m3u8", None), "/live/x.m3u8");
    }

    #[test]
    fn what_the_writer_cannot_take_is_dropped_and_counted() {
        // A channel that nobody reads stands for a disk that does not answer.
        let (lines, _waiting) = sync_channel(2);
        let log = AccessLog { lines, dropped: Arc::default(), reopen: Arc::default() };
        for _ in 0..5 {
            log.write(&line("/x"));
        }
        assert_eq!(log.dropped(), 3);
    }

    #[test]
    fn lines_reach_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let log = AccessLog::open(Target::File(path.clone())).unwrap();
        log.write(&line("/live/cam.m3u8"));
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.ends_with('\n') {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["path"], "/live/cam.m3u8");
                assert_eq!(value["status"], 200);
                break;
            }
            assert!(std::time::Instant::now() < deadline, "never written");
            std::thread::yield_now();
        }
    }
}
