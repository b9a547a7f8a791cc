//! Packagers on air, and the folder that everything of a run is written to.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use crate::clip::{Clip, Recipe};
use crate::packagers::{LISTED, Muxer, Packager, Relay, Shaka, Source};
use crate::programme::Programme;
use crate::proxy::Upstream;

/// Packagers on air. Dropped in a panic, it prints the end of every log and keeps the folder.
pub struct Stage {
    pub packagers: Vec<Packager>,
    relay: Option<Relay>,
    folder: TempDir,
}

impl Stage {
    /// Two nginx-rtmp packagers behind one relay; `b` gets its feed `later` segments after `a`.
    pub fn nginx_rtmp(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::encode(folder.path(), "clip", Recipe::default());
        Self::relay(folder, &clip, &["a", "b"], later, false)
    }

    /// The same from a clip that is kept for all runs of one build.
    pub fn nginx_rtmp_kept(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::kept(folder.path(), Recipe::default());
        Self::relay(folder, &clip, &["a", "b"], later, false)
    }

    /// The same with three, `a`, `b` and `c`, each `later` segments after the one before.
    pub fn three_nginx_rtmp(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::encode(folder.path(), "clip", Recipe::default());
        Self::relay(folder, &clip, &["a", "b", "c"], later, false)
    }

    /// The same, with packagers that go on counting after a restart, as they do by default.
    pub fn nginx_rtmp_that_counts_on(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::encode(folder.path(), "clip", Recipe::default());
        Self::relay(folder, &clip, &["a", "b"], later, true)
    }

    /// The same for runs of up to a quarter of an hour.
    pub fn nginx_rtmp_for_long(later: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::kept(folder.path(), Recipe { seconds: 960, ..Recipe::default() });
        Self::relay(folder, &clip, &["a", "b"], later, false)
    }

    fn relay(folder: TempDir, clip: &Clip, ids: &[&str], later: u64, counts_on: bool) -> Self {
        let made = |id: &&str| Packager::nginx_rtmp(id, folder.path(), counts_on);
        let packagers: Vec<_> = ids.iter().map(made).collect();
        let relay = Some(Relay::start(folder.path(), clip, &packagers));
        // From here on a failure prints the logs.
        let stage = Self { packagers, relay, folder };
        stage.packagers[0].restore_feed();
        for (packager, before) in stage.packagers.iter().skip(1).zip(1..) {
            stage.packagers[0].wait_for_segments(later * before);
            packager.restore_feed();
        }
        stage.wait();
        stage
    }

    /// Packagers that ffmpeg's HLS muxer makes, `a` and `b`, each from a clip of its own tone.
    pub fn muxers([a, b]: [Muxer; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let low = Clip::encode(folder.path(), "low", Recipe::default());
        let high = Clip::encode(folder.path(), "high", Recipe { tone: 880, ..Recipe::default() });
        let packagers = vec![
            Packager::ffmpeg("a", folder.path(), Source::Clip(low), a),
            Packager::ffmpeg("b", folder.path(), Source::Clip(high), b),
        ];
        let stage = Self { packagers, relay: None, folder };
        stage.wait();
        stage
    }

    /// The same, where both show what is on air, in the first `sizes` sizes.
    pub fn on_air(sizes: usize, [a, b]: [Muxer; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programme = Programme::begin(folder.path(), sizes);
        Self::packaged(folder, programme, [a, b])
    }

    /// The same, where two encoders make the programme.
    pub fn two_encoders([a, b]: [Muxer; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programme = Programme::by_two_encoders(folder.path());
        Self::packaged(folder, programme, [a, b])
    }

    fn packaged(folder: TempDir, programme: Programme, [a, b]: [Muxer; 2]) -> Self {
        let programme = Arc::new(programme);
        let from = || Source::OnAir(Arc::clone(&programme));
        let packagers = vec![
            Packager::ffmpeg("a", folder.path(), from(), a),
            Packager::ffmpeg("b", folder.path(), from(), b),
        ];
        Self::ready(packagers, folder)
    }

    /// Two Shaka Packagers that show what is on air.
    pub fn shaka(sizes: usize, [a, b]: [Shaka; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programme = Arc::new(Programme::begin(folder.path(), sizes));
        let packagers = vec![
            Packager::shaka("a", folder.path(), Arc::clone(&programme), a),
            Packager::shaka("b", folder.path(), programme, b),
        ];
        Self::ready(packagers, folder)
    }

    /// With full lists: a lane's window is as long as the list it opens with.
    fn ready(packagers: Vec<Packager>, folder: TempDir) -> Self {
        let stage = Self { packagers, relay: None, folder };
        stage.packagers.iter().for_each(|p| p.wait_for_listed(LISTED as usize));
        stage
    }

    /// One more ffmpeg packager, which no proxy knows.
    pub fn hidden(&self, id: &str, tone: u32, muxer: Muxer) -> Packager {
        let clip = Clip::encode(self.folder(), id, Recipe { tone, ..Recipe::default() });
        Packager::ffmpeg(id, self.folder(), Source::Clip(clip), muxer)
    }

    /// Where the run writes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The packager of that id.
    pub fn packager(&mut self, id: &str) -> &mut Packager {
        self.packagers.iter_mut().find(|p| p.id == id).expect("a packager of that id")
    }

    /// Tells the proxy the packagers' own addresses.
    pub fn direct(&self) -> Vec<Upstream> {
        self.packagers.iter().map(Upstream::direct).collect()
    }

    /// Tells the proxy the fault proxies' addresses.
    pub fn faulty(&self) -> Vec<Upstream> {
        self.packagers.iter().map(Upstream::faulty).collect()
    }

    fn wait(&self) {
        self.packagers.iter().for_each(|p| p.wait_for_segments(3));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.relay = None;
        if thread::panicking() {
            print_logs(self.folder.path());
            self.folder.disable_cleanup(true);
        }
    }
}

fn print_logs(folder: &Path) {
    eprintln!("kept: {}", folder.display());
    let mut logs: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    logs.retain(|p| p.extension().is_some_and(|e| e == "log"));
    logs.sort();
    for log in logs {
        let text = std::fs::read(&log).map(|b| String::from_utf8_lossy(&b).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("--- {} (the last of {} lines)", log.display(), lines.len());
        let from = lines.len().saturating_sub(40);
        lines[from..].iter().for_each(|line| eprintln!("{line}"));
    }
}
