//! Players as viewers have them, each measuring two things: whether it failed for good, and for
//! how long its playback stood still when it should have run.

use std::path::Path;
use std::time::Duration;

use crate::process::wait_until;

pub mod browser;
pub mod gstreamer;
pub mod mpv;
pub mod shown;
pub mod timeline;

use browser::Browser;
use gstreamer::GStreamer;
use mpv::Mpv;
pub use timeline::Timeline;

/// What a viewer asks of a player that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Show the first captions there are, and tell again and again which picture is shown and what
    /// is written over it.
    Captions,
    /// Play the best rendition, or the poorest where that is the one that plays.
    Switch,
}

/// A player that watches one URL.
pub trait Player {
    /// Its name in reports.
    fn name(&self) -> &str;
    /// Begins to play `url`.
    fn start(&mut self, url: &str);
    /// What it has done so far.
    fn timeline(&self) -> Timeline;
    /// Ends it.
    fn stop(&mut self);

    /// Does what a viewer asks of it; false where it cannot.
    fn order(&mut self, _order: Order) -> bool {
        false
    }

    /// Where it is, seconds on its own clock.
    fn position(&self) -> Option<f64> {
        self.timeline().position()
    }
    /// How long it stood still between two moments (Unix milliseconds), milliseconds.
    fn stalls_between(&self, from_ms: u64, to_ms: u64) -> u64 {
        self.timeline().stalls_between(from_ms, to_ms)
    }
    /// Its fatal errors.
    fn errors(&self) -> Vec<String> {
        self.timeline().fatal()
    }
}

/// Gives each of `who` its URL, and calls `seated` when it was told to begin. The browser ends what plays in
/// it when it is dropped.
pub fn seat(
    who: &[(&str, String)],
    folder: &Path,
    seated: &dyn Fn(&str),
) -> (Option<Browser>, Vec<Box<dyn Player>>) {
    let browser = who.iter().any(|(name, _)| Browser::plays(name)).then(|| Browser::start(folder));
    let mut players: Vec<Box<dyn Player>> = Vec::new();
    for (name, url) in who {
        let mut player: Box<dyn Player> = match *name {
            "mpv" => Box::new(Mpv::new(folder)),
            "gstreamer" => Box::new(GStreamer::new(folder)),
            other => browser.as_ref().unwrap().player(other),
        };
        player.start(url);
        seated(name);
        players.push(player);
    }
    (browser, players)
}

/// The five players.
pub const ALL: [&str; 5] = ["hls.js", "shaka", "video.js", "mpv", "gstreamer"];

/// Waits until each has played for five seconds without a stall: GStreamer turns to another rendition
/// after its first segment and then fills its buffer anew.
pub fn wait_for_playback(players: &[Box<dyn Player>], limit: Duration) {
    for player in players {
        let what = format!("{} plays ({:?})", player.name(), player.errors());
        wait_until(&what, limit, || {
            let now = crate::process::now_ms();
            let timeline = player.timeline();
            timeline.began_ms().is_some_and(|t| t + 6000 < now)
                && timeline.stalls_between(now - 5500, now - 500) == 0
        });
    }
}
