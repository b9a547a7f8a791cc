//! GStreamer's playbin3 into a sink that reports each frame when it is due.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Player;
use super::timeline::{Means, Shared, Timeline};
use crate::process::{Process, now_ms};

/// `gst-launch-1.0 playbin3`, whose HLS demuxer maps the clock of fMP4 to the playlist. That of `playbin`
/// takes its timestamps as they are: it begins late by what they are ahead, and stands still where they
/// jump, also before a packager itself. Subtitles are left out, as they cannot be read from a sink.
pub struct GStreamer {
    folder: PathBuf,
    process: Option<Process>,
    shared: Shared,
    stopping: Arc<AtomicBool>,
}

impl GStreamer {
    /// A pipeline that has not started.
    pub fn new(folder: &Path) -> Self {
        let (shared, stopping) = (Shared::by(Means::Frames), Arc::default());
        Self { folder: folder.to_owned(), process: None, shared, stopping }
    }
}

impl Player for GStreamer {
    fn name(&self) -> &str {
        "gstreamer"
    }

    fn start(&mut self, url: &str) {
        let mut gst = Command::new("gst-launch-1.0");
        gst.args(["-v", "playbin3", &format!("uri={url}")]);
        // Kilobits a second: all renditions fit. Left to find that out, it turns to another one after
        // the first segment and now and then loses its way between several languages.
        gst.arg("connection-speed=20000");
        gst.arg("flags=deinterlace+soft-volume+audio+video");
        gst.arg("video-sink=fakesink name=frames sync=true silent=false");
        gst.arg("audio-sink=fakesink name=tones sync=true");
        gst.env("GST_DEBUG", "hlsdemux2:3,souphttpsrc:3").env("GST_DEBUG_NO_COLOR", "1");
        let mut process = Process::spawn_piped("gstreamer", gst, &self.folder);
        let output = process.child.stdout.take().unwrap();
        self.process = Some(process);
        let (shared, stopping) = (self.shared.clone(), Arc::clone(&self.stopping));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                note(&line, &shared);
            }
            if !stopping.load(Ordering::SeqCst) {
                shared.event(now_ms(), "fatal", "gst-launch ended");
            }
        });
    }

    fn timeline(&self) -> Timeline {
        self.shared.get()
    }

    fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.process = None;
    }
}

impl Drop for GStreamer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A frame's line is the moment at which the frame was shown; its PTS is the position.
fn note(line: &str, shared: &Shared) {
    if line.contains("(frames:sink)") && line.contains("chain ") {
        let pts = line.split("pts: ").nth(1).and_then(seconds);
        shared.at(now_ms(), pts.unwrap_or_default());
    } else if line.contains("ERROR") || line.contains("Got EOS") {
        shared.event(now_ms(), "fatal", line);
    } else if line.starts_with("buffering") || line.contains("Setting pipeline to") {
        shared.event(now_ms(), "note", line);
    }
}

/// `0:00:12.500000000, …` in seconds.
fn seconds(text: &str) -> Option<f64> {
    let clock = text.split(',').next()?;
    let mut sum = 0.0;
    for part in clock.split(':') {
        sum = sum * 60.0 + part.trim().parse::<f64>().ok()?;
    }
    Some(sum)
}
