//! mpv without output, asked over its IPC socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use super::timeline::{Shared, Timeline};
use super::{Order, Player};
use crate::process::{Process, now_ms};

/// mpv.
pub struct Mpv {
    folder: PathBuf,
    process: Option<Process>,
    shared: Shared,
    stopping: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl Mpv {
    /// An mpv that has not started.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            process: None,
            shared: Shared::default(),
            stopping: Arc::default(),
            poller: None,
        }
    }
}

impl Player for Mpv {
    fn name(&self) -> &str {
        "mpv"
    }

    fn start(&mut self, url: &str) {
        let socket = self.folder.join("mpv.sock");
        let mut mpv = Command::new("mpv");
        mpv.args(["--no-config", "--vo=null", "--ao=null", "--no-terminal", "--msg-level=all=v"]);
        mpv.arg(format!("--input-ipc-server={}", socket.display()));
        mpv.arg(format!("--log-file={}", self.folder.join("mpv-own.log").display()));
        mpv.arg(url);
        self.process = Some(Process::spawn("mpv", mpv, &self.folder));
        let (shared, stopping) = (self.shared.clone(), Arc::clone(&self.stopping));
        self.poller = Some(thread::spawn(move || {
            let why = poll(&socket, &shared, &stopping).err();
            if !stopping.load(Ordering::SeqCst) {
                shared.event(now_ms(), "fatal", &format!("mpv ended: {why:?}"));
            }
        }));
    }

    fn timeline(&self) -> Timeline {
        self.shared.get()
    }

    /// It cannot show captions: ffmpeg's reader leaves subtitle renditions out.
    fn order(&mut self, order: Order) -> bool {
        let socket = self.folder.join("mpv.sock");
        order == Order::Switch && switch(&socket, &self.shared).is_ok()
    }

    fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.process = None;
        if let Some(poller) = self.poller.take() {
            let _ = poller.join();
        }
    }
}

impl Drop for Mpv {
    fn drop(&mut self) {
        self.stop();
    }
}

fn poll(socket: &Path, shared: &Shared, stopping: &AtomicBool) -> std::io::Result<()> {
    let begun = now_ms();
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(e) if now_ms() - begun > 15_000 => return Err(e),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    };
    let mut orders = stream.try_clone()?;
    let mut answers = BufReader::new(stream);
    let mut waiting = false;
    while !stopping.load(Ordering::SeqCst) {
        if let Some(position) = ask(&mut orders, &mut answers, "time-pos", shared)?.as_f64() {
            shared.at(now_ms(), position);
        }
        let paused = ask(&mut orders, &mut answers, "paused-for-cache", shared)?;
        let paused = paused.as_bool().unwrap_or(false);
        if paused != waiting {
            shared.event(now_ms(), if paused { "waiting" } else { "playing" }, "");
            waiting = paused;
        }
        thread::sleep(Duration::from_millis(80));
    }
    Ok(())
}

/// Turns to the largest picture, or to the smallest where that is the one shown.
fn switch(socket: &Path, shared: &Shared) -> std::io::Result<()> {
    let mut orders = UnixStream::connect(socket)?;
    let mut answers = BufReader::new(orders.try_clone()?);
    let tracks = ask(&mut orders, &mut answers, "track-list", shared)?;
    let mut pictures: Vec<&Value> =
        tracks.as_array().into_iter().flatten().filter(|t| t["type"] == "video").collect();
    pictures.sort_by_key(|t| t["demux-h"].as_u64());
    let (Some(smallest), Some(largest)) = (pictures.first(), pictures.last()) else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    let to = if largest["selected"] == true { smallest } else { largest };
    let order = serde_json::json!({ "command": ["set_property", "vid", to["id"]] });
    writeln!(orders, "{order}")?;
    shared.event(now_ms(), "size", &format!("{}x{}", to["demux-w"], to["demux-h"]));
    Ok(())
}

/// Asks for a property; events that come in between are recorded.
fn ask(
    orders: &mut UnixStream,
    answers: &mut impl BufRead,
    property: &str,
    shared: &Shared,
) -> std::io::Result<Value> {
    let order = serde_json::json!({ "command": ["get_property", property], "request_id": 7 });
    writeln!(orders, "{order}")?;
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line).map_err(std::io::Error::other)?;
        if let Some(event) = answer["event"].as_str() {
            let event = if event == "end-file" { "fatal" } else { "note" };
            shared.event(now_ms(), event, line.trim());
        } else if answer["request_id"] == 7 {
            return Ok(answer["data"].clone());
        }
    }
}
